"""Edits of features: what an autoencoder finds at a site is changed, as values like other edits.

    AblateFeature(features, 1177)                       # switch one off
    ClampFeature(features, 1177, 8.0, positions=[-1])   # hold it at a value
    ScaleFeature(features, [3, 1177], 0.5)              # several at once
    AddFeature(features, 1177, 5.0, during="generated") # steer what is written
    Splice(features)                                    # the reconstruction in the vector's place

Only what the feature adds is exchanged: the vector becomes x + (new value - old value) · direction,
so that everything else in it, the reconstruction's error too, stays as it was (Templeton et al.
2024, "Scaling Monosemanticity", methodological details of steering). Several features in one edit
are changed by one reading of the vector; edits after one another each read what the last one left.
A transcoder reads at one site and is changed where it writes. A crosscoder is changed at all the
sites that it writes, at each by its own part of the direction, by what its features are in a run
with the edits before this one: at its first site nobody knows yet what its last one will hold
(`trace/ahead.py`). This module runs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from molehill.errors import ConfigError
from molehill.features.codes import Codes
from molehill.features.trained import Features
from molehill.trace.edits import Edit

__all__ = ["AblateFeature", "AddFeature", "ClampFeature", "ScaleFeature", "Splice", "values_of"]


def values_of(codes: Codes, chosen: Sequence[int]) -> Float[Tensor, "rows chosen"]:
    """How strongly each chosen feature is active in every row; 0 where it is not."""
    found = codes.values.new_zeros(codes.rows, len(chosen))
    row_of = codes.row_of
    for column, feature in enumerate(chosen):
        mine = codes.features == feature
        values = found.new_zeros(codes.rows).index_add(0, row_of[mine], codes.values[mine])
        found = found.index_copy(1, torch.tensor([column], device=found.device), values[:, None])
    return found


@dataclass(frozen=True, eq=False, repr=False)
class _OfFeatures(Edit):
    """An edit at the place of some features."""

    site: str = field(init=False, default="")
    features: Features

    def __post_init__(self) -> None:
        features = self.features
        if self.heads is not None or self.index is not None:
            raise ConfigError(
                f"{type(self).__name__} changes whole vectors: leave heads and index away."
            )
        object.__setattr__(self, "site", " + ".join(features.writes))
        super().__post_init__()

    @property
    def crosses(self) -> bool:
        """Whether these are a crosscoder's: several sites are read or written."""
        return len(self.features.reads) > 1 or len(self.features.writes) > 1

    @property
    def beside(self) -> str | None:
        """What a transcoder reads."""
        return self.features.reads[0] if self.features.transcodes and not self.crosses else None

    @property
    def ahead(self) -> tuple[str, ...]:
        """All that a crosscoder reads."""
        return self.features.reads if self.crosses else ()

    def parts(self, values: str | None) -> Sequence[Edit]:
        """One edit for each site that a crosscoder writes."""
        if not self.crosses:
            return (self,)
        common = {name: getattr(self, name) for name in ("positions", "texts", "during")}
        return tuple(
            _AtSite(site, self, number, values, **common)
            for number, site in enumerate(self.features.writes)
        )

    def added(self, x: Tensor, read: Tensor, columns: slice) -> Tensor:
        """What is added to x [N, width], which is `columns` of what is written, where [N, d_in] is
        read."""
        raise NotImplementedError

    def _read(self, x: Tensor, beside: Tensor | float) -> Tensor:
        """The vectors that the autoencoder reads [N, d_in]."""
        read = beside if isinstance(beside, Tensor) and self.features.transcodes else x
        return read.flatten(1)

    def _packed(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The weights stand for the features."""
        tensors = dict(self.features.autoencoder.state_dict())
        description: dict[str, Any] = {"edit": type(self).__name__, "site": self.site}
        for name, value in vars(self).items():
            if name != "features" and value is not None:
                description[name] = value
        return tensors, description


@dataclass(frozen=True, eq=False, repr=False)
class _OfSome(_OfFeatures):
    """An edit of chosen features."""

    feature: int | Sequence[int]
    """Which feature, or several."""

    def __post_init__(self) -> None:
        given = (self.feature,) if isinstance(self.feature, int) else tuple(self.feature)
        _check_numbers(self.features, given)
        object.__setattr__(self, "feature", given)
        for name in ("value", "factor"):
            if hasattr(self, name):
                object.__setattr__(self, name, self._one_each(name, getattr(self, name), given))
        super().__post_init__()

    def _one_each(self, name: str, value: Any, given: Sequence[int]) -> tuple[float, ...]:
        numbers = tuple(map(float, value)) if isinstance(value, Sequence) else (float(value),)
        if len(numbers) not in (1, len(given)):
            raise ConfigError(
                f"{type(self).__name__} has {len(given)} features and {name} has {len(numbers)} "
                "numbers: give one for all, or one for each."
            )
        return numbers * len(given) if len(numbers) == 1 else numbers

    @property
    def numbers(self) -> tuple[int, ...]:
        """The chosen features."""
        assert isinstance(self.feature, tuple), "made one in the beginning"
        return self.feature

    def change(self, x: Tensor, value: Tensor | float) -> Tensor:
        """x [N, d_out] with the chosen features' parts exchanged; [N, heads, d_head] alike."""
        added = self.added(x, self._read(x, value), slice(None))
        return (x.flatten(1) + added).view_as(x).to(x.dtype)

    def added(self, x: Tensor, read: Tensor, columns: slice) -> Tensor:
        """(new value - old value) · direction."""
        autoencoder = self.features.autoencoder.to(x.device)
        old = values_of(autoencoder.encode(read), self.numbers)
        return (self.new(old) - old) @ autoencoder.w_dec[list(self.numbers), columns]

    def new(self, old: Float[Tensor, "rows chosen"]) -> Float[Tensor, "rows chosen"]:
        """The chosen features' values after the edit."""
        raise NotImplementedError

    def _with(self) -> str:
        word = "feature" if len(self.numbers) == 1 else "features"
        numbers = ", ".join(map(str, self.numbers))
        return f": {word} {numbers} of {self.features.name}{self._how()}"

    def _how(self) -> str:
        return ""


def _check_numbers(features: Features, given: Sequence[int]) -> None:
    there = f"{features.name} has features 0 to {features.n_features - 1}"
    outside = [number for number in given if not 0 <= number < features.n_features]
    if outside:
        word = "feature" if len(outside) == 1 else "features"
        raise ConfigError(f"There is no {word} {', '.join(map(str, outside))}: {there}.")
    twice = next((number for number in given if list(given).count(number) > 1), None)
    if twice is not None:
        raise ConfigError(f"Feature {twice} is named twice in one edit: name each once.")
    if not given:
        raise ConfigError(f"An edit names no feature: {there}.")


@dataclass(frozen=True, eq=False, repr=False)
class ClampFeature(_OfSome):
    """Hold features at `value`: one number, or one for each."""

    value: float | Sequence[float]
    verb: ClassVar[str] = "clamp"

    def new(self, old: Tensor) -> Tensor:
        """The value, wherever the feature is active or not."""
        return old.new_tensor(self.value).expand_as(old)

    def _how(self) -> str:
        return f" at {_listed(self.value)}"


@dataclass(frozen=True, eq=False, repr=False)
class ScaleFeature(_OfSome):
    """Multiply features' values by `factor`: one number, or one for each."""

    factor: float | Sequence[float]
    verb: ClassVar[str] = "scale"

    def new(self, old: Tensor) -> Tensor:
        """The old values, multiplied."""
        return old * old.new_tensor(self.factor)

    def _how(self) -> str:
        return f" by {_listed(self.factor)}"


@dataclass(frozen=True, eq=False, repr=False)
class AblateFeature(_OfSome):
    """Switch features off."""

    verb: ClassVar[str] = "ablate"

    def new(self, old: Tensor) -> Tensor:
        """Nothing."""
        return torch.zeros_like(old)


@dataclass(frozen=True, eq=False, repr=False)
class AddFeature(_OfSome):
    """Add `value` to features' values, whatever they are: value · direction is added to the
    vector."""

    value: float | Sequence[float]
    verb: ClassVar[str] = "add"

    @property
    def beside(self) -> str | None:
        """Nothing has to be read."""
        return None

    @property
    def ahead(self) -> tuple[str, ...]:
        """Nothing either."""
        return ()

    def added(self, x: Tensor, read: Tensor, columns: slice) -> Tensor:
        """The directions by their values, the same for every row."""
        directions = self.features.autoencoder.w_dec.to(x.device)[list(self.numbers), columns]
        return directions.new_tensor(self.value) @ directions

    def _how(self) -> str:
        return f" plus {_listed(self.value)}"


@dataclass(frozen=True, eq=False, repr=False)
class Splice(_OfFeatures):
    """Put the reconstruction in the vector's place; a transcoder's in place of what the layer
    wrote. The error is lost: what the model does then is what it can do with the features alone."""

    verb: ClassVar[str] = "splice"

    def change(self, x: Tensor, value: Tensor | float) -> Tensor:
        """The reconstruction [N, d_out]."""
        rebuilt = self.features.autoencoder.to(x.device)(self._read(x, value))
        return rebuilt.view_as(x).to(x.dtype)

    def added(self, x: Tensor, read: Tensor, columns: slice) -> Tensor:
        """The reconstruction, and the vector taken off."""
        return self.features.autoencoder.to(x.device)(read)[:, columns] - x

    def _with(self) -> str:
        return f": {self.features.name}"


@dataclass(frozen=True, eq=False, repr=False)
class _AtSite(Edit):
    """A crosscoder's edit at one of its sites."""

    whole: _OfFeatures
    number: int
    """Which of the written sites."""
    values: str | None
    """The name of what the crosscoder reads."""

    def __str__(self) -> str:
        return str(self.whole)

    @property
    def beside(self) -> str | None:
        """What the crosscoder reads, if that matters."""
        return self.values if self.looks_ahead else None

    @property
    def looks_ahead(self) -> bool:
        """Whether that matters."""
        return bool(self.whole.ahead)

    def change(self, x: Tensor, value: Tensor | float) -> Tensor:
        """x [N, width] and this site's part."""
        features = self.whole.features
        width = features.settings.d_out // len(features.writes)
        if x.shape[-1] != width:
            raise ConfigError(
                f"{self}: {self.site} has {x.shape[-1]} numbers and {features.name} writes {width} "
                "at each of its sites: only crosscoders of sites of one width can be edited."
            )
        columns = slice(self.number * width, (self.number + 1) * width)
        read = value if isinstance(value, Tensor) else x
        return (x + self.whole.added(x, read, columns)).to(x.dtype)

    def _packed(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors, description = self.whole._packed()
        return tensors, description | {"at": self.site}


def _listed(numbers: float | Sequence[float]) -> str:
    given = numbers if isinstance(numbers, Sequence) else (numbers,)
    alike = len(set(given)) == 1
    return f"{given[0]:g}" if alike else ", ".join(f"{number:g}" for number in given)
