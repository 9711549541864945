"""A ledger's data: every way of adding it up gives the ledger's own sum, and JSON can hold it."""

from __future__ import annotations

import json

import pytest
import torch
from tests.journey.tiny import BLOCKS, tiny_language
from tests.views.made import HOSTILE, SIX, ledger_of, word_model

from molehill.errors import ConfigError, MolehillError, TextError
from molehill.journey import follow
from molehill.views.ledger import AXES, grouped, ledger_data

HEADED = [name for name in BLOCKS if name != "bert"]
READINGS = [(name, None) for name in BLOCKS] + [(name, 3) for name in HEADED]


def whole(group: dict) -> float:
    return sum(entry["value"] for entry in group["entries"]) + group["rest"]


@pytest.mark.parametrize(("name", "toward"), READINGS)
def test_every_way_of_adding_up_gives_what_the_model_computed(name, toward):
    made = ledger_of(name, toward=toward)
    measured = pytest.approx(made["read"]["measured"], rel=1e-9, abs=1e-9)
    assert made["read"]["total"] == measured
    for axis in AXES:
        assert whole(made["groups"][axis]) == measured
    assert sum(kind["value"] for kind in made["kinds"]) == measured
    assert sum(part["value"] for layer in made["layers"] for part in layer["parts"]) == measured
    listed = sum(row["value"] for row in made["rows"])
    left = sum(one["rest"] for one in made["rows_left"])
    assert listed + left + made["read"]["constant"] == measured


@pytest.mark.parametrize("name", HEADED)
def test_a_score_is_the_models_own_with_its_rank_and_probability(name):
    lm, made = tiny_language(name), ledger_of(name, toward=3)
    logits = lm.model(lm.encode([SIX[0]]).ids).logits.reshape(-1, lm.config.d_vocab)[-1]
    assert made["read"]["measured"] == pytest.approx(float(logits[3]), rel=1e-9)
    assert made["read"]["rank"] == int((logits > logits[3]).sum())
    assert made["read"]["probability"] == pytest.approx(float(logits.softmax(-1)[3]), rel=1e-3)
    best = logits.softmax(-1).topk(5)
    assert [near["piece"] for near in made["next"]] == [f"<{one}>" for one in best.indices.tolist()]
    shown = [near["probability"] for near in made["next"]]
    assert shown == pytest.approx(best.values.tolist(), rel=1e-3)


@pytest.mark.parametrize("name", BLOCKS)
def test_groups_rows_and_counts_are_those_of_the_ledger(name):
    lm, made = tiny_language(name), ledger_of(name, top=5)
    book = follow(lm, SIX[0]).ledger()
    reading = book.toward(book.vector / book.vector.norm())
    assert made["rows_count"] == len(book) == sum(kind["count"] for kind in made["kinds"])
    assert made["length"] == pytest.approx(float(book.vector.norm()), rel=1e-9)
    for axis in ("component", "head", "neuron"):
        values = sorted(reading.by(axis).values(), key=abs, reverse=True)
        told = [entry["value"] for entry in made["groups"][axis]["entries"]]
        assert told == pytest.approx(values[: len(told)], rel=1e-9)
    for kind in ("head", "neuron"):
        best = [row.toward for row in reading.top(5, kind=kind)]
        told = [row["value"] for row in made["rows"] if row["kind"] == kind]
        assert sorted(told) == pytest.approx(sorted(best), rel=1e-9)
    for row in made["rows"]:
        assert row["value"] == pytest.approx(row["norm"] * row["cosine"], rel=1e-3, abs=1e-6)


def test_a_source_is_named_by_its_token_and_its_place():
    made = ledger_of("llama")
    entries = [entry for entry in made["groups"]["source"]["entries"] if "position" in entry]
    assert {entry["position"] for entry in entries} == set(range(len(SIX[0])))
    for entry in entries:
        assert entry["name"].endswith(f"({entry['position']})")
        assert entry["name"].strip("“”")[0].strip("“”") in ("", SIX[0][entry["position"]])


def test_what_a_list_leaves_out_is_counted_and_added_up():
    book = follow(tiny_language("llama"), SIX[0]).ledger()
    reading = book.toward(book.vector)
    made = grouped(reading, "neuron", 15, most=3)
    everything = sorted(reading.by("neuron").values(), key=abs, reverse=True)
    assert made["rest_count"] == len(everything) - 3
    assert made["rest"] == pytest.approx(sum(everything[3:]), rel=1e-9)


def test_all_that_came_before_a_point_is_one_row():
    made = ledger_of("llama", between="1.resid_post")
    lm = tiny_language("llama")
    start = follow(lm, SIX[0]).ledger().between("1.resid_post").parts[0].total()
    whole = follow(lm, SIX[0]).ledger().vector
    [row] = [row for row in made["rows"] if row["kind"] == "start"]
    assert row["value"] == pytest.approx(float(start @ whole / whole.norm()), rel=1e-9)
    assert made["between"]["name"] == "1.resid_post"
    assert not {row["layer"] for row in made["rows"]} & {0, 1}


def test_shares_are_parts_of_a_whole_that_is_positive_and_else_not_given():
    made = ledger_of("llama")
    for kind in made["kinds"]:
        assert kind["share"] == pytest.approx(kind["value"] / made["length"], rel=1e-3)
    scores = [ledger_of("llama", toward=token) for token in range(6)]
    assert {one["read"]["measured"] > 0 for one in scores} == {True, False}
    for one in scores:
        positive = one["read"]["measured"] > 0
        assert all((kind["share"] is not None) == positive for kind in one["kinds"])


@pytest.mark.parametrize("text", [*HOSTILE, *SIX[:2]])
def test_json_holds_it_all(text):
    made = ledger_of("llama", text)
    assert json.loads(json.dumps(made, allow_nan=False)) == made


def test_what_is_not_finite_is_said_and_not_written():
    lm = tiny_language("llama")
    with torch.no_grad():
        lm.model.blocks[1].mlp.w_out.fill_(float("nan"))
    made = ledger_data(lm, follow(lm, SIX[0]), version="0.0.0")
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert "not finite" in made["summary"][-1]


def test_a_model_without_a_head_gives_no_score():
    with pytest.raises((ConfigError, MolehillError)):
        ledger_of("bert", toward=3)


def test_words_that_the_model_does_not_know_are_named_and_never_followed():
    lm = word_model()
    made = ledger_data(lm, follow(lm, "the 🦄 saw the mole"), version="0.0.0")
    assert any("does not know “🦄”, “saw”:" in note for note in made["notes"])
    known = ledger_data(lm, follow(lm, "the mole"), version="0.0.0")
    assert not any("does not know" in note for note in known["notes"])
    with pytest.raises(TextError, match="does not know 'zebra' in text 1"):
        follow(lm, "the zebra")
