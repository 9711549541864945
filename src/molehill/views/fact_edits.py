"""Files of edits as data: the stack in one, what undoing takes off, how two differ. What `--json`
prints, the page draws and the text is written from.

A file of edits is read without its model, so sizes are in the weights' own units; where an edit was
measured when it was made, its share of the weight stands beside. The schemas are described in
docs/rooms/facts.md. This module knows nothing of terminals, pages or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from molehill.facts.before_after import Compared
from molehill.facts.edit_difference import EditsDifference, edits_difference
from molehill.facts.edits import FactEdit
from molehill.views.fact_edit import compared_row, edit_entry
from molehill.views.words import enumerated, significant, visible

__all__ = [
    "DIFFERENCE_SCHEMA",
    "STACK_SCHEMA",
    "UNDO_SCHEMA",
    "difference_data",
    "stack_data",
    "undo_data",
]

STACK_SCHEMA = "molehill.fact-edits/1"
UNDO_SCHEMA = "molehill.fact-undo/1"
DIFFERENCE_SCHEMA = "molehill.edits-difference/1"

_DIGITS = 6
_HEALTH = {
    "healthy": "found healthy",
    "warns": "warned of",
    "refuses": "refused and kept all the same",
}


def stack_data(
    edits: Sequence[FactEdit],
    *,
    file: str = "",
    compared: Sequence[Compared] = (),
    version: str = "",
) -> dict[str, Any]:
    """The edits of a file, in their order.

    Args:
        file: its name, for people.
        compared: what the edits teach, asked of the model without them and with all, where there
            is a model to ask.
        version: of Molehill.

    Returns:
        Among other things `edits`: for each what it teaches, what it changes and by how much, how
        it was made and what was measured, `after` which others, and `absent`, whether one of these
        is not here.
    """
    entries = _entries(edits, ["here"] * len(edits))
    return {
        "schema": STACK_SCHEMA,
        "kind": "list",
        "summary": [*_holds(edits, file), *_where(entries), *_health(entries), *_absent(entries)],
        "files": [file],
        "edits": entries,
        "weights": _weights(edits_difference(edits, ()), first_only=True),
        "said": [compared_row("prompt", one) for one in compared],
        "notes": list(_NOTES),
        "version": version,
    }


def undo_data(
    edits: Sequence[FactEdit],
    gone: FactEdit,
    *,
    file: str = "",
    out: str = "",
    compared: Sequence[Compared] = (),
    version: str = "",
) -> dict[str, Any]:
    """A file's edits, and what taking one out of them does.

    Args:
        gone: the one that is taken off, itself.
        out: the file that is without it.
        compared: what the edits teach, asked of the model with all of them and without this one.

    Returns:
        As `stack_data`, with each edit's `state`: `gone`, `stays`, or `later` for one that stays
        and was made for a model that had the one that goes.
    """
    states = [
        "gone" if edit is gone else "later" if gone.digest in edit.after else "stays"
        for edit in edits
    ]
    entries = _entries(edits, states)
    kept = [edit for edit in edits if edit is not gone]
    return {
        "schema": UNDO_SCHEMA,
        "kind": "undo",
        "summary": [_undone(gone, len(kept), out), *_later(entries, gone)],
        "files": [file, out],
        "gone": gone.name,
        "edits": entries,
        "weights": _weights(edits_difference(edits, kept)),
        "said": [compared_row("prompt", one) for one in compared],
        "notes": [
            "Applying fewer edits gives the same bits as if the one taken off had never been: "
            "nothing of it is left in the weights.",
            *_NOTES,
        ],
        "version": version,
    }


def difference_data(
    first: Sequence[FactEdit],
    second: Sequence[FactEdit],
    *,
    files: tuple[str, str] = ("", ""),
    version: str = "",
) -> dict[str, Any]:
    """Two files of edits held against each other.

    Returns:
        As `stack_data`, with each edit's `state`: `first`, `second` (only there) or `both`.

    Raises:
        FactError: see `edits_difference`.
    """
    found = edits_difference(first, second)
    ours, theirs = ({id(one) for one in some} for some in (found.only_first, found.only_second))
    shown = [*first, *(edit for edit in second if id(edit) in theirs)]
    states = [
        "first" if id(edit) in ours else "second" if id(edit) in theirs else "both"
        for edit in shown
    ]
    weights = _weights(found)
    return {
        "schema": DIFFERENCE_SCHEMA,
        "kind": "diff",
        "summary": [_apart(found), *_far(weights)],
        "files": list(files),
        "only_first": [str(edit) for edit in found.only_first],
        "only_second": [str(edit) for edit in found.only_second],
        "both": found.both,
        "reordered": found.reordered,
        "norms": {name: significant(norm, _DIGITS) for name, norm in found.norms},
        "neurons": [{"layer": layer, "first": a, "second": b} for layer, a, b in found.neurons],
        "edits": _entries(shown, states),
        "weights": weights,
        "said": [],
        "notes": [
            "A norm of a difference is to be held against the two beside it: of all that A changes "
            "in that weight, and of all that B does.",
            *_NOTES,
        ],
        "version": version,
    }


def _entries(edits: Sequence[FactEdit], states: Sequence[str]) -> list[dict[str, Any]]:
    names = {edit.digest: edit.name for edit in edits}
    entries = []
    for edit, state in zip(edits, states, strict=True):
        entry = edit_entry(edit)
        entry["state"] = state
        entry["after"] = [names.get(digest, f"{digest[:8]} (not here)") for digest in edit.after]
        entry["absent"] = any(digest not in names for digest in edit.after)
        entries.append(entry)
    return entries


def _weights(found: EditsDifference, *, first_only: bool = False) -> list[dict[str, Any]]:
    """What differs, weight by weight; of one stack alone, what it adds up to."""
    own = {name: (first, second) for name, first, second in found.own}
    return [
        {
            "weight": name,
            "norm": significant(norm, _DIGITS),
            **(
                {}
                if first_only
                else {
                    "first": significant(own[name][0], _DIGITS),
                    "second": significant(own[name][1], _DIGITS),
                }
            ),
        }
        for name, norm in found.norms
    ]


# --- in words -----------------------------------------------------------------------------------


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def _holds(edits: Sequence[FactEdit], file: str) -> list[str]:
    if not edits:
        return ["No edits."]
    models = list(dict.fromkeys(f"{one.model} ({one.fingerprint[:12]})" for one in edits))
    facts = sum(len(one.facts) for one in edits)
    lines = [
        f"{visible(file) or 'The file'} holds {_count(len(edits), 'edit')} of "
        f"{_count(facts, 'fact')}, made for {enumerated(models)}."
    ]
    if len(models) > 1:
        lines.append("They are for different weights and cannot be applied together.")
    return lines


def _where(entries: Sequence[dict[str, Any]]) -> list[str]:
    layers = {one["layer"] for entry in entries for one in entry["changes"]} - {None}
    if not layers:
        return []
    told = enumerated(sorted(layers))
    return [f"What they change is in layer{'s' if len(layers) > 1 else ''} {told}."]


def _health(entries: Sequence[dict[str, Any]]) -> list[str]:
    if not entries:
        return []
    found = [entry["metrics"].get("health") for entry in entries]
    if len(found) > 1 and found[0] in _HEALTH and len(set(found)) == 1:
        return [f"When they were made, all were {_HEALTH[found[0]]}."]
    told = [
        f"{found.count(verdict)} {'was' if found.count(verdict) == 1 else 'were'} {words}"
        for verdict, words in _HEALTH.items()
        if verdict in found
    ]
    unknown = sum(one not in _HEALTH for one in found)
    told += [f"of {unknown} the health gate says nothing"] if unknown else []
    when = "they were" if len(found) > 1 else "it was"
    return [f"When {when} made, {enumerated(told)}."] if told else []


def _absent(entries: Sequence[dict[str, Any]]) -> list[str]:
    names = [entry["name"] for entry in entries if entry["absent"]]
    if not names:
        return []
    was = "was" if len(names) == 1 else "were"
    return [f"{enumerated(names)} {was} made for a model that had edits which are not here."]


def _undone(gone: FactEdit, kept: int, out: str) -> str:
    fact = visible(str(gone.facts[0])) if gone.facts else "no fact"
    stays = (
        "no edit stays, and the model is as it came"
        if not kept
        else f"{_count(kept, 'edit')} stay{'s' if kept == 1 else ''}"
    )
    return f"Without {gone.name} ({fact}) {stays}{f', in {visible(out)}' if out else ''}."


def _later(entries: Sequence[dict[str, Any]], gone: FactEdit) -> list[str]:
    names = [entry["name"] for entry in entries if entry["state"] == "later"]
    if not names:
        return []
    return [
        f"{enumerated(names)} {'was' if len(names) == 1 else 'were'} made for a model that had "
        f"{gone.name}, and may say something else without it."
    ]


def _apart(found: EditsDifference) -> str:
    alone = [len(found.only_first), len(found.only_second)]
    if not any(alone):
        same = "in another order" if found.reordered else "in the same order"
        return f"A and B hold the same {_count(found.both, 'edit')}, {same}."
    order = ", in another order" if found.reordered else ""
    told = [
        f"{name} has {count or 'none'} besides" for name, count in zip("AB", alone, strict=True)
    ]
    return f"A and B share {_count(found.both, 'edit')}{order}; {enumerated(told)}."


def _far(weights: Sequence[dict[str, Any]]) -> list[str]:
    if not weights:
        return []
    most = max(weights, key=lambda one: one["norm"] or 0.0)
    more = len(weights) - 1
    others = f" {_count(more, 'more weight')} differ{'s' if more == 1 else ''}." if more else ""
    return [
        f"{most['weight']} ends up {most['norm']:.3g} apart (Frobenius norm), where A changes it "
        f"by {most['first']:.3g} and B by {most['second']:.3g}.{others}"
    ]


_NOTES = [
    "Sizes are Frobenius norms in the weight's own units, since a file of edits is read without "
    "its model; a share of the weight's own size is of when the edit was made.",
    "An edit is known by the sha256 of its changes; its name is how that begins.",
]
