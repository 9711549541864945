"""Splicing: what a model's predictions lose when a site's vectors become what features say of them.

    losses = spliced_losses(lm, features, texts)
    losses.original, losses.spliced, losses.zero         # nats per predicted token
    losses.recovered                                     # 1: as good as the model, 0: as zeros

Four runs over the same windows: as it is, with the reconstruction in the vectors' place, with zeros
and with the vectors' mean. The reconstruction is made from what the first run had at the sites that
are read, so that crosscoders are spliced at all their sites at once. First and special tokens that
training left out are left alone here too, and a prediction counts where its token's vector was
exchanged. Sums are by token, in float64. This module writes no files.

The recovered share is `(H* - H_spliced) / (H* - H)` (Bricken et al. 2023, "Towards
Monosemanticity"; `ce_loss_score` of Karvonen et al. 2025, SAEBench), H* being that of zeros.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from molehill.errors import ConfigError, TextError
from molehill.features.trained import Features
from molehill.language_model import LanguageModel
from molehill.model.transformer import Transformer
from molehill.text.tokens import Tokens
from molehill.trace.windows import WindowStream

__all__ = ["LeftOut", "SplicedLosses", "left_out_of", "spliced_losses", "spliced_losses_of_each"]

_SCORED = 512
"""Tokens that are scored against the whole vocabulary at a time."""


@dataclass(frozen=True)
class LeftOut:
    """Which tokens are left alone."""

    first: int
    """So many at each window's beginning."""
    special: bool
    """The tokenizer's special ones."""

    def __str__(self) -> str:
        parts = [f"the first {self.first} of each window"] if self.first else []
        parts += ["special tokens"] if self.special else []
        return " and ".join(parts) or "none"


@dataclass(frozen=True)
class SplicedLosses:
    """Cross-entropies and divergences in nats, means over the tokens that were exchanged."""

    original: float
    """The model's own cross-entropy there."""
    spliced: float
    """With the reconstruction."""
    zero: float
    """With zeros."""
    mean: float
    """With the vectors' mean over these tokens."""
    kl_spliced: float
    """KL(original || spliced) of the next word's distributions."""
    kl_zero: float
    kl_mean: float
    tokens: int
    """Predictions that count; a window's last token has none."""
    exchanged: int
    """Vectors that were exchanged."""
    left_out: LeftOut

    @property
    def recovered(self) -> float:
        """The share of the loss between zeros and the model that the reconstruction recovers."""
        return _share(self.zero, self.spliced, self.original)

    @property
    def recovered_from_mean(self) -> float:
        """The same, between the mean and the model: what only says more than a constant counts."""
        return _share(self.mean, self.spliced, self.original)

    @property
    def kl_recovered(self) -> float:
        """1 - KL(original || spliced) / KL(original || zeros)."""
        return _share(self.kl_zero, self.kl_spliced, 0.0)

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        told = {name: value for name, value in vars(self).items() if name != "left_out"}
        shares = ("recovered", "recovered_from_mean", "kl_recovered")
        left_out = {"first": self.left_out.first, "special": self.left_out.special}
        return told | {name: getattr(self, name) for name in shares} | {"left_out": left_out}


def _share(worst: float, found: float, best: float) -> float:
    return (worst - found) / (worst - best) if worst != best else math.nan


def left_out_of(features: Features) -> LeftOut:
    """What training left out, by the features' provenance; what is usual where that says nothing:
    each window's first token, and special ones."""
    data = features.provenance.get("data")
    if not isinstance(data, Mapping):
        return LeftOut(1, True)
    return LeftOut(int(data.get("skip_first", 0)), bool(data.get("skip_special", True)))


@torch.no_grad()
def spliced_losses(
    lm: LanguageModel,
    features: Features,
    texts: Iterable[str] | Tokens,
    *,
    context: int | None = None,
    left_out: LeftOut | None = None,
    batch_size: int = 8,
    most_tokens: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> SplicedLosses:
    """What predictions lose with the features in the vectors' place.

    Args:
        texts: held-out texts, cut into windows; or tokens that are read as they are.
        context: tokens of a window; None: the model's context, at most 512.
        left_out: tokens that are left alone; None: those that training left out.
        batch_size: windows at a time.
        most_tokens: stop after the window that reaches so many tokens.
        progress: called with each batch's tokens.

    Raises:
        ConfigError: features of another model, or a model without a head.
        TextError: no tokenizer, or texts without a token whose vector could be exchanged.
    """
    (found,) = spliced_losses_of_each(
        lm,
        [features],
        texts,
        context=context,
        left_out=left_out,
        batch_size=batch_size,
        most_tokens=most_tokens,
        progress=progress,
    )
    return found


@torch.no_grad()
def spliced_losses_of_each(
    lm: LanguageModel,
    several: Sequence[Features],
    texts: Iterable[str] | Tokens,
    *,
    context: int | None = None,
    left_out: LeftOut | None = None,
    batch_size: int = 8,
    most_tokens: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> list[SplicedLosses]:
    """The same for each of several features at the same sites: the model as it is, zeros and the
    mean are run once for all of them.

    Raises:
        ConfigError: none, features of different sites or with different tokens left out, features
            of another model, or a model without a head.
        TextError: as `spliced_losses`.
    """
    left_out = _agreed(several, left_out)
    for features in several:
        features.check(lm)
    if not lm.config.has_head or not lm.config.causal:
        raise ConfigError(f"{lm.name} predicts no next word: there is no loss to compare.")
    batches = list(_batches(lm, texts, context, left_out, batch_size, most_tokens))
    means, exchanged = _means(lm.model, several[0], batches)
    if not exchanged:
        raise TextError(f"The texts hold no token to exchange: left out are {left_out}.")
    # Losses of all runs, divergences of all but the first, and the number of predictions.
    runs = 3 + len(several)
    sums = torch.zeros(2 * runs, dtype=torch.float64)
    for batch in batches:
        sums += _sums(lm.model, several, batch, means)
        if progress is not None:
            progress(int(batch.mask.sum()))
    tokens = int(sums[-1])
    if not tokens:
        raise TextError("The texts hold no prediction: give texts of two tokens and more.")
    original, zero, mean, *spliced = (sums[:runs] / tokens).tolist()
    kl_zero, kl_mean, *kl_spliced = (sums[runs:-1] / tokens).tolist()
    return [
        SplicedLosses(original, loss, zero, mean, kl, kl_zero, kl_mean, tokens, exchanged, left_out)
        for loss, kl in zip(spliced, kl_spliced, strict=True)
    ]


def _agreed(several: Sequence[Features], left_out: LeftOut | None) -> LeftOut:
    """What all of them leave out.

    Raises:
        ConfigError: where they differ, or there are none.
    """
    if not several:
        raise ConfigError("There are no features to put in: give one file or more.")
    sites = {(one.reads, one.writes) for one in several}
    if len(sites) > 1:
        told = "; ".join(sorted(" and ".join(dict.fromkeys((*r, *w))) for r, w in sites))
        raise ConfigError(f"Features of different sites ({told}) need runs of their own.")
    found = {left_out_of(one) for one in several} if left_out is None else {left_out}
    if len(found) > 1:
        raise ConfigError(
            f"They were trained without different tokens ({'; '.join(sorted(map(str, found)))}): "
            "say what to leave out."
        )
    return found.pop()


@dataclass(frozen=True, eq=False)
class _Batch:
    """Windows side by side [batch, pos]."""

    ids: Int[Tensor, "batch pos"]
    mask: Bool[Tensor, "batch pos"]
    chosen: Bool[Tensor, "batch pos"]
    """Whose vectors are exchanged."""

    @property
    def counted(self) -> Bool[Tensor, "batch pos"]:
        """Exchanged tokens after which another one stands."""
        after = torch.zeros_like(self.mask)
        after[:, :-1] = self.mask[:, 1:]
        return self.chosen & after


def _batches(
    lm: LanguageModel,
    texts: Iterable[str] | Tokens,
    context: int | None,
    left_out: LeftOut,
    size: int,
    most: int | None,
) -> Iterator[_Batch]:
    special: Sequence[int] = ()
    if left_out.special and lm.tokenizer is not None:
        special = sorted(lm.tokenizer.special_ids)
    every = _rows(lm, texts, context, most)
    while rows := list(islice(every, size)):
        tokens = Tokens.of_ids(rows)
        chosen = tokens.mask.clone()
        chosen[:, : left_out.first] = False
        chosen &= ~torch.isin(tokens.ids, torch.tensor(special, dtype=torch.int64))
        device = lm.model.device
        yield _Batch(tokens.ids.to(device), tokens.mask.to(device), chosen.to(device))


def _rows(
    lm: LanguageModel, texts: Iterable[str] | Tokens, context: int | None, most: int | None
) -> Iterator[Sequence[int]]:
    """The windows' ids."""
    if isinstance(texts, Tokens):
        windows: Iterable[Sequence[int]] = (texts.row(text) for text in range(len(texts)))
    elif lm.tokenizer is None:
        raise TextError(f"{lm.name} has no tokenizer: give tokens instead of texts.")
    else:
        context = min(lm.config.n_ctx, 512) if context is None else context
        windows = (window.ids for window in WindowStream(lm.tokenizer, texts, context))
    seen = 0
    for row in windows:
        yield row
        seen += len(row)
        if most is not None and seen >= most:
            return


class _Exchange:
    """A watcher that keeps values, and puts others in the place of chosen tokens'."""

    def __init__(
        self, chosen: Tensor, kept: Sequence[str] = (), put: Mapping[str, Tensor] | None = None
    ) -> None:
        self.chosen, self.sites, self.put = chosen, frozenset(kept), put or {}
        self.kept: dict[str, Tensor] = {}

    def begin(self, positions: Tensor, real: Tensor) -> None:
        """Nothing."""

    def wants(self, site: str) -> bool:
        """Whether the value is kept or exchanged."""
        return site in self.sites or site in self.put

    def __call__(self, site: str, x: Tensor) -> Tensor:
        """x [batch, pos, width], or [batch, pos, heads, d_head]."""
        if site in self.put:
            changed = torch.where(self.chosen[..., None], self.put[site].to(x.dtype), x.flatten(2))
            return changed.view_as(x)
        self.kept[site] = x[self.chosen].flatten(1)
        return x


def _means(
    model: Transformer, features: Features, batches: Sequence[_Batch]
) -> tuple[dict[str, Tensor], int]:
    """The mean of every written site's vectors over the chosen tokens, and how many these are."""
    sums: dict[str, Tensor] = {}
    count = 0
    for batch in batches:
        watch = _Exchange(batch.chosen, features.writes)
        model(batch.ids, mask=batch.mask, watch=watch, logits="none")
        count += int(batch.chosen.sum())
        for site, rows in watch.kept.items():
            sums[site] = sums.get(site, 0.0) + rows.double().sum(0)
    return {site: total / max(count, 1) for site, total in sums.items()}, count


def _sums(
    model: Transformer, several: Sequence[Features], batch: _Batch, means: Mapping[str, Tensor]
) -> Float64[Tensor, " sums"]:
    """Cross-entropies of all runs, divergences of all but the first, and predictions."""
    sites = tuple(dict.fromkeys((*several[0].reads, *several[0].writes)))
    watch = _Exchange(batch.chosen, sites)
    finals = [_final(model, batch, watch)]
    rebuilt = (_rebuilt(features, batch, watch.kept) for features in several)
    for put in (_nothing(means), means, *rebuilt):
        finals.append(_final(model, batch, _Exchange(batch.chosen, put=put)))
    targets = batch.ids.roll(-1, dims=1)[batch.counted]
    sums = torch.zeros(2 * len(finals), dtype=torch.float64)
    pieces = zip(*(each.split(_SCORED) for each in (targets, *finals)), strict=True)
    for wanted, *rows in pieces:
        sums += _scored(model, rows, wanted)
    return sums


def _final(model: Transformer, batch: _Batch, watch: _Exchange) -> Float[Tensor, "n d_model"]:
    """What the unembedding reads at the tokens whose predictions count."""
    final = model(batch.ids, mask=batch.mask, watch=watch, logits="none").final
    return final[batch.counted]


def _rebuilt(
    features: Features, batch: _Batch, kept: Mapping[str, Tensor]
) -> dict[str, Float[Tensor, "batch pos width"]]:
    """The reconstruction where it is wanted, by site; zeros elsewhere."""
    autoencoder = features.autoencoder.to(batch.ids.device)
    read = torch.cat([kept[site] for site in features.reads], dim=1)
    rows = autoencoder(read)
    parts = rows.split([kept[site].shape[-1] for site in features.writes], dim=1)
    put = {}
    for site, part in zip(features.writes, parts, strict=True):
        whole = part.new_zeros(*batch.ids.shape, part.shape[1])
        whole[batch.chosen] = part
        put[site] = whole
    return put


def _nothing(means: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {site: torch.zeros_like(value) for site, value in means.items()}


def _scored(
    model: Transformer, rows: Sequence[Tensor], wanted: Int[Tensor, " n"]
) -> Float64[Tensor, " sums"]:
    """The same for some tokens."""
    logs = [model.unembed(each).double().log_softmax(-1) for each in rows]
    losses = [-one.gather(1, wanted[:, None]).sum() for one in logs]
    original = logs[0]
    kept = original.exp()
    divergences = [(kept * (original - other)).sum() for other in logs[1:]]
    count = original.new_tensor(len(wanted))
    return torch.stack([*losses, *divergences, count]).cpu()
