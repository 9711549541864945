"""Editing: edits carried out as a run goes by.

An `Editing` is a watcher of one run: it is handed to the forward pass, or to a generation, and is
gone with it. Nothing is hung into the model, so nothing can stay behind, and runs side by side do
not see each other's edits. This module knows nothing of what is recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from molehill.errors import SiteError
from molehill.model.config import ModelConfig
from molehill.model.sites import all_sites
from molehill.trace.edits import Edit, Patch
from molehill.trace.places import axis_sizes, find_sites, positions_by_text, site_axes, slots_of

__all__ = ["Editing", "first_places"]

_HEADS = ("head", "kv_head")
_LATE = ("final_norm_scale", "final", "logits")  # may have been computed at last tokens only


@dataclass(frozen=True)
class _Pass:
    """The tokens of one pass."""

    positions: Tensor
    """[batch, pos], counted in each text."""
    real: Tensor
    """[batch, pos], False at padding."""
    first_text: int = 0
    """Which of the run's texts is the first row."""


@dataclass(frozen=True)
class _Chosen:
    """The tokens that an edit changes in one value, N of them."""

    rows: Tensor
    """[N], rows of this batch."""
    slots: Tensor
    """[N], places on the position axis."""
    positions: Tensor
    """[N], counted in each text."""
    picks: Tensor
    """[N], which of the edit's positions each is; its own position where the edit names none."""
    texts: Tensor
    """[N], the number of each one's text in the whole run."""
    all: bool
    """Whether these are all there are, in order."""


class Editing:
    """Carries out edits: `model(ids, watch=Editing(edits, model.config))`.

    One object serves one run: a single pass, or a prompt and all its generated tokens.

    Args:
        edits: applied at each site in this order.
        config: the model's.
        prompt: [texts, pos], True at the real tokens of the texts that the run begins with. None:
            what the first pass reads.
        first_text: which of those texts is the first row of the passes to come.
        generates: False if the run ends with its prompt; positions after it are refused then.
        sites: what `find_sites` gives for names of sites, where many runs have the same: to look
            one up takes longer than all else that is checked here.
        ahead: what edits have to know of the whole run before it, by name [text, position, width];
            see `ahead.py`, which makes it.

    Raises:
        SiteError: a site that the model does not have; heads, entries, texts or positions that do
            not exist; values whose shape or dtype does not fit. What depends on the texts is
            checked as soon as they are known.
    """

    def __init__(
        self,
        edits: Sequence[Edit],
        config: ModelConfig,
        *,
        prompt: Tensor | None = None,
        first_text: int = 0,
        generates: bool = True,
        sites: Mapping[str, Sequence[str]] | None = None,
        ahead: Mapping[str, Tensor] | None = None,
    ) -> None:
        known = sites or {}
        self._ahead = {} if ahead is None else ahead
        edits = [part for edit in edits for part in edit.parts(None)]
        self._sizes = axis_sizes(config)
        self._first_text = first_text
        self._generates = generates
        self._by_site: dict[str, list[Edit]] = {}
        # What edits of later sites need: its values by the first text of their rows.
        self._beside: dict[str, dict[int, Tensor]] = {}
        for edit in edits:
            for site in known.get(edit.site) or find_sites([edit.site], config, edited=True):
                self._check_places(edit, site)
                self._by_site.setdefault(site, []).append(edit)
                if edit.looks_ahead:
                    _check_ahead(edit, self._ahead)
                elif edit.beside is not None:
                    _check_beside(edit, site, config)
                    self._beside[edit.beside] = {}
        self._reads_keys = any("key" in site_axes(site) for site in self._by_site)
        self._passes: list[_Pass] = []
        self._prompt: Tensor | None = None
        self._lengths = torch.zeros(0, dtype=torch.int64)
        if prompt is not None:
            self._start(prompt)

    @property
    def by_site(self) -> Mapping[str, Sequence[Edit]]:
        """The edits of each site, in the order in which they are applied there."""
        return self._by_site

    @property
    def sites(self) -> frozenset[str]:
        """Every site whose value is wanted: to be changed, or for the change of a later one."""
        return frozenset((*self._by_site, *self._beside))

    # --- the watcher ------------------------------------------------------------------------------

    def begin(self, positions: Tensor, real: Tensor) -> None:
        """A pass begins over tokens at `positions` [batch, pos]; `real` is False at padding."""
        if self._prompt is None:
            self._start(real)
        assert self._prompt is not None, "a run has begun"
        rows = len(self._prompt) - self._first_text
        if positions.shape[0] > rows:
            raise SiteError(
                f"The run began with {rows} texts and goes on with {positions.shape[0]}: "
                "one Editing serves one run."
            )
        now = _Pass(positions, real, self._first_text)
        self._passes = [*self._passes, now] if self._reads_keys else [now]

    def wants(self, site: str) -> bool:
        """Whether an edit concerns this site."""
        return site in self._by_site or site in self._beside

    def __call__(self, site: str, x: Tensor) -> Tensor:
        """The value at a wanted site, changed by its edits."""
        now = self._passes[-1]
        if site in _LATE and x.shape[1] == 1 and now.positions.shape[1] != 1:
            now = _last_tokens(now)
        return self.at(site, x, now.positions, now.real)

    def at(
        self,
        site: str,
        x: Tensor,
        positions: Tensor,
        real: Tensor,
        *,
        first_text: int | None = None,
    ) -> Tensor:
        """The same for a value whose tokens are others than the pass's: `positions` and `real`
        [batch, pos] say which, and `first_text` of which texts they are."""
        first = self._first_text if first_text is None else first_text
        for edit in self._by_site.get(site, ()):
            x = self._applied(edit, site, x, _Pass(positions, real, first))
        if site in self._beside:
            self._beside[site][first] = x
        return x

    # --- one edit of one value --------------------------------------------------------------------

    def _applied(self, edit: Edit, site: str, x: Tensor, now: _Pass) -> Tensor:
        """The chosen tokens are taken out, changed and put back into a copy."""
        chosen = self._choose(edit, site, now)
        if chosen is None:
            return x
        by_query = "query" in site_axes(site)
        if by_query:
            x = x.transpose(1, 2)  # [batch, query, head, key]: positions are second everywhere
        part = x.flatten(0, 1) if chosen.all else x[chosen.rows, chosen.slots]
        keys = self._keys(x.shape[-1]) if by_query else None  # part: [N, (head,) last]
        entries = self._entries(edit, part, chosen, keys)
        if isinstance(edit, Patch):
            value = _patch_values(edit, site, part, chosen.texts, chosen, keys)
            value = value if entries is None else value[entries]
        elif edit.looks_ahead and edit.beside is not None:
            whole = self._ahead[edit.beside].to(part.device)
            value = whole[chosen.texts, chosen.positions]
        elif edit.beside is not None:
            whole = self._beside[edit.beside][now.first_text]
            value = whole.flatten(0, 1) if chosen.all else whole[chosen.rows, chosen.slots]
        else:
            value = self._value(edit, site, part, chosen, entries)
        changed = edit.change(part if entries is None else part[entries], value)
        if entries is not None:
            filled = part.clone()
            filled[entries] = changed
            changed = filled
        if chosen.all:
            out = changed.reshape(x.shape)
        else:
            out = x.index_put((chosen.rows, chosen.slots), changed)
        return out.transpose(1, 2) if by_query else out

    def _choose(self, edit: Edit, site: str, now: _Pass) -> _Chosen | None:
        """The tokens of this pass that the edit changes; None if there are none."""
        batch = now.positions.shape[0]
        device = now.positions.device
        numbers = torch.arange(batch, device=device) + now.first_text
        lengths = self._lengths.to(device)[numbers]
        mask = now.real.clone()
        if edit.texts is not None:
            mask &= torch.isin(numbers, torch.tensor(edit.texts, device=device))[:, None]
        if edit.during != "all":
            in_prompt = now.positions < lengths[:, None]
            mask &= in_prompt if edit.during == "prompt" else ~in_prompt
        picks = now.positions
        wanted = self._wanted(edit, site, lengths, numbers)
        if wanted is not None:
            match = now.positions[:, :, None] == wanted[:, None, :]
            mask &= match.any(-1)
            picks = match.int().argmax(-1)
        elif (end := _value_length(edit, site)) is not None:
            mask &= now.positions < end
        if not bool(mask.any()):
            return None
        rows, slots = mask.nonzero(as_tuple=True)
        return _Chosen(
            rows,
            slots,
            now.positions[rows, slots],
            picks[rows, slots],
            numbers[rows],
            bool(mask.all()),
        )

    def _wanted(self, edit: Edit, site: str, lengths: Tensor, numbers: Tensor) -> Tensor | None:
        """The positions that the edit names in each row [batch, J]; -1 is none. None: all."""
        if edit.positions is not None:
            listed = torch.tensor(edit.positions, device=lengths.device).expand(len(lengths), -1)
            return torch.where(listed < 0, lengths[:, None] + listed, listed)
        if not isinstance(edit, Patch):
            return None
        rows = [_source_positions(edit, site, text) for text in numbers.tolist()]
        width = max(map(len, rows), default=0)
        filled = [[*row, *[-1] * (width - len(row))] for row in rows]
        return torch.tensor(filled, dtype=torch.int64, device=lengths.device)

    def _entries(
        self, edit: Edit, part: Tensor, chosen: _Chosen, keys: _Pass | None
    ) -> tuple[Tensor | slice, ...] | None:
        """How the chosen heads and entries are indexed in part [N, (head,) last]; None: all."""
        device = part.device
        heads = None if edit.heads is None else torch.tensor(edit.heads, device=device)
        if edit.index is None:
            return None if heads is None else (slice(None), heads)
        index = torch.tensor(edit.index, device=device)
        if keys is not None:
            tokens = torch.arange(len(part), device=device)[:, None, None]
            every = torch.arange(part.shape[1], device=device) if heads is None else heads
            slots = self._key_slots(edit, chosen, keys)
            return (tokens, every[None, :, None], slots[:, None, :])
        if heads is None:
            return (slice(None),) * (part.ndim - 1) + (index,)
        return (slice(None), heads[:, None], index[None, :])

    def _keys(self, length: int) -> _Pass:
        """The tokens on a key axis of this length: those of the passes that a cache remembers."""
        positions = torch.cat([one.positions for one in self._passes], dim=1)
        real = torch.cat([one.real for one in self._passes], dim=1)
        if positions.shape[1] < length:
            raise SiteError(
                f"Attention sees {length} keys and the edits saw {positions.shape[1]} tokens go "
                "by: watch a run from its first token on."
            )
        return _Pass(positions[:, -length:], real[:, -length:])

    def _key_slots(self, edit: Edit, chosen: _Chosen, keys: _Pass) -> Tensor:
        """Where the keys that `edit.index` names stand [N, entries]."""
        assert edit.index is not None, "only asked for named keys"
        lengths = self._lengths.to(keys.positions.device)[chosen.texts]
        listed = torch.tensor(edit.index, device=keys.positions.device).expand(len(lengths), -1)
        wanted = torch.where(listed < 0, lengths[:, None] + listed, listed)
        places = torch.where(keys.real, keys.positions, -1)[chosen.rows]  # [N, key]
        match = places[:, None, :] == wanted[:, :, None]
        if not bool(match.any(-1).all()):
            raise SiteError(f"{edit}: not every chosen text has these keys.")
        return match.int().argmax(-1)

    def _value(
        self,
        edit: Edit,
        site: str,
        part: Tensor,
        chosen: _Chosen,
        entries: tuple[Tensor | slice, ...] | None,
    ) -> Tensor | float:
        """The edit's number, or its tensor laid out as [N or 1, (head,) last]."""
        value = edit.amount
        if not isinstance(value, Tensor):
            return value
        _check_dtype(edit, site, value, part)
        value = _full_rank(value, site).to(part.device)
        if "query" in site_axes(site):
            value = value.transpose(1, 2)
        shape = part.shape[1:] if entries is None else part[entries].shape[1:]
        found = value.shape[2:]
        if any(have not in (1, need) for have, need in zip(found, shape, strict=True)):
            raise SiteError(self._misfit(edit, site, tuple(shape)))
        text = torch.zeros_like(chosen.rows)
        if value.shape[0] > 1:
            text = chosen.texts
            if edit.texts is not None:
                listed = torch.tensor(edit.texts, device=text.device)
                text = (text[:, None] == listed).int().argmax(-1)
        pick = chosen.picks if value.shape[1] > 1 else torch.zeros_like(chosen.picks)
        return value[:1, 0] if value.shape[:2] == (1, 1) else value[text, pick]

    # --- checks -----------------------------------------------------------------------------------

    def _check_places(self, edit: Edit, site: str) -> None:
        """What can be told from the model alone."""
        axes = site_axes(site)
        head_axis = next((axis for axis in axes if axis in _HEADS), None)
        if edit.heads is not None:
            if head_axis is None:
                raise SiteError(f"{edit}: {site!r} has no heads, its axes are {', '.join(axes)}.")
            _check_range(edit, "heads", edit.heads, self._sizes[head_axis], site)
        if edit.index is not None and axes[-1] in self._sizes:
            _check_range(edit, "index", edit.index, self._sizes[axes[-1]], site)
        if isinstance(edit, Patch):
            self._check_source(edit, site)
        elif isinstance(edit.amount, Tensor):
            self._check_value(edit, site, edit.amount)

    def _check_value(self, edit: Edit, site: str, value: Tensor) -> None:
        wanted = self._selection(edit, site)
        found = tuple(value.shape)
        fits = len(found) <= len(wanted) and all(
            have == 1 or isinstance(need, str) or have == need
            for have, need in zip(found[::-1], wanted[::-1], strict=False)
        )
        if not fits:
            raise SiteError(self._misfit(edit, site))

    def _selection(self, edit: Edit, site: str) -> tuple[int | str, ...]:
        """The shape of what is chosen; a word stands for what only the texts can tell."""
        shape: list[int | str] = []
        for axis in site_axes(site):
            if axis == "batch":
                shape.append("texts" if edit.texts is None else len(edit.texts))
            elif axis in ("pos", "query"):
                shape.append("positions" if edit.positions is None else len(edit.positions))
            elif axis in _HEADS:
                shape.append(self._sizes[axis] if edit.heads is None else len(edit.heads))
            elif edit.index is not None:
                shape.append(len(edit.index))
            else:
                shape.append(self._sizes.get(axis, "keys"))
        return tuple(shape)

    def _misfit(self, edit: Edit, site: str, last: tuple[int, ...] | None = None) -> str:
        assert isinstance(edit.amount, Tensor), "numbers always fit"
        shape = self._selection(edit, site)
        if last is not None and "query" in site_axes(site):
            shape = (shape[0], last[0], shape[2], last[1])
        return (
            f"{edit}: at {site!r} the value has shape {tuple(edit.amount.shape)} and the selection "
            f"({', '.join(map(str, shape))})."
        )

    def _check_source(self, edit: Patch, site: str) -> None:
        if site not in edit.source.values:
            raise SiteError(f"{edit}: {site!r} is not in the trace. Record it there too.")
        axes = site_axes(site)
        found = tuple(edit.source.values[site].shape)
        wanted = [self._sizes.get(axis, axis) for axis in axes]
        if len(found) != len(axes) or any(
            isinstance(need, int) and have != need for have, need in zip(found, wanted, strict=True)
        ):
            raise SiteError(
                f"{edit}: at {site!r} the trace has shape {found} and this model "
                f"({', '.join(map(str, wanted))}): they are different models."
            )

    def _start(self, prompt: Tensor) -> None:
        """The texts are known: check what depends on them."""
        self._prompt = prompt
        self._lengths = prompt.sum(1)
        for site, edits in self._by_site.items():
            for edit in edits:
                self._check_texts(edit, site)

    def _check_texts(self, edit: Edit, site: str) -> None:
        assert self._prompt is not None, "the texts are known"
        total = len(self._prompt)
        if edit.texts is not None:
            _check_range(edit, "texts", edit.texts, total, site)
        chosen = range(total) if edit.texts is None else edit.texts
        lengths = self._lengths.tolist()
        if edit.during == "generated" and not self._generates:
            raise SiteError(f"{edit}: this run writes no tokens, it only reads its texts.")
        for text in chosen:
            self._check_positions(edit, text, lengths[text])
        if isinstance(edit, Patch):
            for text in chosen:
                _check_patch_text(edit, site, text, lengths[text])
        elif isinstance(edit.amount, Tensor):
            self._check_extent(edit, site, len(chosen))

    def _check_positions(self, edit: Edit, text: int, length: int) -> None:
        if edit.positions is None:
            return
        listed = edit.positions
        if self._generates and edit.during != "prompt":
            listed = tuple(place for place in listed if place < length)
        try:
            (counted,) = positions_by_text(listed, [length])
        except SiteError as error:
            raise SiteError(f"{edit}: {error}".replace("Text 0", f"Text {text}")) from None
        if len(set(counted)) < len(counted):
            raise SiteError(
                f"{edit}: in text {text} of {length} tokens two of these positions are the same."
            )

    def _check_extent(self, edit: Edit, site: str, texts: int) -> None:
        """Whether a tensor's text and position axes fit the texts."""
        assert self._prompt is not None and isinstance(edit.amount, Tensor), "see the caller"
        shape = _full_rank(edit.amount, site).shape
        at = 2 if "query" in site_axes(site) else 1
        longest = {int(self._lengths.max()), self._prompt.shape[1]}
        long = shape[at] == 1 or edit.positions is not None or shape[at] in longest
        if shape[0] not in (1, texts) or not long:
            raise SiteError(
                f"{self._misfit(edit, site)} There are {texts} texts of up to {max(longest)} "
                "tokens."
            )


def _check_range(edit: Edit, name: str, numbers: Sequence[int], size: int, site: str) -> None:
    if outside := [number for number in numbers if not 0 <= number < size]:
        raise SiteError(
            f"{edit}: {name} {', '.join(map(str, outside))} at {site!r}, where there are {size} "
            f"(0 to {size - 1})."
        )


def _check_beside(edit: Edit, site: str, config: ModelConfig) -> None:
    known = all_sites(config)
    if edit.beside not in known or known.index(edit.beside) >= known.index(site):
        raise SiteError(
            f"{edit}: it needs the value at {edit.beside!r}, which is no site before {site!r} in "
            "this model."
        )


def _check_ahead(edit: Edit, ahead: Mapping[str, Tensor]) -> None:
    if edit.beside not in ahead:
        raise SiteError(
            f"{edit}: it has to know what stands at several layers before it changes the first: "
            "give it to record or sweep, and in generation watch=AheadEditing(edits, lm.model)."
        )


def _check_dtype(edit: Edit, site: str, value: Tensor, x: Tensor) -> None:
    if value.dtype != x.dtype:
        raise SiteError(
            f"{edit}: the value is {value.dtype} and {site!r} is {x.dtype}: "
            f"convert it with .to({x.dtype})."
        )


def _full_rank(value: Tensor, site: str) -> Tensor:
    """A value with all of the site's axes, those in front of its own of size 1."""
    missing = len(site_axes(site)) - value.ndim
    return value.reshape((1,) * missing + tuple(value.shape))


def _value_length(edit: Edit, site: str) -> int | None:
    """How many positions a tensor for all positions has values for; None if the same for all."""
    if not isinstance(edit.amount, Tensor):
        return None
    shape = _full_rank(edit.amount, site).shape
    length = shape[2 if "query" in site_axes(site) else 1]
    return None if length == 1 else length


def _last_tokens(now: _Pass) -> _Pass:
    """Each text's last real token [batch, 1], where only that was computed."""
    last = torch.where(now.real, torch.arange(now.real.shape[1], device=now.real.device), 0).amax(1)
    rows = torch.arange(len(last), device=last.device)
    return _Pass(now.positions[rows, last][:, None], now.real[rows, last][:, None], now.first_text)


def first_places(edit: Edit, site: str, text: int, length: int) -> tuple[int, int] | None:
    """The first and the last position that an edit changes in a text of `length` tokens; None if
    it leaves the text alone. The edit was checked against the text."""
    if edit.texts is not None and text not in edit.texts:
        return None
    if edit.positions is not None:
        places = positions_by_text(edit.positions, [length])[0]
    elif isinstance(edit, Patch):
        places = _source_positions(edit, site, text)
    else:
        end = _value_length(edit, site)
        places = tuple(range(length if end is None else min(end, length)))
    return (min(places), max(places)) if places else None


# --- patches --------------------------------------------------------------------------------------


def _source_text(edit: Patch, text: int) -> int:
    """Which text of the trace the run's text `text` takes from."""
    if edit.from_text is not None:
        return edit.from_text
    return 0 if len(edit.source.tokens) == 1 else text


def _source_positions(edit: Patch, site: str, text: int) -> tuple[int, ...]:
    """Where text `text` is changed by a patch that does not say where: where the trace has values
    to give."""
    source = _source_text(edit, text)
    if not 0 <= source < len(edit.source.tokens):
        return ()  # a text that the patch does not choose; chosen ones were checked
    if edit.from_positions is not None:
        return positions_by_text(edit.from_positions, [int(edit.source.tokens.lengths[source])])[0]
    return edit.source.kept(site)[source]


def _check_patch_text(edit: Patch, site: str, text: int, length: int) -> None:
    source = _source_text(edit, text)
    texts = len(edit.source.tokens)
    if not 0 <= source < texts:
        raise SiteError(
            f"{edit}: text {text} would take from text {source} and the trace has {texts} texts: "
            "say from_text."
        )
    theirs = int(edit.source.tokens.lengths[source])
    everything = edit.positions is None and edit.from_positions is None
    whole = everything and len(edit.source.kept(site)[source]) == theirs
    keys = "key" in site_axes(site) and edit.index is None
    if (whole or keys) and theirs != length:
        raise SiteError(
            f"{edit}: text {text} has {length} tokens and the trace's text {source} has {theirs}: "
            f"say {'index (which keys)' if keys else 'positions'}."
        )
    for place in _source_positions(edit, site, text) if edit.positions is None else ():
        if place >= length:
            raise SiteError(f"{edit}: text {text} has {length} tokens and no position {place}.")
    taken = edit.from_positions
    if taken is None and edit.positions is not None:
        taken = positions_by_text(edit.positions, [length])[0]
    kept = edit.source.kept(site)[source]
    for place in positions_by_text(taken or (), [theirs])[0]:
        if place not in kept:
            raise SiteError(
                f"{edit}: position {place} of the trace's text {source} was not recorded at "
                f"{site!r}; kept are {', '.join(map(str, kept))}."
            )


def _patch_values(
    edit: Patch, site: str, part: Tensor, texts: Tensor, chosen: _Chosen, keys: _Pass | None
) -> Tensor:
    """What the trace holds for each chosen token [N, (head,) last]."""
    value = edit.source.values[site]
    _check_dtype(edit, site, value, part)
    sources = torch.tensor([_source_text(edit, text) for text in texts.tolist()])
    places = chosen.positions.cpu()
    if edit.from_positions is not None:
        listed = torch.tensor(edit.from_positions)
        picks = chosen.picks.cpu() if len(listed) > 1 else torch.zeros_like(places)
        places = listed[picks]
        places = torch.where(places < 0, edit.source.tokens.lengths.cpu()[sources] + places, places)
    entries = edit.source.entries(site)[sources, places]
    assert bool((entries >= 0).all()), "the trace has these positions, or the edit was refused"
    if keys is not None:
        value = value.transpose(1, 2)
    taken = value[sources.to(value.device), entries.to(value.device)].to(part.device)
    return taken if keys is None else _on_our_keys(edit, taken, sources, part, chosen, keys)


def _on_our_keys(
    edit: Patch, taken: Tensor, sources: Tensor, part: Tensor, chosen: _Chosen, keys: _Pass
) -> Tensor:
    """Rows of the trace's scores or pattern [N, head, their key] laid out on this run's key
    axis."""
    tokens = edit.source.tokens
    every = [list(range(length)) for length in tokens.lengths.tolist()]
    theirs = slots_of(every, tokens.mask).cpu()[sources].to(part.device)  # [N, position]
    places = keys.positions[chosen.rows].clamp(max=theirs.shape[1] - 1)  # [N, our key]
    there = keys.real[chosen.rows] & (keys.positions[chosen.rows] == places)
    columns = theirs.gather(1, places)
    there &= columns >= 0
    index = columns.clamp(min=0)[:, None, :].expand(-1, taken.shape[1], -1)
    return torch.where(there[:, None, :], taken.gather(-1, index), part)
