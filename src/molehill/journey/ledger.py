"""The ledger of a journey: one word's vector at any point of the model, written out as a sum.

    embedding + position + sum over (layer, head, source token) + sum over (layer, neuron) + biases
     =  the vector

The sum holds on the model's own weights, for every family: a norm's divisor is held at its
measured value and its gain and bias are carried. A ledger always knows its closing error, the sum
of its rows against the vector that the model itself computed. Reading a ledger toward an
unembedding direction is logit attribution. Rows are held as a coefficient and a direction, and
become vectors only when asked for. This file knows nothing of pictures.

The reading of attention as a sum over source tokens follows Elhage et al., "A Mathematical
Framework for Transformer Circuits" (2021), sections on one-layer attention and on path expansion.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor

from molehill.errors import SiteError
from molehill.journey.parts import Part, order_of
from molehill.journey.showing import few
from molehill.model.transformer import Transformer

__all__ = ["Axis", "ClosingError", "Ledger", "Reading", "Row", "Sums", "between"]

Axis = Literal["kind", "component", "layer", "head", "source", "neuron", "feature"]


@dataclass(frozen=True)
class ClosingError:
    """How far the sum of the rows lies from the vector that the model computed."""

    largest: float
    """The largest difference in any coordinate."""
    relative: float
    """The length of the difference against the length of the vector."""


@dataclass(frozen=True)
class Row:
    """One row of a ledger."""

    kind: str
    layer: int | None
    head: int | None
    source: int | None
    """The position of the source token."""
    neuron: int | None
    label: str
    coefficient: float
    norm: float
    cosine: float
    """To the whole move: the vector minus the embedding it started from."""
    toward: float
    """The projection on the direction that was asked for; without one, on the whole move."""
    side: int = 0
    feature: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without what does not apply to this kind of row."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True, eq=False)
class Sums:
    """Rows added up by one axis; the vectors still add up to the whole."""

    axis: str
    labels: tuple[str, ...]
    vectors: Tensor  # [group, d_model]


@dataclass(frozen=True, eq=False)
class Reading:
    """Every row's projection on one direction. The values add up to the vector's own projection.

    Attributes:
        values: one tensor per part of the ledger, shaped like its coefficients.
        constant: what the direction's reader adds by itself (an unembedding bias, say).
        measured: what the model itself gives.
    """

    ledger: Ledger
    direction: Tensor
    values: tuple[Tensor, ...]
    constant: float
    measured: float

    def __repr__(self) -> str:
        rows = self.top(5)
        return few(
            f"Reading of {len(self.ledger):,} rows at {self.ledger.at}: {self.total:.5g}, "
            f"to within {self.closing_error:.1e}",
            [f"{row.toward:+.3g} {row.label}" for row in rows],
        )

    @property
    def total(self) -> float:
        """The sum of all values and the constant."""
        return float(sum(value.double().sum() for value in self.values)) + self.constant

    @property
    def closing_error(self) -> float:
        """The sum against what the model gives."""
        return abs(self.total - self.measured)

    def by(self, axis: Axis) -> dict[str, float]:
        """The values added up by an axis; a constant has an entry of its own."""
        sums: dict[str, float] = {}
        for part, value in zip(self.ledger.parts, self.values, strict=True):
            for label, number in _split(self.ledger, part, value, axis):
                sums[label] = sums.get(label, 0.0) + float(number)
        if self.constant:
            sums["the reader's own bias"] = self.constant
        return sums

    def top(self, k: int = 10, *, kind: str | None = None) -> list[Row]:
        """The k rows with the largest projections, either sign; only of one kind where asked."""
        weights = [value.abs() for value in self.values]
        return self.ledger.largest(weights, self.direction, k, kind)


@dataclass(frozen=True, eq=False)
class Ledger:
    """One word's vector at one point, as a sum of rows.

    Attributes:
        at: the point.
        vector: what the model computed there [d_model]; the mean over the word's tokens, where it
        has several and the
            model is bidirectional.
        parts: the rows, in the order in which they were added.
        pieces: the text's tokens, as sources are named.
    """

    at: str
    vector: Tensor
    parts: tuple[Part, ...]
    pieces: tuple[str, ...]
    model: Transformer = field(repr=False)
    other_pieces: tuple[str, ...] = ()
    """The other text's tokens, where two journeys are compared."""

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def __repr__(self) -> str:
        length = float(self.vector.norm())
        rows = self.toward(self.vector / (length or 1.0)).top(5)
        return few(
            f"Ledger at {self.at}: {len(self):,} rows add up to a vector of length {length:.4g}, "
            f"to within {self.closing_error.relative:.1e}",
            [f"{row.toward:+.3g} {row.label}" for row in rows],
        )

    def piece(self, side: int, position: int) -> str:
        """The token at a position of the text; where two are compared, of either."""
        return (self.other_pieces if side == 0 and self.other_pieces else self.pieces)[position]

    def total(self) -> Tensor:
        """The sum of all rows [d_model], added up in float64."""
        return torch.stack([part.total().double() for part in self.parts]).sum(0)

    @property
    def closing_error(self) -> ClosingError:
        """The sum of the rows against the measured vector."""
        vector = self.vector.double()
        difference = self.total() - vector
        length = float(vector.norm())
        return ClosingError(
            float(difference.abs().max()), float(difference.norm()) / max(length, 1e-300)
        )

    @property
    def move(self) -> Tensor:
        """The vector minus the embedding it started from, as that arrives here [d_model]."""
        return self.vector - sum(part.total() for part in self.parts if part.kind == "embedding")

    def toward(self, direction: Tensor) -> Reading:
        """Every row's dot product with a direction [d_model]. Scale the direction to length 1 to
        read a projection."""
        if direction.shape != self.vector.shape:
            raise SiteError(
                f"The direction has shape {tuple(direction.shape)}, "
                f"the vector {tuple(self.vector.shape)}."
            )
        direction = direction.to(self.vector)
        values = tuple(part.toward(direction) for part in self.parts)
        return Reading(
            self, direction, values, 0.0, float(self.vector.double() @ direction.double())
        )

    def logit(self, token: int) -> Reading:
        """Every row's share of one word's score, exactly: the ledger read toward the word's
        unembedding direction.

        A soft cap is carried like a norm's divisor: every share is multiplied by capped / uncapped
        score.

        Raises:
            SiteError: the ledger is not at `final`, or the model's head is not linear (BERT's has
            an MLP of its own).
        """
        model = self.model
        if self.at != "final":
            raise SiteError(f"Scores are read from the vector at 'final', not at {self.at!r}.")
        if model.w_head is not None:
            raise SiteError(
                "This model's head is not linear (dense, GELU, norm): its scores are no sum."
            )
        if not 0 <= token < model.config.d_vocab:
            raise SiteError(f"Token {token} lies outside the vocabulary of {model.config.d_vocab}.")
        direction = model.unembedding[token].detach().to(self.vector)
        if model.w_embed_out is not None:
            direction = direction @ model.w_embed_out.detach().to(self.vector)
        constant = 0.0 if model.b_unembed is None else float(model.b_unembed[token])
        reading = self.toward(direction)
        cap = model.config.final_softcap
        if cap is None:
            return replace(reading, constant=constant, measured=reading.measured + constant)
        raw = reading.measured + constant
        capped = float(torch.tanh(torch.tensor(raw / cap, dtype=torch.float64)) * cap)
        factor = capped / raw if raw else 1.0
        values = tuple(value * factor for value in reading.values)
        return replace(
            reading,
            direction=direction * factor,
            values=values,
            constant=constant * factor,
            measured=capped,
        )

    def by(self, axis: Axis) -> Sums:
        """The rows added up by kind, component (attention or MLP of a layer), layer, head, source
        token or neuron.

        What an axis does not split stays in a group of its own, so that the groups still add up to
        the vector.
        """
        sums: dict[str, Tensor] = {}
        for part in self.parts:
            for label, vector in _vectors(self, part, axis):
                sums[label] = sums[label] + vector if label in sums else vector
        return Sums(axis, tuple(sums), torch.stack(list(sums.values())))

    def top(
        self, k: int = 10, *, toward: Tensor | None = None, kind: str | None = None
    ) -> list[Row]:
        """The k rows that matter most: by size of projection on `toward`, or by length where none
        is given.

        Args:
            kind: only rows of this kind (`head`, `neuron`, ...).
        """
        if toward is not None:
            return self.toward(toward).top(k, kind=kind)
        move = self.move
        unit = move / (float(move.norm()) or 1.0)
        return self.largest([part.norms() for part in self.parts], unit, k, kind)

    def largest(
        self, weights: Sequence[Tensor], direction: Tensor, k: int, kind: str | None = None
    ) -> list[Row]:
        """The k rows with the largest `weights`, projected on `direction`.

        Args:
            weights: one tensor per part, shaped like its coefficients.
        """
        move = self.move
        unit = move / (float(move.norm()) or 1.0)
        found: list[tuple[float, Part, int]] = []
        for part, weight in zip(self.parts, weights, strict=True):
            if kind is None or part.kind == kind:
                values, places = weight.flatten().topk(min(k, len(part)))
                found += [
                    (value, part, place)
                    for value, place in zip(values.tolist(), places.tolist(), strict=True)
                ]
        found.sort(key=lambda entry: -entry[0])
        return [self._row(part, place, unit, direction) for _, part, place in found[:k]]

    def between(self, start: str) -> Ledger:
        """The same vector with all that was added up to the earlier point `start` gathered in one
        row.

        Raises:
            SiteError: `start` is no point of the stream, or comes after this ledger's own.
        """
        reached = order_of(self.model, start)
        if reached > order_of(self.model, self.at):
            raise SiteError(f"{start!r} comes after {self.at!r}: name an earlier point.")
        earlier = [part for part in self.parts if part.order <= reached]
        later = tuple(part for part in self.parts if part.order > reached)
        one = torch.ones((), dtype=self.vector.dtype, device=self.vector.device)
        gathered = torch.stack([part.total() for part in earlier]).sum(0)
        first = Part("start", None, f"the vector at {start}", one, gathered, order=reached)
        return replace(self, parts=(first, *later))

    def _row(self, part: Part, place: int, move: Tensor, direction: Tensor) -> Row:
        index = _index(part, place)
        vector = part.row(index)
        norm = float(vector.norm())
        head, source = index if part.kind == "head" else (None, None)
        return Row(
            kind=part.kind,
            layer=part.layer,
            head=head,
            source=source,
            neuron=index[0] if part.kind == "neuron" else None,
            label=_label(self, part, index),
            coefficient=float(part.coefficients[index]),
            norm=norm,
            cosine=float(vector @ move) / norm if norm else 0.0,
            toward=float(vector @ direction),
            side=part.side,
            feature=None if part.numbers is None else int(part.numbers[index[0]]),
        )


def between(a: Ledger, b: Ledger) -> Ledger:
    """The difference of two journeys, b's vector minus a's, as a ledger of its own.

    What the two share falls away: a neuron's or feature's two rows become one with the difference
    of its coefficients, and so do embeddings and biases. Rows of heads stay apart, since their
    source tokens differ: a's come with the opposite sign. Every row has a `side`, 0 for a's, 1 for
    b's and for those that were joined.

    Raises:
        SiteError: the ledgers are of different models or at different points.
    """
    if a.model is not b.model or a.at != b.at:
        raise SiteError(
            f"Two journeys are compared in one model and at one point, "
            f"not at {a.at!r} and {b.at!r}."
        )
    parts: list[Part] = []
    for left, right in zip(a.parts, b.parts, strict=True):
        if right.kind == "head":
            parts += [left.negated(0), replace(right, side=1)]
        elif right.kind == "feature":
            parts.append(_joined(left, right))
        elif right.kind == "neuron":
            parts.append(
                replace(right, coefficients=right.coefficients - left.coefficients, side=1)
            )
        else:
            writer = right.writer * right.coefficients - left.writer * left.coefficients
            one = torch.ones_like(right.coefficients)
            parts.append(replace(right, writer=writer, coefficients=one, side=1))
    return Ledger(a.at, b.vector - a.vector, tuple(parts), b.pieces, b.model, a.pieces)


def _joined(left: Part, right: Part) -> Part:
    """Features of either side, with the difference of their coefficients."""
    assert left.numbers is not None and right.numbers is not None, "features have numbers"
    both = torch.cat((right.numbers, left.numbers))
    numbers, place = both.unique(return_inverse=True)
    signed = torch.cat((right.coefficients, -left.coefficients))
    coefficients = signed.new_zeros(len(numbers)).index_add(0, place, signed)
    writer = torch.cat((right.writer, left.writer), dim=1)
    columns = writer.new_zeros(len(writer), len(numbers)).index_copy(1, place, writer)
    return replace(right, coefficients=coefficients, writer=columns, numbers=numbers, side=1)


def _index(part: Part, place: int) -> tuple[int, ...]:
    """The index into the coefficients of the row that stands at `place` when they are laid out
    flat."""
    if part.kind == "head":
        return divmod(place, part.coefficients.shape[1])
    return (place,) if part.by_column else ()


def _label(ledger: Ledger, part: Part, index: tuple[int, ...]) -> str:
    if part.kind == "head":
        return f"head {part.layer}.{index[0]} from {_source(ledger, part, index[1])}"
    if part.kind == "neuron":
        return f"neuron {part.layer}.{index[0]}"
    if part.numbers is not None:
        return f"feature {int(part.numbers[index[0]])}"
    return _whole(part)


def _source(ledger: Ledger, part: Part, position: int) -> str:
    return f"{ledger.piece(part.side, position)!r} ({position})"


_KINDS = {"head": "attention", "neuron": "MLP", "bias": "biases"}
_KINDS |= {"feature": "features", "error": "reconstruction error"}
_NAMED = ("embedding", "position", "type", "start", "feature", "error")


def _whole(part: Part) -> str:
    """A name for all of a part that an axis does not split."""
    if part.layer is None or part.kind in _NAMED:
        return part.name
    return f"{part.layer} {part.name}"


def _group(part: Part, axis: Axis) -> str:
    if axis in ("kind", "source"):
        return _KINDS.get(part.kind, part.name)
    if axis == "layer":
        return part.name if part.layer is None else f"layer {part.layer}"
    return _whole(part)


def _labels(ledger: Ledger, part: Part, axis: Axis) -> list[str]:
    """One label per group that `axis` splits this part into; a single one where it does not."""
    if part.kind == "head" and axis == "head":
        return [f"head {part.layer}.{head}" for head in range(part.coefficients.shape[0])]
    if part.kind == "head" and axis == "source":
        return [_source(ledger, part, position) for position in range(part.coefficients.shape[1])]
    if part.kind == "neuron" and axis == "neuron":
        return [f"neuron {part.layer}.{neuron}" for neuron in range(len(part))]
    if part.numbers is not None and axis == "feature":
        return [f"feature {number}" for number in part.numbers.tolist()]
    return [_group(part, axis)]


def _vectors(ledger: Ledger, part: Part, axis: Axis) -> Iterator[tuple[str, Tensor]]:
    labels = _labels(ledger, part, axis)
    if part.kind == "head" and axis == "head":
        vectors = part.by_head()
    elif part.kind == "head" and axis == "source":
        vectors = part.by_source()
    elif part.by_column and axis == part.kind:
        vectors = part.by_neuron()
    else:
        vectors = part.total()[None]
    yield from zip(labels, vectors, strict=True)


def _split(ledger: Ledger, part: Part, values: Tensor, axis: Axis) -> Iterator[tuple[str, float]]:
    labels = _labels(ledger, part, axis)
    if part.kind == "head" and axis in ("head", "source"):
        numbers = values.double().sum(1 if axis == "head" else 0)
    elif part.by_column and axis == part.kind:
        numbers = values
    else:
        numbers = values.double().sum()[None]
    yield from zip(labels, numbers.tolist(), strict=True)
