"""JSON that people can read: the same document, in fewer and fuller lines."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molehill.views.documents import readable_json

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
DOCUMENTS = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@given(DOCUMENTS, st.booleans())
def test_it_is_the_same_document(document, ascii_only):
    text = readable_json(document, ascii_only=ascii_only)
    assert json.loads(text) == document
    assert not ascii_only or text.isascii()


def test_numbers_stand_side_by_side():
    numbers = list(range(200))
    lines = readable_json(
        {"distances": numbers, "rows": [{"a": 1}, {"b": 2}], "x": {"y": numbers}}
    ).splitlines()
    assert len(lines) == 7
    assert lines[2] == ' "rows": [{"a": 1}, {"b": 2}],'


def test_nan_is_refused():
    with pytest.raises(ValueError):
        readable_json({"a": float("nan")})
