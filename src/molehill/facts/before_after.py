"""The same prompts asked of a model before and after an edit: what it said, what it is to say.

Beside the object that is wanted stands what the model said before: a true object that was given, or
its likeliest next token. This module judges nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from molehill.facts.asking import Answer, put, score_answers
from molehill.language_model import LanguageModel
from molehill.text.tokens import Tokens

__all__ = ["Asked", "Compared", "compare"]

_AT_ONCE = 64


@dataclass(frozen=True)
class Asked:
    """One prompt, and two things that may follow it."""

    prompt: str
    wanted: str
    """The object that an edit is to teach, or that it is not to bring here."""
    true: str = ""
    """The object that the model is to have without the edit; empty takes its likeliest token."""


@dataclass(frozen=True)
class Compared:
    """What an edit did to one prompt."""

    asked: Asked
    wanted_before: Answer
    wanted_after: Answer
    was: str
    """What was said before: the true object, or else the likeliest token."""
    was_before: float
    """Its probability."""
    was_after: float
    first_before: str
    """The likeliest next token."""
    first_after: str
    unchanged: bool
    """Whether that is the same token."""

    @property
    def said(self) -> bool:
        """Whether the edited model, taking the likeliest token each time, says what is wanted."""
        return self.wanted_after.greedy


def compare(
    before: LanguageModel, after: LanguageModel, asked: Sequence[Asked]
) -> tuple[Compared, ...]:
    """Ask two models of one vocabulary the same.

    Raises:
        FactError: see `put`.
    """
    if not asked:
        return ()
    models = (before, after)
    likely = [_likeliest(lm, asked) for lm in models]
    wanted = [score_answers(lm, [(one.prompt, one.wanted) for one in asked]) for lm in models]
    given = [number for number, one in enumerate(asked) if one.true]
    pairs = [(asked[number].prompt, asked[number].true) for number in given]
    true = [dict(zip(given, score_answers(lm, pairs), strict=True)) for lm in models]
    found = []
    for number, one in enumerate(asked):
        first, last = (int(scores[number].argmax()) for scores in likely)
        was = (
            [answers[number].probability for answers in true]
            if one.true
            else [float(scores[number, first].exp()) for scores in likely]
        )
        found.append(
            Compared(
                asked=one,
                wanted_before=wanted[0][number],
                wanted_after=wanted[1][number],
                was=one.true or _written(before, first),
                was_before=was[0],
                was_after=was[1],
                first_before=_written(before, first),
                first_after=_written(before, last),
                unchanged=first == last,
            )
        )
    return tuple(found)


def _written(lm: LanguageModel, token: int) -> str:
    """A token as text; what is no text of its own by its piece."""
    assert lm.tokenizer is not None, "prompts were put in words"
    text = lm.tokenizer.decode([token])
    return text.strip() if text.strip() else lm.tokenizer.piece(token)


@torch.no_grad()
def _likeliest(lm: LanguageModel, asked: Sequence[Asked]) -> Tensor:
    """The log probabilities of the next token after each prompt [prompt, d_vocab], in float64."""
    questions = [put(lm, one.prompt, one.wanted) for one in asked]
    parts = []
    for start in range(0, len(questions), _AT_ONCE):
        some = questions[start : start + _AT_ONCE]
        tokens = Tokens.of_ids([list(question.ids) for question in some])
        device = lm.model.device
        out = lm.model(tokens.ids.to(device), mask=tokens.mask.to(device), logits="none")
        assert out.final is not None, "the pass went to the end"
        at = torch.tensor([question.at[0] for question in some], device=device)
        final = out.final[torch.arange(len(some), device=device), at]
        parts.append(lm.model.unembed(final).double().log_softmax(-1).cpu())
    return torch.cat(parts)
