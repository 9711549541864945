"""The front of a sweep: parts of many runs go up through the layers in one row.

Each item is one variant of one text. It joins at the layer of its first edit with the tokens that
the edit can change, taken from the base run, and from there on all items are rows of the same
products. Only attention knows that they are apart: every item's queries see their own keys and, of
the tokens that cannot have changed, the base's. This module knows nothing of what is varied or
why; edits are carried out by `editing.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from molehill.model.config import ModelConfig
from molehill.model.scene import Scene, rotary_angles
from molehill.model.transformer import Transformer
from molehill.trace.editing import Editing

__all__ = ["Base", "Item", "run_front"]


@dataclass(frozen=True, eq=False)
class Base:
    """The run that all items begin from; texts lie from the left, without padding before them."""

    ids: Tensor
    """[text, pos]"""
    lengths: tuple[int, ...]
    resid: Mapping[int, Tensor]
    """What enters each layer, and after the last one what leaves it [text, pos, d_model]."""
    keys: Mapping[int, Tensor]
    """[text, kv_head, pos, d_head]"""
    values: Mapping[int, Tensor]
    final: Tensor
    """What the unembedding reads [text, pos, d_model]."""


@dataclass(frozen=True, eq=False)
class Item:
    """One variant of one text: where it joins, and with which tokens."""

    variant: int
    text: int
    layer: int
    """Of the first edit: -1 in the embedding, n_layers after the last block."""
    first: int
    """The first token that is changed anywhere."""
    length: int
    narrow: tuple[int, int]
    """The tokens that are changed in the layer of the first edit: first, and one past the last."""
    editing: Editing
    sites: frozenset[str]

    def span(self, layer: int) -> tuple[int, int]:
        """The tokens computed in `layer`: first, and one past the last."""
        return self.narrow if layer == self.layer else (self.first, self.length)

    def rows(self, config: ModelConfig) -> int:
        """Tokens times layers that the item takes."""
        spans = [self.span(layer) for layer in range(max(self.layer, 0), config.n_layers)]
        return sum(end - first for first, end in spans)


@dataclass(frozen=True, eq=False)
class _Group:
    """Items with as many rows each, which share one attention."""

    size: int
    """Rows of one item."""
    items: tuple[Item, ...]
    firsts: tuple[int, ...]
    """The position of each item's first row."""
    start: int
    """The group's first row."""


@dataclass(eq=False)
class _Front:
    """The rows of one layer: who they are, who sees whom, and who is edited where."""

    model: Transformer
    base: Base
    layer: int
    sites: frozenset[str]
    """Where any of them is edited."""
    groups: list[_Group] = field(default_factory=list)

    def attend(self, window: int | None, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `Attend`: group by group, own keys in their place among the base's."""
        keys, values = self.base.keys[self.layer], self.base.values[self.layer]
        config = self.model.config
        mixed = [
            _mix(
                config,
                group,
                _own(q, group),
                _among(_own(k, group), keys, group, config.causal),
                _among(_own(v, group), values, group, config.causal),
                window,
            )
            for group in self.groups
        ]
        rows = torch.cat([part.transpose(1, 2).flatten(0, 1) for part in mixed])
        return rows[None].transpose(1, 2)

    # --- the watcher --------------------------------------------------------------------------

    def begin(self, positions: Tensor, real: Tensor) -> None:
        """Nothing: the items' own edits are told of their tokens one by one."""

    def wants(self, site: str) -> bool:
        """Whether any item is edited here."""
        return site in self.sites

    def __call__(self, site: str, x: Tensor) -> Tensor:
        """x [1, row, ...] with each item's rows changed by its own edits."""
        pieces = []
        done = 0  # rows that are in `pieces`
        for group in self.groups:
            for start, first, items in _side_by_side(group):
                if site in items[0].sites:
                    end = start + len(items) * group.size
                    own = x[0, start:end].unflatten(0, (len(items), group.size))
                    edited = _edited(items[0], site, own, first).flatten(0, 1)[None]
                    pieces += [x[:, done:start], edited]
                    done = end
        return torch.cat([*pieces, x[:, done:]], dim=1)


def _side_by_side(group: _Group) -> Iterator[tuple[int, int, list[Item]]]:
    """A group's items in runs that one variant's edits serve, the same variant of texts that follow
    one another: each run's first row, the position of its items' first rows, and the items."""
    run: list[Item] = []
    row, first = group.start, -1
    for item, place in zip(group.items, group.firsts, strict=True):
        last = run[-1] if run else None
        if last and (item.variant, item.text, place) != (last.variant, last.text + 1, first):
            yield row, first, run
            row, run = row + len(run) * group.size, []
        run.append(item)
        first = place
    if run:
        yield row, first, run


def run_front(model: Transformer, base: Base, items: Sequence[Item]) -> list[Tensor]:
    """Run items to the end; for each what the unembedding would read [pos, d_model]."""
    config = model.config
    turns = _turns(model, max(base.lengths))
    start = min(item.layer for item in items)
    x: dict[int, Tensor] = {}  # by item: its rows [row, d_model]
    for layer in range(max(start, 0), config.n_layers):
        for number, item in enumerate(items):
            if item.layer == layer or (item.layer < 0 and layer == 0):
                x[number] = _joins(model, base, item)
            elif item.layer == layer - 1 and item.layer >= 0:
                x[number] = _widened(x[number], base, item, layer)
        x = _through(model, base, layer, items, x, turns)
    return [_end(model, base, item, x.get(number)) for number, item in enumerate(items)]


def _joins(model: Transformer, base: Base, item: Item) -> Tensor:
    """The rows with which an item begins [row, d_model]."""
    if item.layer >= 0:
        first, end = item.narrow
        return base.resid[item.layer][item.text, first:end]
    positions = torch.arange(item.first, item.length, device=base.ids.device)[None]
    ids = base.ids[item.text, item.first : item.length][None]
    watch = _Single(item, item.first)
    return model.embed(ids, positions, watch)[0]


def _widened(rows: Tensor, base: Base, item: Item, layer: int) -> Tensor:
    """After its first layer an item goes on with all tokens that may be changed from here on."""
    first, end = item.narrow
    if (first, end) == (item.first, item.length):
        return rows
    whole = base.resid[layer][item.text]
    return torch.cat([whole[item.first : first], rows, whole[end : item.length]])


def _through(
    model: Transformer,
    base: Base,
    layer: int,
    items: Sequence[Item],
    x: dict[int, Tensor],
    turns: Mapping[float, tuple[Tensor, Tensor]],
) -> dict[int, Tensor]:
    """All items that have joined go through one block."""
    alike: dict[tuple, list[int]] = {}
    for number in x:
        first, end = items[number].span(layer)
        alike.setdefault(_alike(model.config, items[number], first, end), []).append(number)
    sites = frozenset().union(*{items[number].sites for number in x})
    front = _Front(model, base, layer, sites)
    order, positions, start = [], [], 0
    for numbers in alike.values():
        own = tuple(items[number] for number in numbers)
        firsts = tuple(item.span(layer)[0] for item in own)
        first, end = own[0].span(layer)
        front.groups.append(_Group(end - first, own, firsts, start))
        order += numbers
        positions += [torch.arange(first, first + front.groups[-1].size) for first in firsts]
        start += front.groups[-1].size * len(numbers)
    at = torch.cat(positions).to(base.ids.device)
    scene = Scene(
        masks={},
        turns={theta: (cos[:, at], sin[:, at]) for theta, (cos, sin) in turns.items()},
        triangle=False,
        cache=None,
        slots=None,
        watch=front,
        linear=model.products,
        attend=front.attend,
    )
    rows = model.blocks[layer](torch.cat([x[number] for number in order])[None], scene)[0]
    sizes = [len(x[number]) for number in order]
    return dict(zip(order, rows.split(sizes), strict=True))


def _alike(config: ModelConfig, item: Item, first: int, end: int) -> tuple:
    """What items have in common that share one attention: how many rows, and, since the tokens
    before them are laid out to the longest, about how many of those."""
    if config.causal:
        return end - first, first.bit_length()
    return end - first, first, item.length


def _end(model: Transformer, base: Base, item: Item, rows: Tensor | None) -> Tensor:
    """The last norm; tokens that were not computed are the base's."""
    last = model.config.n_layers
    if item.layer == last:  # only the end is edited: its norm and what it gives
        stream = base.resid[last][item.text, : item.length]
        first, end = 0, item.length
    else:
        assert rows is not None, "an item that joined has rows"
        stream = rows
        first, end = item.narrow if item.layer == last - 1 else (item.first, item.length)
    watch = _Single(item, first)
    final = stream[None]
    if model.final_norm is not None:
        final = model.final_norm(final, watch, "final_norm_scale")
    if watch.wants("final"):
        final = watch("final", final)
    own = base.final[item.text, : item.length]
    return torch.cat([own[:first], final[0], own[end:]])


@dataclass(frozen=True, eq=False)
class _Single:
    """The watcher of one item alone."""

    item: Item
    first: int

    def begin(self, positions: Tensor, real: Tensor) -> None:
        """Nothing."""

    def wants(self, site: str) -> bool:
        """Whether the item is edited here."""
        return site in self.item.sites

    def __call__(self, site: str, x: Tensor) -> Tensor:
        """x [1, row, ...] edited."""
        return _edited(self.item, site, x, self.first)


def _edited(item: Item, site: str, x: Tensor, first: int) -> Tensor:
    """Rows x [text, row, ...] of an item, and of the same variant's next texts, edited; each text's
    first row stands at position `first`."""
    positions = torch.arange(first, first + x.shape[1], device=x.device).expand(x.shape[:2])
    real = torch.ones_like(positions, dtype=torch.bool)
    return item.editing.at(site, x, positions, real, first_text=item.text)


# --- attention --------------------------------------------------------------------------------


def _turns(model: Transformer, length: int) -> dict[float, tuple[Tensor, Tensor]]:
    """By rotary base what `turn` needs for every position [1, pos, 1, rotary_dims]."""
    config = model.config
    if config.positions != "rotary":
        return {}
    positions = torch.arange(length, device=model.device)[None]
    found = {}
    for theta in {config.theta_of(layer) for layer in range(config.n_layers)}:
        cos, sin = rotary_angles(config, positions, theta, model.dtype)
        found[theta] = cos.transpose(1, 2), sin.transpose(1, 2)
    return found


def _own(x: Tensor, group: _Group) -> Tensor:
    """A group's rows of x [1, head, row, d_head] as [item, head, row, d_head]."""
    rows = x[0, :, group.start : group.start + group.size * len(group.items)]
    return rows.unflatten(1, (len(group.items), group.size)).transpose(0, 1)


def _mix(
    config: ModelConfig, group: _Group, q: Tensor, k: Tensor, v: Tensor, window: int | None
) -> Tensor:
    """The weighted values of a group [item, head, row, d_head]."""
    mask = _mask(config, group, k.shape[2], window, q.device)
    grouped = config.kv_heads != config.n_heads
    if config.attn_softcap is None:
        return F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, scale=config.score_scale, enable_gqa=grouped
        )
    if grouped:
        share = config.n_heads // config.kv_heads
        k, v = k.repeat_interleave(share, dim=1), v.repeat_interleave(share, dim=1)
    scores = q @ k.transpose(-1, -2) * config.score_scale
    scores = torch.tanh(scores / config.attn_softcap) * config.attn_softcap
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1) @ v


def _among(own: Tensor, base: Tensor, group: _Group, causal: bool) -> Tensor:
    """Own keys or values [item, kv_head, row, d_head] after the base's [text, kv_head, pos, d_head]
    of the tokens before them; in a bidirectional model, before those of the tokens after them."""
    before = max(group.firsts)
    after = before + group.size
    end = after if causal else group.items[0].length
    if before == 0 and after == end:
        return own
    texts = [item.text for item in group.items]
    if len(set(texts)) == 1:
        rest = base[texts[0]].expand(len(texts), -1, -1, -1)
    else:
        rest = base[torch.tensor(texts, device=base.device)]
    return torch.cat([rest[:, :, :before], own, rest[:, :, after:end]], dim=2)


def _mask(
    config: ModelConfig, group: _Group, keys: int, window: int | None, device: torch.device
) -> Tensor | None:
    """True where a query may see a key [item or 1, 1, row, key]; None where all may."""
    uneven = len(set(group.firsts)) > 1
    if window is None and (not config.causal or (group.size == 1 and not uneven)):
        return None
    firsts = group.firsts if uneven else group.firsts[:1]
    first = torch.tensor(firsts, device=device)[:, None, None]
    before = max(group.firsts)
    query = first + torch.arange(group.size, device=device)[None, :, None]
    slot = torch.arange(keys, device=device)[None, None, :]
    # The tokens before an item stand from the left, its own after the longest of these.
    is_before = slot < before
    key = torch.where(is_before, slot, slot - before + first)
    allowed = ~is_before | (slot < first)
    if config.causal:
        allowed = allowed & (key <= query)
    if window is not None:
        allowed = allowed & (query - key < window)
    return allowed[:, None]
