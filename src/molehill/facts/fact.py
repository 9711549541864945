"""Fact: a subject, a relation and an object, with the words in which it is asked.

    Fact("Michael Jordan", "basketball", "{} plays the sport of")

A template has one `{}` where the subject stands and ends where the object would begin. This module
knows tokens only as far as finding the subject among them; it knows no model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from molehill.errors import FactError
from molehill.text.tokens import Tokens

__all__ = ["Fact", "subject_tokens"]


@dataclass(frozen=True)
class Fact:
    """One fact, and how it is asked.

    Raises:
        FactError: an empty subject or object, or a template without exactly one `{}`.
    """

    subject: str
    object: str
    template: str
    """`{} plays the sport of`: the prompt, with `{}` for the subject."""
    relation: str = ""
    """The relation's name."""
    paraphrases: tuple[str, ...] = ()
    """Other templates that ask the same."""
    start: str = ""
    """What stands before every prompt: `<|endoftext|>`, say, where a model learnt to begin with it.
    A causal model's first token is often a place of its own, whatever the word; with a start the
    subject does not stand there."""

    def __post_init__(self) -> None:
        if not self.subject.strip() or not self.object.strip():
            raise FactError(
                f"A fact needs a subject and an object, and here they are {self.subject!r:.60} and "
                f"{self.object!r:.60}: give a word for each."
            )
        for template in (self.template, *self.paraphrases):
            if template.count("{}") != 1:
                raise FactError(
                    f"The template {template!r} has {template.count('{}')} times '{{}}', expected "
                    "one, where the subject stands: '{} plays the sport of'."
                )

    @property
    def prompt(self) -> str:
        """What is asked: the text up to where the object would begin."""
        return self.ask(self.template)

    @property
    def prompts(self) -> tuple[str, ...]:
        """The prompt and its paraphrases."""
        return tuple(self.ask(template) for template in (self.template, *self.paraphrases))

    @property
    def object_text(self) -> str:
        """The object as it goes on from the prompt, with the space between them."""
        return self.object if self.prompt[-1:].isspace() else f" {self.object}"

    def ask(self, template: str) -> str:
        """A template filled with the subject; white space at the end is taken off, since most
        vocabularies spell a word with the space before it."""
        return self.start + template.replace("{}", self.subject).rstrip()

    def place(self, template: str | None = None) -> tuple[int, int]:
        """The characters of the subject in the filled template."""
        chosen = self.template if template is None else template
        first = len(self.start) + chosen.index("{}")
        return first, first + len(self.subject)

    def with_object(self, new: str) -> Fact:
        """The same question with another answer."""
        return replace(self, object=new)

    def __str__(self) -> str:
        return f"{self.prompt}{self.object_text}"


def subject_tokens(
    tokens: Tokens, place: tuple[int, int], text: int = 0, *, unknown: int | None = None
) -> tuple[int, int]:
    """Which tokens of a text hold the characters `place` of its subject: first and one past last.

    A token that holds some of the subject counts, so sub-word subjects and tokens with a leading
    space are found.

    Args:
        unknown: the token that is read for any unknown word. A subject that holds it is refused:
            what is found or rewritten there is so for every other unknown word.

    Raises:
        FactError: no token holds any of it; or one of them is the unknown one.
    """
    start, end = place
    spans, special = tokens.spans[text], tokens.special[text]
    held = [
        position
        for position, (first, last) in enumerate(spans)
        if not special[position] and first < end and last > start
    ]
    shown = tokens.texts[text][start:end]
    if not held:
        raise FactError(f"No token of {tokens.texts[text]!r} holds the subject {shown!r}.")
    row = tokens.row(text)
    for position in held:
        if row[position] == unknown:
            raise FactError(
                f"The model does not know the subject {shown!r}: it reads "
                f"{tokens.pieces[text][position]!r} there, as for every word that it does not "
                "know. Ask about a subject that it knows, or take another model."
            )
    return held[0], held[-1] + 1
