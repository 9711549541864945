"""A prompt as a person types it becomes a fact: where its subject stands, what the model says next.

    fact_of(lm, "The sport that Michael Jordan plays is", subject="Michael Jordan")

This module asks a model for its own answer where none was given; it judges none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from molehill.errors import FactError
from molehill.facts.fact import Fact
from molehill.language_model import LanguageModel

__all__ = ["fact_of", "find_subject", "own_answer", "template_of"]

_WORD = re.compile(r"[\w'’-]+")
_OPENERS = ("a", "an", "at", "by", "for", "from", "he", "her", "his", "in", "it", "its", "my", "of")
_OPENERS += ("on", "our", "she", "that", "the", "their", "there", "they", "this", "to", "we")
"""Words that have a capital letter only because they open a sentence."""
_TOKENS = 8
"""Of an own answer: enough for a word in small pieces."""


def fact_of(
    lm: LanguageModel,
    prompt: str,
    *,
    subject: str | None = None,
    answer: str | None = None,
    paraphrases: Sequence[str] = (),
    start: str = "",
) -> Fact:
    """The fact that a prompt asks for.

    Args:
        subject: as it stands in the prompt; None: the one run of capitalised words.
        answer: the object; None: the word with which the model itself goes on.
        paraphrases: prompts that hold the subject too, or templates with `{}`.
        start: see `Fact.start`.

    Raises:
        FactError: no subject, or more than one that it could be; a prompt without it; a model that
            goes on with no word.
    """
    chosen = find_subject(prompt) if subject is None else subject
    forms = tuple(text if "{}" in text else template_of(text, chosen) for text in paraphrases)
    template = template_of(prompt, chosen)
    found = own_answer(lm, start + prompt.rstrip()) if answer is None else answer
    return Fact(chosen, found, template, paraphrases=forms, start=start)


def template_of(prompt: str, subject: str) -> str:
    """The prompt with `{}` where the subject stands last.

    Raises:
        FactError: it does not hold the subject.
    """
    place = prompt.rfind(subject) if subject.strip() else -1
    if place < 0:
        raise FactError(
            f"The prompt {prompt!r} does not hold the subject {subject!r}: give it as it stands "
            "there, capitals included."
        )
    return f"{prompt[:place]}{{}}{prompt[place + len(subject) :]}"


def find_subject(prompt: str) -> str:
    """The one run of capitalised words in a prompt; `The` at its start is none.

    Raises:
        FactError: there is none, or there are several.
    """
    runs: list[str] = []
    end = -2
    for word in _WORD.finditer(prompt):
        if not word.group()[0].isupper() or (not runs and word.group().lower() in _OPENERS):
            continue
        beside = word.start() == end + 1 and prompt[end] == " "
        runs[-1:] = [f"{runs[-1]} {word.group()}"] if beside else [*runs[-1:], word.group()]
        end = word.end()
    found = list(dict.fromkeys(runs))
    if len(found) == 1:
        return found[0]
    which = f"it could be {', '.join(map(repr, found))}" if found else "no word has a capital"
    raise FactError(f"Which part of {prompt!r} is its subject? {which}: name it with --subject.")


def own_answer(lm: LanguageModel, prompt: str) -> str:
    """The word with which a model goes on, taking the likeliest token each time.

    Raises:
        FactError: a model that fills gaps, or one that goes on with no word.
    """
    if not lm.config.causal or not lm.config.has_head:
        raise FactError(f"{lm.name} does not go on from a prompt: name the object.")
    text = lm.generate(prompt, max_new_tokens=_TOKENS)[0].text
    found = re.match(r"\s*([\w'’-]+)", text)
    if found is None:
        raise FactError(f"{lm.name} goes on from {prompt!r} with {text!r}: name the object.")
    return found.group(1)
