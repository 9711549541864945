"""Why a head attended: the three sums against the score that the model computed."""

from __future__ import annotations

import pytest
from tests.journey.tiny import BLOCKS, tiny_language

from molehill.errors import SiteError
from molehill.journey.why import why_attended

TEXT = "abcabdabe"


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize(
    ("layer", "head", "query", "key"), [(0, 0, 8, 6), (1, 3, 6, 2), (2, 2, 8, 8)]
)
def test_the_parts_of_a_score_add_up_to_it(name, layer, head, query, key):
    if name == "gemma" and layer == 2:
        query, key = 8, 5
    lm = tiny_language(name)
    why = why_attended(lm, TEXT, layer=layer, head=head, query=query, key=key)
    assert why.closing_error < 1e-10
    assert sum(why.by_query.by("component").values()) == pytest.approx(why.score)
    assert sum(why.by_key.by("source").values()) == pytest.approx(why.score)
    assert why.grid.shape == (len(why.query_components), len(why.key_components))


def test_the_score_and_weight_are_the_models_own():
    lm = tiny_language("gpt2")
    model = lm.model
    seen = {}

    class Keep:
        def begin(self, positions, real):
            pass

        def wants(self, site):
            return site in ("1.attn.scores", "1.attn.pattern")

        def __call__(self, site, x):
            seen[site] = x
            return x

    model(lm.encode([TEXT]).ids, watch=Keep())
    why = why_attended(lm, TEXT, layer=1, head=2, query=-1, key=3)
    assert why.score == pytest.approx(float(seen["1.attn.scores"][0, 2, 8, 3]))
    assert why.weight == pytest.approx(float(seen["1.attn.pattern"][0, 2, 8, 3]))


def test_a_key_that_cannot_be_seen_is_refused():
    lm = tiny_language("llama")
    with pytest.raises(SiteError, match="does not see"):
        why_attended(lm, TEXT, layer=0, head=0, query=2, key=5)
    with pytest.raises(SiteError, match=r"no head 0\.9"):
        why_attended(lm, TEXT, layer=0, head=9, query=5, key=2)
