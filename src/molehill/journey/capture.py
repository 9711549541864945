"""One pass over several texts that keeps just what the ledgers of their words need.

For a word carried by one token (or by several, whose mean it is) that is: the values at the word
itself at most sites, the word's own row of each attention pattern, and the value vectors of all
tokens. Everything else is let go as the pass moves on, so a long text in a deep model fits in
memory. A pattern's row is worked out here, from the word's query and all keys: to look at the
model's own would make it lay out the scores of every token with every other. It knows nothing of
what the values mean.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from molehill.errors import SiteError
from molehill.model.config import ModelConfig
from molehill.model.sites import all_sites, parse_site
from molehill.model.transformer import Transformer
from molehill.model.watch import Watch

__all__ = ["Captured", "capture", "visible"]

_AT_WORD = {
    "embed",
    "pos_embed",
    "embed_norm_scale",
    "resid_pre",
    "norm1_scale",
    "attn.pattern",
    "attn_out_scale",
    "resid_mid",
    "norm2_scale",
    "mlp.act",
    "mlp_out_scale",
    "resid_post",
    "final_norm_scale",
    "final",
}
_EVERYWHERE = {"attn.v", "attn.k"}
_BY_PAIR = {"attn.scores", "attn.pattern"}
_LEDGER = _AT_WORD | {"attn.v"}


@dataclass(frozen=True)
class Captured:
    """What one word's ledgers stand on.

    Attributes:
        values: by site. At the word: [carrier, ...], a pattern's as [carrier, head, source].
        Everywhere: [source, ...].
        positions: the slots of the tokens that carry the word.
        length: tokens in its text.
    """

    values: Mapping[str, Tensor]
    positions: tuple[int, ...]
    length: int
    dtype: torch.dtype

    @property
    def carriers(self) -> int:
        """How many tokens carry the word."""
        return len(self.positions)

    def at(self, site: str) -> Tensor:
        """The word's own vector at `site`, the mean over its carriers [d_model]."""
        return self.values[site].mean(0)


class _Keeper:
    """A watch that keeps what `capture` asks for; texts and words run side by side."""

    def __init__(
        self,
        config: ModelConfig,
        sites: Sequence[str],
        words: Sequence[tuple[int, tuple[int, ...]]],
        lengths: Sequence[int],
        dtype: torch.dtype,
        inner: Watch | None,
    ) -> None:
        self.config = config
        # Where an edit reaches into a pattern, it is the model's own that counts.
        by_pair = {site for site in sites if parse_site(site)[1] in _BY_PAIR}
        looked_at = {
            site for site in by_pair if inner is not None and any(map(inner.wants, _pair(site)))
        }
        self.made = by_pair - looked_at
        self.sites = frozenset(sites) - self.made
        self.layers = {parse_site(site)[0] for site in self.made}
        self.queries: list[Tensor] = []
        self.words = words
        self.lengths = lengths
        self.dtype = dtype
        self.inner = inner
        self.kept: list[dict[str, Tensor]] = [{} for _ in words]

    def begin(self, positions: Tensor, real: Tensor) -> None:
        if self.inner is not None:
            self.inner.begin(positions, real)

    def wants(self, site: str) -> bool:
        if site in self.sites or self._makes_of(site):
            return True
        return self.inner is not None and self.inner.wants(site)

    def _makes_of(self, site: str) -> bool:
        layer, name = parse_site(site)
        return name in ("attn.q", "attn.k") and layer in self.layers

    def __call__(self, site: str, x: Tensor) -> Tensor:
        if self.inner is not None and self.inner.wants(site):
            x = self.inner(site, x)
        if site in self.sites:
            name = parse_site(site)[1]
            for kept, (text, positions) in zip(self.kept, self.words, strict=True):
                kept[site] = self._pick(name, x[text], positions, self.lengths[text])
        if self._makes_of(site):
            self._make_rows(site, x)
        return x

    def _make_rows(self, site: str, x: Tensor) -> None:
        """Hold the words' queries; when the keys come, make the rows of the layer's pattern."""
        layer, name = parse_site(site)
        assert layer is not None, "queries and keys are in layers"
        if name == "attn.q":
            self.queries = [
                x[text, list(places)].detach().to(self.dtype) for text, places in self.words
            ]
            return
        for kept, queries, (text, places) in zip(self.kept, self.queries, self.words, strict=True):
            keys = x[text, : self.lengths[text]].detach().to(self.dtype)
            scores = _scores(self.config, queries, keys)
            if f"{layer}.attn.scores" in self.made:
                kept[f"{layer}.attn.scores"] = scores
            if f"{layer}.attn.pattern" in self.made:
                seen = visible(self.config, layer, places, len(keys), scores.device)
                scores = scores.masked_fill(~seen[:, None], -torch.inf)
                kept[f"{layer}.attn.pattern"] = scores.softmax(-1)

    def _pick(self, name: str, value: Tensor, positions: tuple[int, ...], length: int) -> Tensor:
        """One text's value, cut to the word or to the text and taken out of the pass's memory."""
        if name in _EVERYWHERE:
            picked = value[:length]
        elif name in _BY_PAIR:
            picked = value[:, list(positions), :length].transpose(0, 1)
        else:
            picked = value[list(positions)]
        return picked.detach().to(self.dtype, copy=True)


def _pair(site: str) -> tuple[str, str]:
    """The scores and the pattern of the layer that a site is in."""
    layer, _ = parse_site(site)
    return f"{layer}.attn.scores", f"{layer}.attn.pattern"


def _scores(config: ModelConfig, queries: Tensor, keys: Tensor) -> Tensor:
    """The scores of some queries [query, head, d_head] with all keys [source, kv_head, d_head]:
    [query, head, source], scaled and capped."""
    by_group = queries.unflatten(1, (config.kv_heads, -1))  # heads that share keys, together
    scores = torch.einsum("qghd,sgd->qghs", by_group, keys).flatten(1, 2) * config.score_scale
    cap = config.attn_softcap
    return scores if cap is None else torch.tanh(scores / cap) * cap


def visible(
    config: ModelConfig, layer: int, places: Sequence[int], length: int, device: torch.device
) -> Tensor:
    """Which tokens of its text each query sees [query, source]."""
    query = torch.tensor(places, device=device)[:, None]
    source = torch.arange(length, device=device)
    seen = (source <= query) if config.causal else torch.ones_like(source <= query)
    window = config.window_of(layer)
    return seen if window is None else seen & (query - source < window)


@torch.no_grad()
def capture(
    model: Transformer,
    ids: Tensor,
    mask: Tensor | None,
    words: Sequence[tuple[int, tuple[int, ...]]],
    *,
    only: Collection[str] | None = None,
    also: Collection[str] = (),
    layers: int | None = None,
    edits: Watch | None = None,
) -> list[Captured]:
    """Run `ids` [batch, pos] once and keep what the ledgers of `words` need.

    Args:
        mask: [batch, pos], False at padding; padding stands at the end.
        words: (text, positions of the tokens that carry the word), one per word.
        only: names without the layer (`resid_post`, ...) to keep instead of all that a ledger
        needs.
        also: names to keep besides.
        layers: run the first so many layers only.
        edits: a watch that changes values on the way.

    Returns:
        One record per word, in float64 where the model is, else in float32.

    Raises:
        SiteError: a word outside its text.
    """
    lengths = [ids.shape[1]] * len(ids) if mask is None else mask.sum(1).tolist()
    for text, positions in words:
        if not positions or not all(0 <= position < lengths[text] for position in positions):
            raise SiteError(f"Text {text} has {lengths[text]} tokens and no positions {positions}.")
    names = {*(_LEDGER if only is None else only), *also}
    sites = [site for site in all_sites(model.config) if parse_site(site)[1] in names]
    dtype = torch.float64 if model.dtype == torch.float64 else torch.float32
    keeper = _Keeper(model.config, sites, words, lengths, dtype, edits)
    # The head is run by whoever wants logits, from `final`: here the whole text passes the final
    # norm only.
    model(ids, mask=mask, watch=keeper, logits="none", last=layers)
    return [
        Captured(kept, tuple(positions), lengths[text], dtype)
        for kept, (text, positions) in zip(keeper.kept, words, strict=True)
    ]
