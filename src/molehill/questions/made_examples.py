"""Examples for features that came without an examples file: made once, from texts that are at hand.

The village tells its own sentences; any other model goes on by itself from a few plain beginnings,
so that no corpus, no licence and no download is needed. What `lexicon` wrote so ships with it, as
writing takes longer than reading. Such texts show what the model itself writes, and every page says
so. The file is kept in the user's cache folder under the digest of the features and the texts'
name. This module knows no view.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from molehill.checkpoints.names import built_in_models
from molehill.features.examples_file import Examples, open_examples
from molehill.features.examples_writing import write_examples
from molehill.features.gathering import Gathering
from molehill.features.trained import Features
from molehill.files import write_atomically
from molehill.language_model import LanguageModel
from molehill.model.generate import generate
from molehill.questions.desk import Desk
from molehill.version import __version__
from molehill.village import read_world, tell

__all__ = ["OWN_TEXTS", "examples_folder", "examples_here", "own_texts"]

OWN_TEXTS = "own_texts.json"
"""Beside a model that ships: texts that it wrote."""

_BEGINNINGS = """\
The mole|A bank|The spring|In the harbour|The capital of|A violin|An oak is|The river|She said
The king|A house|When the war|The doctor|In the year|One kind of|The name for|To run|A small|It is
The city of|My mother|The ship|A book about|The child|In chemistry|A plant with|The law|They went
He was|The agency|A spy|The soldiers|Water is|The old man|A program that|The word|Every morning
The sun|A letter from|The school|In music|The bird|A person who|The horse|Money|The game|Last night
A red"""
_LENGTH = 80
_TEMPERATURE = 0.8
_TIMES = 2
"""Texts from each beginning, where a page waits for them."""
_TOLD = 1500
"""Sentences of the village."""
_KEPT = Gathering(top=10, sample=16)
"""A third of what the command line keeps: labels are then made in a third of the time."""


def examples_folder() -> Path:
    """Where examples are kept: `$MOLEHILL_EXAMPLES`, else below the user's cache folder."""
    chosen = os.environ.get("MOLEHILL_EXAMPLES")
    if chosen:
        return Path(chosen).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "molehill" / "examples"


@contextmanager
def examples_here(
    desk: Desk, lm: LanguageModel, features: Features, texts: Sequence[str] = ()
) -> Iterator[Examples | None]:
    """The features' examples: a file of the desk that is of them, else one that is made and kept.
    None where the model cannot write texts and none are given.

    Args:
        texts: make them from these instead.

    Raises:
        MolehillError: texts without a token to look at.
    """
    if not texts:
        for name in desk.examples:
            with desk.examples_of(name) as found:
                if _are_of(found, features):
                    yield found
                    return
    path = _made(desk, lm, features, texts)
    if path is None:
        yield None
        return
    with open_examples(path) as made:
        yield made


def _are_of(examples: Examples, features: Features) -> bool:
    about = examples.about
    return (
        about["features_name"] == features.name
        and about["n_features"] == features.n_features
        and tuple(about["writes"]) == features.writes
    )


def _made(desk: Desk, lm: LanguageModel, features: Features, texts: Sequence[str]) -> Path | None:
    writes = lm.config.causal and lm.config.has_head and lm.tokenizer is not None
    if not texts and not writes:
        return None
    told = "\n".join(texts).encode("utf-8", "replace")
    named = hashlib.sha256(told).hexdigest()[:12] if texts else "own"
    stem = f"{features.digest[:16]}-{lm.fingerprint[:16]}-{named}-{__version__}"
    path = examples_folder() / f"{stem}.db"
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    # A pass of its own: another program may be making the same file.
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".making-") as folder:
        _make(Path(folder) / "made.db", desk, lm, features, texts)
        os.replace(Path(folder) / "made.db", path)
    return path


def _make(
    path: Path, desk: Desk, lm: LanguageModel, features: Features, given: Sequence[str]
) -> None:
    texts, what = (list(given), "your texts") if given else _texts(desk, lm)
    whole, done = sum(len(lm.encode(text).row(0)) for text in texts), 0

    def read(tokens: int) -> None:
        nonlocal done
        done += tokens
        desk.tell(min(done, whole), whole, f"Reading {what} with {features.name}")

    write_examples(
        path,
        lm,
        features,
        texts,
        _KEPT,
        named=[what],
        progress=read,
        told=lambda stage: desk.tell(whole, whole, f"{stage} of {features.n_features:,} features"),
    )


def _texts(desk: Desk, lm: LanguageModel) -> tuple[list[str], str]:
    """Texts at hand, and what they are called."""
    if lm.name == "village":
        world = read_world(built_in_models() / "village")
        return [told.text for told in tell(world, _TOLD, seed=1)], "what the village tells"
    texts = _shipped(lm)
    if texts is None:
        kept = _own_file(lm)
        if kept.is_file():
            texts = json.loads(kept.read_text("utf-8"))
        else:
            texts = own_texts(lm, tell=desk.tell)
            raw = json.dumps(texts).encode("utf-8")
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(kept, lambda file: file.write(raw))
    return texts, f"{len(texts)} texts that {lm.name} wrote itself (temperature {_TEMPERATURE:g})"


def _shipped(lm: LanguageModel) -> list[str] | None:
    """What ships with a model of this name; whatever wrote it, it can be read."""
    path = built_in_models() / lm.name / OWN_TEXTS
    if not path.is_file():
        return None
    return json.loads(path.read_text("utf-8"))["texts"]


def _own_file(lm: LanguageModel) -> Path:
    return examples_folder() / f"{lm.fingerprint[:16]}-{__version__}.json"


@torch.no_grad()
def own_texts(
    lm: LanguageModel,
    *,
    times: int = _TIMES,
    length: int = _LENGTH,
    tell: Callable[[int, int, str], object] = lambda done, whole, what: None,
) -> list[str]:
    """Every beginning gone on from, the same for the same model.

    Args:
        times: texts from each beginning.
        length: tokens that are added to each.
        tell: hears how far it is.
    """
    assert lm.tokenizer is not None, "asked before"
    beginnings = [one for line in _BEGINNINGS.splitlines() for one in line.split("|")] * times
    tokens = lm.encode(beginnings)
    steps = generate(
        lm.model,
        tokens.ids.to(lm.model.device),
        tokens.mask.to(lm.model.device),
        max_new_tokens=length,
        temperature=_TEMPERATURE,
        seed=list(range(len(beginnings))),
    )
    columns = []
    for number, step in enumerate(steps):
        columns.append(step.ids.cpu())
        tell(number + 1, length, f"{lm.name} writes texts to read")
    written = torch.stack(columns, dim=1).tolist()
    return [
        text + lm.tokenizer.decode([one for one in ids if one >= 0], skip_special=True)
        for text, ids in zip(beginnings, written, strict=True)
    ]
