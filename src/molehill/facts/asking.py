"""How a fact is put to a model: a prompt, the tokens of an answer, and how likely it is.

A model that reads from left to right is asked for what comes next; one that fills gaps (BERT) gets
as many mask tokens as the answer has, and a full stop. An answer of several tokens is scored as a
whole, each token after the ones before it. This module knows no facts as such and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from molehill.errors import FactError
from molehill.language_model import LanguageModel
from molehill.text.tokens import Tokens

__all__ = ["Answer", "Question", "has_unknown", "put", "score_answers", "unknown_token"]

_AT_ONCE = 4096
"""Tokens of one pass."""
_SCORED = 256


@dataclass(frozen=True, eq=False)
class Question:
    """A prompt with one answer, as the model reads it."""

    prompt: str
    tokens: Tokens
    """The prompt alone."""
    ids: tuple[int, ...]
    """What the model reads: the prompt and the answer up to its last token."""
    at: tuple[int, ...]
    """The positions at which the answer's tokens are predicted."""
    answer: tuple[int, ...]


@dataclass(frozen=True)
class Answer:
    """How a model takes an answer."""

    nll: float
    """Mean negative log probability per token, in nats."""
    probability: float
    """Of the whole answer."""
    rank: int
    """Of its first token among all, from 0."""
    accuracy: float
    """The share of its tokens that are the likeliest where they stand."""

    @property
    def greedy(self) -> bool:
        """Whether the model, taking the likeliest token each time, gives this answer."""
        return self.accuracy == 1.0


def put(lm: LanguageModel, prompt: str, answer: str) -> Question:
    """A prompt and an answer as tokens.

    Raises:
        FactError: no answer, or a model that predicts no words.
        TextError: the text is longer than the model reads.
    """
    if not lm.config.has_head:
        raise FactError(f"{lm.name} predicts no words, so it cannot be asked for a fact.")
    if not answer.strip():
        raise FactError(f"The answer to {prompt!r} is empty: give a word.")
    wanted = _answer_ids(lm, prompt, answer)
    if lm.config.causal:
        tokens = lm.encode([prompt])
        own = tokens.row(0)
        end = len(own)
        at = tuple(range(end - 1, end - 1 + len(wanted)))
        return Question(prompt, tokens, (*own, *wanted[:-1]), at, wanted)
    return _gaps(lm, prompt, wanted)


def unknown_token(lm: LanguageModel) -> int | None:
    """The token that a model reads for any word that it does not know; None where it has none."""
    return None if lm.tokenizer is None else lm.tokenizer.unk_id


def has_unknown(lm: LanguageModel, tokens: Tokens, text: int = 0) -> bool:
    """Whether a text has a word that the model does not know.

    Many vocabularies read such a word as the token that also begins or ends a text; where it stands
    as that, it is no word.
    """
    unknown, special = unknown_token(lm), tokens.special[text]
    return any(
        token == unknown and not special[place] for place, token in enumerate(tokens.row(text))
    )


def _gaps(lm: LanguageModel, prompt: str, wanted: tuple[int, ...]) -> Question:
    """The answer's tokens as gaps to be filled."""
    mask = None if lm.tokenizer is None else lm.tokenizer.mask_id
    if mask is None or lm.tokenizer is None:
        raise FactError(f"{lm.name} has no mask token, so there is no gap for it to fill.")
    gap = lm.tokenizer.piece(mask)
    tokens = lm.encode([f"{prompt} {' '.join([gap] * len(wanted))}."])
    ids = tuple(tokens.row(0))
    at = tuple(place for place, token in enumerate(ids) if token == mask)
    return Question(prompt, tokens, ids, at, wanted)


def _answer_ids(lm: LanguageModel, prompt: str, answer: str) -> tuple[int, ...]:
    """The tokens with which the text goes on from the prompt."""
    tokenizer = lm.tokenizer
    if tokenizer is None:
        raise FactError(f"{lm.name} came without a tokenizer: facts cannot be asked in words.")
    spaced = answer if answer[:1].isspace() or prompt[-1:].isspace() else f" {answer}"
    before, whole, alone = tokenizer.ids([prompt, prompt + spaced, spaced], add_special=False)
    found = tuple(whole[len(before) :] if whole[: len(before)] == before else alone)
    if not found or tokenizer.unk_id in found:
        raise FactError(f"{lm.name} has no tokens for the answer {answer!r}: it does not know it.")
    return found


@torch.no_grad()
def score_answers(
    lm: LanguageModel,
    asked: Sequence[tuple[str, str]],
    *,
    progress: Callable[[int], object] | None = None,
) -> list[Answer]:
    """How likely each answer is after its prompt, many at a time.

    Args:
        asked: pairs of prompt and answer.
        progress: called with the number of pairs scored since the last call.

    Raises:
        FactError: see `put`.
    """
    questions = [put(lm, prompt, answer) for prompt, answer in asked]
    order = sorted(range(len(questions)), key=lambda number: len(questions[number].ids))
    found: dict[int, Answer] = {}
    while order:
        size = max(1, _AT_ONCE // len(questions[order[min(len(order), 64) - 1]].ids))
        some, order = order[:size], order[size:]
        answers = _score(lm, [questions[number] for number in some])
        found |= dict(zip(some, answers, strict=True))
        if progress is not None:
            progress(len(some))
    return [found[number] for number in range(len(questions))]


def _score(lm: LanguageModel, questions: Sequence[Question]) -> list[Answer]:
    """One pass over questions of about one length."""
    tokens = Tokens.of_ids([list(question.ids) for question in questions])
    model = lm.model
    final = model(
        tokens.ids.to(model.device), mask=tokens.mask.to(model.device), logits="none"
    ).final
    assert final is not None, "the pass went to the end"
    places = [(row, at) for row, question in enumerate(questions) for at in question.at]
    rows, at = (torch.tensor(part, device=final.device) for part in zip(*places, strict=True))
    wanted = torch.tensor([token for q in questions for token in q.answer], device=final.device)
    logs, ranks = _log_probs(lm, final[rows, at], wanted)
    answers, start = [], 0
    for question in questions:
        end = start + len(question.answer)
        own, places_of = logs[start:end], ranks[start:end]
        answers.append(
            Answer(
                nll=float(-own.mean()),
                probability=float(own.sum().exp()),
                rank=int(places_of[0]),
                accuracy=float((places_of == 0).double().mean()),
            )
        )
        start = end
    return answers


def _log_probs(lm: LanguageModel, final: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Log probability and rank of each wanted word, in parts: scores are wide."""
    logs, ranks = [], []
    for some, words in zip(final.split(_SCORED), wanted.split(_SCORED), strict=True):
        scores = lm.model.unembed(some).float()
        own = scores.gather(-1, words[:, None])
        logs.append((own[:, 0] - scores.logsumexp(-1)).double())
        ranks.append((scores > own).sum(-1))
    return torch.cat(logs), torch.cat(ranks)
