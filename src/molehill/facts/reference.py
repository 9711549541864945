"""Texts against which a new neuron is held: what an MLP reads at all their tokens, batch by batch.

A row of a new neuron must tell one subject from everything else that a model may read. Here texts
become rows of tokens, each knows where a subject is complete in it (from there on it is the
subject's own text, before it is another's), and the vectors that a layer's MLP reads go by in
batches, as often as they are asked for. They are kept while there is room and computed again where
there is none. This module fits nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from molehill.errors import FactError
from molehill.facts.fact import Fact, subject_tokens
from molehill.language_model import LanguageModel
from molehill.text.tokens import Tokens
from molehill.trace import record
from molehill.trace.windows import WindowStream

__all__ = ["Batch", "Line", "Reference", "Subjects", "beginnings", "lines_of"]

_TOKENS_AT_ONCE = 4096
_KEPT = 2**26
"""Numbers that are kept: a quarter of a gigabyte."""
_LONGEST = 512


@dataclass(frozen=True, eq=False)
class Line:
    """A text, or a window of a long one, as the model reads it."""

    text: int
    """The text's number."""
    ids: tuple[int, ...]
    held_out: bool = False
    """Whether nothing is fitted on it."""
    made_up: bool = False
    """Whether it was made for this purpose and is not of the reference."""
    own: Mapping[int, int] = field(default_factory=dict)
    """For each fact whose subject stands in it, the position at which the subject is complete."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Some lines and what the MLP reads at their tokens."""

    lines: tuple[Line, ...]
    vectors: Tensor
    """[token, d_model]"""
    line: Tensor
    """Which of the lines each token is in [token]."""
    position: Tensor
    """Where in the line [token]."""

    def others(self, facts: int) -> Tensor:
        """Where a token is another's and not the subject's own [token, fact]."""
        mask = torch.ones(len(self.vectors), facts, dtype=torch.bool)
        for number, line in enumerate(self.lines):
            for fact, end in line.own.items():
                mask[(self.line == number) & (self.position >= end), fact] = False
        return mask


class Subjects:
    """Finds facts' subjects among token ids, however they stand in a text.

    Raises:
        FactError: a subject for which the model has no tokens.
    """

    def __init__(self, lm: LanguageModel, facts: Sequence[Fact]) -> None:
        self._by_last: dict[int, list[tuple[int, tuple[int, ...]]]] = {}
        self._room = lm.config.n_ctx
        self._spaced = [_ids(lm, f" {fact.subject}") for fact in facts]
        for number, fact in enumerate(facts):
            for ids in _spellings(lm, fact):
                self._by_last.setdefault(ids[-1], []).append((number, ids))

    def anywhere(self, fact: int, lines: Sequence[Line], most: int) -> list[tuple[int, ...]]:
        """A subject in other places, the ids up to it: where these texts have it, and put after the
        beginnings of those that do not, evenly from all over."""
        held = [line.ids[: line.own[fact] + 1] for line in lines if fact in line.own]
        free = [line for line in lines if fact not in line.own]
        own = self._spaced[fact]
        room = self._room - len(own)
        put = [(*begun[:room], *own) for begun in beginnings(free, most, fact)]
        return [*dict.fromkeys(held[:most]), *put]

    def ends(self, ids: Sequence[int]) -> dict[int, int]:
        """Where each subject that is there is first complete: fact -> position."""
        found: dict[int, int] = {}
        for position, token in enumerate(ids):
            for fact, wanted in self._by_last.get(token, ()):
                first = position + 1 - len(wanted)
                if first >= 0 and tuple(ids[first : position + 1]) == wanted:
                    found.setdefault(fact, position)
        return found


def beginnings(lines: Sequence[Line], most: int, turn: int = 0) -> list[tuple[int, ...]]:
    """How texts begin, evenly from all over, cut after different numbers of tokens.

    Args:
        turn: other cuts for another number, the same in every process.
    """
    long = [line.ids for line in lines if len(line.ids) > 1]
    chosen = long[turn % max(1, len(long) // max(1, most)) :: max(1, len(long) // max(1, most))]
    return [
        ids[: 1 + (7919 * number + 31 * turn) % (len(ids) - 1)]
        for number, ids in enumerate(chosen[:most])
    ]


def _ids(lm: LanguageModel, text: str) -> tuple[int, ...]:
    if lm.tokenizer is None:
        raise FactError(f"{lm.name} came without a tokenizer: facts cannot be asked in words.")
    return tuple(lm.tokenizer.ids([text], add_special=False)[0])


def _spellings(lm: LanguageModel, fact: Fact) -> set[tuple[int, ...]]:
    """The subject's tokens at a text's start, after a space, and in the prompts."""
    found = {_ids(lm, fact.subject), _ids(lm, f" {fact.subject}")}
    for template in (fact.template, *fact.paraphrases):
        tokens = lm.encode([fact.ask(template)])
        first, end = subject_tokens(tokens, fact.place(template))
        found.add(tuple(tokens.row(0)[first:end]))
    unknown = None if lm.tokenizer is None else lm.tokenizer.unk_id
    if any(not ids or unknown in ids for ids in found):
        raise FactError(f"{lm.name} has no tokens for the subject {fact.subject!r}.")
    return found


def lines_of(
    lm: LanguageModel,
    texts: Iterable[str | Tokens] | Tokens,
    subjects: Subjects,
    *,
    held_out_of: int = 0,
) -> list[Line]:
    """Texts, or tokens, as lines; long texts in windows.

    Args:
        held_out_of: one text in so many is held out; 0: none.

    Raises:
        FactError: texts for a model without a tokenizer.
    """
    found = []
    for number, ids in _windows(lm, texts):
        out = held_out_of > 0 and number % held_out_of == held_out_of - 1
        found.append(Line(number, ids, out, own=subjects.ends(ids)))
    return found


def _windows(
    lm: LanguageModel, texts: Iterable[str | Tokens] | Tokens
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Numbers of texts with the ids of their windows."""
    given = [texts] if isinstance(texts, Tokens) else texts
    context = min(lm.config.n_ctx, _LONGEST)
    number, words = 0, list[str]()
    for one in given:
        if isinstance(one, str):
            words.append(one)
            continue
        for row in range(len(one)):
            ids = one.row(row)
            for at in range(0, len(ids), context):
                yield number, tuple(ids[at : at + context])
            number += 1
    if not words:
        return
    if lm.tokenizer is None:
        raise FactError(f"{lm.name} came without a tokenizer: give tokens and not texts.")
    for window in WindowStream(lm.tokenizer, words, context):
        yield number + window.text, window.ids


class Reference:
    """Lines, and the vectors that one layer's MLP reads at their tokens.

    Args:
        kept: how many numbers are kept from one time to the next.
    """

    def __init__(
        self, lm: LanguageModel, layer: int, lines: Sequence[Line], *, kept: int = _KEPT
    ) -> None:
        self.lm, self.layer = lm, layer
        self.lines = sorted(lines, key=lambda line: len(line.ids))
        self._room = kept
        self._parts = list(_parts(self.lines))
        self._seen: dict[int, Batch] = {}

    def batches(self) -> Iterator[Batch]:
        """All lines, those of about one length together."""
        for number, lines in enumerate(self._parts):
            batch = self._seen.get(number)
            if batch is None:
                batch = self._read(lines)
                if batch.vectors.numel() <= self._room:
                    self._room -= batch.vectors.numel()
                    self._seen[number] = batch
            yield batch

    def _read(self, lines: Sequence[Line]) -> Batch:
        tokens = Tokens.of_ids([line.ids for line in lines])
        site = f"{self.layer}.mlp.in"
        values = record(self.lm, tokens, [site], logits="none")[site]
        vectors = values[tokens.mask.to(values.device)].float().cpu()
        line, position = tokens.mask.nonzero(as_tuple=True)
        return Batch(tuple(lines), vectors, line, position)


def _parts(lines: Sequence[Line]) -> Iterator[list[Line]]:
    part: list[Line] = []
    for line in lines:
        if part and len(line.ids) * (len(part) + 1) > _TOKENS_AT_ONCE:
            yield part
            part = []
        part.append(line)
    if part:
        yield part
