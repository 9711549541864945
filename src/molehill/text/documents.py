"""Documents: files, folders and data sets become one stream of texts that know where they are from.

    for document in documents({"dictionary": "words.jsonl.gz", "books": "books/"}):
        document.kind, document.source, document.number, document.text

The same sources give the same documents in the same order. This module knows nothing of tokens.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from molehill.errors import TextError
from molehill.text.datasets import DATA_SET, texts_of_data_set
from molehill.text.reading import (
    LONGEST_DOCUMENT,
    SPLITS_OF_FILES,
    is_readable,
    texts_of_file,
)

__all__ = [
    "DEFAULT_KIND",
    "Document",
    "Source",
    "Sources",
    "check_split",
    "documents",
    "named_sources",
]

Source: TypeAlias = str | os.PathLike[str] | Callable[[], Iterable[str]]
"""A file, a folder, a data set (`hf:...`), or a function that gives the texts anew at each call."""

Sources: TypeAlias = Source | Sequence[Source] | Mapping[str, Source | Sequence[Source]]
"""One source, several, or several by kind."""

DEFAULT_KIND = "text"
"""The kind of sources that are given without one."""


@dataclass(frozen=True)
class Document:
    """A text and where it is from."""

    text: str
    kind: str
    """Which of the caller's kinds of text it is of."""
    source: str
    """The file, data set or function, as the caller named it."""
    number: int
    """Where in the source, from 1: the line of a file of text or JSON, else the row."""

    @property
    def place(self) -> str:
        """Source and number, for people."""
        return f"{self.source}, document {self.number}"


def documents(sources: Sources, *, split: str = "file", column: str = "text") -> Iterator[Document]:
    """The documents of all sources, one after the other; empty ones too.

    Args:
        sources: Files (`.txt`, `.md`, `.jsonl`, `.parquet`; also compressed, `.gz` or `.zst`),
            folders (all such files below them, sorted by name), data sets (`hf:...`, see
            `text.datasets`) or functions; named by kind where it is a mapping.
        split: Of a plain text file, what one document is: the `file`, a `paragraph` or a `line`.
        column: Of JSON lines, Parquet and data sets, the field that holds the text.

    Raises:
        TextError: while reading: a source is absent or damaged, or something in it is no text; file
            and line, row or byte are named.
        MissingExtraError: Parquet, zstd and data sets need the extra `data`.
    """
    check_split(split)
    for kind, source in named_sources(sources):
        for name, number, text in _texts(source, split, column):
            _check(text, f"{name}, document {number}")
            yield Document(text, kind, name, number)


def check_split(split: str) -> None:
    """Raises TextError where `documents` knows no such way to split a file."""
    if split not in SPLITS_OF_FILES:
        raise TextError(f"split is {split!r}; expected one of {', '.join(SPLITS_OF_FILES)}.")


def named_sources(sources: Sources) -> list[tuple[str, Source]]:
    """Each source with its kind, in order.

    Raises:
        TextError: there is none, or a kind is no name.
    """
    if not isinstance(sources, Mapping):
        sources = {DEFAULT_KIND: sources}
    found: list[tuple[str, Source]] = []
    for kind, given in sources.items():
        if not kind or not kind.isprintable():
            raise TextError(f"{kind!r} is no name for a kind of text.")
        many = isinstance(given, Sequence) and not isinstance(given, str)
        found += [(kind, source) for source in (given if many else [given])]
    if not found:
        raise TextError("There are no sources: name at least one file, folder or data set.")
    return found


def _texts(source: Source, split: str, column: str) -> Iterator[tuple[str, int, str]]:
    """Name, number and text of a source's documents."""
    if callable(source):
        name = getattr(source, "__name__", "texts")
        yield from ((name, number, text) for number, text in enumerate(source(), start=1))
        return
    if (name := os.fspath(source)).startswith(DATA_SET):
        yield from ((name, number, text) for number, text in texts_of_data_set(name, column))
        return
    for path in _files(Path(source)):
        for number, text in texts_of_file(path, split=split, column=column):
            yield str(path), number, text


def _files(path: Path) -> Iterator[Path]:
    """The file itself, or all files below a folder whose endings are known, sorted."""
    if not path.exists():
        raise TextError(f"There is no file or folder {path}.")
    if not path.is_dir():
        yield path
        return
    below = [
        Path(folder, name)
        for folder, _, names in os.walk(path)
        for name in names
        if not any(part.startswith(".") for part in Path(folder, name).relative_to(path).parts)
    ]
    found = sorted(each for each in below if is_readable(each))
    if not found:
        raise TextError(f"The folder {path} holds no file that is read ({len(below)} others).")
    yield from found


def _check(text: object, place: str) -> None:
    """Hold a document to what every text must be."""
    if not isinstance(text, str):
        raise TextError(f"{place} is {type(text).__name__}, expected a string.")
    if len(text) > LONGEST_DOCUMENT:
        raise TextError(
            f"{place} has {len(text):,} characters; the most of one document is "
            f"{LONGEST_DOCUMENT:,}: cut it."
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        raise TextError(
            f"{place} holds half a character (a lone surrogate, U+{code:04X}) at {error.start}, "
            "which is no text: mend what wrote it."
        ) from None
