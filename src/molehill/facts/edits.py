"""FactEdit: a change of a model's weights as a value that can be listed, stacked, saved and undone.

    edited = apply_edits(lm, [first, second])     # a new model; `lm` is as it was
    back = apply_edits(lm, [first])               # the second undone, to the last bit

An edit holds its changes (factors of low rank, a whole difference, or further neurons), the facts
that it is to teach, which weights it was made for, how it was made and what was measured. Applying
makes a model that shares every tensor that is not changed; nothing is written into the old one, so
undoing is applying fewer. This module knows no method that makes edits.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor, nn

from molehill.checkpoints.tensorfile import tensor_bytes
from molehill.errors import FactError
from molehill.facts.fact import Fact
from molehill.facts.showing import few
from molehill.language_model import LanguageModel
from molehill.model import Products, Transformer
from molehill.version import __version__

__all__ = ["Change", "Dense", "FactEdit", "LowRank", "Neurons", "Size", "apply_edits", "sizes"]


@dataclass(frozen=True, eq=False)
class LowRank:
    """A weight plus `left @ right`."""

    parameter: str
    """Its name in the model: `blocks.17.mlp.w_out`."""
    left: Tensor
    """[out, rank]"""
    right: Tensor
    """[rank, in]"""

    def __repr__(self) -> str:
        return f"{self.parameter} by rank {self.left.shape[-1]}"

    def delta(self) -> Tensor:
        """What is added [out, in], in float64.

        Raises:
            FactError: the factors do not fit each other.
        """
        if self.left.ndim != 2 or self.right.ndim != 2 or self.left.shape[1] != len(self.right):
            raise FactError(
                f"The factors {tuple(self.left.shape)} and {tuple(self.right.shape)} of the change "
                f"of {self.parameter!r} have no product."
            )
        return self.left.double() @ self.right.double()


@dataclass(frozen=True, eq=False)
class Dense:
    """A weight plus a difference of full rank."""

    parameter: str
    difference: Tensor

    def __repr__(self) -> str:
        return f"{self.parameter} by any rank"

    def delta(self) -> Tensor:
        """What is added [out, in], in float64."""
        return self.difference.double()


@dataclass(frozen=True, eq=False)
class Neurons:
    """Further neurons in one layer's MLP: act(row . x + bias) times a column.

    In a gated MLP the gate has row and bias and the up matrix gives one: no row, a bias of one.
    Every layer of a model has as many neurons, so the other layers get as many that do nothing;
    and where a model's MLPs have no biases, all get biases of zero but these.
    """

    layer: int
    rows: Tensor
    """[neuron, d_model]; of the gate matrix where the MLP is gated."""
    bias: Tensor
    """[neuron]"""
    columns: Tensor
    """[d_model, neuron]"""

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"layer {self.layer} by {len(self)} new neuron{'s' if len(self) != 1 else ''}"


Change = LowRank | Dense | Neurons


@dataclass(frozen=True, eq=False)
class FactEdit:
    """One edit of a model's weights."""

    method: str
    """`rome`, `memit`, ..."""
    facts: tuple[Fact, ...]
    """What it is to teach, with the new objects."""
    changes: tuple[Change, ...]
    model: str
    """The name of the model it was made for."""
    fingerprint: str
    """The sha256 of that model's weights, before any edit."""
    after: tuple[str, ...] = ()
    """The digests of the edits that were applied when this one was made."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """How it was made."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """What was measured when it was made."""
    molehill: str = __version__

    @cached_property
    def digest(self) -> str:
        """The sha256 of its changes: the same for edits that do the same."""
        found = sha256()
        for change in self.changes:
            found.update(type(change).__name__.encode())
            for name, value in vars(change).items():
                found.update(name.encode())
                if isinstance(value, Tensor):
                    found.update(f"{value.dtype} {tuple(value.shape)}".encode())
                    found.update(tensor_bytes(value))
                else:
                    found.update(repr(value).encode())
        return found.hexdigest()

    @property
    def name(self) -> str:
        """A short name to tell it from others: the beginning of its digest."""
        return self.digest[:8]

    def measured(self, **metrics: Any) -> FactEdit:
        """The same edit with further metrics beside it."""
        return replace(self, metrics={**self.metrics, **metrics})

    def __repr__(self) -> str:
        return few(
            f"FactEdit {self.name} by {self.method}, for {self.model}: {len(self.facts)} "
            f"fact{'s' if len(self.facts) != 1 else ''}",
            [*map(str, self.facts[:3]), *(f"changes {change!r}" for change in self.changes)],
        )

    def __str__(self) -> str:
        told = "; ".join(str(fact) for fact in self.facts[:2])
        more = f" and {len(self.facts) - 2} more" if len(self.facts) > 2 else ""
        return f"{self.name} {self.method}: {told}{more}"


@dataclass(frozen=True)
class Size:
    """How large a change is beside what it changes."""

    where: str
    norm: float
    """Frobenius norm of the difference."""
    relative: float
    """The same against the weight's own."""
    rank: int


def apply_edits(
    lm: LanguageModel, edits: Sequence[FactEdit], *, force: bool = False
) -> LanguageModel:
    """A model with edits applied in this order; `lm` itself is not touched.

    Differences are added up in float64 and rounded once, so the result depends on the edits and
    their order alone. Without edits `lm` comes back.

    Raises:
        FactError: an edit was made for other weights and `force` is not set; a weight that the
            model does not have, or of another shape.
    """
    if not edits:
        return lm
    for edit in edits:
        if edit.fingerprint != lm.fingerprint and not force:
            raise FactError(
                f"The edit {edit.name} was made for {edit.model!r} ({edit.fingerprint[:12]}), "
                f"this is {lm.name!r} ({lm.fingerprint[:12]}): name the model that it is for (from "
                "Python, force=True applies it all the same)."
            )
    model = _sharing(lm.model)
    learns = lm.model.w_token.requires_grad
    for name, delta in _deltas(edits).items():
        _put(model, name, _changed(lm.model, name, delta), learns=learns)
    for edit in edits:
        for change in edit.changes:
            if isinstance(change, Neurons):
                model = _widened(model, change)
    told = "1 edit" if len(edits) == 1 else f"{len(edits)} edits"
    return LanguageModel(model, lm.tokenizer, f"{lm.name} + {told}", lm.report)


def sizes(lm: LanguageModel, edits: Sequence[FactEdit]) -> list[Size]:
    """How large the edits are together, weight by weight, before anything is applied."""
    found = []
    for name, delta in _deltas(edits).items():
        weight = _weight(lm.model, name, delta)
        norm = float(delta.norm())
        rank = sum(
            change.left.shape[1] if isinstance(change, LowRank) else min(delta.shape)
            for edit in edits
            for change in edit.changes
            if not isinstance(change, Neurons) and change.parameter == name
        )
        relative = norm / float(weight.double().norm())
        found.append(Size(name, norm, relative, min(rank, *delta.shape)))
    for edit in edits:
        for change in edit.changes:
            if isinstance(change, Neurons):
                _check_neurons(lm.model, change)
                columns = lm.model.blocks[change.layer].mlp.w_out  # type: ignore[union-attr]
                norm = float(change.columns.double().norm())
                typical = float(columns.detach().double().norm(dim=0).mean())
                where = f"{len(change)} neurons in layer {change.layer}"
                found.append(Size(where, norm, norm / typical, len(change)))
    return found


def _deltas(edits: Sequence[FactEdit]) -> dict[str, Tensor]:
    """What is added to each weight, in float64."""
    deltas: dict[str, Tensor] = {}
    for edit in edits:
        for change in edit.changes:
            if not isinstance(change, Neurons):
                delta = change.delta()
                name = change.parameter
                deltas[name] = deltas[name] + delta if name in deltas else delta
    return deltas


def _weight(model: Transformer, name: str, delta: Tensor) -> Tensor:
    try:
        weight = model.get_parameter(name).detach()
    except AttributeError:
        raise FactError(f"The model has no weight {name!r} for the edit to change.") from None
    if weight.shape != delta.shape:
        raise FactError(
            f"The edit's change of {name!r} has shape {tuple(delta.shape)}, the weight "
            f"{tuple(weight.shape)}."
        )
    return weight


def _changed(model: Transformer, name: str, delta: Tensor) -> Tensor:
    weight = _weight(model, name, delta)
    return (weight.double() + delta.to(weight.device)).to(weight.dtype)


def _sharing(model: Transformer) -> Transformer:
    """A model of its own whose weights are the very tensors of `model`."""
    shared: dict[int, Any] = {id(weight): weight for weight in model.parameters()}
    for products in (model.products, model.step_products):
        shared[id(products)] = products
    twin = copy.deepcopy(model, shared)
    # Routes depend on shapes and are worth keeping; packed copies hold the weights and are not.
    twin.products, choice = model.products, model.step_products.choice
    twin.step_products = Products(choice, packs=True)
    return twin


def _put(model: Transformer, name: str, value: Tensor, *, learns: bool) -> None:
    """Set a weight; a parameter stays the very one, so that it is shared.

    Args:
        learns: whether a new one has gradients. Where the others have none it must not: one alone
            makes every pass take the slower products.
    """
    home, _, own = name.rpartition(".")
    if not isinstance(value, nn.Parameter):
        value = nn.Parameter(value, requires_grad=learns)
    setattr(model.get_submodule(home), own, value)


def _widened(model: Transformer, change: Neurons) -> Transformer:
    """A model with further neurons in every layer, of which only one layer's do anything."""
    config = model.config
    _check_neurons(model, change)
    wide = Transformer(
        replace(config, d_mlp=config.d_mlp + len(change), mlp_bias=True), device="meta"
    )
    wide.train(model.training)
    wide.products = Products(model.products.choice)
    wide.step_products = Products(model.step_products.choice, packs=True)
    weights = dict(model.named_parameters())
    for name, empty in wide.named_parameters():
        weight = weights.get(name)
        if weight is None:  # a bias that the model did not have
            old = config.d_mlp * (2 if config.gated else 1) if name.endswith("b_in") else len(empty)
            weight = nn.Parameter(model.w_token.new_zeros(old))
        layer, _, rest = name.removeprefix("blocks.").partition(".")
        own = rest.startswith("mlp.") and int(layer) == change.layer
        grown = _grown(weight, rest, change, own=own, gated=config.gated)
        _put(wide, name, grown, learns=model.w_token.requires_grad)
    return wide


def _grown(weight: Tensor, rest: str, change: Neurons, *, own: bool, gated: bool) -> Tensor:
    """A weight of a layer's MLP with what further neurons add; any other as it is."""
    if rest == "mlp.w_out":
        columns = change.columns.to(weight)
        return torch.cat([weight.detach(), columns if own else columns * 0], dim=1)
    if rest not in ("mlp.w_in", "mlp.b_in"):
        return weight
    is_bias = rest == "mlp.b_in"
    more = (change.bias if is_bias else change.rows).to(weight)
    more = more if own else torch.zeros_like(more)
    if not gated:
        return torch.cat([weight.detach(), more])
    gate, up = weight.detach().chunk(2)
    ones = torch.ones_like(more) if is_bias and own else torch.zeros_like(more)
    return torch.cat([gate, more, up, ones])


def _check_neurons(model: Transformer, change: Neurons) -> None:
    config = model.config
    count, width = len(change), config.d_model
    shapes = [tuple(part.shape) for part in (change.rows, change.bias, change.columns)]
    if shapes != [(count, width), (count,), (width, count)] or not (
        0 <= change.layer < config.n_layers
    ):
        raise FactError(
            f"Neurons of rows {shapes[0]}, biases {shapes[1]} and columns {shapes[2]} for layer "
            f"{change.layer} do not fit a model of {config.n_layers} layers, {width} wide."
        )
