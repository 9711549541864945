"""What a source hands over: texts with a name, and the packages that hold them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Source", "Text", "draw", "pick"]


@dataclass(frozen=True)
class Text:
    """A few sentences that belong together, before they are joined into documents.

    Attributes:
        name: What they are about, for a person who traces a document back.
        text: Plain English; a blank line ends a paragraph.
        group: Only neighbours of one group share a document.
    """

    name: str
    text: str
    group: str = ""


@dataclass(frozen=True)
class Source:
    """One kind of text.

    Attributes:
        kind: The name of its file, and of its line in the table of bits per byte.
        packages: The Debian packages to install.
        read: From the root folder of the installation (`/`) to texts.
        keep: The share of documents that is written, drawn by a hash of the text.
        note: What was taken, left out or thinned, and why.
        license: What the packages' copyright files say of the text.
    """

    kind: str
    packages: Sequence[str]
    read: Callable[[Path], Iterator[Text]]
    keep: float = 1.0
    note: str = ""
    license: str = ""


def draw(key: str) -> float:
    """A number in [0, 1) that is the same for the same key on every machine and in every order."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=6).digest(), "big") / 2**48


def pick(options: Sequence[str], key: str) -> str:
    """One of the options, by the key alone."""
    return options[int(draw(key) * len(options))]
