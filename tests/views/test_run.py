"""Runs as data, text and page: thinning against brute force, figures against the lines."""

from __future__ import annotations

import json
import math
import random

import pytest
from tests.training.test_history import stepped, write
from tests.views.browsing import CONTRAST, opened

from molehill.errors import ConfigError
from molehill.training.history import run_history
from molehill.views.html import page
from molehill.views.run import run_data, runs_data, span
from molehill.views.run_curves import thinned
from molehill.views.run_text import run_text

OTHER = "[training]\nbatch = 4\ncontext = 16\nsteps = 3000\nseed = 4\n[snapshots]\nevery = 7\n"


def began(steps: int) -> dict:
    return {"event": "began", "step": 0, "plan": {"steps": steps, "parameters": 12}, "version": "0"}


def evaluated(step: int, loss: float) -> dict:
    bits = {"prose": loss / 2, "verse": loss / 3}
    return {"event": "evaluated", "step": step, "loss": loss, "bits_per_byte": bits}


def sampled(step: int, text: str) -> dict:
    return {"event": "sampled", "step": step, "prompt": "The mole", "text": text}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One of 3,000 steps with a spike, a gap and an overfit end; one of two evaluations."""
    folder = tmp_path_factory.mktemp("runs")
    loss = [6.0 / (1 + step / 300) for step in range(1, 3001)]
    loss[1233], loss[2000] = 44.0, math.nan
    lines = [
        {"grad_norm": 1.0, "rate": 1.0, "tokens_per_second": 640.0}
        | stepped(step, None if math.isnan(value) else value)
        for step, value in enumerate(loss, start=1)
    ]
    held = [evaluated(step, value) for step, value in ((1000, 2.0), (2000, 1.5), (3000, 1.8))]
    told = [sampled(1000, " </script><b>digs"), sampled(3000, " sleeps.")]
    write(folder / "long", began(3000), *lines, *held, *told, recipe=OTHER)
    short = [evaluated(100, 3.0), evaluated(200, 2.5), sampled(200, " is.")]
    write(folder / "short", began(200), *map(stepped, range(1, 201)), *short)
    return [run_history(folder / name, name=name) for name in ("long", "short")]


@pytest.fixture(scope="module")
def data(runs):
    return run_data(runs, version="0.0.0")


def curve(data, chart: str, part: str, run: int = 1):
    found = next(one for one in data["charts"] if one["name"] == chart)
    return next(one for one in found["curves"] if (one["run"], one["part"]) == (run, part))


@pytest.mark.parametrize("count", [1, 1200, 1201, 20_000])
def test_a_thinned_curve_keeps_every_extreme(count):
    rng = random.Random(count)
    lines = [(n, n, None if rng.random() < 0.01 else rng.gauss(0, 1), n / 2) for n in range(count)]
    made = thinned(lines)
    assert made["of"] == count and (made["stretch"] == 1) == (count <= 1200)
    assert made["not_finite"] == sum(line[2] is None for line in lines)
    numbers = len(made["value"]) * (1 if made["stretch"] == 1 else 3)
    assert numbers <= 1200
    assert made["first"][0] == 0 and made["step"][-1] == count - 1
    for place, (first, last) in enumerate(zip(made["first"], made["step"], strict=True)):
        values = [line[2] for line in lines[first : last + 1] if line[2] is not None]
        if not values:
            assert made["value"][place] is None
            continue
        assert made["value"][place] == pytest.approx(sum(values) / len(values), rel=1e-4, abs=1e-4)
        if made["stretch"] > 1:
            assert made["low"][place] == pytest.approx(min(values), rel=1e-5)
            assert made["high"][place] == pytest.approx(max(values), rel=1e-5)


def test_data_are_the_lines_own_numbers(data):
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    loss = curve(data, "loss", "training")
    assert loss["of"] == 3000 and max(loss["high"]) == 44.0, "the spike survives"
    assert loss["not_finite"] == 1 and loss["not_finite_at"] == [2001]
    assert loss["last"] == pytest.approx(6 / 11)
    held = curve(data, "loss", "held-out")
    assert held["value"] == [2.0, 1.5, 1.8] and held["seconds"] == [500.0, 1000.0, 1500.0]
    assert curve(data, "held-out", "verse")["value"] == [
        pytest.approx(v / 3, rel=1e-5) for v in (2, 1.5, 1.8)
    ]
    assert [run["read"] for run in data["runs"]] == [3000 * 64, 200 * 64]
    told = " ".join(data["notes"])
    assert "375 stretches of 8 points stand for 3,000" in told
    assert "1 value of the curves is not finite" in told
    assert "different amounts" in told


def test_what_differs_is_told_and_the_lowest_loss(data):
    differs = {row["key"]: row["values"] for row in data["recipe"] if row["differs"]}
    assert differs["training.seed"] == ["4", "3"]
    assert differs["training.steps"] == ["3_000", None]
    assert differs["snapshots.every"] == ["7", "5"]
    told = " ".join(data["summary"])
    assert "differ in training.steps, training.seed and training.tokens." in told
    assert "Lowest held-out loss: long with 1.5 at step 2,000; short 2.5." in told


def test_one_run_says_where_its_lowest_was(runs):
    told = " ".join(run_data(runs[:1], version="0")["summary"])
    assert "held-out loss 1.8 (lowest 1.5 at step 2,000)" in told
    assert "step 3,000 of 3,000, 192,000 tokens in 25 min 0 s of steps" in told


def test_some_steps_alone_have_more_of_their_points(runs):
    found = run_data(runs[:1], version="0", first=1200, last=1300)
    loss = curve(found, "loss", "training")
    assert loss["stretch"] == 1 and (loss["step"][0], loss["step"][-1]) == (1199, 1301)
    assert found["span"] == [1200, 1300]


def test_runs_that_cannot_be_compared_are_refused(runs):
    for given in ([], [runs[0]] * 2, [runs[0]] * 9):
        with pytest.raises(ConfigError, match="give from 1 to 8, each once"):
            run_data(given, version="0")


def test_a_list_has_a_line_for_each(runs):
    found = runs_data(runs, version="0", there=250)
    assert found["summary"] == ["2 runs: 2 stopped."] and "2 of 250" in found["notes"][0]
    text = run_text(found)
    assert "held-out loss 1.8" in " ".join(text.split())
    assert "3,000 of 3,000" in text


def test_text_has_every_curve_and_sample(data):
    told = run_text(data, width=100)
    assert "▁" in told and "sleeps." in told and "training.seed" in told
    plain = run_text(data, width=80, ascii_only=True)
    assert plain.isascii() and max(map(len, plain.splitlines())) <= 80


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (8.04, "8.0 s"),
        (75.0, "75 s"),
        (150.0, "2 min 30 s"),
        (19_200.0, "5 h 20 min"),
        (None, "unknown time"),
    ],
)
def test_times_as_people_say_them(seconds, told):
    assert span(seconds) == told


def test_autoencoders_have_curves_of_their_own(tmp_path):
    recipe = "[training]\nrows = 100\nbatch = 8\n[[autoencoder]]\nname = 'one'\nk = 4\n"
    lines = [
        {
            "event": "featuresstepped",
            "step": step,
            "rate": 1.0,
            "rows_per_second": 9.0,
            "seconds": step,
            "learnt": {
                "one": {"terms": {"error": 5 / step}, "explained": 0.5, "l0": 4.0, "dead": step}
            },
        }
        for step in (1, 2, 3)
    ]
    data = run_data([run_history(write(tmp_path / "a", *lines, recipe=recipe))], version="0")
    assert [chart["name"] for chart in data["charts"]] == [
        "error",
        "explained",
        "active",
        "dead",
        "rate",
        "speed",
    ]
    assert curve(data, "error", "one")["value"] == [5, 2.5, pytest.approx(5 / 3, rel=1e-5)]
    assert curve(data, "dead", "one")["value"] == [1, 2, 3]
    assert data["runs"][0]["unit"] == "vectors"


# --- the page -----------------------------------------------------------------------------------


def test_the_page_reads_zooms_and_keeps_its_state(data, browser, tmp_path):
    file = tmp_path / "run.html"
    file.write_text(page("run", data, title="Runs", text=run_text(data)), encoding="utf-8")
    with opened(browser, file, "#up=log&smooth=0.9") as found:
        assert found.page.locator(".chart").count() == 5
        assert found.page.locator(".band").count() >= 1, "minimum and maximum are drawn"
        assert found.page.locator("text.bad").count() >= 1, "what is no number is marked"
        figure = found.page.locator(".chart.loss svg.curves")
        box = figure.bounding_box()
        found.page.mouse.move(box["x"] + 60, box["y"] + 60)
        assert "step" in found.text(".chart.loss .keys li")
        found.page.mouse.move(box["x"] + 300, box["y"] + 60)
        found.page.mouse.down()
        found.page.mouse.move(box["x"] + 500, box["y"] + 60, steps=3)
        found.page.mouse.up()
        state = found.state()
        assert 0 < float(state["from"]) < float(state["to"]) < 3000 and state["up"] == "log"
        figure.focus()
        found.page.keyboard.press("0")
        assert "from" not in found.state()
        found.page.keyboard.press("Home")
        found.page.keyboard.press("ArrowRight")
        assert "mean of steps 1 to 8" in found.text(".chart.loss .keys li")
        found.page.keyboard.press("+")
        assert "to" in found.state()
        found.page.locator("label:has-text('tokens') input").first.check()
        assert found.state()["x"] == "read" and "from" not in found.state()
        csv = found.saved(found.page.locator(".chart.loss .exports button", has_text="CSV"))
        rows = csv.decode().splitlines()
        assert rows[0].startswith("run,curve,first step,last step,read")
        assert len(rows) == 1 + 375 + 3 + 200 + 2
        svg = found.saved(found.page.locator(".chart.loss .exports button", has_text="SVG"))
        assert b"long: training" in svg and b"NaN" not in svg
        assert found.page.locator(".samples").get_by_text("</script><b>digs").count() == 1
        assert found.page.evaluate(CONTRAST) == []
    with opened(browser, file, width=360, color_scheme="dark") as found:
        assert found.page.evaluate("document.documentElement.scrollWidth") == 360
        found.page.locator("input[data-run='2']").uncheck()
        assert found.state()["off"] == "2"
        assert found.page.locator(".chart.loss .keys li").count() == 2
        assert found.page.evaluate(CONTRAST) == []


LIVE = """
(data) => {
  const heard = new Set();
  window.asked = [];
  const held = { data, asks: true, opens: true, state: "", theme: "light" };
  window.model = {
    get: (name) => held[name], set: (name, value) => { held[name] = value; },
    save_changes: () => {}, off: (event, act) => heard.delete(act),
    on: (event, act) => event === "msg:custom" && heard.add(act),
    send: (message) => {
      window.asked.push(message);
      if (message.kind !== "ask") return;
      const answer = { kind: "answer", id: message.id, data: window.next };
      setTimeout(() => [...heard].forEach((act) => act(answer)), 0);
    },
  };
}
"""


def test_a_run_at_work_is_read_again_until_it_is_finished(data, browser, tmp_path):
    before = json.loads(json.dumps(data))
    before["runs"][0]["state"] = "at work"
    after = json.loads(json.dumps(data))
    after["summary"][0] = "long is finished."
    file = tmp_path / "live.html"
    made = page("run", before, title="Runs", text="")
    # The same page, with a host that answers instead of one that cannot.
    script = made[made.index('<script type="module">') + 22 : made.rindex("</script>")]
    script = script[: script.rindex("const held =")]
    live = f"({LIVE})({json.dumps(before).replace('<', chr(92) + 'u003c')});"
    live += f"window.next = {json.dumps(after).replace('<', chr(92) + 'u003c')};"
    live += "render({ model: window.model, el: document.getElementById('view') });"
    script = script.replace("const EVERY = 5_000", "const EVERY = 50")
    file.write_text(
        f'<!doctype html><meta charset="utf-8"><main id="view" class="mh-host v-run"></main>'
        f'<script type="module">{script}{live}</script>',
        encoding="utf-8",
    )
    with opened(browser, file) as found:
        found.wait("document.querySelector('.lead .first').textContent === 'long is finished.'")
        found.wait("document.querySelector('.status').textContent === ''")
        asked = found.page.evaluate("window.asked.filter((one) => one.kind === 'ask')")
        assert len(asked) == 1, "a finished run is not asked about again"
        assert asked[0]["question"] == "run" and asked[0]["fresh"] is True
        assert asked[0]["inputs"] == {"run": "long", "against": ["short"]}
