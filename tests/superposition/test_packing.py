"""Packings: what is told is the true worst pair, and the search is what it says it is."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from molehill.errors import GeometryError
from molehill.superposition.packing import pack


def coherence(vectors: torch.Tensor) -> float:
    cosines = (vectors.double() @ vectors.double().T).fill_diagonal_(0)
    return float(cosines.abs().max())


def test_the_record_holds_together():
    found = pack(40, 6, steps=150, starts=3, seed=5)
    assert found.vectors.shape == (40, 6)
    assert found.largest == pytest.approx(coherence(found.vectors), abs=1e-12)
    first, second = found.pair
    assert abs(float(found.vectors[first] @ found.vectors[second])) == pytest.approx(
        found.largest, abs=1e-12
    )
    assert found.largest == pytest.approx(found.cosines.largest, abs=1e-12)
    assert found.bound <= found.largest < found.random_largest
    assert found.ratio == pytest.approx(found.largest / found.bound)
    assert found.degrees == pytest.approx(math.degrees(math.acos(found.largest)))
    cosines = (found.vectors @ found.vectors.T).abs().triu(1)
    assert found.as_worst == int((cosines >= found.largest - 1e-3).sum())
    assert found.as_worst > 40  # many pairs are as bad as the worst: none is left that stands out
    assert len(found.reached) == 3
    assert found.reached[0] == pytest.approx(found.largest, abs=1e-9)
    assert [moment.step for moment in found.history] == list(range(150))
    widths = [moment.width for moment in found.history]
    assert widths == sorted(widths, reverse=True)


def test_the_best_of_all_steps_is_kept():
    found = pack(30, 5, steps=60, starts=1)
    assert found.largest <= min(moment.largest for moment in found.history) + 1e-12


def test_the_same_seed_gives_the_same_vectors_and_another_does_not():
    one, same, other = (pack(20, 4, steps=30, starts=2, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.vectors, same.vectors)
    assert not torch.equal(one.vectors, other.vectors)


def test_small_blocks_lead_to_the_same_packing_and_hold_little(monkeypatch):
    import molehill.superposition.pushing as pushing

    sizes = []
    plain = pushing._worst

    def seen(cosines, lines):
        sizes.append(cosines.numel())
        return plain(cosines, lines)

    monkeypatch.setattr(pushing, "_worst", seen)
    small = pack(300, 20, steps=25, starts=1, products="float64", block=32)
    assert max(sizes) == 32 * 32
    sizes.clear()
    whole = pack(300, 20, steps=25, starts=1, products="float64", block=300)
    assert max(sizes) == 300 * 300
    assert torch.allclose(small.vectors, whole.vectors, atol=1e-9)


def test_ten_lines_per_dimension_come_far_below_chance():
    found = pack(600, 24, steps=200)
    assert found.settings.products == "float32"
    assert found.largest == pytest.approx(coherence(found.vectors), abs=1e-7)
    assert found.largest < 0.6 * found.random_largest
    assert found.largest < 2.0 * found.bound


def test_vectors_are_not_lines():
    found = pack(12, 6, lines=False, steps=400, starts=4)
    cosines = (found.vectors @ found.vectors.T).fill_diagonal_(-1)
    assert found.largest == pytest.approx(float(cosines.max()), abs=1e-12)
    assert found.largest == pytest.approx(0, abs=1e-4)  # both ends of six axes
    assert found.bound == 0 and found.ratio is None
    assert found.cosines.largest > 0.99


def test_a_symmetric_packing_is_mapped_to_itself():
    found = pack(42, 7, shifts=7, steps=100)
    turned = found.vectors.roll(-1, dims=1)
    matched = (turned @ found.vectors.T).amax(1)
    assert torch.allclose(matched, torch.ones_like(matched), atol=1e-9)
    assert found.largest == pytest.approx(coherence(found.vectors), abs=1e-12)


def test_going_on_from_vectors_is_not_worse_than_they_are():
    first = pack(50, 6, steps=80, starts=1)
    again = pack(50, 6, steps=80, start=first.vectors)
    assert again.settings.continued
    assert again.largest <= first.largest + 1e-12
    assert again.history[0].width < first.history[0].width
    symmetric = pack(42, 7, shifts=7, steps=60, starts=1)
    assert pack(42, 7, shifts=7, steps=40, start=symmetric.vectors).largest <= (
        symmetric.largest + 1e-12
    )
    assert pack(42, 7, steps=40, start=symmetric.vectors).largest <= symmetric.largest + 1e-12


def test_bfloat16_products_end_in_float32():
    found = pack(200, 16, steps=120, starts=1, products="bfloat16")
    assert found.vectors.dtype is torch.float32
    assert found.largest == pytest.approx(coherence(found.vectors), abs=1e-6)
    fine = pack(200, 16, steps=120, starts=1, products="float32")
    assert found.largest < 1.03 * fine.largest


def test_a_wish_to_stop_ends_it_with_the_best_so_far():
    told = []
    found = pack(
        30, 5, steps=500, progress=lambda step, largest: told.append((step, largest)),
        stop=lambda: len(told) == 20,
    )  # fmt: skip
    assert found.steps_done == len(told) == len(found.history) == 20
    assert [step for step, _ in told] == list(range(20))
    assert found.largest <= min(largest for _, largest in told) + 1e-12


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"count": 1}, "2 vectors or more"),
        ({"dimensions": 1}, "2 dimensions or more"),
        ({"steps": 0}, "steps 0"),
        ({"starts": 5000}, "starts 5000 from 1 to 4096"),
        ({"shifts": 3}, "must divide the 10 vectors"),
        ({"shifts": 10}, "at most 4"),
        ({"start": torch.ones(3, 4)}, "3 x 4, expected 10 x 4"),
        ({"start": torch.zeros(10, 4)}, "no direction"),
        ({"start": torch.arange(40.0).view(10, 4), "shifts": 2}, "not shifts of one another"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, Any], message):
    with pytest.raises(GeometryError, match=message):
        asked: dict[str, Any] = {"count": 10, "dimensions": 4, **given}
        pack(**asked)


def test_a_loss_over_all_pairs_hides_the_worst():
    """What the docs warn of: the sum of |cos| falls while its worst pair does not."""
    torch.manual_seed(0)
    vectors = torch.randn(200, 20, requires_grad=True)
    mover = torch.optim.Adam([vectors], lr=0.02)
    for _ in range(150):
        unit = F.normalize(vectors, dim=1)
        cosines = (unit @ unit.T).fill_diagonal_(0)
        loss = cosines.abs().mean()
        mover.zero_grad()
        loss.backward()
        mover.step()
    ours = pack(200, 20, steps=150, starts=1)
    assert coherence(F.normalize(vectors.detach(), dim=1)) > 1.5 * ours.largest
