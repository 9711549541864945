"""Features as cards, as data: what `--json` prints, the page draws and the text is written from.

A card says what a feature answers to and how sure that is, how often it is active, its largest
examples and some drawn at random, what its direction promotes beside chance, and its relatives. The
schema is described in docs/rooms/features.md. This module knows no terminal and no page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from molehill.features.examples_dashboard import Group, bars, quarters
from molehill.features.examples_file import Examples, KeptExample, KeptFeature
from molehill.features.labels import UNCLEAR
from molehill.views.provenance import checked
from molehill.views.words import enumerated, percent, significant

__all__ = ["SCHEMA", "card_of", "cards_data", "outline_of", "page_of"]

SCHEMA = "molehill.features/1"

_DIGITS = 4


def cards_data(
    examples: Examples,
    numbers: Sequence[int],
    *,
    drawn: str = "",
    top: int = 10,
    of_a_quarter: int = 4,
    version: str,
) -> dict[str, Any]:
    """Features by their numbers.

    Args:
        drawn: how they were chosen, in words.
        top: the most examples of the largest activations.
        of_a_quarter: the most of each quarter of those drawn at random.
        version: of Molehill.

    Raises:
        TextError: there is no such feature.
    """
    labels = examples.labels()
    cards = [card_of(examples, number, labels, top, of_a_quarter) for number in numbers]
    data = page_of(examples, SCHEMA, version)
    data |= {"search": None, "drawn": drawn, "cards": cards}
    data["summary"] = _summary(data)
    return data


def page_of(examples: Examples, schema: str, version: str) -> dict[str, Any]:
    """What every page of features says: which they are, what was read, where it comes from."""
    about = examples.about
    return {
        "schema": schema,
        "summary": [],
        "features": {
            "name": about["features_name"],
            "count": about["n_features"],
            "architecture": about["architecture"],
            "reads": about["reads"],
            "writes": about["writes"],
        },
        "corpus": {
            "named": about["texts_named"],
            "texts": about["texts"],
            "windows": about["windows"],
            "tokens": about["rows"],
            "left_out": about["left_out"]["told"],
            "pairs": about["pairs"],
        },
        "chance": significant(about["chance"], _DIGITS),
        "notes": _notes(about),
        "provenance": {
            "model": about["model"],
            "fingerprint": about["fingerprint"],
            "dtype": about["dtype"],
            "version": version,
            "checked": checked(about["model"], about["fingerprint"], about["dtype"]),
        },
    }


def outline_of(examples: Examples) -> list[dict[str, Any]]:
    """Every feature in a line: enough to list and to sort them all, without examples."""
    rows = examples.base.execute("SELECT feature, label, kind, score, count FROM features")
    return [
        {
            "feature": feature,
            "label": label,
            "kind": kind,
            "score": significant(score, 3),
            "density": significant(count / max(1, examples.rows), 3),
        }
        for feature, label, kind, score, count in rows
    ]


def card_of(
    examples: Examples, number: int, labels: Sequence[str], top: int, of_a_quarter: int
) -> dict[str, Any]:
    """One feature, with the most examples of the largest, and of each quarter of the others."""
    feature = examples.feature(number)
    middles, heights = bars(feature)
    groups = quarters(examples.examples(number))
    return {
        "feature": number,
        "label": {
            "text": feature.label.text,
            "kind": feature.label.kind,
            "score": significant(feature.label.score, _DIGITS),
            "chance": significant(feature.label.chance, _DIGITS),
            "evidence": list(feature.label.evidence),
        },
        "count": feature.count,
        "density": significant(feature.density, _DIGITS),
        "mean": significant(feature.mean, _DIGITS),
        "largest": significant(feature.largest, _DIGITS),
        "bars": {
            "middles": [significant(one, _DIGITS) for one in middles],
            "heights": heights,
        },
        "promoted": _words(examples, feature.promoted),
        "demoted": _words(examples, feature.demoted),
        **_relatives(feature, labels),
        "groups": [_group(group, top if group.top else of_a_quarter) for group in groups],
    }


def _relatives(feature: KeptFeature, labels: Sequence[str]) -> dict[str, Any]:
    return {
        "nearest": [
            {"feature": other, "label": labels[other], "cosine": significant(cosine, _DIGITS)}
            for other, cosine in feature.nearest
        ],
        "together": [
            {
                "feature": other,
                "label": labels[other],
                "share": significant(share, _DIGITS),
                "correlation": significant(correlation, _DIGITS),
            }
            for other, share, correlation in feature.together
        ],
    }


def _words(examples: Examples, words: Iterable[tuple[int, float]]) -> list[dict[str, Any]]:
    return [
        {"piece": examples.pieces[token], "z": significant(z, _DIGITS)} for token, z in words if z
    ]


def _group(group: Group, most: int) -> dict[str, Any]:
    """Examples with the same words around them count as one, with how many there are."""
    found: dict[tuple[Any, ...], list[KeptExample]] = {}
    for one in group.examples:
        found.setdefault((one.tokens, one.at), []).append(one)
    return {
        "name": group.name,
        "low": significant(group.low, _DIGITS),
        "high": significant(group.high, _DIGITS),
        "share": group.share,
        "top": group.top,
        "count": len(group.examples),
        "examples": [_example(same[0], len(same)) for same in list(found.values())[:most]],
    }


def _example(example: KeptExample, times: int) -> dict[str, Any]:
    return {
        "times": times,
        "text": example.text,
        "position": example.position,
        "word": example.word,
        "pieces": list(example.pieces),
        "at": example.at,
        "value": significant(example.value, _DIGITS),
        "values": [significant(value, 3) for value in example.values],
    }


def _notes(about: Mapping[str, Any]) -> list[str]:
    texts = enumerated(about["texts_named"]) or "texts without a name"
    pairs = about["pairs"]
    notes = [
        f"Examples are from {texts}: {about['texts']:,} texts, {about['rows']:,} tokens in windows "
        f"of at most {about['settings']['context']}. Left out: {about['left_out']['told']}.",
        "The largest activations are at most one of a window. They show a feature at its most "
        "clear; those drawn at random show what it mostly does.",
        "A label is a rule chosen on one half of the examples and scored on the other half; "
        "“unclear” means that no rule that was tried holds. A label that says “strongest” holds "
        "for the largest activations alone.",
        "Correlations of being active are over "
        + (f"{pairs['tokens']:,} tokens" if pairs["every"] > 1 else "all tokens")
        + ("." if pairs["exact"] else "; counters are shared, so that they may be too high."),
    ]
    if about["chance"] is not None:
        chance = significant(about["chance"], _DIGITS)  # rounded as in the summary
        notes.append(
            "Words are promoted by the feature's direction alone, through the norms to the "
            "unembedding, told in standard deviations of what random directions give to the word; "
            f"the best word of a random direction stays below {chance:.1f} in 95 of 100 "
            "cases."
        )
    return notes


# --- in words -------------------------------------------------------------------------------------


def _summary(data: dict[str, Any]) -> list[str]:
    cards, site = data["cards"], " and ".join(data["features"]["reads"])
    if len(cards) == 1:
        return _one(cards[0], data)
    clear = sum(card["label"]["kind"] != UNCLEAR for card in cards)
    weaker = sum(card["label"]["kind"].startswith("strongest") for card in cards)
    lines = [
        f"{len(cards)} features of {data['features']['name']}{data['drawn']}, read from {site}: "
        f"{clear} with a label that holds on held-out examples, {weaker} of these for their "
        f"largest activations alone; {len(cards) - clear} unclear."
    ]
    if data["chance"] is not None:
        beyond = sum(_beyond(card, data["chance"]) for card in cards)
        lines.append(
            f"Of {beyond} the direction promotes a word further than chance reaches "
            f"({data['chance']:.1f})."
        )
    return lines


def _one(card: dict[str, Any], data: dict[str, Any]) -> list[str]:
    label = card["label"]
    if not card["count"]:
        return [
            f"Feature {card['feature']} was active at none of {data['corpus']['tokens']:,} tokens."
        ]
    told = (
        f"Feature {card['feature']} is unclear"
        if label["kind"] == UNCLEAR
        else f"Feature {card['feature']}: {label['text']}"
    )
    lines = [
        f"{told}. It is active at {card['count']:,} of {data['corpus']['tokens']:,} tokens "
        f"({_share(card['density'])}).",
        *label["evidence"],
    ]
    if data["chance"] is not None and _beyond(card, data["chance"]):
        words = [word for word in card["promoted"] if word["z"] > data["chance"]][:4]
        names = enumerated([f"“{word['piece'].lstrip('·')}”" for word in words])
        lines.append(
            f"Its direction promotes {names} ({words[0]['z']:.1f}; chance reaches "
            f"{data['chance']:.1f})."
        )
    elif data["chance"] is not None:
        lines.append("No word stands out in what its direction promotes.")
    return lines


def _beyond(card: dict[str, Any], chance: float) -> bool:
    return bool(card["promoted"]) and card["promoted"][0]["z"] > chance


def _share(share: float) -> str:
    return percent(share) if share >= 0.0005 else f"{1e6 * share:.0f} in a million"
