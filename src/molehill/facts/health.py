"""The health gate: what an edit does to the rest of a model, against limits that are stated.

    bits per byte      of held-out text: how much worse the model reads
    neighbours         prompts about other subjects whose likeliest next token is as it was
    earlier edits      facts taught before that are still said
    size               how large the change is beside the weight, before anything is applied
    new facts          whether what was to be taught is said at all

Everything is held against the model without any edit, so that many small harms add up instead of
hiding one behind the other; only what earlier edits taught is held against the model as they left
it. Single edits have brought models down (Yang et al., 2024, "The Butterfly Effect of Model
Editing"); perplexity shows it. This module makes no edits and applies none but to look.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch

from molehill.errors import FactError
from molehill.facts.before_after import Asked, Compared, compare
from molehill.facts.edits import FactEdit, Neurons, apply_edits, sizes
from molehill.facts.fact import Fact
from molehill.facts.own_text import own_text
from molehill.facts.showing import few
from molehill.language_model import LanguageModel
from molehill.text.tokens import Tokens

__all__ = ["Health", "Limits", "Measure", "Verdict", "bits_per_byte", "health", "held_out"]

Verdict = Literal["healthy", "warns", "refuses"]

_ORDER: tuple[Verdict, ...] = ("healthy", "warns", "refuses")
_OWN = "text that the model wrote itself"
_READ = (16, 64)
"""The model's own text that is read where none is given: so many texts of so many tokens."""
_SEED = 1
"""Of that text; statistics are of another one."""
_AT_ONCE = 8


@dataclass(frozen=True)
class Limits:
    """From where on an edit is warned of, and from where on it is refused."""

    size_warn: float = 1.0
    """A weight may change by so much of its own norm. In small models sound edits are large ones:
    up to its whole size in the village, a tenth of it in SmolLM2."""
    size_refuse: float = 5.0
    bits_warn: float = 0.01
    """Bits per byte may rise by so much of what they were."""
    bits_refuse: float = 0.05
    neighbours_warn: float = 0.9
    """So large a share of neighbours is to be as it was."""
    neighbours_refuse: float = 0.5
    earlier_warn: float = 0.9
    """So large a share of earlier edits' facts is to be said still."""
    earlier_refuse: float = 0.5
    new_warn: float = 1.0
    """So large a share of the new facts is to be said; there is no refusing for this."""


@dataclass(frozen=True)
class Measure:
    """One value against its limits."""

    name: str
    value: float
    """A share; of bits per byte the relative rise."""
    count: int
    """Of how many prompts, or bytes."""
    warn: float
    refuse: float | None
    told: str
    """The value in a sentence's words."""
    more_is_worse: bool = False

    @property
    def verdict(self) -> Verdict:
        """What it says of the edit; a value that is no number refuses."""
        if not math.isfinite(self.value) or (self.refuse is not None and self._beyond(self.refuse)):
            return "refuses"
        return "warns" if self._beyond(self.warn) else "healthy"

    def _beyond(self, limit: float) -> bool:
        return self.value > limit if self.more_is_worse else self.value < limit

    @property
    def sentence(self) -> str:
        """The value, and the limit that it broke or kept, in words."""
        sign = "+" if self.more_is_worse else ""
        least = "at most" if self.more_is_worse else "at least"
        if self.verdict == "refuses" and self.refuse is not None:
            past = "above" if self.more_is_worse else "below"
            return f"{self.told}; it is refused {past} {sign}{_percent(self.refuse)}."
        return f"{self.told}; {least} {sign}{_percent(self.warn)} is healthy."


@dataclass(frozen=True)
class Health:
    """What an edit does to a model."""

    size: float
    """The largest change of a weight by this edit, against that weight's own norm."""
    bits_before: float | None
    """Bits per byte of the held-out text; None for a model that reads both ways."""
    bits_after: float | None
    text_bytes: int
    text: str
    """Which text that was, in words."""
    neighbours: tuple[Compared, ...]
    earlier: tuple[Compared, ...]
    """Facts of earlier edits that were said before the new one; `wanted_before` is of then."""
    new: tuple[Compared, ...]
    """The new facts' prompts and, after each, its paraphrases."""
    new_facts: int
    """How many of `new` are prompts of facts themselves; they come first."""
    limits: Limits
    notes: tuple[str, ...]
    """What was not measured, and why."""

    def __repr__(self) -> str:
        return few(f"Health: {self.verdict}", [one.sentence for one in self.measures])

    @cached_property
    def measures(self) -> tuple[Measure, ...]:
        """Those that there is something to say of."""
        limits, found = self.limits, []
        if self.bits_before is not None and self.bits_after is not None:
            found.append(_bits(self.bits_before, self.bits_after, self.text_bytes, limits))
        kept = [one.unchanged for one in self.neighbours]
        if kept:
            found.append(
                Measure(
                    "neighbours",
                    sum(kept) / len(kept),
                    len(kept),
                    limits.neighbours_warn,
                    limits.neighbours_refuse,
                    f"{sum(kept)} of {len(kept)} neighbours go on with the same token "
                    f"({_percent(sum(kept) / len(kept))})",
                )
            )
        said = [one.said for one in self.earlier]
        if said:
            found.append(
                Measure(
                    "earlier edits",
                    sum(said) / len(said),
                    len(said),
                    limits.earlier_warn,
                    limits.earlier_refuse,
                    f"{sum(said)} of {len(said)} facts of earlier edits are still said "
                    f"({_percent(sum(said) / len(said))})",
                )
            )
        told = f"The largest change of a weight is {_percent(self.size)} of its own size"
        found.append(
            Measure("size", self.size, 1, limits.size_warn, limits.size_refuse, told, True)
        )
        return (*found, *self._taught())

    def _taught(self) -> list[Measure]:
        said = [one.said for one in self.new[: self.new_facts]]
        if not said:
            return []
        share = sum(said) / len(said)
        told = f"{sum(said)} of {len(said)} new facts are said ({_percent(share)})"
        return [Measure("new facts", share, len(said), self.limits.new_warn, None, told)]

    @property
    def verdict(self) -> Verdict:
        """The worst of all measures."""
        return max((one.verdict for one in self.measures), key=_ORDER.index, default="healthy")

    @property
    def reasons(self) -> tuple[str, ...]:
        """A sentence for every measure beyond a limit, the worst first."""
        worst = sorted(self.measures, key=lambda one: -_ORDER.index(one.verdict))
        return tuple(one.sentence for one in worst if one.verdict != "healthy")


def _bits(before: float, after: float, count: int, limits: Limits) -> Measure:
    rise = after / before - 1 if before else math.inf
    told = (
        f"Held-out text costs {after:.3f} bits per byte instead of {before:.3f} "
        f"({_percent(rise, plus=True)})"
    )
    return Measure("bits per byte", rise, count, limits.bits_warn, limits.bits_refuse, told, True)


def _percent(share: float, *, plus: bool = False) -> str:
    if not math.isfinite(share):
        return "not finite"
    value = 100 * share
    digits = 1 if abs(value) < 10 and round(abs(value), 1) % 1 else 0
    sign = "−" if round(value, digits) < 0 else "+" if plus else ""
    return f"{sign}{abs(value):.{digits}f}%"


def health(
    lm: LanguageModel,
    edit: FactEdit,
    *,
    edits: Sequence[FactEdit] = (),
    edited: LanguageModel | None = None,
    texts: Tokens | Sequence[str] | None = None,
    own: tuple[int, int] = _READ,
    text: str = "the given text",
    neighbours: Sequence[tuple[str, str]] = (),
    limits: Limits | None = None,
    force: bool = False,
) -> Health:
    """Measure an edit.

    Args:
        lm: the model without any edit.
        edit: the new one.
        edits: what was applied before it.
        edited: the model with all of them, if it is at hand.
        texts: held-out text. None: text that the model itself wrote.
        own: how many texts of its own, of how many tokens each.
        text: its name, for people.
        neighbours: prompts about other subjects, each with its true object ("" where only the
            likeliest token counts).
        limits: see `Limits`.
        force: as for `apply_edits`.

    Raises:
        FactError: no token of held-out text can be read, or a fact cannot be put to the model.
    """
    before = apply_edits(lm, edits, force=force)
    after = edited or apply_edits(lm, [*edits, edit], force=force)
    was, now, length = _reading(lm, after, texts, own)
    wanted = edit.facts[0].object if edit.facts else ""
    asked = [Asked(prompt, wanted or true, true) for prompt, true in neighbours]
    prompts = [Asked(fact.prompt, fact.object) for fact in edit.facts]
    others = [Asked(p, fact.object) for fact in edit.facts for p in fact.prompts[1:]]
    return Health(
        size=_largest(before, edit),
        bits_before=was,
        bits_after=now,
        text_bytes=length,
        text=_OWN if texts is None else text,
        neighbours=compare(lm, after, asked),
        earlier=_earlier(before, after, edit, edits),
        new=compare(lm, after, [*prompts, *others]),
        new_facts=len(prompts),
        limits=limits or Limits(),
        notes=tuple(_notes(lm, texts is None, bool(neighbours))),
    )


def _largest(before: LanguageModel, edit: FactEdit) -> float:
    """The largest change of a weight that was there before, against its norm."""
    weights = [change for change in edit.changes if not isinstance(change, Neurons)]
    found = sizes(before, [replace(edit, changes=tuple(weights))])
    return max((one.relative for one in found), default=0.0)


def _notes(lm: LanguageModel, own: bool, near: bool) -> Iterator[str]:
    if not lm.config.causal:
        yield "The model reads both ways: bits per byte were left out."
    elif own:
        yield (
            "Bits per byte are of text that the model wrote itself before any edit: no held-out "
            "text was given."
        )
    if not near:
        yield "No neighbours were given: whether other subjects changed was not measured."


def _reading(
    lm: LanguageModel,
    after: LanguageModel,
    texts: Tokens | Sequence[str] | None,
    own: tuple[int, int],
) -> tuple[float | None, float | None, int]:
    """Bits per byte before and after, and of how many bytes."""
    if not lm.config.causal:
        return None, None, 0
    held = held_out(lm, texts, own)
    (was, size), (now, _) = bits_per_byte(lm, held), bits_per_byte(after, held)
    return was, now, size


def _earlier(
    before: LanguageModel, after: LanguageModel, edit: FactEdit, edits: Sequence[FactEdit]
) -> tuple[Compared, ...]:
    """Facts taught before and said until now; what was taught anew since is not asked."""
    latest: dict[tuple[str, str], Fact] = {}
    for one in edits:
        latest |= {(fact.subject, fact.template): fact for fact in one.facts}
    for fact in edit.facts:
        latest.pop((fact.subject, fact.template), None)
    found = compare(before, after, [Asked(fact.prompt, fact.object) for fact in latest.values()])
    return tuple(one for one in found if one.wanted_before.greedy)


def held_out(
    lm: LanguageModel, texts: Tokens | Sequence[str] | None, own: tuple[int, int] = _READ
) -> Tokens:
    """Text to be read: as it is given, cut to what the model reads; or so many texts of so many
    tokens that the model itself writes."""
    if texts is None:
        rows = own_text(lm, *own, seed=_SEED)
        return Tokens.of_ids([_until_end(lm, row) for row in rows.tolist()])
    if isinstance(texts, Tokens):
        return texts
    return lm.encode(list(texts), truncate=True)


def _until_end(lm: LanguageModel, row: list[int]) -> list[int]:
    """A row up to its first end token, which comes again and again once a text has ended."""
    end = None if lm.tokenizer is None else lm.tokenizer.eos_id
    return row[: row.index(end, 1) + 1] if end in row[1:] else row


@torch.no_grad()
def bits_per_byte(lm: LanguageModel, tokens: Tokens) -> tuple[float, int]:
    """How many bits a model needs for text, and of how many bytes that is.

    The first token of every text is given, and has no cost and no bytes; the bytes are those of
    the text that the others stand for (The Pile: Gao et al., 2020, section 3.1).

    Raises:
        FactError: there is nothing to predict.
    """
    rows = [tokens.row(number) for number in range(len(tokens))]
    rows = sorted((list(row) for row in rows if len(row) > 1), key=len)
    size = sum(len(lm.decode(row[1:]).encode("utf-8", "replace")) for row in rows)
    if not size:
        raise FactError("The held-out text has no word after its first one: give more text.")
    nats = 0.0
    for start in range(0, len(rows), _AT_ONCE):
        some = Tokens.of_ids(rows[start : start + _AT_ONCE])
        ids, mask = some.ids.to(lm.model.device), some.mask.to(lm.model.device)
        final = lm.model(ids, mask=mask, logits="none").final
        assert final is not None, "the pass went to the end"
        for row, length in enumerate(mask.sum(1).tolist()):
            real = mask[row].nonzero()[:, 0]
            scores = lm.model.unembed(final[row, real[:-1]]).float().log_softmax(-1)
            assert len(scores) == length - 1, "one prediction for every token but the first"
            nats -= float(scores.gather(-1, ids[row, real[1:], None]).double().sum())
    return nats / math.log(2) / size, size
