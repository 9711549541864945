"""sweep: one set of texts, many variants of its run, each changed in another place.

    swept = sweep(lm, text, [[Patch("5.resid_post", clean, positions=[p])] for p in range(12)])
    swept.log_probs(token)          # [variant, text, at]

A variant is a list of edits, as `record` takes them, and the result is what `record` would give for
each by itself. What a variant cannot change is not computed again: layers below its first edit,
tokens before it (in a causal model), and texts that it leaves alone are taken from the one pass
without it. All variants go up through the layers side by side, each joining where its first edit
stands, so that every weight is read once for all of them. This module plans; `front.py` runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from molehill.errors import SiteError
from molehill.language_model import LanguageModel
from molehill.model.config import ModelConfig
from molehill.model.sites import parse_site
from molehill.model.transformer import Transformer
from molehill.text.tokens import Tokens
from molehill.trace.ahead import expanded
from molehill.trace.editing import Editing, first_places
from molehill.trace.edits import Edit
from molehill.trace.front import Base, Item, run_front
from molehill.trace.places import Positions, find_sites, positions_by_text, site_axes, slots_of
from molehill.trace.record import named, record, tokens_of, values_ahead

__all__ = ["Sweep", "Swept", "sweep"]

# What stands here at one token is read by others in the same layer.
_SHARED = ("resid_pre", "attn.in", "attn.k", "attn.v", "attn.k_scale")
# Words scored at a time: rows of the unembedding's product.
_SCORED = 256


@dataclass(frozen=True, eq=False)
class Swept:
    """What a sweep found: the vectors that the unembedding reads, for every variant."""

    final: Tensor
    """[variant, text, at, d_model]; zeros where a text has fewer places than another."""
    base: Tensor
    """The same without any variant's edits [text, at, d_model]."""
    at: tuple[tuple[int, ...], ...]
    """For each text the positions looked at."""
    rows: int
    """Tokens times layers that were computed, the first pass aside."""
    rows_of_all: int
    """What running every variant in full would have been."""
    model: Transformer = field(repr=False)

    def logits(self, tokens: Sequence[int] | int) -> Tensor:
        """Scores of some words and no others [variant, text, at, token]."""
        return _scores(self.model, self.final, tokens)

    def base_logits(self, tokens: Sequence[int] | int) -> Tensor:
        """The same without edits [text, at, token]."""
        return _scores(self.model, self.base, tokens)

    def log_probs(self, tokens: Tensor | int) -> Tensor:
        """Log probabilities of the next word in nats [variant, text, at].

        Args:
            tokens: one word for all places, or one for each [text, at].
        """
        return _log_probs(self.model, self.final, tokens)

    def base_log_probs(self, tokens: Tensor | int) -> Tensor:
        """The same without edits [text, at]."""
        return _log_probs(self.model, self.base, tokens)


class Sweep:
    """The run that variants begin from, made once; `run` as often as there are variants to try.

    Arguments and errors are those of `sweep`.

    Args:
        lowest: no variant will be edited below this layer: what was below it is not kept.
    """

    def __init__(
        self,
        lm: LanguageModel | Transformer,
        tokens: Tokens | Tensor | str | Sequence[str],
        *,
        at: Positions = "last",
        base: Sequence[Edit] = (),
        lowest: int = 0,
    ) -> None:
        lm = named(lm)
        self.model, self.tokens, self.given = lm.model, tokens_of(lm, tokens), tuple(base)
        self.lengths = self.tokens.lengths.tolist()
        self.places = positions_by_text(at, self.lengths)
        self.lowest = min(max(lowest, 0), lm.config.n_layers - 1)
        self._lm = lm
        base, self._ahead = expanded(base, partial(values_ahead, lm, self.tokens), "base ")
        # Checked against all texts before anything runs.
        Editing(base, lm.config, prompt=self.tokens.mask, generates=False, ahead=self._ahead)
        self.edits = tuple(base)
        self._state = _base(lm, self.tokens, self.given, self.lowest)
        self._final = _at(self._state.final, self.places)

    def run(
        self,
        variants: Sequence[Sequence[Edit]],
        *,
        grad: bool = False,
        rows_at_once: int = 8192,
        progress: Callable[[int], object] | None = None,
    ) -> Swept:
        """What `sweep` gives for these variants."""
        config = self.model.config
        variants, ahead = self._expanded(variants)
        items = _plan(config, self.tokens, variants, self.edits, ahead)
        assert all(item.layer >= self.lowest or item.layer < 0 == self.lowest for item in items), (
            "variants begin no lower than was said"
        )
        done = _Assembly(self._final, self.places, len(variants), grad)
        with torch.set_grad_enabled(grad):
            for group in _portions(items, self.lengths, rows_at_once):
                ends = run_front(self.model, self._state, group)
                for item, final in zip(group, ends, strict=True):
                    done.put(item, final)
                if progress is not None:
                    progress(len({item.variant for item in group}))
        full = sum(self.lengths) * config.n_layers * len(variants)
        spent = sum(item.rows(config) for item in items)
        return Swept(done.whole(), self._final, self.places, spent, full, self.model)

    def _expanded(
        self, variants: Sequence[Sequence[Edit]]
    ) -> tuple[list[list[Edit]], dict[str, Tensor]]:
        """Variants of edits of one site each, and what these have to know of the whole run."""
        made: list[list[Edit]] = []
        ahead = dict(self._ahead)
        known: dict[tuple[int | str, ...], Tensor] = {}

        def read(before: Sequence[Edit], sites: Sequence[str]) -> Tensor:
            key = (*map(id, before), *sites)
            if key not in known:
                edits = [*self.given, *before]
                known[key] = values_ahead(self._lm, self.tokens, edits, sites)
            return known[key]

        for number, edits in enumerate(variants):
            parts, values = expanded(edits, read, f"{number} ")
            made.append(parts)
            ahead |= values
        return made, ahead


def sweep(
    lm: LanguageModel | Transformer,
    tokens: Tokens | Tensor | str | Sequence[str],
    variants: Sequence[Sequence[Edit]],
    *,
    at: Positions = "last",
    base: Sequence[Edit] = (),
    grad: bool = False,
    rows_at_once: int = 8192,
    progress: Callable[[int], object] | None = None,
) -> Swept:
    """Run many variants of one run.

    Args:
        lm: a language model, or a bare transformer.
        tokens: the texts that all variants begin from, as `record` takes them.
        variants: for each the edits, as `record` takes them; a text that none of them names
            (`texts=`) is left as it is.
        at: where the result is looked at; the last token of each text by default.
        base: edits that belong to every variant and to the run without them (the noise that
            corrupts a subject, say). They come before a variant's own.
        grad: keep the graph, so that values of edits can be learnt.
        rows_at_once: tokens that are computed side by side; more take more memory (about 40 kB each
            for SmolLM2).
        progress: called with a number of variants, those that were worked on since the last call.

    Raises:
        SiteError: edits or positions that do not fit the model or the texts, or edits at
            `attn.scores`, `attn.pattern` and `logits`, which a sweep does not compute: use
            `record`.
    """
    lm = named(lm)
    names = {part.site for edits in variants for edit in edits for part in edit.parts(None)}
    sites = find_sites(sorted(names), lm.config, edited=True)
    lowest = min((_layer(site, lm.config) for site in sites), default=lm.config.n_layers)
    prepared = Sweep(lm, tokens, at=at, base=base, lowest=lowest)
    return prepared.run(variants, grad=grad, rows_at_once=rows_at_once, progress=progress)


def _base(lm: LanguageModel, tokens: Tokens, edits: Sequence[Edit], lowest: int) -> Base:
    """The run without any variant's edits: what enters each layer, its keys and values, and the
    end."""
    layers = range(min(lowest, lm.config.n_layers - 1), lm.config.n_layers)
    kinds = ("resid_pre", "attn.k", "attn.v")
    sites = [f"{layer}.{kind}" for layer in layers for kind in kinds]
    last = f"{lm.config.n_layers - 1}.resid_post"
    trace = record(lm, tokens, [*sites, last, "final"], edits=edits, logits="none")
    lengths = tokens.lengths.tolist()
    slots = slots_of([range(length) for length in lengths], tokens.mask)
    rows = torch.arange(len(lengths))[:, None]

    def laid(site: str) -> Tensor:
        """Each text's own tokens from the left [text, pos, ...]."""
        value = trace[site]
        return value[rows.to(value.device), slots.clamp(min=0).to(value.device)]

    ids = tokens.ids[rows, slots.clamp(min=0)].to(lm.model.device)
    return Base(
        ids=ids,
        lengths=tuple(lengths),
        resid={
            **{layer: laid(f"{layer}.resid_pre") for layer in layers},
            lm.config.n_layers: laid(last),
        },
        keys={layer: laid(f"{layer}.attn.k").transpose(1, 2) for layer in layers},
        values={layer: laid(f"{layer}.attn.v").transpose(1, 2) for layer in layers},
        final=laid("final"),
    )


def _plan(
    config: ModelConfig,
    tokens: Tokens,
    variants: Sequence[Sequence[Edit]],
    base: Sequence[Edit],
    ahead: Mapping[str, Tensor],
) -> list[Item]:
    """One item for each variant and each text that it changes, from the lowest join upwards."""
    items = []
    lengths = tokens.lengths.tolist()
    names = dict.fromkeys(edit.site for edits in (base, *variants) for edit in edits)
    known = {name: find_sites([name], config, edited=True) for name in names}
    for number, edits in enumerate(variants):
        editing = Editing(
            [*base, *edits],
            config,
            prompt=tokens.mask,
            generates=False,
            sites=known,
            ahead=ahead,
        )
        sites = editing.sites
        _check_sites(sites)
        _check_beside(editing)
        mine = set(map(id, edits))
        own = [
            (site, edit)
            for site, listed in editing.by_site.items()
            for edit in listed
            if id(edit) in mine
        ]
        for text, length in enumerate(lengths):
            found = [
                (_layer(site, config), site, places)
                for site, edit in own
                if (places := first_places(edit, site, text, length)) is not None
            ]
            if found:
                items.append(_item(config, number, text, length, found, editing, sites))
    return sorted(items, key=lambda item: item.layer)


def _check_sites(sites: Iterable[str]) -> None:
    for site in sites:
        if "key" in site_axes(site) or site == "logits":
            raise SiteError(
                f"A sweep does not compute {site!r}: use record(..., edits=...) for it, one "
                "variant at a time."
            )


def _check_beside(editing: Editing) -> None:
    """Rows of an earlier layer may be others than those of the layer that is edited."""
    for site, edits in editing.by_site.items():
        for edit in edits:
            if edit.looks_ahead or edit.beside is None:
                continue
            if parse_site(edit.beside)[0] != parse_site(site)[0]:
                raise SiteError(
                    f"{edit}: in a sweep {edit.beside!r} must be in the layer of {site!r}: use "
                    "record(..., edits=...) for it, one variant at a time."
                )


def _layer(site: str, config: ModelConfig) -> int:
    """The layer in which a site stands: -1 for the embedding, one past the last for the end."""
    layer, rest = parse_site(site)
    if layer is not None:
        return layer
    return -1 if rest in ("embed", "pos_embed", "embed_norm_scale") else config.n_layers


def _item(
    config: ModelConfig,
    variant: int,
    text: int,
    length: int,
    found: Sequence[tuple[int, str, tuple[int, int]]],
    editing: Editing,
    sites: frozenset[str],
) -> Item:
    layer = min(entry[0] for entry in found)
    here = [(site, places) for where, site, places in found if where == layer]
    first = min(places[0] for _, _, places in found) if config.causal else 0
    # In the layer of its first edit a token may be alone in being changed.
    local = 0 <= layer < config.n_layers and not any(_is_shared(site, config) for site, _ in here)
    if local:
        narrow = min(p[0] for _, p in here), max(p[1] for _, p in here) + 1
    else:
        narrow = first, length
    return Item(variant, text, layer, first, length, narrow, editing, sites)


def _is_shared(site: str, config: ModelConfig) -> bool:
    """Whether other tokens read, in the same layer, what stands at this site."""
    _, rest = parse_site(site)
    before_attention = config.norm_place in ("pre", "sandwich")
    return rest in _SHARED or (rest == "norm1_scale" and before_attention)


def _portions(items: Sequence[Item], lengths: Sequence[int], limit: int) -> list[list[Item]]:
    """Items in order, so many at a time that their tokens fit; a text longer than that is alone."""
    portions: list[list[Item]] = []
    used = limit + 1
    for item in items:
        size = lengths[item.text] - item.first
        if used + size > limit:
            portions.append([])
            used = 0
        portions[-1].append(item)
        used += size
    return portions


class _Assembly:
    """Results put where they belong: variants that change nothing keep the base's."""

    def __init__(
        self, base: Tensor, places: Sequence[Sequence[int]], variants: int, grad: bool
    ) -> None:
        self.base, self.places, self.variants, self.grad = base, places, variants, grad
        self.filled = None if grad else base[None].repeat(variants, 1, 1, 1)
        self.found: dict[tuple[int, int], Tensor] = {}

    def put(self, item: Item, final: Tensor) -> None:
        """`final` [pos, d_model] of the item's text."""
        rows = final[list(self.places[item.text])]
        if self.filled is None:
            self.found[item.variant, item.text] = rows
        else:
            self.filled[item.variant, item.text, : len(rows)] = rows

    def whole(self) -> Tensor:
        """[variant, text, at, d_model]."""
        if self.filled is not None:
            return self.filled
        rows = []
        for variant in range(self.variants):
            for text, base in enumerate(self.base):
                own = self.found.get((variant, text))
                rows.append(base if own is None else torch.cat([own, base[len(own) :]]))
        return torch.stack(rows).unflatten(0, (self.variants, len(self.base)))


def _at(final: Tensor, places: Sequence[Sequence[int]]) -> Tensor:
    """The vectors at each text's places [text, at, d_model]; zeros where a text has fewer."""
    width = max(map(len, places), default=0)
    chosen = final.new_zeros(len(places), width, final.shape[-1])
    for text, row in enumerate(places):
        chosen[text, : len(row)] = final[text, list(row)]
    return chosen


def _scores(model: Transformer, final: Tensor, tokens: Sequence[int] | int) -> Tensor:
    wanted = torch.tensor([tokens] if isinstance(tokens, int) else list(tokens))
    rows = model.unembedding[wanted.to(final.device)]
    scores = model.to_head(final) @ rows.T
    if model.b_unembed is not None:
        scores = scores + model.b_unembed[wanted.to(final.device)]
    cap = model.config.final_softcap
    return scores if cap is None else torch.tanh(scores / cap) * cap


def _log_probs(model: Transformer, final: Tensor, tokens: Tensor | int) -> Tensor:
    places = final.shape[:-1]
    asked = torch.as_tensor(tokens, device=final.device).expand(places).reshape(-1)
    rows = final.reshape(-1, final.shape[-1])
    found = []
    for some, wanted in zip(rows.split(_SCORED), asked.split(_SCORED), strict=True):
        scores = model.unembed(some).to(torch.promote_types(final.dtype, torch.float32))
        own = scores.gather(-1, wanted[:, None])[:, 0]
        found.append(own - scores.logsumexp(-1))
    return torch.cat(found).reshape(places)
