"""Two stacks of edits held against each other: which edits only one has, and how far apart the
weights are that they lead to. No model is needed for that. This module applies nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from molehill.errors import FactError
from molehill.facts.edits import FactEdit, Neurons
from molehill.facts.showing import few

__all__ = ["EditsDifference", "edits_difference"]


@dataclass(frozen=True)
class EditsDifference:
    """What one stack has and another has not."""

    only_first: tuple[FactEdit, ...]
    only_second: tuple[FactEdit, ...]
    both: int
    """How many edits are in both."""
    reordered: bool
    """Whether those stand in another order: the sum is the same, later neurons change places."""
    norms: tuple[tuple[str, float], ...]
    """(weight, Frobenius norm of the difference), for every weight that differs, in its own
    units."""
    own: tuple[tuple[str, float, float], ...]
    """(weight, the norm of all that the first changes there, of all that the second does): what the
    difference is to be held against, the weights as they were being no part of a file of edits."""
    neurons: tuple[tuple[int, int, int], ...]
    """(layer, new neurons of the first alone, of the second alone)."""

    def __repr__(self) -> str:
        own = {name: (a, b) for name, a, b in self.own}
        return few(
            f"EditsDifference: {self.both} in both, {len(self.only_first)} only in the first, "
            f"{len(self.only_second)} only in the second",
            [
                f"{name} differs by {norm:.3g} (the first changes it by {own[name][0]:.3g}, the "
                f"second by {own[name][1]:.3g})"
                for name, norm in self.norms
            ],
        )


def edits_difference(first: Sequence[FactEdit], second: Sequence[FactEdit]) -> EditsDifference:
    """Compare two stacks; an edit is known by its digest, and may be in a stack several times.

    Raises:
        FactError: they change a weight of one name but of other shapes: they are of two models.
    """
    rest = [edit.digest for edit in second]
    shared, only_first = [], []
    for edit in first:
        (shared if edit.digest in rest else only_first).append(edit)
        if edit.digest in rest:
            rest.remove(edit.digest)
    left = [edit.digest for edit in shared]
    common, only_second = [], []
    for edit in second:
        (common if edit.digest in left else only_second).append(edit)
        if edit.digest in left:
            left.remove(edit.digest)
    differ = _added_up(only_first, only_second)
    ours, theirs = _added_up(first, ()), _added_up(second, ())
    return EditsDifference(
        only_first=tuple(only_first),
        only_second=tuple(only_second),
        both=len(shared),
        reordered=[edit.digest for edit in shared] != [edit.digest for edit in common],
        norms=tuple((name, float(delta.norm())) for name, delta in differ.items()),
        own=tuple((name, _norm(ours.get(name)), _norm(theirs.get(name))) for name in differ),
        neurons=_neurons(only_first, only_second),
    )


def _norm(delta: Tensor | None) -> float:
    return 0.0 if delta is None else float(delta.norm())


def _added_up(first: Sequence[FactEdit], second: Sequence[FactEdit]) -> dict[str, Tensor]:
    """By weight, all changes of the first less all of the second [out, in]."""
    deltas: dict[str, Tensor] = {}
    for sign, edits in ((1.0, first), (-1.0, second)):
        for change in (change for edit in edits for change in edit.changes):
            if isinstance(change, Neurons):
                continue
            delta, name = sign * change.delta(), change.parameter
            if name in deltas and deltas[name].shape != delta.shape:
                raise FactError(
                    f"One stack changes {name!r} by {tuple(deltas[name].shape)}, the other by "
                    f"{tuple(delta.shape)}: they are for different models."
                )
            deltas[name] = deltas[name] + delta if name in deltas else delta
    return deltas


def _neurons(
    first: Sequence[FactEdit], second: Sequence[FactEdit]
) -> tuple[tuple[int, int, int], ...]:
    counts: dict[int, list[int]] = {}
    for side, edits in enumerate((first, second)):
        for change in (change for edit in edits for change in edit.changes):
            if isinstance(change, Neurons):
                counts.setdefault(change.layer, [0, 0])[side] += len(change)
    return tuple((layer, a, b) for layer, (a, b) in sorted(counts.items()))
