"""Questions about features: finding them, their cards, what fires here, steering, a graph.

Features that came without an examples file get one from texts that are at hand
(`made_examples.py`), so that cards have examples at once; each page says from which texts they are.
This module knows no form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field

from molehill.errors import ConfigError, TextError
from molehill.features.attribution import attribute
from molehill.features.effects import reader_of_word
from molehill.features.examples_file import Examples
from molehill.features.finding import by_text, by_vector, by_word
from molehill.features.steering import Change, steer
from molehill.features.trained import Features
from molehill.language_model import LanguageModel
from molehill.questions.asking import OfModel, Question, asked_as
from molehill.questions.desk import Desk
from molehill.questions.made_examples import examples_here
from molehill.questions.python import call, loading, written
from molehill.questions.superposition import with_asked
from molehill.version import __version__
from molehill.views.features_card import cards_data, outline_of
from molehill.views.features_card_text import cards_text
from molehill.views.features_graph import graph_data
from molehill.views.features_graph_text import graph_text
from molehill.views.features_here import here_data
from molehill.views.features_here_text import here_text
from molehill.views.features_search import (
    label_search_data,
    text_search_data,
    vector_search_data,
    word_search_data,
)
from molehill.views.features_steer import steer_data
from molehill.views.features_steer_text import steer_text
from molehill.views.features_weights import weights_data

__all__ = ["QUESTIONS", "AskCard", "AskGraph", "AskHere", "AskSearch", "AskSteer", "OfFeatures"]

_TEXTS: Mapping[str, tuple[str, ...]] = {
    "lexicon": ("The mole dug a tunnel under the lawn.", "She played the violin."),
    "village": ("Leo Rosner plays golf", "Leo Rosner plays polo"),
    "": ("The mole dug a tunnel under the lawn.", "The capital of France is Paris."),
}
_PROMPTS: Mapping[str, tuple[str, ...]] = {
    "lexicon": ("The mole", "The violin is an instrument with"),
    "village": ("Leo Rosner plays",),
    "": ("The mole", "The capital of France is"),
}
"""What a form offers, by the model's name; the first is taken for a field that is left empty."""
_SUREST = 12
"""Cards that are shown where no feature is named."""
_SEEN = 20
"""Activations from which a label is sure of anything."""
_FOUND = 24
_READ = "from molehill.features import load_features"


class OfFeatures(OfModel):
    """Inputs of a question about features."""

    features: str | None = Field(
        None,
        max_length=200,
        title="Features",
        description="Those of the model; none named: the first there are.",
        json_schema_extra=asked_as("features"),
    )


def _text(given: str, known: Mapping[str, tuple[str, ...]], model: str) -> str:
    return given if given.strip() else known.get(model, known[""])[0]


def _found(asked: OfFeatures, desk: Desk) -> tuple[LanguageModel, LanguageModel, Features]:
    """The model with its edits, the model without, and features; those know the weights that they
    were trained on, and where a model was edited, it is asked before."""
    plain, lm = desk.model(asked.model), desk.model(asked.model, asked.edits)
    features = desk.features_of(asked.features or _first(asked.model, desk, transcodes=False))
    features.check(plain)
    return lm, plain, replace(features, fingerprint="") if asked.edits else features


def _first(model: str, desk: Desk, *, transcodes: bool) -> str:
    """The first features of a model; those that read what they write, or transcoders."""
    names = _of_model(model, desk, transcodes=transcodes)
    if not names:
        what = "transcoders" if transcodes else "features"
        raise ConfigError(
            f"There are no {what} of {model} here: train them (molehill features train) and name "
            "the file when the page is started."
        )
    return names[0]


def _of_model(model: str, desk: Desk, *, transcodes: bool) -> list[str]:
    found = []
    for name in desk.features:
        told = desk.described(name)
        if told["model"] == model and (told["reads"] != told["writes"]) == transcodes:
            found.append(name)
    return found


def _reading(asked: OfFeatures, *more: str) -> list[str]:
    """The lines that load the model and its features."""
    name = asked.features or {"lexicon": "lexicon-4", "village": "village-1"}.get(asked.model, "")
    return [*loading(asked, *more, _READ), f"features = load_features({name!r})"]


def _written_examples(asked: OfFeatures, *more: str) -> list[str]:
    """The lines that make an examples file of texts of one's own."""
    return [
        *_reading(
            asked,
            "from molehill.features import open_examples, write_examples",
            *(f"from molehill.features.{one}" for one in more),
        ),
        'texts = ["The mole dug a tunnel under the lawn.", "A spy is called a mole."]'
        "  # texts of your own",
        'write_examples("examples.db", lm, features, texts)',
        'with open_examples("examples.db") as examples:',
    ]


# --- cards ----------------------------------------------------------------------------------------


class AskCard(OfFeatures):
    """Features by their numbers."""

    numbers: tuple[int, ...] = Field(
        (),
        max_length=100,
        title="Numbers",
        description="None: all in a list, and those with the surest labels as cards.",
        json_schema_extra=asked_as("words", optional=True),
    )
    source: Literal["texts", "weights"] = Field(
        "texts",
        title="From",
        description="Examples in texts, or what the weights alone say.",
        json_schema_extra=asked_as("choice"),
    )
    texts: tuple[str, ...] = Field(
        (),
        max_length=2000,
        title="Your texts",
        description="Look for examples here, a text a line; none: in texts that are at hand.",
        json_schema_extra=asked_as("sentences", optional=True),
    )


def _card(asked: AskCard, desk: Desk) -> dict[str, Any]:
    lm, plain, features = _found(asked, desk)
    _check(asked.numbers, features)
    with examples_here(desk, plain, features, asked.texts) as examples:
        if examples is None or asked.source == "weights":
            numbers = asked.numbers or tuple(range(min(_SUREST, features.n_features)))
            data = weights_data(lm, features, numbers, version=__version__)
        else:
            numbers = asked.numbers or _surest(examples)
            drawn = "" if asked.numbers else ", those with the surest labels"
            data = cards_data(examples, numbers, drawn=drawn, version=__version__)
            if not asked.numbers:
                data["others"] = outline_of(examples)
    return with_asked(_named(data, asked, desk), "features.card", asked)


def _check(numbers: tuple[int, ...], features: Features) -> None:
    for number in numbers:
        if not 0 <= number < features.n_features:
            raise TextError(
                f"There is no feature {number}: {features.name} has 0 to {features.n_features - 1}."
            )


def _surest(examples: Examples) -> tuple[int, ...]:
    """Features whose label says most of when they are active, one of each label."""
    rows = examples.base.execute(
        "SELECT label, feature FROM features WHERE count >= ? AND kind != 'unclear' "
        "ORDER BY kind LIKE 'strongest%' OR kind = 'position', score DESC, count DESC",
        (_SEEN,),
    )
    first: dict[str, int] = {}
    for label, feature in rows:
        first.setdefault(label, feature)
    return tuple(first.values())[:_SUREST] or tuple(examples.random(_SUREST))


def _named(data: dict[str, Any], asked: OfFeatures, desk: Desk) -> dict[str, Any]:
    """With the name by which the desk knows the features, for questions that follow."""
    name = asked.features or _first(asked.model, desk, transcodes=False)
    return {**data, "features": {**data["features"], "here": name}}


def _card_python(asked: AskCard) -> str:
    numbers = asked.numbers or (0,)
    if asked.source == "weights":
        more = "from molehill.features.effects import effects_of"
        return written(
            [
                *_reading(asked, more),
                "effects = effects_of(lm, features)",
                f"print(effects.promoted[{numbers[0]}])",
            ]
        )
    return written(
        [
            *_written_examples(asked),
            f"    print(examples.feature({numbers[0]}).label)",
            f"    print(examples.examples({numbers[0]}))",
        ]
    )


# --- searches -------------------------------------------------------------------------------------


class AskSearch(OfFeatures):
    """What is looked for, and how."""

    by: Literal["word", "text", "label", "like", "promotes"] = Field(
        "word",
        title="Look for features by",
        description="A word they are active at; a text that activates them; their label; a feature "
        "that they are like; a word that they promote.",
        json_schema_extra=asked_as("choice"),
    )
    asked: str = Field(
        "mole",
        min_length=1,
        title="What",
        description="A word, a text, words of a label, or a feature's number.",
        json_schema_extra=asked_as("text"),
    )


def _search(asked: AskSearch, desk: Desk) -> dict[str, Any]:
    lm, plain, features = _found(asked, desk)
    with examples_here(desk, plain, features) as examples:
        if examples is None:
            raise ConfigError(
                f"{lm.name} writes no texts to look in: name an examples file when the page is "
                "started (molehill features examples makes one)."
            )
        data = _searched(asked, lm, features, examples)
    return with_asked(_named(data, asked, desk), "features.search", asked)


def _searched(
    asked: AskSearch, lm: LanguageModel, features: Features, examples: Examples
) -> dict[str, Any]:
    how: dict[str, Any] = {"cards": _FOUND, "version": __version__}
    if asked.by == "word":
        return word_search_data(examples, by_word(examples, asked.asked), **how)
    if asked.by == "label":
        return label_search_data(examples, asked.asked, **how)
    if asked.by == "text":
        found = by_text(lm, features, examples, asked.asked)
        return text_search_data(examples, found, asked.asked, **how)
    if asked.by == "like":
        number = int(asked.asked) if asked.asked.strip().isdecimal() else -1
        _check((number,), features)
        wanted, told = features.autoencoder.w_dec[number], f"feature {number}"
    else:
        wanted = reader_of_word(lm, features, lm.next_token(asked.asked))
        told = f"what raises the score of “{asked.asked}”"
    return vector_search_data(examples, by_vector(features, wanted), told, **how)


def _search_python(asked: AskSearch) -> str:
    what = repr(asked.asked)
    found = {
        "word": f"by_word(examples, {what})",
        "text": f"by_text(lm, features, examples, {what})",
        "label": f"[label for label in examples.labels() if {what} in label]",
        "like": f"by_vector(features, features.autoencoder.w_dec[{asked.asked.strip()}])",
        "promotes": f"by_vector(features, reader_of_word(lm, features, lm.next_token({what})))",
    }
    needed = {
        "word": ("finding import by_word",),
        "text": ("finding import by_text",),
        "like": ("finding import by_vector",),
        "promotes": ("effects import reader_of_word", "finding import by_vector"),
    }
    lines = _written_examples(asked, *needed.get(asked.by, ()))
    return written([*lines, f"    print({found[asked.by]})"])


# --- here -----------------------------------------------------------------------------------------


class AskHere(OfFeatures):
    """A text in which features fire."""

    text: str = Field(
        "",
        title="Text",
        description="Empty: an example for this model.",
        json_schema_extra=asked_as(
            "text", offers={name: list(each) for name, each in _TEXTS.items()}
        ),
    )
    labels: bool = Field(
        True,
        title="With labels",
        description="Labels come from examples; the first time these are made, which takes some "
        "seconds.",
    )


def _here(asked: AskHere, desk: Desk) -> dict[str, Any]:
    lm, plain, features = _found(asked, desk)
    text = _text(asked.text, _TEXTS, asked.model)
    if not asked.labels:
        data = here_data(lm, features, text, version=__version__)
    else:
        with examples_here(desk, plain, features) as examples:
            data = here_data(lm, features, text, examples=examples, version=__version__)
    return with_asked(_named(data, asked, desk), "features.here", asked)


def _here_python(asked: AskHere) -> str:
    text = _text(asked.text, _TEXTS, asked.model)
    return written(
        [
            *_reading(asked),
            f"trace = molehill.record(lm, {text!r}, features.reads)",
            "codes = features.encode(trace)",
            "print([codes.row(token) for token in range(codes.rows)])",
        ]
    )


# --- steering -------------------------------------------------------------------------------------


class AskSteer(OfFeatures):
    """A text gone on from with a feature changed."""

    prompt: str = Field(
        "",
        title="Text",
        description="Empty: an example for this model.",
        json_schema_extra=asked_as(
            "text", offers={name: list(each) for name, each in _PROMPTS.items()}
        ),
    )
    feature: int | None = Field(
        None,
        ge=0,
        title="Feature",
        description="None: the one that stands out most in the text.",
        json_schema_extra=asked_as("number", optional=True),
    )
    how: Literal["add", "hold", "off"] = Field(
        "add",
        title="How",
        description="Add to it at every token, hold it at one value, or switch it off.",
        json_schema_extra=asked_as("hidden"),
    )
    strength: float = Field(
        2.0,
        ge=-10,
        le=10,
        title="Strength",
        description="In units of the largest value that its examples have.",
        json_schema_extra=asked_as("hidden"),
    )
    tokens: int = Field(24, ge=1, le=120, title="Tokens", json_schema_extra=asked_as("hidden"))


def _steer(asked: AskSteer, desk: Desk) -> dict[str, Any]:
    lm, plain, features = _found(asked, desk)
    prompt = _text(asked.prompt, _PROMPTS, asked.model)
    with examples_here(desk, plain, features) as examples:
        hits = by_text(lm, features, examples, prompt, 12).hits
        if asked.feature is None and not hits:
            raise TextError("No feature is active in this text: name one by its number.")
        number = hits[0].feature if asked.feature is None else asked.feature
        _check((number,), features)
        unit, label = _unit(number, hits, examples)
        labels = examples.labels() if examples is not None else [""] * features.n_features
    change = {
        "add": Change(number, "add", unit),
        "hold": Change(number, "clamp", unit),
        "off": Change(number, "scale", 0.0),
    }[asked.how]
    strengths = (1.0,) if asked.how == "off" else (asked.strength / 2, asked.strength)
    desk.tell(0, 0, f"Writing {asked.tokens} tokens at {1 + len(set(strengths))} strengths")
    found = steer(
        lm,
        features,
        prompt,
        [change],
        strengths=sorted({one for one in strengths if one}),
        max_new_tokens=asked.tokens,
    )
    data = steer_data(lm, features, found, version=__version__)
    data |= {
        "feature": {"number": number, "label": label, "unit": unit},
        "others": [{"feature": hit.feature, "label": labels[hit.feature]} for hit in hits],
    }
    return with_asked(_named(data, asked, desk), "features.steer", asked)


def _unit(number: int, hits: Any, examples: Examples | None) -> tuple[float, str]:
    """A feature's largest value, to three digits, and its label."""
    if examples is None:
        here = [hit.value for hit in hits if hit.feature == number]
        return float(f"{max(here, default=1.0):.3g}"), ""
    kept = examples.feature(number)
    return float(f"{kept.largest or 1.0:.3g}"), kept.label.text


def _steer_python(asked: AskSteer) -> str:
    prompt = _text(asked.prompt, _PROMPTS, asked.model)
    if asked.feature is None:
        chosen = f"by_text(lm, features, None, {prompt!r}).hits[0].feature"
    else:
        chosen = str(asked.feature)
    changes = {
        "add": 'Change(feature, "add", 1.0)  # as much as the page says its unit is',
        "hold": 'Change(feature, "clamp", 1.0)  # as much as the page says its unit is',
        "off": 'Change(feature, "scale", 0.0)',
    }
    strength = 1.0 if asked.how == "off" else asked.strength
    made = call(
        "steer",
        "lm",
        "features",
        repr(prompt),
        "[change]",
        strengths=(strength,),
        max_new_tokens=asked.tokens,
    )
    more = ["from molehill.features.steering import Change, steer"]
    if asked.feature is None:
        more.append("from molehill.features.finding import by_text")
    return written(
        [
            *_reading(asked, *more),
            f"feature = {chosen}",
            f"change = {changes[asked.how]}",
            f"found = {made}",
            "print([run.text for run in found.runs])",
        ]
    )


# --- a graph --------------------------------------------------------------------------------------


class AskGraph(OfModel):
    """A text whose next word is explained by features of transcoders."""

    prompt: str = Field(
        "",
        title="Text",
        description="Empty: an example for this model.",
        json_schema_extra=asked_as(
            "text", offers={name: list(each) for name, each in _PROMPTS.items()}
        ),
    )
    target: str | None = Field(
        None,
        max_length=100,
        title="Next word",
        description="To explain; none: the likeliest, up to ten.",
        json_schema_extra=asked_as("next", optional=True),
    )
    transcoders: tuple[str, ...] = Field(
        (),
        max_length=64,
        title="Transcoders",
        description="None: all of the model's that are here.",
        json_schema_extra=asked_as("hidden"),
    )
    nodes: float = Field(
        0.8,
        gt=0,
        le=1,
        title="Nodes",
        description="Keep those with this share of the influence.",
        json_schema_extra=asked_as("hidden"),
    )
    edges: float = Field(
        0.98,
        gt=0,
        le=1,
        title="Edges",
        description="Then edges with this share.",
        json_schema_extra=asked_as("hidden"),
    )


def _graph(asked: AskGraph, desk: Desk) -> dict[str, Any]:
    names = asked.transcoders or tuple(_of_model(asked.model, desk, transcodes=True))
    if not names:
        raise ConfigError(
            f"There are no transcoders of {asked.model} here; the village has them: choose it."
        )
    lm = desk.model(asked.model, asked.edits)
    found = [desk.features_of(name) for name in names]
    if asked.edits:
        found = [replace(each, fingerprint="") for each in found]
    words = None if asked.target is None else [lm.next_token(asked.target)]
    prompt, done = _text(asked.prompt, _PROMPTS, asked.model), 0

    def told(more: int) -> None:
        nonlocal done
        done += more
        desk.tell(done, 0, f"Looking into {done:,} features")

    whole = attribute(lm, prompt, found, targets=words, most_features=2048, progress=told)
    data = graph_data(lm, whole, whole.pruned(asked.nodes, asked.edges), version=__version__)
    # By layer, so that a node can be opened as a card.
    data["here"] = {_layer(one): name for one, name in zip(found, names, strict=True)}
    return with_asked(data, "features.graph", asked)


def _layer(features: Features) -> str:
    return features.writes[0].split(".")[0]


def _graph_python(asked: AskGraph) -> str:
    names = asked.transcoders or tuple(f"village-mlp-{layer}" for layer in range(3))
    targets, prompt = None, _text(asked.prompt, _PROMPTS, asked.model)
    lines = [
        *loading(asked, "from molehill.features import attribute, load_features"),
        f"transcoders = [load_features(name) for name in {names!r}]",
    ]
    if asked.target is not None:
        lines.append(f"targets = [lm.next_token({asked.target!r})]")
        targets = ["targets=targets"]
    made = call("attribute", "lm", repr(prompt), "transcoders", *(targets or []))
    return written(
        [*lines, f"graph = {made}", f"print(graph.pruned({asked.nodes}, {asked.edges}))"]
    )


QUESTIONS = (
    Question(
        "features.search",
        "Find features",
        "Features by a word, a text that activates them, their label, or one that they are like.",
        "features-card",
        AskSearch,
        _search,
        cards_text,
        _search_python,
        needs=("model", "features"),
    ),
    Question(
        "features.card",
        "Features as cards",
        "What features answer to and how sure that is, with examples, words and relatives.",
        "features-card",
        AskCard,
        _card,
        cards_text,
        _card_python,
        needs=("model", "features"),
    ),
    Question(
        "features.here",
        "What fires here",
        "Which features are active at which token of a text, and what they leave unexplained.",
        "features-here",
        AskHere,
        _here,
        here_text,
        _here_python,
        needs=("model", "features"),
    ),
    Question(
        "features.steer",
        "Steering",
        "A text gone on from with a feature stronger or off, beside the unchanged one.",
        "features-steer",
        AskSteer,
        _steer,
        steer_text,
        _steer_python,
        needs=("model", "features"),
    ),
    Question(
        "features.graph",
        "What made which",
        "Which features made which other ones and the next word: direct effects, exactly.",
        "features-graph",
        AskGraph,
        _graph,
        graph_text,
        _graph_python,
        needs=("model", "features"),
    ),
)
