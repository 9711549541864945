"""What answers are made from: models within a budget of memory, features, examples, runs, edits.

Everything is known by a name that was given when the desk was made: a question names what is
there, never a path. This module knows no question.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from molehill.errors import ConfigError, FactError
from molehill.facts.edits import FactEdit, apply_edits
from molehill.features.examples_file import Examples, open_examples
from molehill.features.trained import Features, describe_features, load_features
from molehill.language_model import LanguageModel, load

__all__ = ["Desk", "ModelEntry"]

_MOST_EDITS = 256
"""Edits that are remembered; the oldest go first. Each is two vectors or a few more."""

_MOST_KEPT = 6
"""Results that the next question may need; the oldest go first. Each is some megabytes."""


@dataclass(frozen=True)
class ModelEntry:
    """A model that can be asked about: where it comes from, or itself."""

    source: str | Path | LanguageModel
    dtype: str = "float32"


@dataclass(frozen=True)
class _Shelf:
    """What is held in memory, and the lock under which it changes."""

    loaded: OrderedDict[str, LanguageModel] = field(default_factory=OrderedDict)
    edits: OrderedDict[str, FactEdit] = field(default_factory=OrderedDict)
    features: dict[str, Features] = field(default_factory=dict)
    kept: OrderedDict[Hashable, Any] = field(default_factory=OrderedDict)
    lock: threading.RLock = field(default_factory=threading.RLock)


@dataclass(frozen=True)
class Desk:
    """What questions are answered from.

    Attributes:
        models: by the names that questions use; the first is where a page begins.
        features: files of features, or names of those that ship, by name.
        examples: examples files, by name.
        runs: folders of training runs, by name.
        budget: bytes of weights held at once; the models not asked about for longest are let go
            first, and the one asked about is always held.
        tell: hears how far a long answer is: steps done, steps in all, what is being done.
    """

    models: Mapping[str, ModelEntry]
    features: Mapping[str, str | Path] = field(default_factory=dict)
    examples: Mapping[str, Path] = field(default_factory=dict)
    runs: Mapping[str, Path] = field(default_factory=dict)
    budget: int = 4 << 30
    tell: Callable[[int, int, str], None] = lambda done, whole, what: None
    shelf: _Shelf = field(default_factory=_Shelf, repr=False)

    def telling(self, tell: Callable[[int, int, str], None]) -> Desk:
        """The same desk for one answer that tells how far it is."""
        return replace(self, tell=tell)

    def model(self, name: str, edits: Sequence[str] = ()) -> LanguageModel:
        """A model, loaded if it is not there, with edits applied in their order.

        Raises:
            ConfigError: no such model.
            FactError: an edit that is not remembered, or belongs to another model.
            MolehillError: what loading it raises.
        """
        entry = _named(self.models, name, "model")
        if isinstance(entry.source, LanguageModel):
            plain = entry.source
        else:
            with self.shelf.lock:
                plain = self.shelf.loaded.get(name)
                if plain is None:
                    self.tell(0, 0, f"Loading {name}")
                    plain = load(entry.source, dtype=entry.dtype)
                    self.shelf.loaded[name] = plain
                self.shelf.loaded.move_to_end(name)
                self._within_budget()
        return apply_edits(plain, [self.edit(digest) for digest in edits]) if edits else plain

    def held(self, name: str) -> LanguageModel | None:
        """A model, if it is in memory; nothing is loaded."""
        source = self.models[name].source if name in self.models else None
        return source if isinstance(source, LanguageModel) else self.shelf.loaded.get(name)

    def described(self, name: str) -> dict[str, Any]:
        """What features are and where they belong, from their file's header.

        Raises:
            ConfigError: none of that name.
            CheckpointError: the file is damaged or gone.
        """
        found = describe_features(_named(self.features, name, "features"))
        return {
            "name": name,
            "model": found["model"],
            "reads": found["reads"],
            "writes": found["writes"],
            "count": found["settings"]["n_features"],
            "architecture": found["settings"]["architecture"],
        }

    def edit(self, digest: str) -> FactEdit:
        """An edit that was made here.

        Raises:
            FactError: it is not remembered.
        """
        found = self.shelf.edits.get(digest)
        if found is None:
            raise FactError(
                f"The edit {digest[:12]!r} is not remembered: edits live as long as the program "
                "that made them; make it again."
            )
        return found

    def remember(self, edit: FactEdit) -> str:
        """Keep an edit for questions to come; its digest names it."""
        with self.shelf.lock:
            self.shelf.edits[edit.digest] = edit
            self.shelf.edits.move_to_end(edit.digest)
            while len(self.shelf.edits) > _MOST_EDITS:
                self.shelf.edits.popitem(last=False)
        return edit.digest

    def kept(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """A result that several questions in a row are answered from, made if it is not there.

        Args:
            key: all that the result depends on: what it is, the model's name, edits, inputs.
        """
        with self.shelf.lock:
            if key in self.shelf.kept:
                self.shelf.kept.move_to_end(key)
                return self.shelf.kept[key]
        # Made without the lock: others read from the shelf meanwhile.
        made = make()
        with self.shelf.lock:
            self.shelf.kept[key] = made
            while len(self.shelf.kept) > _MOST_KEPT:
                self.shelf.kept.popitem(last=False)
        return made

    def features_of(self, name: str) -> Features:
        """Features by their name; read once.

        Raises:
            ConfigError: none of that name.
            CheckpointError: the file is damaged or gone.
        """
        source = _named(self.features, name, "features")
        with self.shelf.lock:
            if name not in self.shelf.features:
                self.shelf.features[name] = load_features(source)
            return self.shelf.features[name]

    @contextmanager
    def examples_of(self, name: str) -> Iterator[Examples]:
        """An open examples file.

        Raises:
            ConfigError: none of that name.
            CheckpointError: the file is damaged or gone.
        """
        with open_examples(_named(self.examples, name, "examples")) as found:
            yield found

    def run(self, name: str) -> Path:
        """The folder of a training run.

        Raises:
            ConfigError: none of that name.
        """
        return _named(self.runs, name, "run")

    def renewed(self, key: Hashable, make: Callable[[Any], Any]) -> Any:
        """A result that the next one of its kind is made from; None where there was none.

        Args:
            key: of the kind.
            make: the new result from the last one.
        """
        with self.shelf.lock:
            last = self.shelf.kept.pop(key, None)
        made = make(last)
        return self.kept(key, lambda: made)

    def _within_budget(self) -> None:
        held = self.shelf.loaded
        while len(held) > 1 and sum(map(_size, held.values())) > self.budget:
            held.popitem(last=False)


def _size(lm: LanguageModel) -> int:
    return sum(weight.nbytes for weight in lm.model.parameters())


def _named(known: Mapping, name: str, what: str):
    if name not in known:
        there = ", ".join(map(repr, known)) or "none"
        raise ConfigError(f"There is no {what} {name!r} here; there is: {there}.")
    return known[name]
