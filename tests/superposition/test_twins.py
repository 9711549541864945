"""Neurons that ask the same: planted answers, and all pairs counted one by one."""

from __future__ import annotations

import pytest
import torch

from molehill.errors import GeometryError
from molehill.superposition import twins as module
from molehill.superposition.twins import twins


def test_all_is_as_counted_one_by_one(monkeypatch):
    monkeypatch.setattr(module, "_ROWS", 7)
    torch.manual_seed(0)
    rows, columns, ups = torch.randn(40, 6), torch.randn(40, 6), torch.randn(40, 6)
    unit = [torch.nn.functional.normalize(one.double(), dim=1) for one in (rows, columns, ups)]
    asked, told, sign = (one @ one.T for one in unit)
    first, second = torch.triu_indices(40, 40, offset=1)
    close = asked[first, second] >= 0.5
    found = twins(rows, columns, ups)
    assert found.pairs == int(close.sum()) > 20
    values = told[first, second][close]
    assert found.columns == pytest.approx(float(values.mean()), abs=1e-6)
    assert found.opposed == pytest.approx(float((values < 0).double().mean()))
    agree = values * sign[first, second][close] > 0
    assert found.agreeing == pytest.approx(float(agree.double().mean()))
    both = torch.stack([asked[first, second], told[first, second]])
    assert found.correlation == pytest.approx(float(torch.corrcoef(both)[0, 1]), abs=1e-5)
    best = int(asked[first, second].argmax())
    assert found.closest[0][:2] == (int(first[best]), int(second[best]))


def test_opposed_answers_are_seen_and_none_is_no_pair():
    torch.manual_seed(1)
    rows, columns = torch.randn(10, 200), torch.randn(10, 200)
    rows[3], columns[3] = rows[8] * 2, -columns[8]
    found = twins(rows, columns)
    assert found.pairs == 1
    assert found.columns == pytest.approx(-1)
    assert found.opposed == 1
    assert found.agreeing is None
    assert found.closest == ((3, 8, pytest.approx(1), pytest.approx(-1)),)
    assert twins(torch.eye(5), torch.eye(5)).pairs == 0
    with pytest.raises(GeometryError, match="same neurons"):
        twins(torch.eye(5), torch.eye(4))
