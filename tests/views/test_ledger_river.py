"""A ledger as a river: at every level, node and side what comes in goes out, and all of it is the
ledger's own sum; what is named is what brings most."""

from __future__ import annotations

import json
import math
from collections import defaultdict

import pytest
import torch
from tests.journey.tiny import BLOCKS, tiny_language
from tests.views.made import SIX, ledger_of

from molehill.journey import follow
from molehill.journey.ledger import Reading
from molehill.journey.paths import OtherRows
from molehill.views.ledger_river import LEVELS, river_data

HEADED = [name for name in BLOCKS if name != "bert"]
LONG = "the spy who sold it was a mole"


def reading_of(name: str, toward: int | None = None, text: str = SIX[0]) -> Reading:
    book = follow(tiny_language(name), text).ledger()
    if toward is not None:
        return book.logit(toward)
    return book.toward(book.vector / book.vector.norm())


def near(value: float):
    return pytest.approx(value, rel=1e-9, abs=1e-12)


READINGS = [(name, None) for name in BLOCKS] + [(name, 3) for name in HEADED]


@pytest.mark.parametrize(("name", "toward"), READINGS)
@pytest.mark.parametrize("text", [SIX[0], LONG])
def test_at_every_node_what_comes_in_goes_out_on_either_side(name, toward, text):
    reading = reading_of(name, toward, text)
    for level, river in river_data(reading, 15).items():
        came, went = defaultdict(lambda: [0.0, 0.0]), defaultdict(lambda: [0.0, 0.0])
        for flow in river["flows"]:
            columns = [river["nodes"][node]["column"] for node in flow["path"]]
            assert columns == list(range(columns[0], len(LEVELS[level])))
            for a, b in zip(flow["path"], flow["path"][1:], strict=False):
                went[a][flow["value"] < 0] += flow["value"]
                came[b][flow["value"] < 0] += flow["value"]
        for place, node in enumerate(river["nodes"]):
            for sides in (came, went):
                if place in sides:
                    assert sides[place] == [near(node["up"]), near(node["down"])]
            assert node["value"] == near(node["up"] + node["down"])
        last = river["nodes"][-1]
        assert last["kind"] == "sum" and last["value"] == near(reading.measured)
        assert last["rows"] == len(reading.ledger) + bool(reading.constant)


@pytest.mark.parametrize("name", BLOCKS)
def test_a_named_node_is_worth_what_the_ledger_says_and_none_left_out_is_worth_more(name):
    reading = reading_of(name, None, LONG)
    heads, sources = reading.by("head"), reading.by("source")
    neurons, layers = reading.by("neuron"), reading.by("component")
    river = river_data(reading, 15)
    truth = {
        "source": [value for label, value in sources.items() if label.endswith(")")],
        "writer": [value for label, value in heads.items() if label.startswith("head ")]
        + [value for label, value in neurons.items() if label.startswith("neuron ")],
    }
    for number, column in enumerate(("source", "writer")):
        named = [
            node
            for node in river["words"]["nodes"]
            if node["column"] == number
            and node["kind"] in ("source", "head", "neuron")
            and not node["others"]
        ]
        others = [
            node for node in river["words"]["nodes"] if node["column"] == number and node["others"]
        ]
        assert len(named) + sum(node["others"] for node in others) == len(truth[column])
        kept = {node["name"]: node["value"] for node in named if node["kind"] != "source"}
        for label, value in kept.items():
            assert value == near({**heads, **neurons}[label])
        most = sorted(truth[column], key=abs, reverse=True)
        told = sorted((node["value"] for node in named), key=abs, reverse=True)
        assert told[:10] == [near(value) for value in most[: min(10, len(told))]]
    for node in river["layers"]["nodes"]:
        if node["kind"] == "MLP" and not node["others"]:
            assert node["value"] == near(layers[f"{node['layer']} MLP"])


def test_flows_are_the_rows_between_a_word_and_a_head():
    """By hand, from the ledger's own values: no other path through the arithmetic."""
    reading = reading_of("llama", 3)
    river = river_data(reading, 15)["words"]
    part = next(
        (part, value)
        for part, value in zip(reading.ledger.parts, reading.values, strict=True)
        if part.kind == "head" and part.layer == 1
    )
    found = 0
    for flow in river["flows"]:
        source, writer = (river["nodes"][place] for place in flow["path"][:2])
        if writer.get("layer") == 1 and "head" in writer and "source" in source:
            assert flow["value"] == near(float(part[1][writer["head"], source["source"]]))
            assert flow["rows"] == 1
            found += 1
    assert found >= 1


def test_what_is_gathered_says_how_many_rows_and_how_much_on_either_side():
    reading = reading_of("gpt2")
    river = river_data(reading, 15)["writers"]
    [others] = [n for n in river["nodes"] if n["kind"] == "neuron" and n["others"]]
    named = {n["name"] for n in river["nodes"] if n["kind"] == "neuron" and not n["others"]}
    left = [
        value
        for label, value in reading.by("neuron").items()
        if label.startswith("neuron ") and label not in named
    ]
    assert others["rows"] == others["others"] == len(left)
    assert others["name"] == f"{len(left):,} other neurons"
    assert others["rows_up"] == near(sum(value for value in left if value > 0))
    assert others["rows_down"] == near(sum(value for value in left if value < 0))
    assert others["value"] == near(sum(left))


def test_other_rows_of_a_site_run_as_features_and_the_sum_stays():
    lm = tiny_language("llama")
    journey = follow(lm, SIX[0])
    plain = journey.ledger()
    vector = journey.captured.values["1.resid_post"].reshape(-1, lm.config.d_model)[-1:]
    directions = torch.eye(lm.config.d_model, dtype=vector.dtype)[:3]
    values = torch.tensor([[2.0, -1.0, 0.5]], dtype=vector.dtype)
    rest = {"error": vector - values @ directions}
    rows = OtherRows("1.resid_post", "made up", torch.tensor([4, 7, 9]), values, directions, rest)
    book = journey.ledger("final", rows=rows)
    unit = book.vector / book.vector.norm()
    river = river_data(book.toward(unit), 15)
    for level in LEVELS:
        assert river[level]["nodes"][-1]["value"] == near(float(plain.vector.norm()))
    features = [node for node in river["words"]["nodes"] if node["kind"] == "feature"]
    assert {node["feature"] for node in features if "feature" in node} <= {4, 7, 9}
    # Each once among those that wrote, named or counted.
    assert sum(node["others"] or 1 for node in features if node["column"] == 1) == 3
    assert any(node["kind"] == "error" for node in river["words"]["nodes"])


def test_a_journey_gathered_up_to_a_point_has_one_band_for_it():
    made = ledger_of("llama", between="1.resid_post")
    starts = [node for node in made["river"]["words"]["nodes"] if node["kind"] == "start"]
    assert {node["column"] for node in starts} == {0, 1, 2}
    assert len({node["value"] for node in starts}) == 1


def test_json_holds_it_and_what_is_not_finite_is_null():
    lm = tiny_language("gpt2")
    reading = reading_of("gpt2")
    broken = Reading(
        reading.ledger,
        reading.direction,
        tuple(value * math.nan for value in reading.values),
        0.0,
        math.nan,
    )
    made = river_data(broken, 5)
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert made["layers"]["nodes"][-1]["value"] is None
    assert lm.config.n_layers
