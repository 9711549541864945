"""A fact's card as data: what `--json` prints, the page draws and the text is written from.

Whether the model knows it, where it is carried, what writes it, and what is lost without that,
with what random parts do beside it. The schema is described in docs/rooms/facts.md. This module
knows nothing of terminals, pages or files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from molehill.facts.ablating import Change, Control
from molehill.facts.card import Asked, FactCard, Listed
from molehill.language_model import LanguageModel
from molehill.views.fact_trace import amount, fact_trace_data
from molehill.views.provenance import digits_of, provenance
from molehill.views.words import bare, component, enumerated, percent, significant, visible

__all__ = ["LISTS", "SCHEMA", "beyond", "fact_card_data"]

SCHEMA = "molehill.fact-card/1"

LISTS = {
    "heads": "Heads at the last token",
    "neurons": "Neurons at the last token",
    "subject_neurons": "Neurons at the subject",
}
"""The lists of parts that are switched off, with their titles."""
_GROUPS = {
    "heads": "all heads listed",
    "neurons": "all neurons listed",
    "subject neurons": "all at the subject",
    "everything": "everything listed",
}
_TRACED = ("rows", "layers", "clean", "corrupted", "total_effect", "corruption", "kinds")
_NAMED = 3
_ENOUGH = 5
"""Random parts that have to stand beside one before it is told apart from them."""


def fact_card_data(
    lm: LanguageModel, card: FactCard, *, own_answer: bool = False, version: str
) -> dict[str, Any]:
    """Everything that the views of a fact's card show, as plain values without NaN or infinities.

    Args:
        own_answer: whether the object is the model's own likeliest word, which it says by itself
            whatever it is.
        version: of Molehill, for the provenance.
    """
    digits = digits_of(lm)
    first, end = card.subject_span
    told = None if card.trace is None else fact_trace_data(lm, card.trace, version=version)
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "summary": [],
        "prompt": card.fact.prompt,
        "subject": card.fact.subject,
        "object": card.fact.object,
        "object_pieces": list(card.object_pieces),
        "rows": [
            {"name": piece, "position": place, "subject": first <= place < end}
            for place, piece in enumerate(card.pieces)
        ],
        "at": card.at,
        "known": card.known,
        "log_probability": significant(card.log_probability, digits),
        "probability": significant(math.exp(card.log_probability), digits),
        "asked": [_asked(one, digits) for one in card.asked],
        "trace": None if told is None else {name: told[name] for name in _TRACED},
        "carriers": _carriers(card, digits),
        "score": significant(card.score, digits),
        "closing_error": significant(card.closing_error, 2),
        "components": [
            {"name": component(name), "value": significant(value, digits)}
            for name, value in card.by_component.items()
        ],
        **{name: [_listed(card, one, digits) for one in getattr(card, name)] for name in LISTS},
        "against": [
            {"label": label, "toward": significant(value, digits), "share": _share(card, value)}
            for label, value in card.against
        ],
        "subject_layers": list(card.subject_layers),
        "groups": [
            {"name": name, "title": _GROUPS[name], "parts": _parts(card, name)}
            | _change(card, change, control, digits)
            for name, (change, control) in card.together.items()
        ],
        "seed": card.seed,
        "notes": _notes(card),
        "provenance": provenance(lm, version),
    }
    data["summary"] = [
        *_knows(data, own_answer),
        *([] if told is None else told["summary"]),
        *_written(data),
        *_lost(data),
    ]
    return data


def beyond(one: dict[str, Any]) -> bool:
    """Whether the object loses more without this part than without any random one beside it, if
    there are enough of them to say so."""
    control = one["control"]
    if control is None or one["log_probability"] is None or control["draws"] < _ENOUGH:
        return False
    return one["log_probability"] < min(0.0, control["low"])


# --- parts of the data --------------------------------------------------------------------------


def _asked(one: Asked, digits: int) -> dict[str, Any]:
    following = None
    if one.next_piece is not None:
        probability = significant(one.next_probability, digits)
        following = {"piece": one.next_piece, "probability": probability}
    return {
        "prompt": one.prompt,
        "rank": one.answer.rank,
        "probability": significant(one.answer.probability, digits),
        "nll": significant(one.answer.nll, digits),
        "greedy": one.answer.greedy,
        "said": one.said,
        "next": following,
    }


def _carriers(card: FactCard, digits: int) -> list[dict[str, Any]]:
    total = 0.0 if card.trace is None else card.trace.total_effect
    return [
        {
            "kind": one.kind,
            "place": one.place,
            "layer": one.layer,
            "row": one.position,
            "piece": card.pieces[one.position],
            "window": 1 if card.trace is None else card.trace.windows.get(one.kind, 1),
            "effect": significant(one.effect, digits),
            "share": significant(one.effect / total, digits) if total > 0 else None,
        }
        for one in card.carriers
    ]


def _listed(card: FactCard, one: Listed, digits: int) -> dict[str, Any]:
    return {
        "label": one.part.label,
        "kind": one.part.kind,
        "layer": one.part.layer,
        "index": one.part.index,
        "position": one.part.position,
        "toward": significant(one.toward, digits),
        "share": None if one.toward is None else _share(card, one.toward),
        "size": significant(one.size, digits),
        "source": one.source,
        "source_piece": None if one.source is None else card.pieces[one.source],
    } | _change(card, one.change, one.control, digits)


def _change(card: FactCard, change: Change, control: Control | None, digits: int) -> dict[str, Any]:
    before = math.exp(card.log_probability)
    return {
        "log_probability": significant(change.log_probability, digits),
        "probability": significant(change.probability, digits),
        "left": significant(max(0.0, before + change.probability), digits),
        "control": None if control is None else _control(control, digits),
    }


def _control(control: Control, digits: int) -> dict[str, Any]:
    return {
        "draws": len(control.changes),
        "parts": control.parts,
        **{name: significant(getattr(control, name), digits) for name in ("mean", "low", "high")},
    }


def _share(card: FactCard, value: float) -> float | None:
    return significant(value / card.score, 7) if card.score else None


def _parts(card: FactCard, name: str) -> int:
    counts = {kind: len(getattr(card, kind)) for kind in LISTS}
    return sum(counts.values()) if name == "everything" else counts[name.replace(" ", "_")]


# --- in words -----------------------------------------------------------------------------------


def _quoted(text: str) -> str:
    return f"“{visible(text.strip()).strip('“”')}”"


def _knows(data: dict[str, Any], own_answer: bool) -> list[str]:
    model, answer = data["provenance"]["model"], _quoted(data["object"])
    first = data["asked"][0]
    if first["probability"] is None:
        return [f"The probability of {answer} is not finite: look at the model's weights."]
    sure = amount(first["probability"])
    if own_answer:
        lines = [
            f"{model} says {answer} (probability {sure}): no object was given, so its own "
            "likeliest word is followed."
        ]
    elif data["known"]:
        lines = [f"{model} knows it: asked by this prompt it says {answer} (probability {sure})."]
    else:
        said = ""
        if first["next"] is not None:
            likely = amount(first["next"]["probability"])
            said = (
                f"; the likeliest next token is {_quoted(bare(first['next']['piece']))} ({likely})"
            )
        lines = [
            f"{model} does not say it: {answer} has the probability {sure}, its first token rank "
            f"{first['rank'] + 1:,}{said}."
        ]
    if len(data["asked"]) > 1:
        greedy = sum(one["greedy"] for one in data["asked"])
        lines.append(f"It says so in {greedy} of {len(data['asked'])} wordings.")
    return lines


def _written(data: dict[str, Any]) -> list[str]:
    if not data["heads"] and not data["neurons"]:
        return []
    told = [_named(data["heads"], "head"), _named(data["neurons"], "neuron")]
    token = _quoted(bare(data["object_pieces"][0])) if data["object_pieces"] else "the object"
    several = ", its first token," if len(data["object_pieces"]) > 1 else ""
    shares = [
        f"all listed {name} {percent(sum(one['share'] or 0.0 for one in data[name]))}"
        for name in ("heads", "neurons")
        if data[name]
    ]
    return [
        f"To the score of {token}{several} at the last token ({data['score']:.1f}) most is added "
        f"by {enumerated([one for one in told if one])}; {enumerated(shares)} of it."
    ]


def _named(parts: Sequence[dict[str, Any]], kind: str) -> str:
    """`heads 23.5 (from “Jordan”, +1.65), 27.1 (+1.54)`."""
    names = []
    for one in parts[:_NAMED]:
        source = one["source_piece"]
        origin = "" if source is None else f"from {_quoted(bare(source))}, "
        names.append(f"{one['label'].split()[1]} ({origin}+{one['toward']:.2f})")
    return f"{kind}{'s' if len(names) > 1 else ''} {', '.join(names)}" if names else ""


def _lost(data: dict[str, Any]) -> list[str]:
    """What switching off takes, together and alone."""
    groups = [one for one in data["groups"] if one["left"] is not None]
    if not groups:
        return []
    told = [f"without {one['title']} ({one['parts']}) {amount(one['left'])}" for one in groups]
    lines = [f"Of its probability of {amount(data['probability'])}, {enumerated(told)} is left."]
    beside = [one for one in groups if one["control"] is not None]
    if beside:
        before = data["log_probability"]
        names = [
            f"{amount(math.exp(before + one['control']['mean']))}"
            + (f" ({one['control']['parts']} for {one['parts']})" if _short(one) else "")
            for one in beside
        ]
        same = "as many random parts" if len(beside) == 1 else "as many random parts of each"
        lines.append(f"Without {same}, in the same layers: {enumerated(names)}.")
    every = [one for name in LISTS for one in data[name] if one["log_probability"] is not None]
    telling = sum(map(beyond, every))
    more = sum(one["log_probability"] > 0 for one in every)
    lines.append(
        f"Alone, {telling} of {len(every)} parts are missed more than any of {_ENOUGH} or more "
        f"random ones of their layer; without {more} of them the object is likelier than before."
    )
    return lines


def _short(group: dict[str, Any]) -> bool:
    return group["control"]["parts"] < group["parts"]


def _notes(card: FactCard) -> list[str]:
    notes = []
    several = len(card.object_pieces) > 1
    if card.score is not None:
        notes.append(
            "What writes a score: the last token's ledger, read toward the unembedding of the "
            f"object's first token; it closes to {card.closing_error:.1e}. A head's rows "
            "are added up over the tokens it reads from."
        )
        notes.append(
            "A share of a score is no cause: a part that raises other words' scores as much makes "
            "the object no likelier, and where others take from the score, shares add up to more "
            "than all of it. What switching off does counts them all, and the later parts "
            "that make up for a loss."
        )
    if several:
        notes.append(
            f"The object has {len(card.object_pieces)} tokens: the score and its writers are of "
            "the first, probabilities of the whole. Heads and neurons are switched off only where "
            "the first is predicted."
        )
    if card.subject_neurons:
        layers = card.subject_layers
        span = f"layer {layers[0]}" if len(layers) == 1 else f"layers {layers[0]} to {layers[-1]}"
        notes.append(
            f"Neurons at the subject: those that add the longest vectors at its last token in "
            f"{span}, where MLPs matter most in the trace (coefficient times the length of the "
            "column). Their length says nothing of the object."
        )
    if card.together:
        notes.append(
            "Switched off: a head's mix or a neuron's coefficient set to zero at its position. "
            "Beside each, random parts of the same kind, layer and position that are not listed "
            f"(seed {card.seed}); of heads, as many as their layer has left. Most random neurons "
            "add little, so that they say what any neuron does, not what a large one does."
        )
    if card.trace is None:
        notes.append("There was no causal trace: nothing is said of where the fact is carried.")
    if card.score is None:
        notes.append(
            "This model's score is no sum of its parts: nothing is said of what writes it."
        )
    return notes
