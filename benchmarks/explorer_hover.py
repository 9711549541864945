"""How long a hover takes with many points under the pointer: from the pointer's event to the frame
that shows the nearest point's sentence.

    python benchmarks/explorer_hover.py [--points 100000] [--moves 200]

The page is that of a word in many sentences with made-up paths, opened by the system's chromium
without a network. One JSON line: milliseconds spent in the view for every move (median, 99th
percentile, worst), until the next frame, for a scrub by one layer, and for drawing it all anew.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch
from playwright.sync_api import sync_playwright

from molehill.views.html import page

PER = 32
MEASURE = """async (moves) => {
  const view = document.querySelector(".paths");
  const box = view.getBoundingClientRect();
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const spent = [], shown = [];
  let texts = new Set();
  let seed = 7;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  for (let move = 0; move < moves; move += 1) {
    const [x, y] = [0.3 + 0.4 * random(), 0.3 + 0.4 * random()];
    const event = new PointerEvent("pointermove", {
      clientX: box.left + x * box.width, clientY: box.top + y * box.height, bubbles: true });
    const before = performance.now();
    view.dispatchEvent(event);
    spent.push(performance.now() - before);
    await frame();
    shown.push(performance.now() - before);
    texts.add(document.querySelector(".reading").textContent);
  }
  const slider = document.querySelector(".scrubber input");
  const scrubs = [];
  for (let point = 0; point < 20; point += 1) {
    slider.value = String(point);
    const before = performance.now();
    slider.dispatchEvent(new Event("input"));
    await frame();
    scrubs.push(performance.now() - before);
  }
  const radio = document.querySelector("input[data-state=axes][value='1-3']");
  const before = performance.now();
  radio.click();
  await frame();
  return { spent, shown, scrubs, anew: performance.now() - before, texts: texts.size };
}"""


def made(points: int) -> dict[str, Any]:
    """A crowd of made-up paths in four groups."""
    count = points // PER
    generator = torch.Generator().manual_seed(0)
    groups = torch.arange(count) % 4
    ends = torch.randn(4, 3, generator=generator)[groups]
    steps = torch.linspace(0, 1, PER)[None, :, None]
    noise = torch.randn(count, PER, 3, generator=generator) * 0.35 * steps
    paths = steps * ends[:, None] + noise
    names = ["embed", *(f"{layer}.resid_post" for layer in range(PER - 1))]
    return {
        "schema": "molehill.crowd/1",
        "summary": [f"{count * PER:,} points."],
        "word": "mole",
        "points": [{"name": name, "after": f"after {name}", "mark": name} for name in names],
        "sentences": [
            {
                "number": number + 1,
                "text": f"sentence {number + 1} has a mole",
                "word_at": [0, 0],
                "shown": [f"sentence {number + 1} has a ", "mole", ""],
                "group": int(groups[number]) + 1,
                "near": ["·mole"],
                "length": 1.0,
            }
            for number in range(count)
        ],
        "groups": [
            {"number": one + 1, "count": count // 4, "words": ["word"], "near": []}
            for one in range(4)
        ],
        "grouped_at": None,
        "grouped_after": None,
        "silhouette": None,
        "bases": {
            "differences": {
                "explained": [0.5, 0.2, 0.1],
                "coordinates": [
                    [round(value, 4) for value in axis.flatten().tolist()]
                    for axis in paths.unbind(-1)
                ],
            }
        },
        "notes": [],
        "provenance": {
            "model": "made up",
            "fingerprint": "0" * 64,
            "dtype": "float32",
            "version": "0",
            "checked": {"passed": None, "date": None, "failed": [], "told": "not checked"},
        },
    }


def measured(points: int, moves: int) -> dict[str, Any]:
    """One page opened, pointed at, scrubbed and turned."""
    data = made(points)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        file = Path(folder) / "crowd.html"
        file.write_text(page("crowd", data, title="crowd", text=""), encoding="utf-8")
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": 1280, "height": 900})
        opened.goto(file.as_uri())
        opened.wait_for_selector(".paths")
        opened.wait_for_timeout(500)
        found = opened.evaluate(MEASURE, moves)
        version = browser.version
        browser.close()
        size = file.stat().st_size
    return {
        "benchmark": "explorer_hover",
        "points": len(data["sentences"]) * PER,
        "moves": moves,
        "page_bytes": size,
        "chromium": version,
        "sentences_shown": found["texts"],
        "hover_ms": spread(found["spent"]),
        "hover_to_frame_ms": spread(found["shown"]),
        "scrub_to_frame_ms": spread(found["scrubs"]),
        "drawn_anew_ms": round(found["anew"], 1),
    }


def spread(values: list[float]) -> dict[str, float]:
    """Median, 99th percentile and worst."""
    ordered = sorted(values)
    return {
        "median": round(statistics.median(ordered), 2),
        "p99": round(ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))], 2),
        "worst": round(ordered[-1], 2),
    }


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--moves", type=int, default=200)
    given = parser.parse_args()
    print(json.dumps(measured(given.points, given.moves)))


if __name__ == "__main__":
    main()
