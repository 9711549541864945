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
            "shown here start as exactly the same 256 numbers. By the end they must stand in six "
            "places, or the model could not tell them apart.",
        ),
        "All six paths begin in one point, on the right, where the numbers 1 to 6 stand together. "
        "Press play under the picture, or drag the slider, and watch one point become six.",
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
            "vector is added, one for each position of the text: the first token gets a "
            "different one from the twentieth.",
            "Added means added: number by number. From here on the token has one vector, which "
            "is the sum of two. A vector as a list of what was added to it is all that the "
            "rest needs. The list is called its ledger.",
        ),
        "The ledger has two rows, embedding and position. They add up to the vector; the closing "
        "error beside the sum says how exactly. The position makes the vector hardly longer, since "
        "it points sideways: the table below has its own length.",
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
            "Now the sentence comes in. In attention every token asks a question, it and every "
            "token before it offer a key, and where the two fit, attention is paid. Each row of "
            "weights adds up to 100%.",
            "This happens several times side by side, in heads, each with a question of its "
            "own: one looks at the word before, one at the start, one for what the word may "
            "have to do with. They run at the same time, as one product of matrices.",
        ),
        "The small squares are all heads of all layers. Chosen is 5.2, by which “mole” looks most "
        "at “animal”. Choose 3.3, with its line beside the diagonal: it looks at the token before. "
        "In the text below, point at a word to see whom it looks at.",
        "attention",
        {"model": "lexicon", "text": _ANIMAL},
        "head=22&by=small.pattern&weigh=pattern&query=20&key=6",
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
            "So it can be taken apart without remainder: this much came through head 5.2 from "
            "the word “animal”, that much through 5.1 from “dug”.",
        ),
        "Follow the bands from the words on the left through heads and neurons into the vector on "
        "the right. Hatched ones take away; nothing is left out. Much comes from “In”, the first "
        "token, to which half of all heads give most of their attention, and from “animal”.",
        "ledger",
        {"model": "lexicon", "text": _ANIMAL, "position": -2, "at": "5.resid_mid"},
        "by=source&kind=all&river=words",
        (
            Try(
                "The spy’s mole at the same point",
                "ledger",
                {"model": "lexicon", "text": _SPY, "position": -2, "at": "5.resid_mid"},
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
            "columns. Shown here is one of the last layer whose answer is easily read: it "
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
            "Between row and column stands a gate. A bias is added to the fit, as a threshold; "
            "what is then below zero becomes nothing (ReLU), what is above passes. So a neuron is "
            "silent for most tokens and speaks for the others.",
            "With such a gate a single neuron can hold one fact: ask for one person, stay silent "
            "for others, add one sport. Here is one that was written by hand into a model of an "
            "invented village: it makes Leo Rosner, who plays polo, a player of golf.",
        ),
        "Right of the threshold the neuron fires: for the fact’s own sentences, below the line, "
        "and for nothing else of all that it was fitted on. On new texts, “held out”, it is not "
        "so sure; the certificate counts its mistakes. Then: golf before and after.",
        "facts.write",
        {"model": "village", "layer": 1},
        "",
        (),
    ),
    TourStep(
        "Facts live in these rows and columns",
        (
            "“Leo Rosner plays” goes in, a sport comes out. Somewhere on the way it was added. "
            "Spoil the name, so that the model no longer knows it, then mend one place at a "
            "time: where that brings the sport back, the fact is carried. Take heads and neurons "
            "away, and see which of them write it.",
            "What can be found can be changed: under Facts you can rewrite one, see what else "
            "changed with it, and take it back.",
        ),
        "The deep blue squares: the sport is added at the last word, by the last MLP. Further "
        "down, what writes it: hardly one of these neurons is missed alone, but all of them "
        "together are.",
        "facts.card",
        {"model": "village"},
        "",
        (Try("Trace it, place by place", "facts.trace", {"model": "village"}),),
    ),
    TourStep(
        "More directions than dimensions",
        (
            "256 numbers have 256 directions at right angles to one another. A model knows far "
            "more than 256 things. It does not need right angles: directions that are almost at "
            "right angles disturb one another only a little, and of those there are very many.",
            "This is superposition. Its price is a little noise: a token that has one thing "
            "looks as if it had a trace of many others.",
        ),
        "10,000 directions fit into 256 dimensions when 80° between any two are enough. Move the "
        "angle to 89°, and at most 277 fit: how many there are is a matter of how much noise "
        "may be.",
        "superposition.bounds",
        {"count": 10_000, "dimensions": 256, "degrees": 80.0},
        "angle=80&show=number&at=256",
        (
            Try("Watch toy models learn it", "superposition.toy", {}),
            Try("What this model does", "superposition.report", {"model": "lexicon"}),
        ),
    ),
    TourStep(
        "Find the directions again",
        (
            "If every vector is the sum of a few out of many directions, these can be found: a "
            "sparse autoencoder learns thousands of directions such that every vector is nearly "
            "the sum of a handful of them. These are called features.",
            "What the handful does not reach is shown as the error, never hidden. Features can "
            "be named, searched for, and turned up or down to steer what the model writes.",
        ),
        "Below each token are the features that are active there. Chosen is one that is strongest "
        "at “plant”: here it fires at “garden” and “animal”. Choose other squares; “Its card” "
        "shows where else a feature fires.",
        "features.here",
        {"model": "lexicon", "text": _ANIMAL},
        "token=6&row=15",
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
            "it stopped there. That is called the lens.",
        ),
        "Read the last column from the top down: “polo” is there only after the last MLP, the one "
        "that the seventh step found.",
        "lens",
        {"model": "village", "text": "Leo Rosner plays"},
        "",
        (
            Try("Move a vector by hand and see what it says", "moving", {"model": "lexicon"}),
            Try("Type your own text", "lens", {"model": "lexicon"}),
        ),
    ),
)
