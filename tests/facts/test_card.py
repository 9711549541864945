"""A fact's card on the village, whose facts are known, against the model's own passes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch

import molehill
from molehill.errors import FactError
from molehill.facts.card import FactCard, fact_card, first_token
from molehill.facts.fact import Fact
from molehill.facts.locate import trace_fact
from molehill.facts.prompts import template_of
from molehill.trace import Zero, record
from molehill.village import make_world
from molehill.village.tell import fact_prompts


@cache
def village():
    return molehill.load("village")


@cache
def fact(number: int = 0) -> Fact:
    asked = [one for one in fact_prompts(make_world(0)) if not one.withheld][number]
    first, end = asked.subject
    subject = asked.prompt[first:end]
    return Fact(subject, asked.answer, template_of(asked.prompt, subject))


@cache
def split(number: int = 0):
    lm = village()
    return molehill.ledger(lm, fact(number).prompt).logit(first_token(lm, fact(number)))


@cache
def traced():
    return trace_fact(village(), fact(), draws=3)


@cache
def card() -> FactCard:
    return fact_card(village(), fact(), split(), trace=traced(), k=4, controls=3)


def logits(prompt: str, *edits) -> torch.Tensor:
    lm = village()
    return record(lm, lm.encode([prompt]), edits=edits, logits="last")["logits"][0, -1].double()


def test_it_says_whether_the_fact_is_known():
    told = logits(fact().prompt)
    token = first_token(village(), fact())
    asked = card().asked[0]
    assert card().known and asked.answer.rank == int((told > told[token]).sum()) == 0
    assert asked.answer.probability == pytest.approx(float(told.softmax(-1)[token]), rel=1e-4)
    assert asked.next_probability == pytest.approx(float(told.softmax(-1).max()), rel=1e-4)
    assert asked.said is not None and asked.said.startswith(fact().object_text)
    assert card().log_probability == pytest.approx(float(told.log_softmax(-1)[token]), abs=1e-4)
    wrong = replace(fact(), object=fact(40).object)
    other = fact_card(village(), wrong, None, k=1, controls=1)
    assert not other.known and other.asked[0].answer.rank > 0


def test_its_writers_are_those_of_the_ledger_that_add_most():
    heads = {name: value for name, value in split().by("head").items() if name.startswith("head ")}
    largest = sorted(heads.items(), key=lambda entry: -entry[1])[:4]
    assert [(one.part.label, one.toward) for one in card().heads] == largest
    rows = [row for row in split().top(400, kind="neuron") if row.toward > 0][:4]
    assert [one.part.label for one in card().neurons] == [row.label for row in rows]
    assert [one.toward for one in card().neurons] == [row.toward for row in rows]
    assert card().against[0] == min(heads.items(), key=lambda entry: entry[1])
    assert sum(card().by_component.values()) == pytest.approx(card().score, abs=1e-3)
    for one in card().heads:
        rows = [
            row
            for row in split().top(10**6, kind="head")
            if (row.layer, row.head) == (one.part.layer, one.part.index)
        ]
        assert one.source == max(rows, key=lambda row: row.toward).source


def test_its_carriers_are_the_peaks_of_the_trace():
    first, end = traced().subject_span
    for one in card().carriers:
        effects = traced().effects[one.kind]
        low, high = (first, end) if one.place == "subject" else (end, effects.shape[1])
        assert one.effect == float(effects[:, low:high].max())
        assert float(effects[one.layer, one.position]) == one.effect
    assert {(one.kind, one.place) for one in card().carriers} == {
        (kind, place) for kind in ("state", "mlp", "attention") for place in ("subject", "end")
    }


def test_neurons_at_the_subject_are_those_that_add_the_longest_vectors():
    lm, at = village(), traced().subject_span[1] - 1
    column = traced().effects["mlp"][:, at]
    assert card().subject_layers == (int(column.argmax()),), "the window is one layer of three"
    layer = card().subject_layers[0]
    act = record(lm, lm.encode([fact().prompt]), f"{layer}.mlp.act")[f"{layer}.mlp.act"][0, at]
    sizes = act.abs() * lm.model.blocks[layer].mlp.w_out.norm(dim=0)
    assert [one.part.index for one in card().subject_neurons] == sizes.topk(4).indices.tolist()
    assert [one.size for one in card().subject_neurons] == pytest.approx(
        sizes.topk(4).values.tolist(), rel=1e-5
    )
    assert all(one.part.position == at and one.toward is None for one in card().subject_neurons)


def test_switching_off_is_what_the_same_edit_does_in_a_run_of_its_own():
    token = first_token(village(), fact())
    base = float(logits(fact().prompt).log_softmax(-1)[token])
    at = len(card().pieces) - 1
    for one in card().heads:
        edit = Zero(f"{one.part.layer}.attn.mix", heads=[one.part.index], positions=[at])
        after = float(logits(fact().prompt, edit).log_softmax(-1)[token])
        assert one.change.log_probability == pytest.approx(after - base, abs=1e-4)
    for one in (*card().neurons, *card().subject_neurons):
        place = [one.part.position]
        edit = Zero(f"{one.part.layer}.mlp.act", index=[one.part.index], positions=place)
        after = float(logits(fact().prompt, edit).log_softmax(-1)[token])
        assert one.change.log_probability == pytest.approx(after - base, abs=1e-4)
    assert list(card().together) == ["heads", "neurons", "subject neurons", "everything"]
    edits = [one.part.off() for one in (*card().heads, *card().neurons, *card().subject_neurons)]
    after = float(logits(fact().prompt, *edits).log_softmax(-1)[token])
    assert card().together["everything"][0].log_probability == pytest.approx(after - base, abs=1e-4)


def test_over_facts_what_writes_an_object_matters_more_than_random_parts():
    worse = 0
    for number in range(0, 60, 12):
        made = fact_card(village(), fact(number), split(number), k=4, controls=4)
        change, control = made.together["neurons"]
        assert control is not None
        worse += change.log_probability < control.low
    assert worse == 5


def test_without_a_split_or_a_trace_it_says_the_less():
    bare = fact_card(village(), fact(), None, k=2)
    assert bare.score is None and not (bare.heads or bare.neurons or bare.against)
    assert not (bare.carriers or bare.subject_neurons or bare.together)


def test_an_object_of_several_tokens_is_scored_as_a_whole():
    """Switched off where its first token is predicted, and looked at over all of it."""
    lm = molehill.load("lexicon")
    asked = Fact("France", "Azerbaijan", "The capital of {} is")
    made = fact_card(
        lm, asked, molehill.ledger(lm, asked.prompt).logit(first_token(lm, asked)), k=2, controls=2
    )
    assert len(made.object_pieces) > 1 and not made.known
    ids = lm.encode([str(asked)]).row(0)
    count = len(made.object_pieces)
    assert [lm.tokenizer.piece(one) for one in ids[-count:]] == list(made.object_pieces)

    def whole(*edits) -> float:
        kept = record(lm, torch.tensor([ids]), edits=edits, logits="all")["logits"][0]
        logs = kept.double().log_softmax(-1)
        return float(sum(logs[at - 1, ids[at]] for at in range(len(ids) - count, len(ids))))

    assert made.log_probability == pytest.approx(whole(), abs=1e-4)
    assert made.heads[0].part.position == len(ids) - count - 1
    for one in (*made.heads, *made.neurons):
        changed = whole(one.part.off()) - whole()
        assert one.change.log_probability == pytest.approx(changed, abs=1e-4)


def test_a_split_or_a_trace_of_something_else_is_refused():
    with pytest.raises(FactError, match="The split is of a score"):
        fact_card(village(), fact(), split(40))
    with pytest.raises(FactError, match="The trace is of"):
        fact_card(village(), fact(40), split(40), trace=traced())
    with pytest.raises(FactError, match="k is 0"):
        fact_card(village(), fact(), split(), k=0)
