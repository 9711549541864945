"""What occurs together: planted, absent, and held against a plain count."""

from __future__ import annotations

import pytest
import torch

from molehill.errors import GeometryError
from molehill.superposition.together import occurrences_in_windows, together


def planted(alike: float, rows: int = 60, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows 2i and 2i+1 occur together half of the time; their vectors share a part `alike`."""
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(rows, 40, generator=generator)
    vectors[1::2] = alike * vectors[::2] + (1 - abs(alike)) * vectors[1::2]
    rates = torch.linspace(0.02, 0.2, rows // 2)
    pair = torch.rand(2000, rows // 2, generator=generator) < rates
    alone = torch.rand(2000, rows, generator=generator) < rates.repeat_interleave(2)
    return vectors, (pair.repeat_interleave(2, 1) | alone).float()


def test_what_occurs_together_and_is_alike_is_found_to_be():
    vectors, occurrences = planted(0.6)
    found = together(vectors, occurrences)
    assert found.rows == 60
    assert found.signed.low > 0.1
    assert found.signed.z > 5
    assert found.signed.low < found.signed.difference < found.signed.high
    first, second, cosine, common = found.alike[0]
    assert second == first + 1
    assert first % 2 == 0
    assert common == int((occurrences[:, first] * occurrences[:, second]).sum())
    mean = vectors - vectors.mean(0)
    assert cosine == pytest.approx(float(torch.cosine_similarity(mean[first], mean[second], dim=0)))
    opposite = together(*planted(-0.6))
    assert opposite.signed.high < -0.1
    assert opposite.size.low > 0


def test_where_vectors_know_nothing_of_it_nothing_is_found():
    vectors, occurrences = planted(0.0)
    found = together(vectors, occurrences)
    assert abs(found.signed.z) < 3
    assert abs(found.size.z) < 3
    assert found.signed.low < 0 < found.signed.high


def test_means_are_those_of_a_plain_count_over_strata():
    vectors, occurrences = planted(0.3, rows=24)
    found = together(vectors, occurrences, strata=3, draws=2, centred=False)
    counts, common_of = occurrences.sum(0), occurrences.T @ occurrences
    upper = torch.triu(torch.ones(24, 24), diagonal=1)
    scale = float((common_of * upper).sum() / (torch.outer(counts, counts) * upper).sum())
    order = counts.argsort(stable=True).argsort(stable=True) * 3 // 24
    unit = torch.nn.functional.normalize(vectors.double(), dim=1)
    held: dict[tuple, tuple[list, list]] = {}
    for first in range(24):
        for second in range(first + 1, 24):
            common = float((occurrences[:, first] * occurrences[:, second]).sum())
            expected = float(counts[first] * counts[second]) * scale
            linked = common >= 2 and common > expected + 2 * expected**0.5
            if linked or common <= expected:
                key = tuple(sorted((int(order[first]), int(order[second]))))
                value = float(unit[first] @ unit[second])
                held.setdefault(key, ([], []))[0 if linked else 1].append(value)
    used = [(yes, no) for yes, no in held.values() if yes and no]
    total = sum(len(yes) for yes, _ in used)
    mean = sum(sum(yes) for yes, _ in used) / total
    other = sum(len(yes) * sum(no) / len(no) for yes, no in used) / total
    assert found.signed.with_one_another == pytest.approx(mean, abs=1e-6)
    assert found.signed.apart == pytest.approx(other, abs=1e-6)


def test_windows_tell_which_tokens_are_in_them():
    texts = [[1, 2, 3, 1, 2], [2, 2]] * 5
    occurrences, tokens = occurrences_in_windows(texts, 3, most=3)
    assert tokens.tolist() == [1, 2, 3]
    # Windows of three: 1 2 3 | 1 2 | 2 2.
    assert occurrences[:3].tolist() == [[1, 1, 1], [1, 1, 0], [0, 1, 0]]
    assert len(occurrences) == 15


def test_too_little_to_compare_is_said():
    vectors, occurrences = planted(0.5)
    with pytest.raises(GeometryError, match="give more text"):
        together(vectors, occurrences[:8])
    with pytest.raises(GeometryError, match="must be"):
        together(vectors, occurrences[:, :5])
    with pytest.raises(GeometryError, match="no two tokens"):
        occurrences_in_windows([[4]], 3, 5)
