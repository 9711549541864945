"""Questions about neurons and where parameters are: a card, a search by a word, the account.

Each is what the verb of its name does (`facts read`, `facts find`, `params`), with its inputs from
a form. This module knows no form.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from molehill.checkpoints.names import built_in_models
from molehill.errors import TextError
from molehill.facts.memories import neuron_card
from molehill.facts.neuron_index import NeuronIndex
from molehill.journey.shift import MOLE_SENTENCES
from molehill.language_model import LanguageModel
from molehill.model.account import count_parameters
from molehill.questions.asking import OfModel, Question, asked_as
from molehill.questions.desk import Desk
from molehill.questions.journey import again
from molehill.questions.python import call, loading, written
from molehill.questions.telling import telling
from molehill.version import __version__
from molehill.views.account_page import account_page_data, account_text
from molehill.views.neuron import neuron_data, search_data
from molehill.views.neuron_text import neuron_text, search_text
from molehill.village import read_world, tell

__all__ = ["QUESTIONS", "AskNeuron", "AskNeurons", "AskParams"]

_TOLD = 500
"""Sentences of the village, over which a neuron of its model is watched."""


class AskNeuron(OfModel):
    """A neuron, and texts to watch it over."""

    layer: int | None = Field(
        None,
        ge=0,
        le=10_000,
        title="Layer",
        description="None: the last.",
        json_schema_extra=asked_as("layer", optional=True),
    )
    neuron: int = Field(
        0,
        ge=0,
        le=10_000_000,
        title="Neuron",
        description="Counted from 0, in its layer.",
    )
    texts: tuple[str, ...] = Field(
        (),
        max_length=2000,
        title="Watched over",
        description="Texts, one a line; none: sentences that are at hand.",
        json_schema_extra=asked_as("sentences", optional=True),
    )


def _neuron(asked: AskNeuron, desk: Desk) -> dict[str, Any]:
    lm = desk.model(asked.model, asked.edits)
    texts = list(asked.texts) or _at_hand(lm)
    layer = lm.config.n_layers - 1 if asked.layer is None else asked.layer
    card = neuron_card(
        lm, layer, asked.neuron, texts=texts, progress=telling(desk, "Watching the neuron")
    )
    data = neuron_data(lm, card, version=__version__)
    if not asked.texts:
        own = "the village's own sentences" if lm.name == "village" else "six built-in sentences"
        data["notes"].append(f"It was watched over {own}: give texts of your own to see more.")
    return data | {"asked": again("neuron", asked)}


def _at_hand(lm: LanguageModel) -> list[str]:
    """Sentences that come with the package: the village's for its model, for others the mole's."""
    if lm.name != "village":
        return list(MOLE_SENTENCES)
    world = read_world(built_in_models() / "village")
    return [told.text for told in tell(world, _TOLD, seed=1)]


def _neuron_python(asked: AskNeuron) -> str:
    texts = repr(list(asked.texts)) if asked.texts else "list(MOLE_SENTENCES)"
    layer = "lm.config.n_layers - 1" if asked.layer is None else repr(asked.layer)
    made = call("molehill.neuron_card", "lm", layer, repr(asked.neuron), "texts=texts")
    more = () if asked.texts else ("from molehill.journey.shift import MOLE_SENTENCES",)
    return written([*loading(asked, *more), f"texts = {texts}", f"card = {made}", "print(card)"])


class AskNeurons(OfModel):
    """A word, and whether neurons write it or ask for it."""

    writes: str | None = Field(
        None,
        max_length=100,
        title="That write",
        description="Neurons whose column promotes this word.",
        json_schema_extra=asked_as("next", optional=True),
    )
    asks: str | None = Field(
        None,
        max_length=100,
        title="That ask for, instead",
        description="Neurons whose row matches this word.",
        json_schema_extra=asked_as("next", optional=True),
    )
    row: Literal["gate", "up"] = Field(
        "gate",
        title="Row",
        description="Of a gated MLP: the row that decides if a neuron fires, or how much.",
        json_schema_extra=asked_as("choice"),
    )
    count: int = Field(20, ge=1, le=200, title="How many")


def _neurons(asked: AskNeurons, desk: Desk) -> dict[str, Any]:
    lm = desk.model(asked.model, asked.edits)
    told = telling(desk, "Measuring neurons, layer by layer", lm.config.n_layers)
    key = ("neurons", asked.model, asked.edits)
    index = desk.kept(key, lambda: NeuronIndex.build(lm, progress=told))
    if asked.asks:
        found = index.asking(asked.asks, asked.count, row=asked.row if lm.config.gated else "gate")
    else:
        found = index.writing(asked.writes or _known(lm), asked.count)
    return search_data(lm, found, version=__version__) | {"asked": again("neurons", asked)}


_WORDS = ("animal", "tennis", "man")


def _known(lm: LanguageModel) -> str | int:
    """A word to begin with: the first of a few that is one token of the model."""
    for word in _WORDS:
        try:
            return lm.next_token(word)
        except TextError:
            continue
    return 0


def _neurons_python(asked: AskNeurons) -> str:
    if asked.asks:
        row = None if asked.row == "gate" else asked.row
        found = call("index.asking", repr(asked.asks), repr(asked.count), row=row)
    else:
        found = call("index.writing", repr(asked.writes or _WORDS[0]), repr(asked.count))
    return written(
        [
            *loading(asked, "from molehill.facts import NeuronIndex"),
            "index = NeuronIndex.build(lm)",
            f"print({found})",
        ]
    )


class AskParams(OfModel):
    """A model whose parameters are counted."""


def _params(asked: AskParams, desk: Desk) -> dict[str, Any]:
    lm = desk.model(asked.model, asked.edits)
    data = account_page_data(lm, count_parameters(lm.config), version=__version__)
    return data | {"asked": again("params", asked)}


def _params_python(asked: AskParams) -> str:
    return written(
        [
            *loading(asked, "from molehill.model.account import count_parameters"),
            "account = count_parameters(lm.config)",
            "print(account.total, account.mlp_share, account.mlp_share_non_embedding)",
        ]
    )


QUESTIONS = (
    Question(
        "neuron",
        "A neuron",
        "What a neuron's row asks, when it fires, and what its column adds.",
        "neuron",
        AskNeuron,
        _neuron,
        neuron_text,
        _neuron_python,
    ),
    Question(
        "neurons",
        "Neurons by word",
        "Which neurons of the whole model write a word, or ask for it, and which do beyond chance.",
        "neuron-search",
        AskNeurons,
        _neurons,
        search_text,
        _neurons_python,
    ),
    Question(
        "params",
        "Where the numbers are",
        "How many parameters each part of the model has, and the MLPs' share of them.",
        "account",
        AskParams,
        _params,
        account_text,
        _params_python,
    ),
)
