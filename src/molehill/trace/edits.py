"""Edits: changes of a run, as values that print, compare, save and stack.

    Zero("5.attn.mix", heads=[3])                       # switch one head off
    Replace("8.mlp.act", 0.0, index=[1177])             # one neuron
    Add("12.resid_post", vector, during="generated")    # steer what is written
    Patch("*.resid_post", trace, positions=[-1])        # the last token's path in another text

An edit says where and what. Edits of one site are applied in the order in which they are given.
Other rooms make edits of their own by a subclass with a `change`, which may ask for the value of an
earlier site beside its own. `editing.py` carries edits out; this module runs nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from hashlib import sha256
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor

from molehill.checkpoints.tensorfile import (
    open_tensors,
    read_description,
    tensor_bytes,
    write_tensors,
)
from molehill.errors import CheckpointError, SiteError
from molehill.trace.places import find_sites
from molehill.trace.trace import Trace

__all__ = [
    "Add",
    "During",
    "Edit",
    "Patch",
    "Replace",
    "Scale",
    "Zero",
    "load_edits",
    "save_edits",
]

During = Literal["all", "prompt", "generated"]
"""Which tokens of a run: all of them, those given at its start, or those written since."""

_KIND = "molehill.edits/1"


@dataclass(frozen=True, eq=False)
class Edit:
    """Where a run is changed; the subclasses say how.

    Edits are equal if they would do the same.
    """

    site: str
    """A site's name: ours, an alias, or a pattern for several sites."""
    heads: Sequence[int] | None = field(default=None, kw_only=True)
    """Which heads, at sites that have them; keys' and values' own heads at `k` and `v`."""
    positions: Sequence[int] | None = field(default=None, kw_only=True)
    """Which tokens, counted over each text's real ones; negative from the end of its prompt. At
    `scores` and `pattern` these are the queries."""
    texts: Sequence[int] | None = field(default=None, kw_only=True)
    """Which rows of the batch."""
    index: Sequence[int] | None = field(default=None, kw_only=True)
    """Which entries of the last axis: neurons, coordinates, words; at `scores` and `pattern` the
    keys' positions."""
    during: During = field(default="all", kw_only=True)

    verb: ClassVar[str] = "change"

    def __post_init__(self) -> None:
        for name in ("heads", "positions", "texts", "index", *self._more_numbers()):
            object.__setattr__(self, name, _whole_numbers(type(self), name, getattr(self, name)))
        if self.during not in get_args(During):
            raise SiteError(
                f"during is {self.during!r}, expected one of {', '.join(get_args(During))}."
            )

        if isinstance(self.amount, Tensor) and not self.amount.is_floating_point():
            raise SiteError(
                f"{type(self).__name__} at {self.site!r}: its tensor is {_dtype(self.amount)}, "
                "expected real numbers in the model's dtype."
            )

    def _more_numbers(self) -> tuple[str, ...]:
        return ()

    def change(self, x: Tensor, value: Tensor | float) -> Tensor:
        """The selected entries `x` changed; `value` is the edit's, shaped to fit."""
        raise NotImplementedError

    @property
    def amount(self) -> Tensor | float:
        """The edit's number or tensor."""
        return 0.0

    @property
    def beside(self) -> str | None:
        """An earlier site of the same tokens whose value, as it has become there, is handed to
        `change` instead of `amount`; None: the change needs none."""
        return None

    @property
    def ahead(self) -> tuple[str, ...]:
        """Sites whose values, in a run with the edits before this one, have to be known before the
        run is changed anywhere; see `ahead.py`. Empty: the edit needs no such run."""
        return ()

    @property
    def looks_ahead(self) -> bool:
        """Whether `beside` names such values and no site."""
        return False

    def parts(self, values: str | None) -> Sequence[Edit]:
        """Edits of one site each that stand for this one.

        Args:
            values: what `beside` of the parts has to name, where there is something `ahead`; None:
                it is not known.
        """
        del values
        return (self,)

    # --- as a value -------------------------------------------------------------------------------

    @property
    def digest(self) -> str:
        """The sha256 of all that the edit says, its tensors' numbers included."""
        tensors, description = self._packed()
        found = sha256(repr(sorted(description.items())).encode())
        for name in sorted(tensors):
            tensor = tensors[name]
            found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            found.update(tensor_bytes(tensor))
        return found.hexdigest()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Edit):
            return NotImplemented
        return type(self) is type(other) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __str__(self) -> str:
        """In words: `zero 5.attn.mix, head 3, positions -1 (prompt only)`."""
        parts = [f"{self.verb} {self.site}{self._with()}"]
        words = {"heads": "head", "positions": "position", "texts": "text", "index": "entry"}
        for name, word in words.items():
            if (numbers := getattr(self, name)) is not None:
                plural = {"entry": "entries"}.get(word, word + "s")
                shown = ", ".join(map(str, numbers[:8])) + (", ..." if len(numbers) > 8 else "")
                parts.append(f"{word if len(numbers) == 1 else plural} {shown}")
        if self.during != "all":
            parts.append(f"{self.during} tokens only")
        return ", ".join(parts)

    def _with(self) -> str:
        return ""

    def __repr__(self) -> str:
        own = [item for item in fields(self) if item.init and not item.kw_only]
        given = [_brief(getattr(self, item.name)) for item in own]
        for item in fields(self):
            value = getattr(self, item.name)
            if item.kw_only and value is not None and (item.name, value) != ("during", "all"):
                given.append(f"{item.name}={_brief(value)}")
        return f"{type(self).__name__}({', '.join(given)})"

    def _packed(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The edit as named tensors and a JSON-able description."""
        description: dict[str, Any] = {"edit": type(self).__name__}
        tensors = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, Tensor):
                tensors[item.name] = value
            elif value is not None:
                description[item.name] = list(value) if isinstance(value, tuple) else value
        return tensors, description


@dataclass(frozen=True, eq=False, repr=False)
class Zero(Edit):
    """Set to zero."""

    verb: ClassVar[str] = "zero"

    def change(self, x: Tensor, value: Tensor | float) -> Tensor:
        return torch.zeros_like(x)


@dataclass(frozen=True, eq=False, repr=False)
class Replace(Edit):
    """Put `value` in its place: a number, or a tensor that broadcasts to the selection.

    The selection has the site's axes in the site's order, as many of each as were chosen: [texts,
    positions, heads, d_head]. With `positions=None` a tensor's positions are counted from each
    text's first token, and tokens after its last are left alone.
    """

    value: Tensor | float
    verb: ClassVar[str] = "replace"

    @property
    def amount(self) -> Tensor | float:
        return self.value

    def change(self, x: Tensor, value: Tensor | float) -> Tensor:
        return value.expand(x.shape) if isinstance(value, Tensor) else torch.full_like(x, value)

    def _with(self) -> str:
        return f" with {_brief(self.value)}"


@dataclass(frozen=True, eq=False, repr=False)
class Add(Edit):
    """Add `value`: a number, or a tensor that broadcasts to the selection as in `Replace`."""

    value: Tensor | float
    verb: ClassVar[str] = "add"

    @property
    def amount(self) -> Tensor | float:
        return self.value

    def change(self, x: Tensor, value: Tensor | float) -> Tensor:
        return x + value

    def _with(self) -> str:
        return f" plus {_brief(self.value)}"


@dataclass(frozen=True, eq=False, repr=False)
class Scale(Edit):
    """Multiply by `factor`: a number, or a tensor that broadcasts to the selection as in
    `Replace`."""

    factor: Tensor | float
    verb: ClassVar[str] = "scale"

    @property
    def amount(self) -> Tensor | float:
        return self.factor

    def change(self, x: Tensor, value: Tensor | float) -> Tensor:
        return x * value

    def _with(self) -> str:
        return f" by {_brief(self.factor)}"


@dataclass(frozen=True, eq=False, repr=False)
class Patch(Edit):
    """Put in the values that another run had at the same site.

    By default text r takes from text r of the trace (or from its only one), each position from the
    same position. A trace of all positions needs texts of equal length then; one of some positions
    gives those.
    """

    source: Trace
    from_text: int | None = field(default=None, kw_only=True)
    """The trace's text to take from."""
    from_positions: Sequence[int] | None = field(default=None, kw_only=True)
    """The trace's positions, one for each of `positions`, or one for all of them."""

    verb: ClassVar[str] = "patch"

    def _more_numbers(self) -> tuple[str, ...]:
        return ("from_positions",)

    def __post_init__(self) -> None:
        super().__post_init__()
        taken, put = self.from_positions, self.positions
        if taken and put and len(taken) not in (1, len(put)):
            raise SiteError(
                f"Patch at {self.site!r} has {len(put)} positions and {len(taken)} from_positions: "
                "give one for each, or one for all."
            )

    def change(self, x: Tensor, value: Tensor | float) -> Tensor:
        assert isinstance(value, Tensor), "a patch takes tensors"
        return value

    def _with(self) -> str:
        text = "" if self.from_text is None else f"text {self.from_text} of "
        places = ""
        if self.from_positions is not None:
            places = f", from positions {', '.join(map(str, self.from_positions))}"
        return f" from {text}a trace of {self.source.provenance.model}{places}"

    def _packed(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        config = self.source.config
        sites = [site for site in find_sites([self.site], config) if site in self.source.values]
        tensors, source = self.source.only(sites).packed()
        description: dict[str, Any] = {"edit": "Patch", "source": source}
        for item in fields(self):
            value = getattr(self, item.name)
            if value is not None and item.name != "source":
                description[item.name] = list(value) if isinstance(value, tuple) else value
        return {f"source/{name}": tensor for name, tensor in tensors.items()}, description


_EDITS: Mapping[str, type[Edit]] = {
    kind.__name__: kind for kind in (Zero, Replace, Add, Scale, Patch)
}


def _whole_numbers(kind: type, name: str, given: Any) -> tuple[int, ...] | None:
    if given is None:
        return None
    if isinstance(given, Iterable) and not isinstance(given, str | bytes):
        numbers = given.tolist() if isinstance(given, Tensor) else list(given)
        if all(isinstance(number, int) and not isinstance(number, bool) for number in numbers):
            if len(set(numbers)) < len(numbers) and name != "from_positions":
                raise SiteError(f"{kind.__name__}: {name} names a number twice in {numbers}.")
            return tuple(numbers)
    raise SiteError(f"{kind.__name__}: {name} is {given!r}, expected a list of whole numbers.")


def _brief(value: Any) -> str:
    if isinstance(value, Tensor):
        digest = sha256(tensor_bytes(value)).hexdigest()[:6]
        return f"{_dtype(value)}{list(value.shape)}#{digest}"
    if isinstance(value, Trace):
        return f"<trace of {value.provenance.model}>"
    return repr(list(value)) if isinstance(value, tuple) else f"{value!r}"


def _dtype(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


# --- files ----------------------------------------------------------------------------------------


def save_edits(path: str | os.PathLike[str], edits: Sequence[Edit]) -> None:
    """Write edits, in their order, into one safetensors file with JSON in its metadata.

    A patch brings the values that it needs with it.

    Raises:
        SiteError: an edit of another room's making, which this file has no form for.
    """
    tensors, descriptions = {}, []
    for number, edit in enumerate(edits):
        if type(edit) not in _EDITS.values():
            raise SiteError(
                f"{edit}: {type(edit).__name__} cannot be kept in a file of edits, which holds "
                f"{', '.join(_EDITS)}: keep what it was made of."
            )
        own, description = edit._packed()
        descriptions.append(description)
        tensors |= {f"{number}/{name}": tensor for name, tensor in own.items()}
    write_tensors(path, tensors, {"kind": _KIND, "edits": descriptions})


def load_edits(path: str | os.PathLike[str]) -> tuple[Edit, ...]:
    """Read what `save_edits` wrote.

    Raises:
        CheckpointError: no such file, a damaged one, or one of another kind.
    """
    descriptions = read_description(path, _KIND)["edits"]
    edits = []
    with open_tensors(path) as file:
        names = list(file.keys())
        for number, description in enumerate(descriptions):
            mine = f"{number}/"
            tensors = {
                name.removeprefix(mine): file.get_tensor(name)
                for name in names
                if name.startswith(mine)
            }
            edits.append(_unpacked(tensors, description, path))
    return tuple(edits)


def _unpacked(
    tensors: Mapping[str, Tensor], description: Mapping[str, Any], path: str | os.PathLike[str]
) -> Edit:
    values = dict(description)
    kind = _EDITS.get(values.pop("edit"))
    if kind is None:
        raise CheckpointError(
            f"{os.fspath(path)} holds the edit {description['edit']!r}, "
            f"known are {', '.join(_EDITS)}."
        )
    if kind is Patch:
        own = {name.removeprefix("source/"): tensor for name, tensor in tensors.items()}
        values["source"] = Trace.unpacked(own, values["source"])
    else:
        values |= tensors
    return kind(**values)
