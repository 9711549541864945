"""The largest entries, against torch's own top-k and plain comparisons."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from molehill.features.selecting import above, largest_of_all, largest_of_each_row


def table(rows: int, columns: int, dtype: torch.dtype, seed: int, *, few: bool) -> torch.Tensor:
    """Random numbers; `few` different ones, so that many are equal."""
    drawn = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    return ((drawn * 2).round() / 2 if few else drawn).to(dtype)


shapes = given(
    st.integers(1, 9),
    st.sampled_from([1, 2, 7, 8, 15, 64, 65, 515]),
    st.integers(1, 40),
    st.sampled_from([torch.bfloat16, torch.float16, torch.float32, torch.float64]),
    st.integers(0, 100),
    st.booleans(),
)


@settings(max_examples=120, deadline=None)
@shapes
def test_the_k_largest_of_each_row_are_torchs(rows, columns, k, dtype, seed, few):
    k = min(k, columns)
    given = table(rows, columns, dtype, seed, few=few)
    values, chosen = largest_of_each_row(given, k)
    expected = given.clamp(min=0).topk(k, dim=1).values
    assert torch.equal(values.sort(1, descending=True).values, expected)
    assert torch.equal(given.clamp(min=0).gather(1, chosen), values)
    assert all(len(set(row)) == k for row in chosen.tolist())


@settings(max_examples=120, deadline=None)
@shapes
def test_the_largest_of_a_whole_table_are_torchs(rows, columns, count, dtype, seed, few):
    given = table(rows, columns, dtype, seed, few=few)
    values, row, column = largest_of_all(given, count)
    expected = given.flatten().clamp(min=0).topk(min(count, given.numel())).values
    expected = expected[expected > 0]
    assert torch.equal(values.sort(descending=True).values, expected)
    assert torch.equal(given[row, column], values)
    assert bool((row.diff() >= 0).all()), "entries come row by row"


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 9),
    st.sampled_from([1, 7, 8, 65, 515]),
    st.sampled_from([torch.bfloat16, torch.float32]),
    st.sampled_from([0.0, 0.5, 1.0, 9.0]),
)
def test_everything_above_a_floor_is_found_in_its_order(rows, columns, dtype, floor):
    given = table(rows, columns, dtype, rows + columns, few=True)
    values, row, column = above(given, floor)
    mask = given > 0 if floor == 0 else given >= floor
    assert torch.equal(row.sort().values, mask.nonzero()[:, 0])
    assert bool((row.diff() >= 0).all())
    found = torch.zeros_like(given)
    found[row, column] = values
    assert torch.equal(found, torch.where(mask, given, 0))


def test_ties_go_to_the_higher_column():
    _, chosen = largest_of_each_row(torch.ones(1, 512), 3)
    assert sorted(chosen[0].tolist()) == [509, 510, 511]


def test_more_threads_choose_the_same():
    given = table(37, 515, torch.bfloat16, 0, few=True)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            values, chosen = largest_of_each_row(given, 20)
            results.append((values.sort(1).values, chosen.sort(1).values))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


def test_more_than_a_row_has_is_refused():
    with pytest.raises(AssertionError, match="5 of 4 columns"):
        largest_of_each_row(torch.ones(2, 4), 5)
