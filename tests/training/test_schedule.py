"""The rate's course, against values worked out by hand."""

from __future__ import annotations

import math

import pytest

from molehill.training.schedule import Schedule, steps_of


def course(schedule: Schedule) -> list[float]:
    return [schedule.at(step) for step in range(schedule.steps)]


def test_warm_up_stable_and_decay():
    schedule = Schedule(10, "wsd", warm_up=4, decay=3, final=0.1)
    # Up by quarters, level, and from 1 to 0.1 in three equal parts, the last of which is not taken.
    assert course(schedule) == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 0.7, 0.4])


def test_without_decay_the_rate_stays():
    assert course(Schedule(4, "wsd", warm_up=2)) == [0.5, 1, 1, 1]


def test_half_a_cosine():
    schedule = Schedule(6, "cosine", warm_up=2, final=0.2)
    quarter = 0.2 + 0.8 * 0.5 * (1 + math.cos(math.pi / 4))
    three_quarters = 0.2 + 0.8 * 0.5 * (1 - math.cos(math.pi / 4))
    assert course(schedule) == pytest.approx([0.5, 1, 1, quarter, 0.6, three_quarters])


def test_a_constant_rate_warms_up_too():
    assert course(Schedule(4, "constant", warm_up=3)) == pytest.approx([1 / 3, 2 / 3, 1, 1])


def test_lengths_are_steps_or_shares():
    assert (steps_of(10, 1000), steps_of(0, 1000)) == (10, 0)
    assert (steps_of(0.02, 1000), steps_of(0.4, 5)) == (20, 2)
