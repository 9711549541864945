"""The guided tour: the story of one word in ten steps, each with the real view of a real question.

The words are for somebody who has never seen a transformer from inside. This module knows names of
questions and their inputs, and no page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from molehill.journey.shift import MOLE_SENTENCES

__all__ = ["TOUR", "TourStep", "Try"]


@dataclass(frozen=True)
class Try:
    """Something to do on one's own: a question with other inputs."""

    label: str
    question: str
    inputs: Mapping[str, Any]


@dataclass(frozen=True)
class TourStep:
    """One step: what happens, where to look, and the view that shows it."""

    title: str
    story: tuple[str, ...]
    look: str
    question: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    state: str = ""
    """What the view itself is set to."""
    tries: tuple[Try, ...] = ()


_ANIMAL, _SPY, *_ = MOLE_SENTENCES
_BANK = ("They sat on the bank of the river.", "The money was in the bank.")

TOUR = (
    TourStep(
        "Every mole begins at the same place",
        (
            "A text is cut into tokens: words, or parts of words. Each token looks up its own "
            "row in one large table, and that row, 256 numbers in this model, is its vector: "
            "its embedding.",
            "The table knows nothing of the sentence. An animal, a spy, a sauce: all six moles "
            "below start as exactly the same 256 numbers. By the end they must stand in six "
            "places, or the model could not tell them apart.",
        ),
        "All six paths begin in one point, on the right. Press play, or drag the slider, and "
        "watch the one point become six.",
        "shift",
        {"model": "lexicon"},
        "basis=directions&axes=1-2&point=0&sentence=1",
        (
            Try(
                "The same with bank",
                "shift",
                {"model": "lexicon", "word": "bank", "sentences": _BANK},
            ),
        ),
    ),
    TourStep(
        "A place in the line is added",
        (
            "What comes first and what comes later must show in the numbers too. So a second "
            "vector is added, one for each position of the text: the first token gets another "
            "one than the twentieth.",
            "Added means added: number by number. From here on the token has one vector, which "
            "is the sum of two. This picture of a vector as a sum is all that the rest needs. "
            "It is called its ledger.",
        ),
        "The ledger has two rows, embedding and position. They add up to the vector, and the "
        "closing error beside the sum says how exactly.",
        "ledger",
        {"model": "lexicon", "text": _ANIMAL, "position": -2, "at": "0.resid_pre"},
        "",
        (
            Try(
                "The first token of the text",
                "ledger",
                {"model": "lexicon", "text": _ANIMAL, "position": 0, "at": "0.resid_pre"},
            ),
        ),
    ),
    TourStep(
        "Tokens look at one another",
        (
            "Now the sentence comes in. In attention every token asks a question, every token "
            "before it offers a key, and where the two fit, attention is paid. Each row of "
            "weights adds up to 100%.",
            "This happens several times side by side, in heads, each with a question of its "
            "own: one looks at the word before, one at the start, one for what the word may "
            "have to do with. They run at the same time, as one product of matrices.",
        ),
        "The small squares are all heads of all layers. Choose one, then point at a word below "
        "to see whom it looks at, and who looks at it.",
        "attention",
        {"model": "lexicon", "text": _ANIMAL},
        "",
        (
            Try(
                "Why did a head look there?",
                "why",
                {"model": "lexicon", "text": _ANIMAL, "query": -2, "key": 6},
            ),
        ),
    ),
    TourStep(
        "What attention does is add",
        (
            "Having looked, a head copies something over: it takes the vector of every token it "
            "looked at, turned by a matrix, times the attention paid, and adds all of it to the "
            "token’s own.",
            "Once the weights of attention are known there is nothing crooked left in this sum. "
            "So it can be taken apart without remainder: this much came through head 3.1 from "
            "the word “animal”, that much from “tunnel”.",
        ),
        "Follow the bands from the words on the left through the heads into the vector on the "
        "right. Their widths add up to it; nothing is left out.",
        "ledger",
        {"model": "lexicon", "text": _ANIMAL, "position": -2, "at": "3.resid_mid"},
        "by=source&kind=all&river=words",
        (
            Try(
                "The spy’s mole at the same point",
                "ledger",
                {"model": "lexicon", "text": _SPY, "position": -2, "at": "3.resid_mid"},
            ),
        ),
    ),
    TourStep(
        "A neuron asks with its row and answers with its column",
        (
            "Between two rounds of attention each token goes through an MLP on its own. It has "
            "1,024 neurons here. A neuron holds a row of numbers, which it multiplies with the "
            "token’s vector to ask how well the two fit, and a column, which it adds to the "
            "vector in return.",
            "Rows ask, columns answer. Two thirds of a transformer’s blocks are such rows and "
            "columns. Beside this stands one of the last layer whose answer can be read: it "
            "makes “device”, “instrument”, “tool” likelier to come next.",
        ),
        "First the words that its row answers to, then, further down, those that its column "
        "makes likelier. The grey band is what chance reaches.",
        "neuron",
        {"model": "lexicon", "layer": 5, "neuron": 542},
        "",
        (
            Try(
                "Which neurons write “animal”?", "neurons", {"model": "lexicon", "writes": "animal"}
            ),
            Try("Where all the numbers are", "params", {"model": "lexicon"}),
        ),
    ),
    TourStep(
        "A gate of yes and no",
        (
            "Between row and column stands a gate. From the fit a threshold is taken off, the "
            "bias; what is left below zero becomes nothing (ReLU), what is above passes. So a "
            "neuron is silent for most tokens and speaks for a few.",
            "With such a gate a single neuron can hold one fact: ask for one person, stay "
            "silent for everybody else, add one sport. Here is one that was written by hand "
            "into a model of an invented village, with the proof beside it.",
        ),
        "The threshold stands between those it fires for and everybody else. The certificate "
        "counts on how many other sentences it fired.",
        "facts.write",
        {"model": "village"},
        "",
        (),
    ),
    TourStep(
        "Facts live in these rows and columns",
        (
            "“Leo Rosner plays” goes in, a sport comes out. Somewhere on the way it was added. "
            "By spoiling the name and mending one place at a time one finds where the fact is "
            "carried, and by taking neurons away, what writes it.",
            "What can be found can be changed: under Facts you can rewrite one, see what else "
            "changed with it, and take it back.",
        ),
        "Is the fact known, at which layer and token is it carried, and which neurons write it?",
        "facts.card",
        {"model": "village"},
        "",
        (Try("Trace it, place by place", "facts.trace", {"model": "village"}),),
    ),
    TourStep(
        "More directions than dimensions",
        (
            "256 numbers have 256 directions at right angles to one another. A model knows far "
            "more than 256 things. It does not need right angles: directions that are nearly at "
            "right angles hardly disturb one another, and of those there are very many.",
            "This is superposition. Its price is a little noise: a token that has one thing "
            "looks as if it had a trace of many others.",
        ),
        "How many directions fit at a given angle, what theory allows and what chance gives. "
        "Move the sliders.",
        "superposition.bounds",
        {},
        "",
        (
            Try("Watch toy models learn it", "superposition.toy", {}),
            Try("What this model does", "superposition.report", {"model": "lexicon"}),
        ),
    ),
    TourStep(
        "Find the directions again",
        (
            "If a vector is a sum of a few of many known directions, they can be found: a "
            "sparse autoencoder learns thousands of directions such that every vector is nearly "
            "the sum of a handful of them. These are called features.",
            "What the handful does not reach is shown as the error, never hidden. Features can "
            "be named, searched for, and turned up or down to steer what the model writes.",
        ),
        "Below each token stand the features that are active there. Choose one to see where "
        "else it fires.",
        "features.here",
        {"model": "lexicon", "text": _ANIMAL},
        "",
        (),
    ),
    TourStep(
        "The last token says what comes next",
        (
            "At the end only one vector is used: that of the last token. It is held against "
            "every word of the vocabulary by a dot product, and the word that fits best is the "
            "likeliest to come next. Everything before was there to put the right sum into this "
            "one vector.",
            "One can do the same earlier, at every layer, and read what the model would say if "
            "it stopped there. That is the lens: the answer forms on the way up.",
        ),
        "Read the last column from the top down: where does the answer appear?",
        "lens",
        {"model": "village", "text": "Leo Rosner plays"},
        "",
        (
            Try("Move a vector by hand and see what it says", "moving", {"model": "lexicon"}),
            Try("Type your own text", "lens", {"model": "lexicon"}),
        ),
    ),
)
