"""Edits of features in one small JSON file, and back: which features, what is done to them, when.

    kept = FeatureEdits.of(features, "lexicon-4").with_edit([Change(12, "add", 5.0)], "all")
    save_feature_edits("strong.json", kept)
    load_feature_edits("strong.json").edits(features)       # for record, sweep, generation

A file belongs to one autoencoder, which it knows by the sha256 of its numbers (`Features.digest`):
a feature's number means nothing in another one. Weights are not in it. This module runs nothing.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from molehill.errors import CheckpointError, ConfigError
from molehill.features.steering import Change, edits_of
from molehill.features.trained import Features
from molehill.files import write_atomically
from molehill.trace.edits import During, Edit
from molehill.version import __version__

__all__ = [
    "FeatureEdits",
    "KeptEdit",
    "holds_feature_edits",
    "load_feature_edits",
    "save_feature_edits",
]

_KIND = "molehill.feature-edits/1"
_MOST_BYTES = 10_000_000


@dataclass(frozen=True)
class KeptEdit:
    """What is done to some features by one reading of the vector."""

    changes: tuple[Change, ...]
    during: During = "all"

    def __str__(self) -> str:
        told = ", ".join(map(str, self.changes))
        return told if self.during == "all" else f"{told} ({self.during} tokens only)"


@dataclass(frozen=True)
class FeatureEdits:
    """Edits of one autoencoder's features, in their order."""

    path: str
    """Where the autoencoder's file was, or the name that it ships under."""
    name: str
    digest: str
    model: str
    kept: tuple[KeptEdit, ...] = ()

    @classmethod
    def of(cls, features: Features, path: str | os.PathLike[str]) -> FeatureEdits:
        """No edits yet, of these features."""
        return cls(os.fspath(path), features.name, features.digest, features.model)

    def with_edit(self, changes: Sequence[Change], during: During) -> FeatureEdits:
        """These and one more."""
        return replace(self, kept=(*self.kept, KeptEdit(tuple(changes), during)))

    def without(self, number: int) -> FeatureEdits:
        """Without one of them, counted from 1.

        Raises:
            ConfigError: there is no such one.
        """
        if not 1 <= number <= len(self.kept):
            there = f"1 to {len(self.kept)}" if self.kept else "none"
            raise ConfigError(f"There is no edit {number}: there are {there}.")
        return replace(self, kept=self.kept[: number - 1] + self.kept[number:])

    def apart(self) -> tuple[FeatureEdits, KeptEdit]:
        """All but the last one, and the last one.

        Raises:
            ConfigError: there is none.
        """
        if not self.kept:
            raise ConfigError("The file holds no edits: give --feature, such as 12=+5.")
        return self.without(len(self.kept)), self.kept[-1]

    def check(self, features: Features) -> None:
        """Whether these are the features.

        Raises:
            ConfigError: they are others.
        """
        if features.digest != self.digest:
            raise ConfigError(
                f"The edits are of features of {self.name} ({self.digest[:12]}, of {self.model}), "
                f"and {features.name} is {features.digest[:12]}: name the file that they belong to."
            )

    def edits(self, features: Features) -> list[Edit]:
        """As edits of a run.

        Raises:
            ConfigError: other features.
        """
        self.check(features)
        return [
            edit for one in self.kept for edit in edits_of(features, one.changes, during=one.during)
        ]


def save_feature_edits(path: str | os.PathLike[str], edits: FeatureEdits) -> None:
    """Write a file of edits, whole or not at all.

    Raises:
        CheckpointError: it cannot be written.
    """
    told = {
        "kind": _KIND,
        "molehill": __version__,
        "features": {
            "path": edits.path,
            "name": edits.name,
            "digest": edits.digest,
            "model": edits.model,
        },
        "edits": [
            {"during": one.during, "changes": [dict(vars(change)) for change in one.changes]}
            for one in edits.kept
        ],
    }
    text = json.dumps(told, indent=2, allow_nan=False) + "\n"
    try:
        write_atomically(path, lambda file: file.write(text.encode()))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be written: {error.strerror}.") from error


def load_feature_edits(path: str | os.PathLike[str]) -> FeatureEdits:
    """Read what `save_feature_edits` wrote.

    Raises:
        CheckpointError: no such file, a damaged one, or one of another kind.
    """
    path = Path(path)
    found = _read(path)
    if found is None or found.get("kind") != _KIND:
        there = "no such file" if not path.is_file() else f"no {_KIND}"
        raise CheckpointError(
            f"{path} holds no edits of features: {there} (molehill features steer --save)."
        )
    try:
        features = found["features"]
        texts = {name: features[name] for name in ("path", "name", "digest", "model")}
        if not all(isinstance(text, str) for text in texts.values()):
            raise TypeError("features are not named by texts")
        return FeatureEdits(**texts, kept=tuple(map(_kept, found["edits"])))
    except (KeyError, TypeError, ValueError, ConfigError) as error:
        raise CheckpointError(f"{path} is damaged: {str(error)[:160]}.") from None


def holds_feature_edits(path: str | os.PathLike[str]) -> bool:
    """Whether a file is of this kind; one that cannot be read is not."""
    found = _read(Path(path))
    return found is not None and found.get("kind") == _KIND


def _read(path: Path) -> dict[str, Any] | None:
    try:
        if path.stat().st_size > _MOST_BYTES:
            return None
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _kept(entry: Mapping[str, Any]) -> KeptEdit:
    if entry["during"] not in get_args(During):
        raise ValueError(f"during is {entry['during']!r}")
    changes = []
    for one in entry["changes"]:
        number, feature = one["number"], one["feature"]
        whole = isinstance(feature, int) and not isinstance(feature, bool)
        real = isinstance(number, int | float) and not isinstance(number, bool)
        if not whole or not real or not math.isfinite(number):
            raise ValueError(f"{one!r:.80} is no change")
        changes.append(Change(feature, one["how"], float(number)))
    if not changes:
        raise ValueError("an edit changes nothing")
    return KeptEdit(tuple(changes), entry["during"])
