"""Stacks held against each other: by name, and by the weights that they lead to."""

from __future__ import annotations

import pytest
from tests.facts.test_edits import DOWN, edit, language, low_rank, noise, weights_of

from molehill.errors import FactError
from molehill.facts.edit_difference import edits_difference
from molehill.facts.edits import Dense, Neurons, apply_edits


@pytest.fixture(scope="module")
def lm():
    return language("gpt2")


@pytest.fixture(scope="module")
def edits(lm):
    return [
        edit(lm, low_rank()),
        edit(lm, low_rank(seed=3), low_rank("blocks.0.mlp.w_out", seed=8)),
        edit(lm, Dense(DOWN, noise(12, 20, seed=6))),
    ]


def test_the_norms_are_those_of_the_weights(lm, edits):
    first, second = edits[:2], [edits[0], edits[2]]
    found = edits_difference(first, second)
    assert (found.only_first, found.only_second) == ((edits[1],), (edits[2],))
    assert found.both == 1 and not found.reordered
    a, b = (weights_of(apply_edits(lm, stack)) for stack in (first, second))
    truth = {name: float((a[name] - b[name]).norm()) for name in a}
    told = dict(found.norms)
    assert set(told) == {name for name, norm in truth.items() if norm}
    assert told == pytest.approx({name: truth[name] for name in told})


def test_the_same_stack_has_no_difference(edits):
    found = edits_difference(edits, edits)
    assert found.both == 3 and not found.reordered
    assert found.only_first == found.only_second == found.norms == found.neurons == ()


def test_order_and_repetition_are_seen(edits):
    a, b, _ = edits
    assert edits_difference([a, b], [b, a]).reordered
    twice = edits_difference([a, a, b], [a, b])
    assert twice.both == 2 and twice.only_first == (a,) and twice.only_second == ()
    assert dict(twice.norms)[DOWN] == pytest.approx(float(a.changes[0].delta().norm()))


def test_new_neurons_are_counted_by_layer(lm):
    new = edit(lm, Neurons(1, noise(3, 12), noise(3), noise(12, 3)))
    found = edits_difference([], [new])
    assert found.neurons == ((1, 0, 3),) and found.norms == ()


def test_stacks_of_two_models_are_refused(lm, edits):
    with pytest.raises(FactError, match=r"\(12, 20\).*\(12, 24\).*different models"):
        edits_difference(edits[:1], [edit(lm, Dense(DOWN, noise(12, 24)))])
