"""Kinds of pairs by hand, bundles that were planted, and pairs with their nearest."""

from __future__ import annotations

import pytest
import torch

from molehill.superposition.colliding import collisions, find_bundles, kind_of_pair
from molehill.superposition.cosines import pair_cosines


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        ("·Mole", "mole", "case or space"),
        ("·mole", "·moles", "form"),
        ("·running", "·runs", "words"),
        ("·create", "·creates", "form"),
        ("·1999", "·1998", "numbers"),
        ("·!", "?!", "marks"),
        ("ation", "·nation", "part"),
        ("·fridge", "·cold", "words"),
        ("·a", "·b", "words"),
    ],
)
def test_kinds_are_told_by_the_writing(first, second, kind):
    assert kind_of_pair(first, second, spaced=True) == kind
    assert kind_of_pair(second, first, spaced=True) == kind


def test_without_written_spaces_a_part_says_so_itself():
    assert kind_of_pair("mole", "dog", spaced=False) == "words"
    assert kind_of_pair("##mole", "dog", spaced=False) == "part"
    assert kind_of_pair("##mole", "Mole", spaced=False) == "case or space"


def test_every_row_is_listed_with_its_nearest_once():
    torch.manual_seed(0)
    vectors = torch.randn(60, 5)
    vectors[7] = -2 * vectors[30]
    unit = torch.nn.functional.normalize(vectors.double(), dim=1)
    cosines = unit @ unit.T
    nearest = cosines.abs().fill_diagonal_(-1).argmax(1).tolist()
    found = collisions(vectors, pair_cosines(vectors))
    expected = {(min(pair), max(pair)) for pair in enumerate(nearest)}
    assert {(one.first, one.second) for one in found} == expected
    assert len(found) == len(expected)
    assert (found[0].first, found[0].second) == (7, 30)
    assert found[0].cosine == pytest.approx(-1)
    for one in found:
        both = nearest[one.first] == one.second and nearest[one.second] == one.first
        assert one.mutual == both
        assert one.cosine == pytest.approx(float(cosines[one.first, one.second]))


def test_a_planted_bundle_is_found_whole_and_nothing_else_is():
    torch.manual_seed(1)
    vectors = torch.randn(400, 40) * (1 + torch.rand(400, 1))
    assert find_bundles(vectors, pair_cosines(vectors, closest=50)) == ()
    planted = torch.tensor([3, 50, 51, 52, 200, 399])
    vectors[planted] = torch.ones(40) + 0.05 * torch.randn(6, 40)
    vectors[10] = vectors[20]  # the closest pair of all belongs to no bundle
    other = torch.tensor([1, 2, 30, 31, 32, 33, 34])
    vectors[other] = torch.linspace(-1, 1, 40) + 0.03 * torch.randn(7, 40)
    larger, found = find_bundles(vectors, pair_cosines(vectors, closest=50))
    assert larger.rows.tolist() == other.tolist()
    assert found.rows.tolist() == planted.tolist()
    unit = torch.nn.functional.normalize(vectors[planted].double(), dim=1)
    upper = (unit @ unit.T)[tuple(torch.triu_indices(6, 6, offset=1))]
    assert found.mean_cosine == pytest.approx(float(upper.mean()), abs=1e-6)
    assert found.spread < 0.02 < 0.1 < found.others
    assert found.length == pytest.approx(float(vectors[planted].norm(dim=1).mean()), rel=1e-5)
