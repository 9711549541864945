"""Causal traces as data and text: the record's own numbers, true sentences, nothing JSON lacks."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from rich.cells import cell_len
from tests.journey.tiny import tiny_language
from tests.views.made_traces import LAYERS, PIECES, TOTAL, fact, fact_made, relation, relation_made

from molehill.facts.traced import FactTrace
from molehill.views.documents import readable_json
from molehill.views.fact_trace import (
    amount,
    fact_trace_data,
    largest_effect,
    maps_of,
    relation_trace_data,
)
from molehill.views.fact_trace_text import MOST_ROWS, fact_trace_text

HOSTILE = (
    "</script><img src=x onerror=alert(1)>",
    "\x1b[31mred",
    "\u202eelom\u202c",
    "=cmd|'x'!A0",
    "$x^2$",
    "\ud83d",
    "·\u2028",
)


def told_of(trace: FactTrace) -> dict:
    return fact_trace_data(tiny_language("llama"), trace, version="0.0.0")


def test_a_fact_is_told_cell_by_cell():
    trace, made = fact(), fact_made()
    for kind, effects in trace.effects.items():
        told = made["kinds"][kind]
        assert torch.tensor(told["effects"], dtype=torch.float64).allclose(effects, rtol=1e-4)
        assert torch.tensor(told["errors"], dtype=torch.float64).allclose(
            trace.errors[kind], rtol=1e-4
        )
        peak = trace.peak(kind)
        assert told["peak"]["layer"] == peak.layer
        assert told["peak"]["row"] == peak.position
        assert told["peak"]["effect"] == pytest.approx(peak.effect, rel=1e-4)
        assert told["window"] == trace.windows[kind]
    for name, estimate in trace.approximations.items():
        told = made["approximations"][name]
        assert torch.tensor(told["effects"], dtype=torch.float64).allclose(
            estimate.effects, rtol=1e-4
        )
        assert told["correlation"] == pytest.approx(estimate.correlation, rel=1e-4)
    assert tuple(row["name"] for row in made["rows"]) == trace.pieces
    assert tuple(row["role"] for row in made["rows"]) == trace.roles()
    assert made["total_effect"] == pytest.approx(TOTAL)
    assert made["provenance"]["model"] == "tiny llama"


def test_a_relation_is_told_cell_by_cell():
    trace, made = relation(), relation_made()
    for kind in trace.effects:
        told = made["kinds"][kind]
        for name in ("effects", "low", "high"):
            expected = getattr(trace, name)[kind]
            assert torch.tensor(told[name], dtype=torch.float64).allclose(expected, rtol=1e-4)
        layer, role, effect = trace.peak(kind)
        assert told["peak"]["layer"] == layer
        assert made["rows"][told["peak"]["row"]]["role"] == role
        assert told["peak"]["effect"] == pytest.approx(effect, rel=1e-4)
    assert [row["count"] for row in made["rows"]] == list(trace.counts)
    assert [made["total_effect"], *made["total_interval"]] == list(trace.total_effect)


def test_the_summary_names_the_early_and_the_late_site():
    first, state, rest, close = fact_made()["summary"]
    assert first.endswith("falls from 0.81 to 0.043: a total effect of 0.77.")
    assert "at “Jordan” after layer 10 (0.56, 73% of the total effect)" in state
    assert "half of the total effect from layer 21 on" in state
    assert "MLPs matter most at “Jordan” around layer 12 (0.48" in rest
    assert "attention at “of” around layer 21 (0.43" in rest
    assert "attribution patching 0.87" in close
    many = relation_made()["summary"]
    assert "by 0.62 on average (0.55 to 0.67)" in many[0]
    assert "at the last subject token after layer 10" in many[1]


def test_half_of_the_total_is_counted_from_the_end():
    trace = fact()
    trace.effects["state"][3, -1] = TOTAL  # once, early, and lost again
    assert told_of(trace)["kinds"]["state"]["half_at"] == 21


def test_one_corruption_has_no_errors():
    made = fact_made(drawn=False)
    assert all(one["errors"] is None for one in made["kinds"].values())
    assert any("no standard errors" in note for note in made["notes"])
    assert "Most: 0.48 at “Jordan”, layer 12." in fact_trace_text(made)


def test_where_nothing_was_lost_there_is_nothing_to_restore():
    made = told_of(replace(fact(), clean=0.02, corrupted=0.03))
    assert "nothing to restore" in made["summary"][0]
    assert not any("of the total" in line for line in made["summary"])
    assert made["kinds"]["state"]["half_at"] is None


def test_a_prompt_that_ends_with_its_subject_has_one_site():
    made = told_of(replace(fact(), subject_span=(1, len(PIECES))))
    assert "cannot be told apart" in made["summary"][1]
    assert made["kinds"]["state"]["peak_after"] is None


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_is_said_and_never_reaches_json(bad):
    trace = fact()
    trace.effects["state"][10, 2] = bad
    trace.errors["mlp"][3, 1] = bad
    trace = replace(trace, clean=bad)
    trace.approximations["attribution patching"].effects[:] = bad
    made = told_of(trace)
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert f"{1 + LAYERS * len(PIECES)} effects are not finite" in made["summary"][-1]
    assert made["approximations"]["attribution patching"]["peak"] is None
    assert "?" in fact_trace_text(made)


def test_an_effect_of_zero_everywhere_has_a_scale_all_the_same():
    trace = fact(approximated=False)
    for effects in trace.effects.values():
        effects.zero_()
    made = told_of(trace)
    assert largest_effect(made) == 1.0
    assert fact_trace_text(made)


@pytest.mark.parametrize(
    ("value", "told"),
    [(0.52, "0.52"), (-0.0441, "−0.044"), (0.00312, "0.0031"), (1e-5, "1.0e−5"), (0.0, "0")],
)
def test_amounts_have_two_digits_that_tell(value, told):
    assert amount(value) == told


# --- in a terminal ------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [40, 60, 80, 132])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_no_line_is_wider_than_the_terminal(width, ascii_only):
    for made in (fact_made(), fact_made(layers=80), relation_made()):
        text = fact_trace_text(made, width=width, ascii_only=ascii_only)
        assert max(map(cell_len, text.splitlines())) <= width
        assert text.isascii() == ascii_only


def rows_of(text: str, head: str) -> dict[str, str]:
    """The lines of one map by their first word."""
    lines = text.partition(f"{head}\n")[2].partition("Most:")[0].splitlines()[1:-1]
    return {line[2:].split()[0]: line for line in lines}


def test_shades_follow_the_effects():
    made = fact_made()
    rows = rows_of(fact_trace_text(made), "THE STATE AFTER A LAYER")
    assert rows["Jordan"].startswith("* ") and rows["Michael"].startswith("* ")
    assert rows["of"].startswith("  ")
    assert rows["of"].split()[-2:] == ["0.77", "29"] and rows["of"].count("█") == 14
    assert rows["sport"].split()[-2:] == ["−0.060", "16"] and "−−" in rows["sport"]
    assert PIECES[0] not in rows  # before the subject: said instead
    assert "Left out: 1 token before the subject" in fact_trace_text(made)


def test_every_map_has_its_peak_with_its_error_or_interval():
    text = fact_trace_text(fact_made())
    assert "Most: 0.48 (0.39 to 0.57) at “Jordan”, layer 12." in text
    assert "Correlation with the exact effects: 0.87." in text
    text = fact_trace_text(relation_made())
    assert "Most: 0.38 (0.32 to 0.46) at the last subject token, layer 12." in text
    assert text.count("Most:") == len(maps_of(relation_made()))


def test_layers_without_room_are_grouped_and_it_is_said():
    text = " ".join(fact_trace_text(fact_made(layers=126), width=60).split())
    assert "A cell is 4 layers" in text
    assert "A cell is" not in fact_trace_text(fact_made(), width=80)


def test_of_a_long_prompt_the_largest_rows_are_shown_in_their_order():
    trace = fact(approximated=False)
    wide = {
        kind: torch.cat([effect, torch.zeros(LAYERS, 40), effect[:, -1:]], 1)
        for kind, effect in trace.effects.items()
    }
    pieces = (*PIECES, *(f"·filler{number}" for number in range(40)), "·is")
    made = told_of(
        replace(trace, pieces=pieces, effects=wide, errors={k: e * 0 for k, e in wide.items()})
    )
    rows = rows_of(fact_trace_text(made), "THE STATE AFTER A LAYER")
    assert len(rows) == MOST_ROWS and [*rows][:2] == ["Michael", "Jordan"] and "is" in rows
    assert f"Left out: {len(pieces) - MOST_ROWS} tokens" in fact_trace_text(made)


@pytest.mark.parametrize("word", HOSTILE)
def test_words_cannot_steer_a_terminal_or_break_json(word):
    made = fact_made(pieces=(PIECES[0], word, *PIECES[2:]), target=word)
    made["subject"] = word
    text = fact_trace_text(made)
    assert "\x1b" not in text and "\u202e" not in text and "\u2028" not in text
    assert json.loads(readable_json(made)) == made


def test_a_relation_without_facts_of_some_role_is_told():
    trace = relation()
    kept = (0, 2, 5)
    pick = {
        name: {kind: value[:, kept] for kind, value in getattr(trace, name).items()}
        for name in ("effects", "low", "high")
    }
    roles = tuple(trace.roles[place] for place in kept)
    few = replace(trace, roles=roles, counts=(3, 24, 24), **pick)
    made = relation_trace_data(tiny_language("llama"), few, version="0.0.0")
    assert "first subject token 3, last subject token 24" in " ".join(fact_trace_text(made).split())
