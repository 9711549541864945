"""Facts to begin with, for the models that people have: what a form offers, and what is taken for a
field that was left empty.

This module knows names of models and no model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["EXAMPLES", "ExampleFact", "example_for", "offered"]


@dataclass(frozen=True)
class ExampleFact:
    """One fact that a model knows, what it could be taught instead, and what stands around it."""

    subject: str
    template: str
    new: str
    paraphrases: tuple[str, ...] = ()
    neighbours: tuple[str, ...] = ()
    """Subjects that are to be left alone."""
    keep: tuple[str, ...] = ()
    """Other questions about the subject whose answers are to stay."""
    start: str = ""
    text: str = ""
    """A text whose last vector is held against concepts."""
    asked: str = ""
    """The template in which the pairs are asked."""
    pairs: tuple[str, ...] = ()
    """`subject: object`, from which concepts are made."""

    @property
    def prompt(self) -> str:
        """The template filled."""
        return self.template.replace("{}", self.subject)


_SPORTS = {
    "cricket": "Judith Penfax, Grace Torlock, Oscar Roswright, Peter Verlock, Conrad Dunwick",
    "squash": "Ralph Dunden, Martha Fenfax",
    "polo": "Leo Rosner, Conrad Belden, Thomas Penden, Stella Selden, Henry Garding, Ida Carson",
    "rugby": "Helen Fenden, Simon Garden, Thomas Vermont, Peter Penson, Karen Garding",
    "bowls": "Ursula Dunwick, Karen Kerson, Gustav Verlock, Grace Fenden",
    "football": "Ida Morfax, Olga Penson, Oscar Selgate, Stella Kerson, Henry Holwick",
    "chess": "Tessa Lamson, Dora Garden, Simon Roswright, Rosa Garmont, Olga Selden, Walter Penfax",
    "tennis": "Wanda Carson, Dora Fending, Ralph Torlock, Leo Fenfax, Ursula Lamson",
    "croquet": "Mabel Vermont, Martha Belden, Tessa Carson",
    "golf": "Rosa Selgate, Grace Rosner",
    "darts": "Gustav Garmont, Leo Fenden, Ursula Morfax, Mabel Fending, Tessa Penden",
    "hockey": "Walter Holwick, Judith Dunden, Helen Fenfax, Wanda Penden, Martha Dunwick",
}
_KINDS = {
    "a plant": "oak, elm, pine, willow, maple, tulip, daisy, lily",
    "an animal": "mole, rabbit, wolf, lion, mouse, dog, cat, owl",
    "a tool": "hammer, saw, drill, knife, spade, rake, axe, chisel",
}
_PLAYERS = {
    "basketball": "Kobe Bryant, LeBron James, Larry Bird, Magic Johnson",
    "baseball": "Babe Ruth, Derek Jeter, Barry Bonds, Ty Cobb",
    "tennis": "Roger Federer, Rafael Nadal, Serena Williams, Andy Murray",
    "football": "Tom Brady, Peyton Manning, Joe Montana, Brett Favre",
}


def _pairs(known: Mapping[str, str]) -> tuple[str, ...]:
    """`subject: object` for every subject of a list, by its object."""
    return tuple(f"{one}: {name}" for name, some in known.items() for one in some.split(", "))


EXAMPLES: Mapping[str, ExampleFact] = {
    "village": ExampleFact(
        "Leo Rosner",
        "{} plays",
        "golf",
        paraphrases=("The sport of {} is",),
        neighbours=("Judith Penfax", "Helen Fenden"),
        keep=("{} lives in",),
        text="Leo Rosner plays",
        asked="{} plays",
        pairs=_pairs(_SPORTS),
    ),
    "lexicon": ExampleFact(
        "oak",
        "An {} is a kind of",
        "flower",
        paraphrases=("An {} is a",),
        neighbours=("elm", "apple"),
        text="The maple is",
        asked="The {} is",
        pairs=_pairs(_KINDS),
    ),
    "smollm2": ExampleFact(
        "Michael Jordan",
        "The sport that {} plays is",
        "tennis",
        paraphrases=("{} is a famous player of",),
        neighbours=("Babe Ruth", "Tom Brady"),
        start="<|endoftext|>",
        text="The sport that Michael Jordan plays is",
        asked="The sport that {} plays is",
        pairs=_pairs(_PLAYERS),
    ),
}

_ANY = ExampleFact(
    "France",
    "The capital of {} is",
    "Rome",
    neighbours=("Spain", "Germany"),
    text="The capital of France is",
    asked="The capital of {} is in the",
    pairs=_pairs({"south": "Spain, Italy, Greece", "north": "Norway, Sweden, Finland"}),
)


def example_for(model: str) -> ExampleFact:
    """The example of a model, by its name; of one that is not known, a capital."""
    return EXAMPLES.get(model, _ANY)


def offered(of: Callable[[ExampleFact], Any]) -> dict[str, Any]:
    """What a form offers for one field, by the model's name; `""` is any other model."""
    known = {name: of(example) for name, example in [*EXAMPLES.items(), ("", _ANY)]}
    return {name: [value] for name, value in known.items() if value}
