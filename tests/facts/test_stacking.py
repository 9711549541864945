"""Edits in a row: each made after the others, and judged as the model is then."""

from __future__ import annotations

import pytest
from tests.facts.test_health import dense, sports, texts, village  # noqa: F401

from molehill.errors import FactError
from molehill.facts.edits import apply_edits
from molehill.facts.evaluate import judge
from molehill.facts.fact import Fact
from molehill.facts.health import bits_per_byte
from molehill.facts.relations import Case
from molehill.facts.stacking import stack_scores


@pytest.fixture(scope="module")
def cases(sports):  # noqa: F811
    near = tuple((f"{subject} plays", sport) for subject, sport in sports[10:12])
    return [
        Case(Fact(subject, sport, "{} plays"), "tennis", (f"The sport of {subject} is",), near)
        for subject, sport in sports[:4]
    ]


def test_milestones_are_judged_as_by_hand(village, cases, texts):  # noqa: F811
    made, given, steps = [], [], []

    def make(case, edits):
        given.append([edit.digest for edit in edits])
        made.append(dense(village, 0.5, case.fact.with_object(case.new), seed=len(made)))
        return made[-1]

    found = list(
        stack_scores(
            village,
            cases,
            make,
            method="m",
            at=(3, 1, 9),
            texts=texts,
            free=False,
            progress=steps.append,
        )
    )
    # The fourth is never made: nothing is judged after it.
    assert [one.edits for one in found] == [1, 3] and steps == [1, 1, 1]
    assert given == [[], [made[0].digest], [made[0].digest, made[1].digest]]
    held = village.encode(texts)
    for one in found:
        now = apply_edits(village, made[: one.edits])
        assert one.bits == pytest.approx(bits_per_byte(now, held)[0], rel=1e-6)
        assert one.bits_before == pytest.approx(bits_per_byte(village, held)[0], rel=1e-6)
        assert [score.case for score in one.scores.cases] == cases[: one.edits]
        assert [score.edit for score in one.scores.cases] == [e.name for e in made[: one.edits]]
        for score in one.scores.cases:
            # The route of a product may change from one run to the next, and with it the last bits.
            after = judge(now, score.case, original=village, free=False)
            before = judge(village, score.case, original=village, free=False)
            assert score.after == pytest.approx(after, abs=1e-6)
            assert score.before == pytest.approx(before, abs=1e-6)
    assert found[1].bits != found[0].bits != found[0].bits_before


def test_what_was_reached_is_there_when_the_rest_is_given_up(village, cases, texts):  # noqa: F811
    def make(case, edits):
        if edits:
            raise KeyboardInterrupt
        return dense(village, 0.5, case.fact)

    rows = stack_scores(village, cases, make, method="m", at=(1, 2), texts=texts, free=False)
    assert next(rows).edits == 1
    with pytest.raises(KeyboardInterrupt):
        next(rows)


def test_milestones_out_of_reach_are_told(village, cases):  # noqa: F811
    with pytest.raises(FactError, match="between 1 and the 4 cases"):
        next(stack_scores(village, cases, lambda case, edits: edits[0], method="m", at=(0, 5)))
