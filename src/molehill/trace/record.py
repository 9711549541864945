"""record: a run becomes a Trace.

The forward pass hands over each value as it goes by; what was asked for is kept, as it is wherever
that is possible, and the rest is let go. This module knows how to keep; `editing.py` knows how to
change.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from molehill.errors import SiteError, TextError
from molehill.language_model import LanguageModel
from molehill.model.transformer import Transformer
from molehill.text.tokens import Tokens
from molehill.trace.ahead import by_position, expanded
from molehill.trace.editing import Editing
from molehill.trace.edits import Edit
from molehill.trace.places import (
    Positions,
    find_sites,
    last_layer,
    positions_by_text,
    site_axes,
    slots_of,
)
from molehill.trace.trace import LogitsKept, Provenance, Trace

__all__ = ["fingerprint_of", "named", "record", "tokens_of", "values_ahead"]


def record(
    lm: LanguageModel | Transformer,
    tokens: Tokens | Tensor | str | Sequence[str],
    sites: Sequence[str] | str = (),
    *,
    positions: Positions = None,
    edits: Sequence[Edit] = (),
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    grad: bool = False,
    logits: LogitsKept = "last",
    batch_size: int | None = None,
    certificate: Mapping[str, Any] | None = None,
) -> Trace:
    """Run a model on texts and keep the values at some of its sites.

        trace = record(lm, ["The mole dug.", "The spy was a mole."], ["resid_post"])
        trace["3.resid_post"]        # [batch, pos, d_model]

    Only what is needed is done: layers above the last site asked for do not run if `logits` is
    "none", attention is taken apart only where its scores or pattern are asked for, and words are
    scored only where `logits` says. Values of all positions in the model's own dtype are the
    model's own tensors, without a copy.

    Args:
        lm: a language model, or a bare transformer.
        tokens: encoded texts; texts, if the model has a tokenizer; or ids [batch, pos].
        sites: names, aliases or patterns; see `molehill.model.sites` for what there is.
        positions: which tokens to keep: None for all, "last", numbers counted in each text
            (negative from its end), one list per text, or a word's occurrences.
        edits: changes on the way, in this order.
        dtype, device: what to keep values in, if not the model's own.
        grad: keep the graph, so that `trace.gradients(number)` can be asked.
        logits: score the next word at the positions kept ("all"), at each text's last token, or
            nowhere; kept as the site "logits".
        batch_size: texts at a time; None: all at once.
        certificate: the model's, to be kept with the values. None: the one that `molehill check`
            kept on this machine is looked for when the trace is saved.

    Raises:
        SiteError: sites, positions or edits that the model or the texts do not have.
        TextError: texts for a model without a tokenizer, or none.
    """
    lm = named(lm)
    model, tokens = lm.model, tokens_of(lm, tokens)
    wanted = _wanted_sites(sites, model, logits)
    if grad and batch_size is not None:
        raise SiteError("Gradients need the whole batch in one pass: leave batch_size away.")
    lengths = tokens.lengths.tolist()
    kept = None if positions is None else positions_by_text(positions, lengths)
    parts, ahead = expanded(edits, partial(values_ahead, lm, tokens, batch_size=batch_size))
    # Edits are checked against all texts before anything runs.
    Editing(parts, model.config, prompt=tokens.mask, generates=False, ahead=ahead)
    size = len(tokens) if batch_size is None else max(1, batch_size)
    recorders = []
    for first in range(0, len(tokens), size):
        editing = Editing(
            parts,
            model.config,
            prompt=tokens.mask,
            first_text=first,
            generates=False,
            ahead=ahead,
        )
        texts = range(first, min(first + size, len(tokens)))
        rows = None if kept is None else [kept[text] for text in texts]
        recorder = _Recorder(wanted, editing, rows, logits, dtype, device, grad)
        recorder.run(model, *_rows_of(tokens, texts))
        recorders.append(recorder)
    values = recorders[0].values
    if len(recorders) > 1:
        values = _joined([one.values for one in recorders], tokens, logits, kept is not None)
    return Trace(
        tokens=tokens,
        values={site: values[site] for site in wanted},
        config=model.config,
        provenance=Provenance(
            model=lm.name,
            fingerprint_of=fingerprint_of(lm),
            dtype=str(model.dtype).removeprefix("torch."),
            edits=tuple(map(str, edits)),
            certificate=certificate,
        ),
        positions=kept,
        logits_at=logits if "logits" in wanted else "none",
        live=recorders[0].live,
        take=recorders[0].taken if grad else None,
    )


def values_ahead(
    lm: LanguageModel,
    tokens: Tokens,
    edits: Sequence[Edit],
    sites: Sequence[str],
    *,
    batch_size: int | None = None,
) -> Tensor:
    """What edits that look ahead have to know: the values at some sites, side by side, in a run
    with the edits before them [text, position, width]."""
    trace = record(lm, tokens, sites, edits=edits, logits="none", batch_size=batch_size)
    values = torch.cat([trace[site] for site in sites], dim=-1)
    return by_position(values, tokens.mask)


def _wanted_sites(sites: Sequence[str] | str, model: Transformer, logits: LogitsKept) -> list[str]:
    wanted = [site for site in find_sites(sites, model.config) if site != "logits"]
    if logits == "none" and "logits" in ([sites] if isinstance(sites, str) else sites):
        raise SiteError("The site 'logits' is asked for and logits is 'none': say 'all' or 'last'.")
    return [*wanted, "logits"] if logits != "none" and model.config.has_head else wanted


def named(lm: LanguageModel | Transformer) -> LanguageModel:
    """A bare transformer as a language model without a tokenizer; a language model as it is."""
    return LanguageModel(lm, None, "a transformer") if isinstance(lm, Transformer) else lm


def tokens_of(lm: LanguageModel, given: Tokens | Tensor | str | Sequence[str]) -> Tokens:
    """Tokens from whatever a caller has: tokens, ids [batch, pos], a text or texts.

    Raises:
        TextError: no texts, or a model without a tokenizer, which reads ids only.
        SiteError: ids of another shape.
    """
    if isinstance(given, Tensor):
        if given.ndim != 2:
            raise SiteError(f"ids have shape {tuple(given.shape)}, expected (batch, pos).")
        given = Tokens(given.long(), torch.ones(given.shape, dtype=torch.bool))
    elif not isinstance(given, Tokens):
        given = lm.encode([given] if isinstance(given, str) else list(given))
    if not len(given) or not bool(given.mask.any(1).all()):
        raise TextError("There are no tokens to read: every text needs at least one.")
    return given


def fingerprint_of(lm: LanguageModel) -> Callable[[], str]:
    """A function that computes the sha256 of the model's weights, later, if somebody asks.

    If the weights have been changed in place by then it says so instead of naming others than the
    values came from.
    """
    before = _versions(lm.model)

    def compute() -> str:
        if _versions(lm.model) != before:
            return "unknown: the weights were changed in place after the values were recorded"
        return lm.fingerprint

    return compute


def _versions(model: Transformer) -> tuple[tuple[int, int], ...]:
    """Torch counts the changes of each tensor: equal counts, equal weights."""
    return tuple((weight.data_ptr(), weight._version) for weight in model.parameters())


class _Recorder:
    """The watcher of one pass: lets edits change a value, and keeps it if it was asked for."""

    def __init__(
        self,
        sites: Sequence[str],
        editing: Editing,
        rows: Sequence[tuple[int, ...]] | None,
        logits: LogitsKept,
        dtype: torch.dtype | None,
        device: torch.device | str | None,
        grad: bool,
    ) -> None:
        self.sites = frozenset(sites)
        self.editing = editing
        self.rows = rows
        self.logits = logits
        self.dtype, self.device, self.grad = dtype, device, grad
        self.values: dict[str, Tensor] = {}
        self.live: dict[str, Tensor] = {}
        self._slots: Tensor | None = None

    def run(self, model: Transformer, ids: Tensor, mask: Tensor) -> None:
        """One pass over these tokens [batch, pos], no further than the sites need."""
        ids, mask = ids.to(model.device), mask.to(model.device)
        if self.rows is not None:
            self._slots = slots_of(self.rows, mask)
        with contextlib.nullcontext() if self.grad else torch.no_grad():
            stop = last_layer(list(self.sites), model.config)
            # The final norm is cheap everywhere; words are scored below, where they are asked for.
            out = model(ids, mask=mask, watch=self, logits="none", last=stop)
            if "logits" in self.sites:
                assert out.final is not None, "logits need the whole model"
                self._score(model, out.final, mask)

    def _score(self, model: Transformer, final: Tensor, real: Tensor) -> None:
        slots = self._slots
        if self.logits == "last":
            slots = slots_of([[-1]] * len(real), real)
        positions = (real.long().cumsum(1) - 1).clamp(min=0)
        if slots is not None:
            rows = torch.arange(len(real), device=real.device)[:, None]
            there, at = slots >= 0, slots.clamp(min=0)
            final, positions, real = final[rows, at], positions[rows, at], real[rows, at] & there
        scores = self.editing.at("logits", model.unembed(final), positions, real)
        self._keep("logits", scores)

    # --- the watcher ------------------------------------------------------------------------------

    def begin(self, positions: Tensor, real: Tensor) -> None:
        self.editing.begin(positions, real)

    def wants(self, site: str) -> bool:
        return site in self.sites or self.editing.wants(site)

    def __call__(self, site: str, x: Tensor) -> Tensor:
        if self.editing.wants(site):
            x = self.editing(site, x)
        return self._keep(site, x) if site in self.sites else x

    def _keep(self, site: str, x: Tensor) -> Tensor:
        if self.grad:
            # Weights may be frozen: then the graph begins at the first value that is kept.
            x = x if x.requires_grad else x.detach().requires_grad_()
            self.live[site] = x
        self.values[site] = self.taken(site, x)
        return x

    def taken(self, site: str, x: Tensor) -> Tensor:
        """The part of a value that is kept, in the dtype and on the device asked for."""
        if self._slots is not None and site != "logits":
            x = _at_slots(site, x, self._slots)
        elif not self.grad and x.untyped_storage().nbytes() > x.numel() * x.element_size():
            x = x.clone()  # a view would keep all of what it is a part of
        return x.to(dtype=self.dtype, device=self.device)


def _at_slots(site: str, x: Tensor, slots: Tensor) -> Tensor:
    """A value at slots [batch, n] of its position axis; zeros where a slot is -1."""
    by_query = "query" in site_axes(site)
    if by_query:
        x = x.transpose(1, 2)
    rows = torch.arange(len(slots), device=slots.device)[:, None]
    there = (slots >= 0).reshape(*slots.shape, *[1] * (x.ndim - 2))
    part = torch.where(there, x[rows, slots.clamp(min=0)], x.new_zeros(()))
    return part.transpose(1, 2) if by_query else part


def _rows_of(tokens: Tokens, texts: range) -> tuple[Tensor, Tensor]:
    """The ids and mask of some texts, without the columns in which all of them have padding at the
    end."""
    ids, mask = tokens.ids[texts.start : texts.stop], tokens.mask[texts.start : texts.stop]
    if len(texts) == len(tokens):
        return ids, mask
    width = int(mask.any(0).nonzero().max()) + 1
    return ids[:, :width], mask[:, :width]


def _joined(
    parts: Sequence[Mapping[str, Tensor]], tokens: Tokens, logits: LogitsKept, some: bool
) -> dict[str, Tensor]:
    """The values of several batches as one; zeros where a batch was narrower than the widest.

    `some`: whether only some positions were kept.
    """
    joined = {}
    for site in parts[0]:
        pieces = [part[site] for part in parts]
        fewer = some or (site == "logits" and logits == "last")
        whole_axes = ("key",) if fewer else ("pos", "query", "key")
        sizes = [
            tokens.ids.shape[1] if axis in whole_axes else max(piece.shape[at] for piece in pieces)
            for at, axis in enumerate(site_axes(site))
        ]
        whole = pieces[0].new_zeros([len(tokens), *sizes[1:]])
        first = 0
        for piece in pieces:
            place = (slice(first, first + len(piece)), *(slice(size) for size in piece.shape[1:]))
            whole[place] = piece
            first += len(piece)
        joined[site] = whole
    return joined
