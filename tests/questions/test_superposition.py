"""Questions about superposition: theory by its own formula, a packing that is known to be best, toy
models trained again by their lines of Python; limits, and how far a long answer tells it is."""

from __future__ import annotations

import json
import math

import pytest

from molehill.errors import ConfigError, GeometryError
from molehill.questions import Desk, ModelEntry, answer


@pytest.fixture(scope="module")
def desk() -> Desk:
    return Desk({"village": ModelEntry("village")})


def asked(desk: Desk, name: str, **given):
    """The answer as it travels, and what its lines of Python leave behind."""
    found = answer(desk, name, given)
    data = json.loads(json.dumps(dict(found.data), allow_nan=False))
    assert found.question.text(data)
    assert data["asked"]["question"] == name
    assert data["asked"]["inputs"].items() >= given.items() - {("model", "village")}
    names: dict = {"print": lambda *said: None}
    exec(compile(data["python"], name, "exec"), names)
    return data, names


def test_bounds_hold_to_welchs_formula(desk):
    data, _ = asked(desk, "superposition.bounds", count=300, dimensions=20, degrees=80.0)
    welch = math.sqrt((300 - 20) / (20 * (300 - 1)))
    lines = {line["name"]: line["cosine"] for line in data["bounds"]["lines"]}
    assert lines["Welch"] == pytest.approx(welch, rel=1e-6)
    assert data["bounds"]["best"]["cosine"] >= lines["Welch"]
    asked(desk, "superposition.bounds", degrees=90.0)


def test_a_packing_reaches_the_known_optimum_and_tells_its_angle(desk):
    told = []
    telling = desk.telling(lambda done, whole, what: told.append((done, whole, what)))
    data, names = asked(telling, "superposition.packing", count=28, dimensions=7)
    assert data["largest"] == pytest.approx(1 / 3, abs=1e-5), "28 equiangular lines"
    assert names["found"].largest == pytest.approx(data["largest"], rel=1e-5)
    assert told[0][0] == 0 and told[-1][:2] == (380, 400)
    angles = [float(what.split()[-1].rstrip("°")) for _, _, what in told]
    assert angles[0] < angles[-1] == pytest.approx(70.5)


@pytest.mark.parametrize("kind", ["sweep", "linear", "phases", "computing"])
def test_toy_models_are_those_of_their_lines(desk, kind):
    sizes = {"points": 3, "seeds": 2, "steps": 100, "density": 0.01}
    data, names = asked(desk, "superposition.toy", kind=kind, **sizes)
    if kind == "phases":
        assert data["densities"] == [1, 0.1, 0.01]
        assert data["found"] == names["found"].found.tolist()
        return
    assert [point["density"] for point in data["points"]] == [1, 0.1, 0.01]
    losses = names["models"].loss.median(1).values.tolist()
    mean = names["models"].loss.mean(1).tolist()
    for point, middle, average in zip(data["points"], losses, mean, strict=True):
        low, high = min(point["loss"]), max(point["loss"])
        assert low <= average * 1.001 and middle <= high * 1.001
    assert data.get("relu", kind == "sweep") is (kind == "sweep")


def test_capacity_is_read_with_every_kind_of_direction(desk):
    given = {"dimensions": 16, "active": 2, "inputs": 100, "directions": "all three"}
    data, names = asked(desk, "superposition.capacity", **given)
    by_name = {one["name"]: one["points"] for one in data["series"]}
    assert set(by_name) == {"random", "packed", "learned"}
    wrong = [point.measured.wrong_bits for point in names["points"]]
    assert [point["measured"]["wrong_bits"] for point in by_name["random"]] == pytest.approx(
        wrong, rel=1e-3
    )


def test_a_report_is_of_the_model_that_was_asked_about(desk):
    told = []
    telling = desk.telling(lambda done, whole, what: told.append((done, whole)))
    data, _ = asked(telling, "superposition.report", model="village")
    assert data["provenance"]["model"] == "village"
    assert told[-1][0] == told[-1][1]


def test_what_would_take_minutes_is_refused_with_the_command_that_does_it(desk):
    with pytest.raises(GeometryError, match="molehill superposition pack 400 64"):
        answer(desk, "superposition.packing", {"count": 400, "dimensions": 64})
    with pytest.raises(GeometryError, match="molehill superposition toy"):
        large = {"features": 40, "dimensions": 20, "points": 20, "seeds": 16, "steps": 3000}
        answer(desk, "superposition.toy", large)
    with pytest.raises(ConfigError, match="count"):
        answer(desk, "superposition.bounds", {"count": 1})


def test_an_answer_that_is_not_wanted_ends_where_it_tells(desk):
    def enough(done, whole, what):
        if done >= 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        answer(desk.telling(enough), "superposition.packing", {"steps": 2000})
