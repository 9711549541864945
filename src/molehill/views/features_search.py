"""Searches for features, by word, by text and by vector, as data: lists with what each is ranked
by, and the first ones as cards.

The schema is described in docs/rooms/features.md. This module knows no terminal and no page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from molehill.features.examples_file import Examples
from molehill.features.finding import ByText, ByVector, ByWord, WordHit
from molehill.views.features_card import card_of, page_of
from molehill.views.words import percent, significant

__all__ = [
    "SCHEMA",
    "label_search_data",
    "text_search_data",
    "vector_search_data",
    "word_search_data",
]

SCHEMA = "molehill.feature-search/1"


def word_search_data(
    examples: Examples, found: ByWord, *, cards: int = 24, version: str
) -> dict[str, Any]:
    """A search by word.

    Args:
        cards: the most features that are shown as cards too.
    """
    lists = [
        _list("active at it", ("largest", "random"), [_word_hit(hit) for hit in found.at]),
        _list("with it shortly before", ("largest", "random"), map(_word_hit, found.near)),
        _list("whose label names it", (), [(number,) for number in found.named]),
        _list("whose direction promotes it", (), [(number,) for number in found.promoting]),
    ]
    return _search(examples, "word", found.word, lists, cards, version)


def label_search_data(
    examples: Examples, words: str, *, cards: int = 24, most: int = 100, version: str
) -> dict[str, Any]:
    """A search among labels: features whose label holds every word that was asked for, whatever its
    case, as a part too; those with the surest labels first."""
    asked = words.casefold().split()
    held = [
        (number, kind, score)
        for number, text, kind, score in examples.base.execute(
            "SELECT feature, label, kind, score FROM features WHERE count > 0"
        )
        if asked and all(word in text.casefold() for word in asked)
    ]
    held.sort(key=lambda row: (-row[2], row[0]))
    rows = [(number, significant(score, 3)) for number, kind, score in held[:most]]
    name = "whose label holds these words"
    data = _search(examples, "label", words, [_list(name, ("score",), rows)], cards, version)
    many = f"{len(held):,} feature{' has' if len(held) == 1 else 's have'}"
    shown = f"; the {most} surest are listed" if len(held) > most else ""
    data["summary"] = [f"{many} “{words}” in the label{shown}."]
    return data


def _word_hit(hit: WordHit) -> tuple[Any, ...]:
    return hit.feature, significant(hit.top, 3), significant(hit.sample, 3)


def text_search_data(
    examples: Examples, found: ByText, text: str, *, cards: int = 24, version: str
) -> dict[str, Any]:
    """What a text activates."""
    pieces = [examples.pieces[token] for token in found.tokens]
    rows = [
        (
            hit.feature,
            significant(hit.score, 3),
            pieces[hit.at],
            significant(hit.value, 3),
            significant(hit.times, 3),
            significant(hit.rarity, 3),
        )
        for hit in found.hits
    ]
    heads = ("score", "token", "value", "× mean", "rarity")
    lists = [_list("that it activates", heads, rows)]
    data = _search(examples, "text", text, lists, cards, version)
    data["search"] |= {
        "pieces": pieces,
        "looked_at": list(found.looked_at),
        "places": [hit.at for hit in found.hits],
        "active": found.active,
        "values": {
            str(hit.feature): [significant(value, 3) for value in hit.values] for hit in found.hits
        },
    }
    data["summary"] = _search_summary(data)
    data["notes"].insert(
        0,
        "A feature's score is its value, divided by its mean value where it is active, times -ln "
        "of its density: what is always active comes last. It is that of the token where it is "
        "largest.",
    )
    return data


def vector_search_data(
    examples: Examples, found: ByVector, told: str, *, cards: int = 24, version: str
) -> dict[str, Any]:
    """Features that point as a vector does."""
    lists = [
        _list(name, ("cosine",), [(hit.feature, significant(hit.cosine, 3)) for hit in hits])
        for name, hits in (("along it", found.hits), ("against it", found.against))
    ]
    data = _search(examples, "vector", told, lists, cards, version)
    data["search"] |= {"chance": significant(found.chance, 3), "side": found.side}
    data["summary"] = _search_summary(data)
    data["notes"].insert(
        0,
        f"Cosines with each feature's {found.side}. The best of {data['features']['count']:,} "
        f"random directions would reach about {found.chance:.2f}.",
    )
    return data


def _list(name: str, heads: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> dict[str, Any]:
    return {
        "name": name,
        "heads": list(heads),
        "rows": [{"feature": row[0], "cells": list(row[1:])} for row in rows],
    }


def _search(
    examples: Examples,
    kind: str,
    asked: str,
    lists: list[dict[str, Any]],
    cards: int,
    version: str,
) -> dict[str, Any]:
    labels, densities = examples.labels(), examples.densities()
    for each in lists:
        for row in each["rows"]:
            row["label"] = labels[row["feature"]]
            row["density"] = significant(float(densities[row["feature"]]), 3)
    numbers = list(dict.fromkeys(row["feature"] for each in lists for row in each["rows"]))
    data = page_of(examples, SCHEMA, version)
    data |= {
        "search": {"kind": kind, "asked": asked, "lists": [one for one in lists if one["rows"]]},
        "drawn": "",
        "cards": [card_of(examples, number, labels, 6, 2) for number in numbers[:cards]],
    }
    data["summary"] = _search_summary(data)
    return data


def _search_summary(data: dict[str, Any]) -> list[str]:
    search = data["search"]
    if search["kind"] == "label":
        return []
    lists = {each["name"]: each["rows"] for each in search["lists"]}
    if search["kind"] == "word":
        return _word_summary(search["asked"], lists)
    if search["kind"] == "text":
        if not lists:
            return ["No feature is active at any token of the text."]
        first = lists["that it activates"][0]
        return [
            f"{search.get('active', 0):,} features are active somewhere in the text. The one that "
            f"stands out most is {first['feature']} ({first['label']}), at "
            f"“{first['cells'][1].lstrip('·')}”."
        ]
    best = lists["along it"][0]
    chance = search.get("chance") or 0.0
    above = sum(row["cells"][0] > chance for row in lists["along it"])
    line = (
        f"Closest to {search['asked']} is feature {best['feature']} ({best['label']}), with a "
        f"cosine of {best['cells'][0]:.2f}"
    )
    if not above:
        return [f"{line}: no more than chance reaches ({chance:.2f})."]
    return [f"{line}; {above} of those listed lie above what chance reaches ({chance:.2f})."]


def _word_summary(word: str, lists: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    if not lists:
        return [f"No feature has “{word}” among its examples, in its label or in what it promotes."]
    at = lists.get("active at it", ())
    lines = [
        f"{len(at)} feature{' has' if len(at) == 1 else 's have'} examples at “{word}”"
        + (f"; first {at[0]['feature']} ({at[0]['label']})." if at else ".")
    ]
    if at:
        cells = at[0]["cells"]
        lines.append(
            f"Of the largest activations of {at[0]['feature']}, {percent(cells[0])} are at the "
            f"word; of its activations drawn at random, {percent(cells[1])}."
        )
    return lines
