"""What a page or a notebook may ask: questions by name, typed inputs, a view's data as answer."""

from __future__ import annotations

from molehill.questions.asking import Answer, Inputs, OfModel, Question
from molehill.questions.catalogue import QUESTIONS, answer, question
from molehill.questions.desk import Desk, ModelEntry

__all__ = [
    "QUESTIONS",
    "Answer",
    "Desk",
    "Inputs",
    "ModelEntry",
    "OfModel",
    "Question",
    "answer",
    "question",
]
