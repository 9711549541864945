"""A neuron's card, a search for neurons and what a vector holds, as data: what `--json` prints, the
page draws and the text is written from.

What chance alone would reach stands beside every list. The schemas are described in
docs/rooms/facts.md. This module knows nothing of terminals, pages or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from molehill.facts.carrying import block_of, wide
from molehill.facts.directions import Holdings
from molehill.facts.firing import Example, Firing
from molehill.facts.memories import (
    ColumnReading,
    NeuronCard,
    RowReading,
    Source,
    matched_words,
    promoted_words,
)
from molehill.facts.neuron_index import Hit, Search, row_matrices
from molehill.facts.words import WordScore, best_of_chance
from molehill.language_model import LanguageModel
from molehill.views.provenance import provenance
from molehill.views.words import bare, enumerated, percent, significant

__all__ = ["HOLDS_SCHEMA", "SCHEMA", "SEARCH_SCHEMA", "holds_data", "neuron_data", "search_data"]

SCHEMA = "molehill.neuron/1"
SEARCH_SCHEMA = "molehill.neuron-search/1"
HOLDS_SCHEMA = "molehill.holds/1"

_DIGITS = 5
_TURNED = 0.3
"""A cosine of row and column that is worth a sentence."""


def neuron_data(lm: LanguageModel, card: NeuronCard, *, version: str) -> dict[str, Any]:
    """Everything that the views of a neuron show, as plain values without NaN or infinities.

    Args:
        version: of Molehill, for the provenance.
    """
    data = {
        "schema": SCHEMA,
        "summary": [],
        "neuron": {
            "layer": card.layer,
            "index": card.neuron,
            "label": card.label,
            "gated": card.gated,
            "activation": card.activation,
        },
        "chance": significant(card.chance, _DIGITS),
        "d_vocab": card.d_vocab,
        "rows": [_row(row) for row in card.rows],
        "column": _column(card.column),
        "firing": None if card.firing is None else _firing(card.firing),
        "notes": _notes(lm, card),
        "provenance": provenance(lm, version),
    }
    data["summary"] = _summary(data)
    return data


def _row(row: RowReading) -> dict[str, Any]:
    return {
        "name": row.name,
        "length": significant(row.length, _DIGITS),
        "bias": significant(row.bias, _DIGITS),
        "own_cosine": significant(row.own_cosine, _DIGITS),
        "matched": _words(row.matched),
        "opposed": _words(row.opposed),
        "neurons": [_source(one) for one in row.neurons],
        "neurons_before": row.neurons_before,
        "neurons_chance": significant(best_of_chance(2 * row.neurons_before), _DIGITS),
        "heads": [_source(one) for one in row.heads],
        "head_chance": significant(row.head_chance, _DIGITS),
    }


def _column(column: ColumnReading) -> dict[str, Any]:
    return {
        "length": significant(column.length, _DIGITS),
        "promoted": _words(column.promoted),
        "demoted": _words(column.demoted),
        "through_head": column.through_head,
    }


def _words(words: Sequence[WordScore]) -> list[dict[str, Any]]:
    return [
        {
            "token": one.token,
            "piece": one.piece,
            "score": significant(one.score, _DIGITS),
            "z": significant(one.z, _DIGITS),
        }
        for one in words
    ]


def _source(source: Source) -> dict[str, Any]:
    return {
        "label": source.label,
        "layer": source.layer,
        "index": source.index,
        "cosine": significant(source.cosine, _DIGITS),
        "z": significant(source.z, _DIGITS),
    }


def _firing(firing: Firing) -> dict[str, Any]:
    shares = ("fires", "without_bias", "negative", "mean", "deviation", "reach")
    return {
        "texts": firing.texts,
        "tokens": firing.tokens,
        **{name: significant(getattr(firing, name), _DIGITS) for name in shares},
        "counts": list(firing.counts),
        "examples": [_example(one) for one in firing.examples],
        "lowest": [_example(one) for one in firing.lowest],
    }


def _example(example: Example) -> dict[str, Any]:
    return {
        "text": example.text,
        "pieces": list(example.pieces),
        "at": example.at,
        "coefficient": significant(example.coefficient, _DIGITS),
        "asked": significant(example.asked, _DIGITS),
        "coefficients": [significant(value, 3) for value in example.coefficients],
    }


def _notes(lm: LanguageModel, card: NeuronCard) -> list[str]:
    notes = [
        "Every score of a word is a dot product, told in standard deviations over the "
        f"vocabulary: the best of {card.d_vocab:,} random numbers would reach {card.chance:.1f}.",
        "A row is held against tokens' own vectors, as if nothing had been added to them on the "
        "way to its layer, and without a position. In late layers a token's vector has become "
        "something else by then: what the row really answers to is seen over texts.",
    ]
    if card.column.through_head:
        notes.append(
            "A column is followed to the end by itself: through the gains of the norms on the way "
            "and the unembedding. What later layers make of it is not in that."
        )
    else:
        notes.append(
            "This model has no unembedding that reads words straight from its vectors, so the "
            "column is held against the tokens' own vectors."
        )
    if card.gated:
        notes.append(
            f"The coefficient is {lm.config.activation}(gate row · x) × (up row · x). The neuron "
            "is said to fire where the gate's dot product is above nothing; the up row gives the "
            "coefficient its sign, and with a negative one the column is taken off."
        )
    notes.append(
        "A head can write in many directions: its cosine is that of the best of them, and "
        f"directions drawn at random would have {card.rows[0].head_chance:.2f}."
    )
    return notes


# --- in words ---------------------------------------------------------------------------------


def _summary(data: dict[str, Any]) -> list[str]:
    lines = [_asks(row, data["chance"]) for row in data["rows"]]
    return [
        *lines,
        _adds(data["column"], data["chance"], data["neuron"]["gated"]),
        *_turned(data["rows"]),
        *([] if data["firing"] is None else _fired(data)),
    ]


def _asks(row: dict[str, Any], chance: float) -> str:
    best = row["matched"][0]
    if best["z"] is None:
        return f"The scores of its {row['name']} are not finite."
    if best["z"] < chance:
        return (
            f"No token stands out in what its {row['name']} asks: the best, "
            f"{_quoted(best['piece'])}, lies at {best['z']:.1f}, and chance reaches {chance:.1f}."
        )
    return f"Its {row['name']} asks for {_listed(row['matched'], chance)}."


def _adds(column: dict[str, Any], chance: float, gated: bool) -> str:
    up, down = column["promoted"][0], column["demoted"][0]
    if up["z"] is None or down["z"] is None:
        return "The scores of its column are not finite."
    side = "promoted" if up["z"] >= -down["z"] else "demoted"
    best = column[side][0]
    if abs(best["z"]) < chance:
        return (
            f"No word stands out in what its column adds: the furthest, {_quoted(best['piece'])}, "
            f"lies at {_number(best['z'])}, and chance reaches {chance:.1f}."
        )
    doing = "promotes" if side == "promoted" else "demotes"
    turned = "; with a coefficient below nothing it does the opposite" if gated else ""
    return f"Its column {doing} {_listed(column[side], chance)}{turned}."


def _listed(words: Sequence[dict[str, Any]], chance: float) -> str:
    """The first words above chance, each once whatever its case, and how far the first stands."""
    found: dict[str, dict[str, Any]] = {}
    for one in words:
        if one["z"] is not None and abs(one["z"]) >= chance:
            found.setdefault(bare(one["piece"]).casefold(), one)
    chosen = list(found.values())[:4]
    names = enumerated([_quoted(one["piece"]) for one in chosen])
    return f"{names} ({_number(chosen[0]['z'])} standard deviations; chance reaches {chance:.1f})"


def _turned(rows: Sequence[dict[str, Any]]) -> list[str]:
    """What row and column have to do with one another."""
    turned = [row for row in rows if abs(row["own_cosine"] or 0.0) >= _TURNED]
    if not turned:
        return []
    row = max(turned, key=lambda one: abs(one["own_cosine"]))
    cosine = _number(row["own_cosine"], 2)
    if row["own_cosine"] < 0:
        return [
            f"Its column points against its {row['name']} (cosine {cosine}): with a positive "
            "coefficient it takes out of the vector some of what it asked for."
        ]
    return [
        f"Its column points along its {row['name']} (cosine {cosine}): with a positive "
        "coefficient it adds more of what it asked for."
    ]


def _fired(data: dict[str, Any]) -> list[str]:
    firing, gated = data["firing"], data["neuron"]["gated"]
    texts = f"{firing['texts']:,} text{'' if firing['texts'] == 1 else 's'}"
    share = percent(firing["fires"]) if firing["fires"] else "none"
    line = f"Of {firing['tokens']:,} tokens in {texts}, it fires at {share}"
    if gated:
        line += f", and its coefficient is below nothing at {percent(firing['negative'])}"
    lines = [f"{line}. {_gate(data)}"]
    if firing["examples"]:
        best = firing["examples"][0]
        lines.append(
            f"Its coefficient is largest, {_number(best['coefficient'])}, at "
            f"{_quoted(best['pieces'][best['at']])} in text {best['text']}."
        )
    return lines


def _gate(data: dict[str, Any]) -> str:
    """What the bias does."""
    bias, firing = data["rows"][0]["bias"], data["firing"]
    if not bias:
        return "No bias is added: its threshold is a match of nothing."
    without = percent(firing["without_bias"]) if firing["without_bias"] else "none"
    return f"A bias of {_number(bias, 2)} is added to the match; without it, {without} would fire."


def _number(value: float, digits: int = 1) -> str:
    return f"{'−' if value < 0 else ''}{abs(value):.{digits}f}"


def _quoted(piece: str) -> str:
    return f"“{bare(piece).strip('“”')}”"


# --- a search ---------------------------------------------------------------------------------


def search_data(
    lm: LanguageModel, search: Search, *, words: int = 5, version: str
) -> dict[str, Any]:
    """What a search found, each neuron with the words that it asks for and writes.

    Args:
        words: how many of each.
        version: of Molehill, for the provenance.
    """
    data = {
        "schema": SEARCH_SCHEMA,
        "summary": [],
        "kind": search.kind,
        "token": search.token,
        "piece": search.piece,
        "row": search.row,
        "neurons": search.neurons,
        "both_signs": search.both_signs,
        "chance": significant(search.chance, _DIGITS),
        "beyond": search.beyond,
        "layers": [
            {"layer": layer, "beyond": one.beyond, "best": significant(one.best, _DIGITS)}
            for layer, one in enumerate(search.layers)
        ],
        "hits": [_hit(lm, hit, search, words) for hit in search.hits],
        "notes": _search_notes(search),
        "provenance": provenance(lm, version),
    }
    data["summary"] = _search_summary(data)
    return data


def _hit(lm: LanguageModel, hit: Hit, search: Search, words: int) -> dict[str, Any]:
    mlp = block_of(lm.model, hit.layer).mlp
    rows = row_matrices(mlp)
    row = rows[-1 if search.row == "up" else 0][hit.neuron]
    ((matched, opposed),) = matched_words(lm, hit.layer, row[None], words)
    column = wide(mlp.w_out)[:, hit.neuron]
    ((promoted, demoted),) = promoted_words(lm, hit.layer, column[None], words)
    return {
        "label": hit.label,
        "layer": hit.layer,
        "index": hit.neuron,
        "z": significant(hit.z, _DIGITS),
        "score": significant(hit.score, _DIGITS),
        "matched": _words(matched),
        "opposed": _words(opposed),
        "promoted": _words(promoted),
        "demoted": _words(demoted),
    }


def _search_notes(search: Search) -> list[str]:
    side = "column with the word" if search.kind == "writes" else "row with the token's own vector"
    notes = [
        f"Scores are dot products of a {side}, in standard deviations over the vocabulary; the "
        f"best of {search.neurons:,} random neurons would reach {search.chance:.1f}"
        + (", on either side." if search.both_signs else "."),
    ]
    if search.kind == "writes" and search.both_signs:
        notes.append(
            "A score below nothing: the column promotes the word where its coefficient is negative."
        )
    if search.kind == "asks":
        notes.append(
            "A token's own vector is taken as if nothing had been added to it on the way to the "
            "layer. In late layers that is less and less what rows are given."
        )
    if search.kind == "writes" and not search.through_head:
        notes.append(
            "This model has no unembedding that reads words straight from its vectors: columns are "
            "held against the tokens' own vectors."
        )
    notes.append("`molehill facts read LAYER.NEURON` shows all of one neuron.")
    return notes


def _search_summary(data: dict[str, Any]) -> list[str]:
    word, best, count = _quoted(data["piece"]), data["hits"][0], data["beyond"]
    asks = data["kind"] == "asks"
    if abs(best["z"] or 0.0) <= data["chance"]:
        return [
            f"Of {data['neurons']:,} neurons none stands out among those that "
            f"{'ask for' if asks else 'write'} {word}: the best lies at "
            f"{_number(best['z'] or 0.0)}, and chance reaches {data['chance']:.1f}."
        ]
    doing = ("asks for" if asks else "writes") if count == 1 else "ask for" if asks else "write"
    first = "it is" if count == 1 else "the first is"
    return [
        f"Of {data['neurons']:,} neurons, {count:,} {doing} {word} beyond chance "
        f"({data['chance']:.1f}); {first} {best['label']}, at {_number(best['z'])}.",
        *_layers_told(data["layers"], count),
    ]


def _layers_told(layers: Sequence[dict[str, Any]], count: int) -> list[str]:
    """Where the neurons beyond chance are."""
    held = [one for one in layers if one["beyond"]]
    if count < 2 or len(layers) < 2:
        return []
    most = max(held, key=lambda one: one["beyond"])
    if len(held) == 1:
        every = "Both" if count == 2 else "All of them"
        return [f"{every} are in layer {most['layer']}, of {len(layers)}."]
    first, last = held[0]["layer"], held[-1]["layer"]
    span = f"layers {first} {'and' if last == first + 1 else 'to'} {last}, of {len(layers)}"
    told = f"most, {most['beyond']:,}, {'is' if most['beyond'] == 1 else 'are'}"
    even = all(one["beyond"] == most["beyond"] for one in held)
    more = "" if even else f"; {told} in layer {most['layer']}"
    return [f"They are in {span}{more}."]


def holds_data(holdings: Holdings) -> dict[str, Any]:
    """What a vector holds, as plain values: the largest z first."""
    return {
        "schema": HOLDS_SCHEMA,
        "rows": [
            {
                "name": one.name,
                "product": significant(one.product, _DIGITS),
                "cosine": significant(one.cosine, _DIGITS),
                "quantile": significant(one.quantile, _DIGITS),
                "z": significant(one.z, _DIGITS),
                "among": significant(one.among, _DIGITS),
            }
            for one in holdings.rows
        ],
        "draws": holdings.draws,
        "background": holdings.background,
        "seed": holdings.seed,
    }
