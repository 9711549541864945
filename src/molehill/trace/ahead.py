"""Ahead: values that an edit has to know before the run is changed anywhere.

A crosscoder's features are read at several layers at once, and are written at all of them: what is
to be changed at the first layer depends on what stands at the last. Such an edit names sites in
`ahead`, and gives one part for each site that it changes. What the parts are handed is what stands
there in a run of the same tokens with the edits before it, and without it. A record and a sweep
make that run first. While text is generated, `AheadEditing` makes it for all tokens so far at every
step, from the embeddings that go by, so that a step costs as many passes more as there are such
edits. This module knows no features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from molehill.model.transformer import Transformer
from molehill.model.watch import Watch
from molehill.trace.editing import Editing
from molehill.trace.edits import Edit
from molehill.trace.places import last_layer, slots_of

__all__ = ["AheadEditing", "by_position", "expanded"]


def expanded(
    edits: Sequence[Edit],
    read: Callable[[Sequence[Edit], Sequence[str]], Tensor],
    prefix: str = "",
) -> tuple[list[Edit], dict[str, Tensor]]:
    """Edits of one site each, and the values that they have to know.

    Args:
        edits: in their order.
        read: the values at some sites, side by side, in a run with some edits [text, position,
            width], each text's positions from its first token on.
        prefix: of the values' names, where those of several lists meet.
    """
    parts: list[Edit] = []
    values: dict[str, Tensor] = {}
    for number, edit in enumerate(edits):
        name = f"{prefix}{number}"
        if edit.ahead:
            values[name] = read(edits[:number], edit.ahead)
        parts.extend(edit.parts(name if edit.ahead else None))
    return parts, values


def by_position(value: Tensor, real: Tensor) -> Tensor:
    """[batch, pos, width] as [text, position, width], each text's own tokens from its first one;
    what stands after its last one has no meaning."""
    slots = slots_of([range(int(count)) for count in real.sum(1)], real).clamp(min=0)
    rows = torch.arange(len(real), device=value.device)[:, None]
    return value[rows, slots.to(value.device)]


class AheadEditing:
    """A watcher like `Editing`, for generation with edits that look ahead:
    `model(ids, watch=AheadEditing(edits, model))`.

    Args:
        edits: applied in this order.
        model: that runs.
        prompt: [texts, pos], True at the real tokens that the run begins with. None: the first
            pass's.

    Raises:
        SiteError: as `Editing`.
    """

    def __init__(
        self, edits: Sequence[Edit], model: Transformer, *, prompt: Tensor | None = None
    ) -> None:
        self.edits, self.model, self.prompt = tuple(edits), model, prompt
        parts, _ = expanded(edits, lambda before, sites: torch.empty(0))
        names = {part.beside for part in parts if part.looks_ahead}
        self._ahead = {name: torch.empty(0) for name in names if name is not None}
        self._editing = Editing(parts, model.config, prompt=prompt, ahead=self._ahead)
        self._embeds: list[Tensor] = []
        self._passes: list[tuple[Tensor, Tensor]] = []

    def begin(self, positions: Tensor, real: Tensor) -> None:
        """A pass begins."""
        self.prompt = real if self.prompt is None else self.prompt
        self._passes.append((positions, real))
        self._editing.begin(positions, real)

    def wants(self, site: str) -> bool:
        """Whether an edit concerns this site, or values ahead are made here."""
        return (site == "embed" and bool(self._ahead)) or self._editing.wants(site)

    def __call__(self, site: str, x: Tensor) -> Tensor:
        """The value at a wanted site, changed by its edits."""
        if site == "embed" and self._ahead:
            self._embeds.append(x)
            _, found = expanded(self.edits, self._read)
            self._ahead.update(found)
        return self._editing(site, x) if self._editing.wants(site) else x

    def _read(self, before: Sequence[Edit], sites: Sequence[str]) -> Tensor:
        """Values at some sites with the edits before, for all tokens so far."""
        assert self.prompt is not None, "a pass has begun"
        positions = torch.cat([places for places, _ in self._passes], dim=1)
        real = torch.cat([real for _, real in self._passes], dim=1)
        inner = AheadEditing(before, self.model, prompt=self.prompt)
        reader = _Reader(torch.cat(self._embeds, dim=1), inner, sites)
        ids = torch.zeros_like(positions)
        stop = last_layer(list(sites), self.model.config)
        with torch.no_grad():
            self.model(ids, mask=real, positions=positions, watch=reader, logits="none", last=stop)
        return by_position(torch.cat([reader.found[site] for site in sites], dim=-1), real)


class _Reader:
    """Puts embeddings in, lets edits change values, and keeps some."""

    def __init__(self, embeds: Tensor, editing: Watch, sites: Sequence[str]) -> None:
        self.embeds, self.editing, self.sites = embeds, editing, frozenset(sites)
        self.found: dict[str, Tensor] = {}

    def begin(self, positions: Tensor, real: Tensor) -> None:
        self.editing.begin(positions, real)

    def wants(self, site: str) -> bool:
        return site == "embed" or site in self.sites or self.editing.wants(site)

    def __call__(self, site: str, x: Tensor) -> Tensor:
        x = self.embeds if site == "embed" else x
        x = self.editing(site, x) if self.editing.wants(site) else x
        if site in self.sites:
            self.found[site] = x
        return x
