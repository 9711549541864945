"""Autoencoder: vectors become a few active features and back; what all architectures share.

    codes = autoencoder.encode(x)          # which features are active, how strongly
    near = autoencoder.decode(codes)       # Σ value · direction + bias

An architecture is a subclass in a file of its own: it says which pre-activations are active and
what is learnt from beside the reconstruction. A transcoder is the same with another target: it
reads what a layer reads and writes what the layer writes; a crosscoder reads and writes the streams
of several layers side by side. This module knows no model and no text.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from molehill.errors import ConfigError
from molehill.features.codes import Codes
from molehill.features.selecting import largest_of_each_row
from molehill.features.sharing import ALONE, Sharing
from molehill.features.sparse_products import Room, decoded, preactivations, read_off

__all__ = ["Autoencoder", "Chosen", "Losses", "Settings", "rows_of"]

_BY_K = {"topk", "batchtopk", "matryoshka"}
"""Architectures that use k."""


@dataclass(frozen=True)
class Settings:
    """The sizes and choices of an autoencoder; an architecture uses those that it names."""

    architecture: str
    d_in: int
    d_out: int
    n_features: int
    k: int = 32
    """TopK and its kin: active features of a row; in BatchTopK and Matryoshka on average."""
    penalty: float = 1.0
    """ReLU, JumpReLU, Gated: what sparsity weighs against squared error, for inputs of mean squared
    length d_in."""
    bandwidth: float = 0.1
    """JumpReLU: how far from its threshold a pre-activation still moves it."""
    prefixes: tuple[int, ...] = ()
    """Matryoshka: numbers of features that must reconstruct alone, rising, all features last."""
    auxiliary: float = 1 / 32
    """TopK and its kin: what reconstructing the error by dead features weighs."""
    dead_after: int = 500_000
    """Rows without being active after which a feature counts as dead."""
    centred: bool = True
    """Whether the decoder's bias is taken from the input first; not where input and target
    differ."""
    skip: bool = False
    """Whether a linear map of the input is added to the output (skip transcoders)."""

    def __post_init__(self) -> None:
        for name in ("d_in", "d_out", "n_features"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 1 or more.")
        if self.architecture in _BY_K and not 1 <= self.k <= self.n_features:
            raise ConfigError(
                f"k is {self.k}, expected 1 to the number of features, {self.n_features}."
            )
        if self.centred and self.d_in != self.d_out:
            raise ConfigError(
                f"An autoencoder from {self.d_in} to {self.d_out} numbers cannot be centred: the "
                "decoder's bias does not fit the input."
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Settings:
        """Settings from a file's words."""
        given: dict[str, Any] = dict(values)
        given["prefixes"] = tuple(given.get("prefixes", ()))
        return cls(**given)

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Losses:
    """What a step learns from, and what it shows."""

    total: Float[Tensor, ""]
    terms: Mapping[str, float]
    """The parts of the total, as numbers: `error` (mean squared length of what is left) and those
    of the architecture."""
    codes: Codes
    output: Float[Tensor, "rows d_out"]


@dataclass(frozen=True)
class Chosen:
    """What was chosen in a batch to learn from."""

    codes: Codes
    aside: tuple[Tensor, ...] = ()
    """What the architecture's further losses need of the choice."""


class Autoencoder(nn.Module):
    """Directions with encoder and decoder. Subclasses choose what is active.

    Rows of `w_enc` ask, rows of `w_dec`, of length one, are added: as in an MLP whose neurons are
    features. Masters are float32; `products` is what dense and sparse products multiply in.
    """

    w_enc: Float[nn.Parameter, "n_features d_in"]
    b_enc: Float[nn.Parameter, " n_features"]
    w_dec: Float[nn.Parameter, "n_features d_out"]
    b_dec: Float[nn.Parameter, " d_out"]
    w_skip: Float[nn.Parameter, "d_out d_in"] | None
    idle: Tensor

    architecture: ClassVar[str]

    def __init__(self, settings: Settings, *, seed: int = 0) -> None:
        super().__init__()
        assert settings.architecture == self.architecture, "settings of another architecture"
        self.settings = settings
        self.products = torch.float32
        self.sharing = ALONE
        # What all processes together are to become, where each holds a part of the features.
        self.wanted = settings
        self._room: Room | None = None
        generator = torch.Generator().manual_seed(seed)
        rows = torch.randn(settings.n_features, settings.d_out, generator=generator)
        rows /= rows.norm(dim=1, keepdim=True)
        self.w_dec = nn.Parameter(rows)
        self.w_enc = nn.Parameter(self._first_encoder(generator))
        self.b_enc = nn.Parameter(torch.zeros(settings.n_features))
        self.b_dec = nn.Parameter(torch.zeros(settings.d_out))
        skip = torch.zeros(settings.d_out, settings.d_in)
        self.w_skip = nn.Parameter(skip) if settings.skip else None
        # Rows since each feature was last active; part of what a run goes on from.
        self.register_buffer("idle", torch.zeros(settings.n_features, dtype=torch.int64))

    def _first_encoder(self, generator: torch.Generator) -> Tensor:
        """The decoder's rows where they fit (each feature then sees itself), else random ones."""
        settings = self.settings
        if settings.d_in == settings.d_out:
            return self.w_dec.detach().clone()
        rows = torch.randn(settings.n_features, settings.d_in, generator=generator)
        return rows / rows.norm(dim=1, keepdim=True)

    @torch.no_grad()
    def begin(self, x: Float[Tensor, "rows d_in"], y: Float[Tensor, "rows d_out"]) -> None:
        """Before the first step: the bias is the targets' mean, and the encoder's scale the one at
        which what is active says most of them.

        At rows of length one, k random directions of F overshoot as k grows: 128 of 4,608 in 576
        dimensions begin with an error of 1.23 of the variance, which costs a short run most of its
        steps; at 0.46 of that scale it is 0.45. Only where the encoder's rows are the decoder's,
        and where a value's scale is free of thresholds and penalties.
        """
        self.b_dec.copy_(y.mean(0))
        if not (self.settings.centred and self.architecture in _BY_K):
            return
        near = self.decode(self.choose_to_learn(self.centre(x)).codes) - self.b_dec
        power, along = near.square().sum().item(), ((y - self.b_dec) * near).sum().item()
        if power > 0 and along > 0:
            self.w_enc.mul_(along / power)
            self.scale_values(along / power)

    # --- using ------------------------------------------------------------------------------------

    def encode(self, x: Float[Tensor, "rows d_in"]) -> Codes:
        """The active features of each row."""
        return self.choose(self.centre(x))

    def decode(self, codes: Codes) -> Float[Tensor, "rows d_out"]:
        """The sum of the active features' directions by their values, and the bias."""
        near = decoded(codes, self.w_dec, self.products)
        return self.sharing.summed(near) + self.b_dec

    def forward(self, x: Float[Tensor, "rows d_in"]) -> Float[Tensor, "rows d_out"]:
        """The reconstruction; of a transcoder, what it says that the layer writes."""
        return self.decode(self.encode(x)) + self.skipped(x)

    def skipped(self, x: Float[Tensor, "rows d_in"]) -> Tensor | float:
        """What the linear map beside the features adds; 0 without one."""
        return 0.0 if self.w_skip is None else x.to(self.w_skip.dtype) @ self.w_skip.T

    def centre(self, x: Float[Tensor, "rows d_in"]) -> Float[Tensor, "rows d_in"]:
        """The input as the encoder reads it. The bias learns through `tied`, not through this."""
        x = x.to(self.w_enc.dtype)
        return x - self.b_dec.detach() if self.settings.centred else x

    def choose(self, x: Float[Tensor, "rows d_in"]) -> Codes:
        """Which features are active in centred rows, once training is over."""
        raise NotImplementedError

    # --- learning ---------------------------------------------------------------------------------

    def learn(
        self,
        x: Float[Tensor, "rows d_in"],
        y: Float[Tensor, "rows d_out"] | None = None,
        *,
        penalty: float = 1.0,
    ) -> Losses:
        """What one batch teaches; the graph reaches the weights.

        Args:
            x: multiplied so that its mean squared length is its width.
            y: the target, as well; None: the input itself.
            penalty: the share of the settings' penalty that counts, which rises from 0 in the
                beginning.
        """
        x = x.to(self.w_enc.dtype)
        y = x if y is None else y.to(self.w_dec.dtype)
        centred = self.centre(x)
        chosen = self.choose_to_learn(centred)
        codes = chosen.codes
        output = self.decode(codes) + self.skipped(x)
        error = y - output
        # One pass over the rows, where squares, sums and means take three.
        total = torch.linalg.vector_norm(error).square() / len(error)
        terms = {"error": total.item()}
        for name, term in self.further(centred, y, chosen, error):
            total = total + (penalty * term if name == "penalty" else term)
            terms[name] = self.sharing.total(term.item()) if name == "penalty" else term.item()
        self._note(codes)
        return Losses(total, terms, codes, output)

    def choose_to_learn(self, x: Float[Tensor, "rows d_in"]) -> Chosen:
        """Which features are active while training, tied to the weights."""
        return Chosen(self.choose(x))

    def further(
        self, x: Tensor, y: Tensor, chosen: Chosen, error: Tensor
    ) -> Iterator[tuple[str, Float[Tensor, ""]]]:
        """What is learnt from beside the error, by name. `x` is centred."""
        return iter(())

    @torch.no_grad()
    def _note(self, codes: Codes) -> None:
        active = torch.zeros_like(self.idle, dtype=torch.bool)
        active[codes.features[codes.active]] = True
        rows = codes.rows * (self.sharing.size if self.sharing.by_rows else 1)
        self.idle.add_(rows).masked_fill_(self.sharing.anywhere(active), 0)

    @property
    def dead(self) -> Bool[Tensor, " n_features"]:
        """Which features have been silent for too long."""
        return self.idle > self.settings.dead_after

    @torch.no_grad()
    def tidy_gradients(self) -> None:
        """Take from the decoder's gradient what would only change the rows' lengths."""
        if self.w_dec.grad is not None:
            along = (self.w_dec.grad * self.w_dec).sum(1, keepdim=True)
            self.w_dec.grad.addcmul_(along, self.w_dec, value=-1)

    @torch.no_grad()
    def tidy(self) -> None:
        """After a step: the decoder's rows have length one again."""
        self.w_dec.div_(self.w_dec.norm(dim=1, keepdim=True).clamp_(min=1e-8))

    @property
    def share(self) -> int:
        """Among how many processes the features are shared."""
        return self.sharing.size if self.sharing.by_features else 1

    def shared(self, sharing: Sharing) -> Autoencoder:
        """This autoencoder with this process's part of its features only; the same object, if they
        are not shared."""
        if not sharing.by_features:
            self.sharing = sharing
            return self
        count = self.settings.n_features
        tables = self.state_dict()
        parts = {
            name: sharing.part(table).clone() if len(table.shape) and len(table) == count else table
            for name, table in tables.items()
            if name not in ("b_dec", "w_skip")
        }
        mine = len(parts["w_enc"])
        made = type(self)(replace(self.settings, n_features=mine, k=min(self.settings.k, mine)))
        made.load_state_dict({**tables, **parts})
        made.products, made.sharing, made.wanted = self.products, sharing, self.settings
        return made

    def whole(self) -> Autoencoder:
        """The autoencoder with all processes' features; every process has to ask."""
        if not self.sharing.by_features:
            return self
        own = self.settings.n_features
        tables = {
            name: self.sharing.whole(table) if len(table.shape) and len(table) == own else table
            for name, table in self.state_dict().items()
            if name not in ("b_dec", "w_skip")
        }
        made = type(self)(self.wanted)
        made.load_state_dict({**self.state_dict(), **tables})
        made.products = self.products
        return made

    # --- parts for architectures ------------------------------------------------------------------

    def pre(self, x: Float[Tensor, "rows d_in"], bias: Tensor | None = None) -> Tensor:
        """Every feature's pre-activation, without a graph, in `products`.

        While training, one table is used again and again: it holds until the next batch.
        """
        bias = self.b_enc if bias is None else bias
        if not torch.is_grad_enabled():
            return preactivations(x, self.w_enc, bias, self.products)
        if self._room is None or not self._room.fits(x, self.products):
            self._room = Room.of(x, self.w_enc, self.products, kept=True)
        return preactivations(x, self.w_enc, bias, self.products, self._room)

    def tied(self, codes: Codes, x: Float[Tensor, "rows d_in"]) -> Float[Tensor, " active"]:
        """Chosen pre-activations with their graph to the encoder."""
        shift = self.sharing.spread(self.b_dec) if self.settings.centred else None
        return read_off(codes.values, codes, x, self.w_enc, self.b_enc, shift, self.products)

    def revived(self, pre: Tensor, x: Tensor, error: Tensor) -> Float[Tensor, ""] | None:
        """The auxiliary loss: dead features reconstruct what the living ones left.

        As many of the dead as half the input's numbers are taken in each row (Gao et al. 2024,
        appendix A.2), in every eighth row: the mean over some rows estimates the mean over all, and
        these rows have far more active features than others.
        """
        dead = self.dead.nonzero().squeeze(1)
        if not self.settings.auxiliary or not self.sharing.total(len(dead)):
            return None
        some = slice(None, None, 8)
        # A process whose own features all live takes part with nothing: backward all of them meet.
        mine = dead if len(dead) else dead.new_zeros(1)
        k = min(len(mine), max(1, self.settings.d_in // 2 // self.share))
        values, chosen = largest_of_each_row(pre[some].index_select(1, mine), k)
        codes = rows_of(values, mine[chosen], self.settings.n_features)
        codes = codes.with_values(self.tied(codes, x[some]).relu() * float(len(dead) > 0))
        near = decoded(codes, self.w_dec, self.products)
        rest = error[some].detach() - self.sharing.summed(near)
        return self.settings.auxiliary * rest.square().sum(1).mean()

    # --- scales -----------------------------------------------------------------------------------

    @torch.no_grad()
    def unscaled(
        self, scale_in: Float[Tensor, " d_in"], scale_out: Float[Tensor, " d_out"]
    ) -> Autoencoder:
        """The autoencoder for inputs and targets as the model has them.

        Training sees each site's vectors multiplied so that their mean squared length is their
        width; this puts the factors into the weights. If there is one factor for all of the output,
        the decoder's rows keep their length of one, and a value becomes the length of the vector
        that its feature adds; with several, of a crosscoder, values stay and rows take the factors.

        Args:
            scale_in, scale_out: what inputs and targets were multiplied with.
        """
        self._room = None
        made = copy.deepcopy(self)
        made.w_enc.mul_(scale_in)
        made.w_dec.div_(scale_out)
        made.b_dec.div_(scale_out)
        if made.w_skip is not None:
            made.w_skip.mul_(scale_in).div_(scale_out[:, None])
        if bool((scale_out == scale_out[0]).all()):
            factor = 1 / scale_out[0].item()
            made.w_dec.div_(factor)
            made.w_enc.mul_(factor)
            made.b_enc.mul_(factor)
            made.scale_values(factor)
        return made

    def scale_values(self, factor: float) -> None:
        """An architecture's own numbers, when values become larger by this factor."""


def rows_of(values: Float[Tensor, "rows k"], features: Tensor, n_features: int) -> Codes:
    """Codes in which each row has the same number of entries."""
    rows, k = values.shape
    offsets = torch.arange(0, rows * k + 1, k, device=values.device)
    return Codes(values.flatten(), features.flatten(), offsets, n_features)
