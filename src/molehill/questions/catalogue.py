"""All questions there are, and how one is answered from plain values.

This module knows every family of questions, and nothing of who asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from molehill.errors import ConfigError
from molehill.questions import (
    attention,
    crowd,
    facts,
    facts_rewrite,
    facts_stack,
    facts_write,
    features,
    journey,
    moving,
    neurons,
    parted,
    superposition,
    training,
)
from molehill.questions.asking import Answer, Inputs, Question
from molehill.questions.desk import Desk

__all__ = ["QUESTIONS", "answer", "answered", "question", "read_inputs"]

QUESTIONS: tuple[Question, ...] = (
    *journey.QUESTIONS,
    *attention.QUESTIONS,
    *moving.QUESTIONS,
    *crowd.QUESTIONS,
    *parted.QUESTIONS,
    *neurons.QUESTIONS,
    *facts.QUESTIONS,
    *facts_rewrite.QUESTIONS,
    *facts_write.QUESTIONS,
    *facts_stack.QUESTIONS,
    *features.QUESTIONS,
    *superposition.QUESTIONS,
    *training.QUESTIONS,
)


def question(name: str) -> Question:
    """The question of that name.

    Raises:
        ConfigError: there is none.
    """
    for one in QUESTIONS:
        if one.name == name:
            return one
    there = ", ".join(one.name for one in QUESTIONS)
    raise ConfigError(f"There is no question {name!r}; there are: {there}.")


def read_inputs(one: Question, given: Mapping[str, Any]) -> Inputs:
    """Inputs from plain values.

    Raises:
        ConfigError: one that the question does not know, or of another kind; all are named.
    """
    try:
        return one.inputs.model_validate(given)
    except ValidationError as error:
        found = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or one.name}: {each['msg']}"
            for each in error.errors(include_url=False, include_input=False)
        )
        raise ConfigError(f"{one.title} cannot be asked like that: {found}.") from None


def answered(desk: Desk, one: Question, inputs: Inputs) -> Answer:
    """A question's answer for inputs that were read already.

    Raises:
        MolehillError: what the answer raises.
    """
    return Answer(one, inputs, {**one.answer(inputs, desk), "python": one.python(inputs)})


def answer(desk: Desk, name: str, given: Mapping[str, Any]) -> Answer:
    """Ask a question by its name.

    Raises:
        ConfigError: no such question, or inputs it does not take.
        MolehillError: what the answer raises.
    """
    one = question(name)
    return answered(desk, one, read_inputs(one, given))
