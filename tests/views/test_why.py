"""A score's data: three sums of it, and every head's attention held against recorded patterns."""

from __future__ import annotations

import json

import pytest
import torch
from tests.journey.tiny import BLOCKS, tiny_language
from tests.views.made import HOSTILE, SIX, why_of, word_model

from molehill.errors import SiteError, TextError
from molehill.journey import attending_heads, why_attended
from molehill.trace import record
from molehill.views.why import MOST_COMPONENTS, MOST_PAIRS, why_data

TEXT = SIX[0]
LAST = len(TEXT) - 1


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize(("query", "key"), [(LAST, LAST - 3), (LAST, 0), (5, 5), (-1, -2)])
def test_heads_are_ordered_as_in_the_recorded_patterns(name, query, key):
    lm = tiny_language(name)
    trace = record(lm, lm.encode([TEXT]), ["*.attn.pattern"])
    truth = []
    for layer in range(lm.config.n_layers):
        for head, row in enumerate(trace[f"{layer}.attn.pattern"][0, :, query].tolist()):
            truth.append((layer, head, row[key], sorted(row, reverse=True).index(row[key])))
    found = attending_heads(lm, TEXT, query=query, key=key)
    assert len(found) == lm.config.n_layers * lm.config.n_heads
    told = {(one.layer, one.head): one for one in found}
    for layer, head, weight, place in truth:
        assert told[layer, head].weight == pytest.approx(weight, abs=1e-9)
        assert told[layer, head].place == place
    weights = [one.weight for one in found]
    assert weights == sorted(weights, reverse=True)


def test_a_key_that_is_not_seen_is_refused():
    with pytest.raises(SiteError, match="comes after it"):
        attending_heads(tiny_language("llama"), TEXT, query=2, key=5)


def whole(group: dict) -> float:
    return sum(entry["value"] for entry in group["entries"]) + group["rest"]


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("head", [(0, 0), (1, 3), (2, 1)])
def test_all_three_sums_give_the_models_own_score(name, head):
    lm, made = tiny_language(name), why_of(name, head=head)
    chosen = made["chosen"]
    site = f"{head[0]}.attn.scores"
    scores = record(lm, lm.encode([TEXT]), [site])[site][0, head[1], LAST]
    score = pytest.approx(float(scores[made["key"]["position"]]), rel=1e-6, abs=1e-6)
    assert chosen["score"] == score
    assert list(chosen["sums"].values()) == [score] * 3
    for side in ("query", "key"):
        for group in chosen[side]["groups"].values():
            assert whole(group) == score
        assert sum(kind["value"] for kind in chosen[side]["kinds"]) == score
    assert sum(map(sum, chosen["grid"]["values"])) == pytest.approx(
        chosen["score"], rel=1e-4, abs=1e-4
    )
    pairs = chosen["pairs"]
    listed = sum(entry["value"] for entry in pairs["entries"])
    assert listed + pairs["rest"] == score
    assert len(pairs["entries"]) <= MOST_PAIRS


@pytest.mark.parametrize("name", BLOCKS)
def test_the_heads_row_of_attention_is_whole(name):
    chosen = why_of(name)["chosen"]
    weights = [one["weight"] for one in chosen["attention"]]
    assert sum(weights) == pytest.approx(1, abs=1e-4) and len(weights) == len(TEXT)
    assert chosen["weight"] == pytest.approx(weights[LAST - 3], abs=1e-4)


def test_the_pairs_are_the_largest_of_the_grid_and_are_named_as_it_is():
    lm = tiny_language("llama")
    found = why_attended(lm, TEXT, layer=2, head=1, query=LAST, key=LAST - 3)
    chosen = why_of("llama")["chosen"]
    values = sorted(found.grid.flatten().tolist(), key=abs, reverse=True)
    told = [entry["value"] for entry in chosen["pairs"]["entries"]]
    assert told == pytest.approx(values[: len(told)], rel=1e-9)
    for side in ("query", "key"):
        parts = {entry["name"] for entry in chosen[side]["groups"]["component"]["entries"]}
        # What the reader adds by itself has a row of the grid even where it is nothing.
        named = {entry[side] for entry in chosen["pairs"]["entries"]}
        assert named <= parts | {f"{side} bias"} and len(named) > 3


def test_a_grid_of_many_parts_gathers_the_small_ones():
    from molehill.views.why import _grid

    grid = torch.randn(MOST_COMPONENTS + 6, MOST_COMPONENTS + 2, generator=seeded()).double()
    names = [f"{n} MLP" for n in range(len(grid))]
    made = _grid(grid, names, names[: grid.shape[1]], 15)
    assert made["query_others"] == 6 and made["key_others"] == 2
    assert len(made["values"]) == len(made["values"][0]) == MOST_COMPONENTS + 1
    assert sum(map(sum, made["values"])) == pytest.approx(float(grid.sum()), abs=1e-4)
    kept = sorted(grid.abs().sum(1).topk(MOST_COMPONENTS).indices.tolist())
    assert made["query"] == [f"MLP of layer {n}" for n in kept]


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_without_a_head_the_heads_are_listed_to_choose_from():
    made = why_of(head=None)
    best = made["heads"][0]
    assert made["chosen"] is None and len(made["heads"]) == 12
    assert f"heads {best['layer']}.{best['head']} (" in made["summary"][0]
    first = sum(one["place"] == 0 for one in made["heads"])
    assert made["summary"][1].startswith(f"In {first} of 12 heads")


@pytest.mark.parametrize("text", [*HOSTILE, *SIX[:2]])
@pytest.mark.parametrize("head", [None, (2, 1)])
def test_json_holds_it_all(text, head):
    made = why_of("llama", text, head=head)
    assert json.loads(json.dumps(made, allow_nan=False)) == made


def test_words_that_the_model_does_not_know_are_neither_query_nor_key():
    lm, text = word_model(), "the zebra mole"
    tokens = lm.encode([text])
    zebra, mole = (tokens.find(word)[0].last for word in ("zebra", "mole"))
    for query, key in ((mole, zebra), (zebra, 0)):
        with pytest.raises(TextError, match="does not know 'zebra' in text 1"):
            attending_heads(lm, text, query=query, key=key)
        with pytest.raises(TextError, match="does not know 'zebra' in text 1"):
            why_attended(lm, text, layer=0, head=0, query=query, key=key)
    heads = attending_heads(lm, text, query=mole, key=0)
    made = why_data(lm, text, mole, 0, heads, None, version="0.0.0")
    assert any("does not know “zebra”:" in note for note in made["notes"])
