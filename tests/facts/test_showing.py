"""What records of facts say of themselves: a few short lines, whatever they hold."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import molehill
from molehill.facts import (
    CaseScore,
    Evaluation,
    Fact,
    FactEdit,
    NeuronIndex,
    Neurons,
    direction_between,
    health,
    holds,
    known_facts,
    make_cases,
    neuron_card,
    read_relation,
    trace_fact,
)
from molehill.facts.edit_difference import edits_difference
from molehill.facts.edits import Dense, LowRank
from molehill.facts.showing import few
from molehill.facts.stacking import Milestone

SPORT = Path(__file__).parents[2] / "docs/examples/facts/sport.json"


def records():
    """One of each, by name."""
    lm = molehill.load("village")
    fact = Fact("Leo Rosner", "polo", "{} plays")
    relation = read_relation(SPORT)
    index = NeuronIndex.build(lm)
    case = make_cases(relation.facts, relation)[0]
    values = {"efficacy": 1.0, "paraphrase": 0.5, "neighbourhood": 0.5}
    evaluation = Evaluation("village", "rome", (CaseScore(case, values, values, "abc"),))
    weight = lm.model.blocks[0].mlp.w_out
    changes = (
        Dense("blocks.0.mlp.w_out", weight * 0),
        LowRank("blocks.0.mlp.w_out", weight[:, :1] * 0, weight[:1] * 0),
        Neurons(1, torch.zeros(2, 96), torch.zeros(2), torch.zeros(96, 2)),
    )
    edit = FactEdit("by hand", (fact,), changes, "village", lm.fingerprint)
    rows = lm.model.w_token.detach()
    direction = direction_between(rows[:9], rows[9:20], shuffles=2)
    return {
        "NeuronIndex of village: 1,152 neurons in 3 layers": index,
        "Search of 1,152 neurons, writes '·polo'": index.writing("polo"),
        "Card of neuron 1.3, relu": neuron_card(lm, 1, 3, k=4),
        "Trace of 'polo' after 'Leo Rosner plays'": trace_fact(lm, fact, draws=1),
        "FactEdit": edit,
        "EditsDifference: 0 in both, 1 only in the first": edits_difference([edit], []),
        "Health: ": health(lm, FactEdit("x", (fact,), changes[:1], "village", lm.fingerprint)),
        "Relation 'sport': 60 facts, 12 objects": relation,
        "Knowledge of 'sport': 3 of 3": known_facts(lm, relation, most=3),
        "Case: 'Judith Penfax plays'": case,
        "Evaluation of rome on village, 1 case": evaluation,
        "Milestone of rome, 3 edits: score 60.0": Milestone(3, evaluation, 1.0, 1.1),
        "Direction by difference of means, 96 wide": direction,
        "Holdings of 1 directions": holds(rows[3], {"a": rows[4]}, draws=9),
    }


def test_each_is_a_few_short_lines_that_begin_with_what_it_is():
    for begins, one in records().items():
        lines = repr(one).splitlines()
        assert lines[0].startswith(begins), repr(one)
        assert len(lines) <= 16 and max(map(len, lines)) <= 96, repr(one)
        assert "tensor(" not in repr(one)


@pytest.mark.parametrize(("count", "lines"), [(0, 1), (8, 9), (20, 10)])
def test_what_is_left_out_is_counted(count, lines):
    told = few("title", [f"line {n}" for n in range(count)]).splitlines()
    assert len(told) == lines
    assert (told[-1] == "  and 12 more") == (count == 20)
