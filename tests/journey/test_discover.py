"""Senses without labels, on a tiny model whose vectors follow their context."""

from __future__ import annotations

import pytest
from tests.journey.tiny import tiny_language

from molehill.errors import SenseError, TextError
from molehill.journey.discover import default_point, discover_senses

SENTENCES = [f"{cue} {cue} {'xyz'[n % 3]} mole" for n in range(6) for cue in ("fur", "spy")]


def test_uses_are_grouped_and_told_in_their_own_words():
    found = discover_senses(tiny_language("llama"), "mole", SENTENCES, k=2, at="2.resid_post")
    assert sorted(n for group in found.groups for n in group.sentences) == list(range(12))
    halves = [{n % 2 for n in group.sentences} for group in found.groups]
    assert halves in ([{0}, {1}], [{1}, {0}])
    for group in found.groups:
        assert group.words[0] == ("fur" if group.sentences[0] % 2 == 0 else "spy")


def test_where_senses_are_looked_for():
    assert default_point(tiny_language("llama").config) == "1.resid_post"
    assert default_point(tiny_language("bert").config) == "2.resid_post"


def test_what_cannot_be_grouped_is_named():
    lm = tiny_language("llama")
    with pytest.raises(SenseError, match="three or more"):
        discover_senses(lm, "mole", SENTENCES[:2])
    with pytest.raises(SenseError, match="not kept"):
        discover_senses(lm, "mole", SENTENCES, at="0.mlp.out")
    with pytest.raises(TextError):
        discover_senses(lm, "mole", [*SENTENCES, "no such word"])
