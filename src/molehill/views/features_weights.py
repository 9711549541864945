"""Features as cards without any examples: what their weights alone say, as data of the same schema.

What a direction promotes and demotes, and which directions point the same way. How often a feature
is active and at what stays open, and the card says so. This module knows no terminal and no page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from molehill.errors import TextError
from molehill.features.effects import effects_of, nearest_features, reads_words
from molehill.features.trained import Features
from molehill.language_model import LanguageModel
from molehill.views.features_card import SCHEMA
from molehill.views.provenance import provenance
from molehill.views.words import significant

__all__ = ["weights_data"]

_DIGITS = 4
_WORDS, _NEIGHBOURS = 10, 8


def weights_data(
    lm: LanguageModel, features: Features, numbers: Sequence[int], *, version: str
) -> dict[str, Any]:
    """Features by their numbers, from weights alone: `count`, `density` and values are None.

    Raises:
        ConfigError: features of another model.
        TextError: there is no such feature.
    """
    features.check(lm)
    for number in numbers:
        if not 0 <= number < features.n_features:
            raise TextError(
                f"There is no feature {number}: {features.name} has 0 to {features.n_features - 1}."
            )
    table = features.autoencoder.w_dec
    nearest = nearest_features(table, _NEIGHBOURS)
    effects = effects_of(lm, features, _WORDS) if reads_words(lm, features) else None
    cards = []
    for number in numbers:
        words: dict[str, Any] = {"promoted": [], "demoted": []}
        if effects is not None:
            pairs = {
                "promoted": (effects.promoted, effects.promoted_z),
                "demoted": (effects.demoted, effects.demoted_z),
            }
            words = {name: _words(lm, *(each[number] for each in pairs[name])) for name in pairs}
        neighbours = zip(
            nearest.features[number].tolist(), nearest.cosines[number].tolist(), strict=True
        )
        cards.append(_card(number, words, list(neighbours)))
    chance = None if effects is None else significant(effects.chance, _DIGITS)
    return {
        "schema": SCHEMA,
        "summary": _summary(features, cards, chance),
        "features": {
            "name": features.name,
            "count": features.n_features,
            "architecture": features.settings.architecture,
            "reads": list(features.reads),
            "writes": list(features.writes),
        },
        "corpus": None,
        "chance": chance,
        "notes": _notes(chance),
        "search": None,
        "drawn": "",
        "cards": cards,
        "provenance": provenance(lm, version),
    }


def _card(
    number: int, words: dict[str, Any], neighbours: Sequence[tuple[int, float]]
) -> dict[str, Any]:
    return {
        "feature": number,
        "label": {
            "text": "no examples were looked for",
            "kind": "weights",
            "score": None,
            "chance": None,
            "evidence": [],
        },
        "count": None,
        "density": None,
        "mean": None,
        "largest": None,
        "bars": {"middles": [], "heights": []},
        **words,
        "nearest": [
            {"feature": other, "label": "", "cosine": significant(cosine, _DIGITS)}
            for other, cosine in neighbours
        ],
        "together": [],
        "groups": [],
    }


def _words(lm: LanguageModel, tokens: Any, z: Any) -> list[dict[str, Any]]:
    assert lm.tokenizer is not None, "a model whose words can be named"
    piece = lm.tokenizer.piece
    return [
        {"piece": piece(token), "z": significant(value, _DIGITS)}
        for token, value in zip(tokens.tolist(), z.tolist(), strict=True)
    ]


def _summary(
    features: Features, cards: Sequence[dict[str, Any]], chance: float | None
) -> list[str]:
    many = f"{len(cards)} feature{'s' if len(cards) > 1 else ''} of {features.name}"
    lines = [f"{many}, from weights alone: no text was read, so what they answer to is not known."]
    if chance is not None:
        beyond = sum(bool(card["promoted"]) and card["promoted"][0]["z"] > chance for card in cards)
        lines.append(
            f"Of {beyond} the direction promotes a word further than chance reaches ({chance:.1f})."
        )
    return lines


def _notes(chance: float | None) -> list[str]:
    notes = ["Nothing here comes from examples: directions alone."]
    if chance is not None:
        notes.append(
            "Words are promoted by the feature's direction alone, through the norms to the "
            "unembedding, told in standard deviations of what random directions give to the word; "
            f"the best word of a random direction stays below {chance:.1f} in 95 of 100 cases."
        )
    return notes
