"""What a residual stream is made of, in order: parts that are added, and norms that the stream
passes through.

With every norm's divisor held at its measured value a norm is linear, so a part arrives at any
later point as

    coefficient / (product of the later divisors)  x  static(direction)

where `static` centres (LayerNorm) and multiplies by the gains of the later norms: the same for
every text and position. That is why a row can be held as one number and a direction that the
weights already hold. This file reads the weights and one captured run; it knows nothing of how
rows are ranked or shown.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from molehill.errors import SiteError
from molehill.journey.capture import Captured
from molehill.model.sites import parse_site
from molehill.model.transformer import Block, Norm, Transformer

__all__ = [
    "Kind",
    "OtherRows",
    "Part",
    "Static",
    "Walked",
    "carry",
    "carry_back",
    "order_of",
    "parts_until",
    "walk",
]

Kind = Literal[
    "embedding", "position", "type", "head", "neuron", "bias", "start", "feature", "error"
]


@dataclass(frozen=True, eq=False)
class Static:
    """What a norm does besides dividing: centre (or not), then multiply each coordinate."""

    multiplier: Tensor  # [d_model]
    centres: bool


@dataclass(frozen=True, eq=False)
class OtherRows:
    """Other rows for what stands at one site: some directions by their values, and what is left.

    Attributes:
        site: a point of the stream, all of whose rows these replace; or `L.mlp.out` or
        `L.attn.out`, whose rows they replace.
        name: whose directions they are, as rows are named.
        numbers: which directions [n].
        values: how much of each there is at every token that carries the word [carrier, n].
        directions: [n, d_model].
        rest: further vectors by name [carrier, d_model]; with all the others they add up to what
        stands at the site. One of the name `error` is what is not explained.
    """

    site: str
    name: str
    numbers: Tensor
    values: Tensor
    directions: Tensor
    rest: Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Part:
    """Rows that are added at one place: one vector, one per (head, source token), one per neuron,
    or one per feature.

    Row = coefficient x static(direction), where the direction is, for a neuron, its column; for a
    head and a source token, the head's output matrix times the source's value vector; for a single
    vector, itself.
    """

    kind: Kind
    layer: int | None
    name: str
    coefficients: Tensor
    """[] for a single vector, [head, source] or [neuron]; all later divisors are carried."""
    writer: Tensor
    """[d_model], [d_model, head * d_head] or [d_model, neuron]: the weights themselves, not
    copied."""
    values: Tensor | None = None
    """For heads, the value vectors [source, head, d_head]."""
    path: tuple[Static, ...] = ()
    """The norms on the way to the point looked at."""
    order: tuple[int, int] = (-1, 0)
    """When it was added: (layer, 0 for attention or 1 for the MLP); the token itself is
    (-1, 0), its position and type (-1, 1)."""
    side: int = 0
    """Which of two journeys the row belongs to, where two are compared."""
    numbers: Tensor | None = None
    """For features, which they are."""

    @property
    def by_column(self) -> bool:
        """Whether each column of the writer is a row of its own."""
        return self.kind in ("neuron", "feature")

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the arithmetic; the weights may be stored in a smaller one."""
        return self.coefficients.dtype

    def __len__(self) -> int:
        return self.coefficients.numel()

    def total(self) -> Tensor:
        """The sum of the rows [d_model]."""
        return carry(self._summed(), self.path)

    def _summed(self) -> Tensor:
        writer = self.writer.to(self.dtype)
        if self.kind == "head":
            return writer @ self._mix().flatten()
        return writer @ self.coefficients if self.by_column else writer * self.coefficients

    def by_head(self) -> Tensor:
        """The sum over source tokens [head, d_model]."""
        by_head = self.writer.to(self.dtype).unflatten(1, (-1, self._values.shape[2]))
        return carry(torch.einsum("mhd,hd->hm", by_head, self._mix()), self.path)

    def by_source(self) -> Tensor:
        """The sum over heads [source, d_model]."""
        weighted = self._values * self.coefficients.T[:, :, None]  # [source, head, d_head]
        return carry(weighted.flatten(1) @ self.writer.to(self.dtype).T, self.path)

    def by_neuron(self) -> Tensor:
        """Every neuron's or feature's row [neuron, d_model]."""
        return carry(self.writer.to(self.dtype).T * self.coefficients[:, None], self.path)

    def row(self, index: tuple[int, ...]) -> Tensor:
        """One row [d_model]."""
        writer = self.writer.to(self.dtype)
        if self.kind == "head":
            head, source = index
            width = self._values.shape[2]
            columns = writer[:, head * width : (head + 1) * width]
            direction = columns @ self._values[source, head]
        else:
            direction = writer[:, index[0]] if self.by_column else writer
        return carry(direction * self.coefficients[index], self.path)

    def norms(self) -> Tensor:
        """The length of every row, shaped like the coefficients."""
        writer = self.writer.to(self.dtype)
        if self.kind == "head":
            # |W v|^2 = v' (W'W) v: a d_head x d_head matrix per head instead of a vector per row.
            columns = carry(writer.T, self.path)  # [head * d_head, d_model]
            columns = columns.unflatten(0, (-1, self._values.shape[2]))
            gram = columns @ columns.transpose(1, 2)
            squares = torch.einsum("shd,hde,she->hs", self._values, gram, self._values)
            lengths = squares.clamp(min=0).sqrt()
        elif self.by_column:
            lengths = carry(writer.T, self.path).norm(dim=-1)
        else:
            lengths = carry(writer, self.path).norm()
        return self.coefficients.abs() * lengths

    def toward(self, direction: Tensor) -> Tensor:
        """Each row's dot product with `direction` [d_model], shaped like the coefficients."""
        reader = carry_back(direction, self.path)
        writer = self.writer.to(self.dtype)
        if self.kind == "head":
            by_head = (reader @ writer).unflatten(0, (-1, self._values.shape[2]))
            return self.coefficients * (self._values * by_head).sum(-1).T
        return self.coefficients * (reader @ writer)

    def negated(self, side: int) -> Part:
        """The same rows with the opposite sign, marked as belonging to `side`."""
        return replace(self, coefficients=-self.coefficients, side=side)

    def _mix(self) -> Tensor:
        """For heads, the weighted sum of the values [head, d_head]."""
        # Not a batched product: for a sentence's few tokens that spends its time on waking threads.
        return (self._values * self.coefficients.T[:, :, None]).sum(0)

    @property
    def _values(self) -> Tensor:
        assert self.values is not None, "rows of heads carry their value vectors"
        return self.values


def carry(vectors: Tensor, path: Sequence[Static]) -> Tensor:
    """Vectors [..., d_model] through the static side of the norms on the path."""
    for stage in path:
        if stage.centres:
            vectors = vectors - vectors.mean(-1, keepdim=True)
        vectors = vectors * stage.multiplier
    return vectors


def carry_back(direction: Tensor, path: Sequence[Static]) -> Tensor:
    """The direction that reads before the path what `direction` [..., d_model] reads after it: the
    transpose of `carry`."""
    for stage in reversed(path):
        direction = direction * stage.multiplier
        if stage.centres:
            direction = direction - direction.mean(-1, keepdim=True)
    return direction


def parts_until(
    model: Transformer, captured: Captured, at: str, rows: OtherRows | None = None
) -> tuple[Part, ...]:
    """Everything that makes up the captured word's stream at `at`, in the order in which it was
    added.

    Args:
        at: `embed` (the token's own vector), `L.resid_pre`, `L.resid_mid`, `L.resid_post` or
        `final`.
        rows: other rows for what stands at an earlier site, or at this one.

    Raises:
        SiteError: `at` is no point of the stream, or the rows are for a site after it.
    """
    reached = _reached(model, at)
    history = _History(model, captured)
    events: list[_Added | _Passed] = []
    done = 0
    replaced = rows is None
    for point in history.advance():
        events += history.events[done:]
        done = len(history.events)
        if rows is not None and not replaced:
            events, replaced = _rewritten(model, events, point, rows, captured)
        if point == reached:
            break
    if rows is not None and not replaced:
        raise SiteError(
            f"There are no rows at {rows.site!r} to be shown as {rows.name}: name a point of the "
            f"stream, an `L.mlp.out` or an `L.attn.out` that comes before {at!r}."
        )
    return _arrive(events)


def _rewritten(
    model: Transformer,
    events: list[_Added | _Passed],
    point: str,
    rows: OtherRows,
    captured: Captured,
) -> tuple[list[_Added | _Passed], bool]:
    """The events up to a point, with those of the rows' site replaced if it has been reached."""
    layer, name = parse_site(rows.site)
    if name in ("mlp.out", "attn.out"):
        kind, part = ("neuron", "MLP") if name == "mlp.out" else ("head", "attention")
        own = [
            event
            for event in events
            if isinstance(event, _Added) and event.layer == layer and _writes(model, event, part)
        ]
        if not any(event.kind == kind for event in own):
            return events, False
        at = events.index(own[0])
        kept = [event for event in events if not any(event is each for each in own)]
        instead = _of_rows(rows, own[0].order, layer, f"{part} ", captured.dtype)
        return [*kept[:at], *instead, *kept[at:]], True
    if point != _reached(model, rows.site):
        return events, False
    # All layers so far are in them: they belong to none.
    return list(_of_rows(rows, order_of(model, rows.site), None, "", captured.dtype)), True


def _writes(model: Transformer, event: _Added, part: str) -> bool:
    """Whether an event is among what attention or the MLP of its layer adds."""
    names = {part, f"{part} bias"}
    if model.config.norm_place == "sandwich":
        names.add(f"bias of the norm after {part}")
    return event.name in names


def _of_rows(
    rows: OtherRows, order: tuple[int, int], layer: int | None, part: str, dtype: torch.dtype
) -> Iterator[_Added]:
    values, writer = rows.values.to(dtype), rows.directions.T
    label = f"features of {rows.name}"
    yield _Added("feature", layer, label, values, writer, None, (), order, numbers=rows.numbers)
    for name, vectors in rows.rest.items():
        kind: Kind = "error" if name == "error" else "bias"
        label = f"{'' if kind == 'error' else part}{name} of {rows.name}"
        ones = torch.ones(len(vectors), dtype=dtype, device=vectors.device)
        yield _Added(kind, layer, label, ones, vectors.to(dtype), None, (), order)


@dataclass(frozen=True, eq=False)
class Walked:
    """One step of a walk.

    Attributes:
        added: what was added on the way to `point`.
        total: the sum of all rows so far [d_model].
        position: what the position's own row has become here [d_model]; zero without learned ones.
    """

    point: str
    added: tuple[Part, ...]
    total: Tensor
    position: Tensor


def walk(model: Transformer, captured: Captured, points: Collection[str]) -> Iterator[Walked]:
    """Walk through `points`, keeping a running sum of all rows: each weight is read once.

    The sum goes through every norm as the stream does, so at each point it can be held against the
    vector that the model computed.
    """
    history = _History(model, captured)
    total = captured.values["embed"].new_zeros(captured.carriers, model.config.d_model)
    position = total
    done = 0
    for point in history.advance():
        if point in points:
            events = history.events[done:]
            total = _add_up(total, events)
            own = [
                event for event in events if isinstance(event, _Passed) or event.kind == "position"
            ]
            position = _add_up(position, own)
            done = len(history.events)
            yield Walked(point, _arrive(events), total.mean(0), position.mean(0))


def _add_up(total: Tensor, events: Sequence[_Added | _Passed]) -> Tensor:
    """The running sum after more events, carrier by carrier [carrier, d_model]."""
    for event in events:
        if isinstance(event, _Passed):
            total = carry(total / event.divisors[:, None], (event.static,))
            continue
        writer = event.writer.to(total.dtype)
        if event.values is not None:
            mix = torch.einsum("phs,shd->phd", event.coefficients, event.values)
            added = mix.flatten(1) @ writer.T
        elif event.kind == "neuron":
            added = event.coefficients @ writer.T
        else:
            added = writer * event.coefficients[:, None]
        for passed in event.branch:
            added = carry(added / passed.divisors[:, None], (passed.static,))
        total = total + added
    return total


def _reached(model: Transformer, at: str) -> str:
    """The name under which the history reaches a point: a block begins where the last one ended."""
    layer, name = _check_point(model, at)
    last = f"{model.config.n_layers - 1}.resid_post"
    if name == "final":
        return "final" if model.final_norm is not None else last
    return f"{layer - 1}.resid_post" if name == "resid_pre" and layer else at


def _check_point(model: Transformer, at: str) -> tuple[int | None, str]:
    layer, name = parse_site(at)
    names = ("embed", "final") if layer is None else ("resid_pre", "resid_mid", "resid_post")
    if name not in names or (layer is not None and layer >= model.config.n_layers):
        raise SiteError(
            f"{at!r} is no point of the journey. Points are 'embed', '0.resid_pre', "
            f"'0.resid_mid', '0.resid_post' to '{model.config.n_layers - 1}.resid_post', 'final'."
        )
    if name == "resid_mid" and model.config.parallel:
        raise SiteError(
            f"{at!r} does not exist: this model adds attention and MLP together. "
            f"Ask for '{layer}.resid_post'."
        )
    return layer, name


def order_of(model: Transformer, at: str) -> tuple[int, int]:
    """What `Part.order` a point has: parts of this order or a lower one have been added there."""
    layer, name = _check_point(model, at)
    if layer is None:
        return (-1, 0) if name == "embed" else (model.config.n_layers, 1)
    return {"resid_pre": (layer - 1, 1), "resid_mid": (layer, 0), "resid_post": (layer, 1)}[name]


@dataclass(frozen=True, eq=False)
class _Added:
    """A part before the later norms are known: coefficients and single vectors are per carrier."""

    kind: Kind
    layer: int | None
    name: str
    coefficients: Tensor  # [carrier, ...]
    writer: Tensor  # [carrier, d_model] for a single vector
    values: Tensor | None
    branch: tuple[_Passed, ...]
    order: tuple[int, int]
    numbers: Tensor | None = None


@dataclass(frozen=True, eq=False)
class _Passed:
    """A norm that was passed, with its divisor at each carrier."""

    static: Static
    divisors: Tensor  # [carrier]


class _History:
    """The stream's history while it is being written down."""

    def __init__(self, model: Transformer, captured: Captured) -> None:
        self.model = model
        self.captured = captured
        self.events: list[_Added | _Passed] = []
        self.now = (-1, 0)

    def token(self) -> None:
        """The token's own vector: the same wherever the token stands."""
        self._vector("embedding", None, "embedding", self.captured.values["embed"])

    def place(self) -> None:
        """Its position and type, and the norm after them."""
        model, values = self.model, self.captured.values
        self.now = (-1, 1)
        if model.w_pos is not None:
            self._vector("position", None, "position", values["pos_embed"])
        if model.w_type is not None:
            self._vector("type", None, "token type", self._wide(model.w_type[0]))
        if model.embed_norm is not None:
            self.norm(model.embed_norm, "embed_norm_scale", None, "embedding norm")

    def advance(self) -> Iterator[str]:
        """Write the history down, stopping at every point of the stream to name it."""
        self.token()
        yield "embed"
        self.place()
        yield "0.resid_pre"
        for layer, block in enumerate(self.model.blocks):
            assert isinstance(block, Block), "a transformer's blocks are blocks"
            self.now = (layer, 0)
            self._attention(block, layer)
            if block.place == "post" and block.norm1 is not None:
                self.norm(block.norm1, block.sites.norm1_scale, layer, "norm after attention")
            if not block.parallel:
                yield f"{layer}.resid_mid"
            self.now = (layer, 1)
            self._mlp(block, layer)
            if block.place in ("post", "block_end"):
                self.norm(block.norm2, block.sites.norm2_scale, layer, "norm at the block's end")
            yield f"{layer}.resid_post"
        if self.model.final_norm is not None:
            self.now = (self.model.config.n_layers, 1)
            self.norm(self.model.final_norm, "final_norm_scale", None, "final norm")
            yield "final"

    def norm(self, norm: Norm, site: str, layer: int | None, name: str) -> None:
        """The stream passes a norm, whose bias is a row of its own."""
        self.events.append(self._passed(norm, site))
        if norm.bias is not None:
            self._vector("bias", layer, f"bias of the {name}", self._wide(norm.bias))

    def _attention(self, block: Block, layer: int) -> None:
        config, values = self.model.config, self.captured.values
        branch = self._branch(block.norm1_post, block.sites.attn_out_scale)
        writer = block.attn.w_out.detach()
        offered = values[block.sites.v].repeat_interleave(config.n_heads // config.kv_heads, dim=1)
        pattern = values[block.sites.pattern]
        self.events.append(
            _Added("head", layer, "attention", pattern, writer, offered, branch, self.now)
        )
        self._biases(block.attn.b_out, block.norm1_post, branch, layer, "attention")

    def _mlp(self, block: Block, layer: int) -> None:
        branch = self._branch(block.norm2_post, block.sites.mlp_out_scale)
        act = self.captured.values[block.sites.act]
        self.events.append(
            _Added("neuron", layer, "MLP", act, block.mlp.w_out.detach(), None, branch, self.now)
        )
        self._biases(block.mlp.b_out, block.norm2_post, branch, layer, "MLP")

    def _biases(
        self,
        bias: Tensor | None,
        norm: Norm | None,
        branch: tuple[_Passed, ...],
        layer: int,
        name: str,
    ) -> None:
        if bias is not None:
            self._vector("bias", layer, f"{name} bias", self._wide(bias), branch)
        if norm is not None and norm.bias is not None:
            self._vector("bias", layer, f"bias of the norm after {name}", self._wide(norm.bias))

    def _branch(self, norm: Norm | None, site: str) -> tuple[_Passed, ...]:
        return () if norm is None else (self._passed(norm, site),)

    def _passed(self, norm: Norm, site: str) -> _Passed:
        multiplier = norm.multiplier.detach().to(self.captured.dtype)
        return _Passed(Static(multiplier, not norm.rms), self.captured.values[site][:, 0])

    def _wide(self, vector: Tensor) -> Tensor:
        """A weight vector once per carrier [carrier, d_model]."""
        return vector.detach().to(self.captured.dtype).expand(self.captured.carriers, -1)

    def _vector(
        self,
        kind: Kind,
        layer: int | None,
        name: str,
        vectors: Tensor,
        branch: tuple[_Passed, ...] = (),
    ) -> None:
        ones = torch.ones(len(vectors), dtype=vectors.dtype, device=vectors.device)
        self.events.append(_Added(kind, layer, name, ones, vectors, None, branch, self.now))


def _arrive(events: Sequence[_Added | _Passed]) -> tuple[Part, ...]:
    """All parts in the order in which they were added, with the norms after each carried."""
    found: list[Part] = []
    after: tuple[_Passed, ...] = ()
    for event in reversed(events):
        if isinstance(event, _Passed):
            after = (event, *after)
        else:
            found.append(_arrived(event, event.branch + after))
    return tuple(reversed(found))


def _arrived(added: _Added, path: tuple[_Passed, ...]) -> Part:
    """Divide by the divisors on the path, carrier by carrier, and take the mean over the
    carriers."""
    per_carrier = (-1, *[1] * (added.coefficients.ndim - 1))
    coefficients = added.coefficients
    for passed in path:
        coefficients = coefficients / passed.divisors.view(per_carrier)
    static = tuple(passed.static for passed in path)
    writer = added.writer
    if coefficients.ndim == 1:
        writer = (writer * coefficients[:, None]).mean(0)
        coefficients = torch.ones_like(coefficients)
    return Part(
        added.kind,
        added.layer,
        added.name,
        coefficients.mean(0),
        writer,
        added.values,
        static,
        added.order,
        numbers=added.numbers,
    )
