"""Many uses of a word: against journeys one by one, and a picture's basis found two ways."""

from __future__ import annotations

import sys

import pytest
import torch
from tests.journey.tiny import tiny_language

from molehill.errors import SiteError, TextError
from molehill.journey.basis import joint_basis
from molehill.journey.crowd import crowd
from molehill.journey.paths import follow

SENTENCES = ("a b word", "x y word", "p q r word", "word and word", "zz word")


@pytest.fixture(autouse=True)
def letters(monkeypatch):
    """Letters are never cut around a word."""
    # By its module: the room has a function of that name.
    monkeypatch.setattr(sys.modules["molehill.journey.gather"], "fit", _whole)


def _whole(tokenizer, sentences, places, limit, *, ahead):
    return Whole(tuple(sentences), tuple(places), 0)


class Whole:
    def __init__(self, texts, places, cut):
        self.texts, self.places, self.cut = texts, places, cut


def test_every_use_stands_where_its_own_journey_says():
    lm = tiny_language("llama", dtype=torch.float32)
    found = crowd(lm, "word", SENTENCES, groups=2)
    assert found.points[0] == "embed" and found.points[-1] == "final"
    units = []
    for number, text in enumerate(SENTENCES):
        journey = follow(lm, text, "word")
        path = torch.stack([journey.vector(point) for point in found.points]).float()
        assert torch.allclose(found.lengths[number], path.norm(dim=-1), rtol=1e-4)
        units.append(torch.nn.functional.normalize(path, dim=-1))
    own = joint_basis(torch.stack(units))
    assert found.bases["directions"].explained == pytest.approx(own.explained, abs=1e-4)
    far = found.bases["directions"].coordinates.abs() - own.coordinates.abs()
    assert float(far.abs().max()) < 1e-3
    sizes = [found.groups.count(number) for number in range(len(found.group_words))]
    assert sizes == sorted(sizes, reverse=True) and sum(sizes) == len(SENTENCES)


def test_groups_numbers_name_axes_between_their_centroids():
    lm = tiny_language("llama", dtype=torch.float32)
    found = crowd(lm, "word", SENTENCES, groups=2, axes=["1 - 2"])
    ends = found.bases["axes"].coordinates[:, -1, 0]
    first = torch.tensor([group == 0 for group in found.groups])
    assert float(ends[first].mean()) > float(ends[~first].mean())
    assert found.named is not None and found.named.names == ("1 − 2",)


def test_what_cannot_be_followed_is_refused():
    lm = tiny_language("gpt2", dtype=torch.float32)
    with pytest.raises(TextError, match="at least one sentence"):
        crowd(lm, "word", [])
    with pytest.raises(SiteError, match="is not kept"):
        crowd(lm, "word", SENTENCES, at="1.resid_mid")


def test_many_points_have_the_same_basis_by_their_covariance():
    generator = torch.Generator().manual_seed(2)
    stretch = torch.linspace(3, 0.5, 6, dtype=torch.float64)
    paths = torch.randn(40, 5, 6, generator=generator, dtype=torch.float64) * stretch
    found = joint_basis(paths)
    centred = paths.flatten(0, 1) - paths.flatten(0, 1).mean(0)
    _, sizes, axes = torch.linalg.svd(centred, full_matrices=False)
    shares = sizes.square() / sizes.square().sum()
    assert found.explained == pytest.approx(shares[:3].tolist(), abs=1e-12)
    assert torch.allclose((found.axes @ axes[:3].T).abs(), torch.eye(3).double(), atol=1e-10)
