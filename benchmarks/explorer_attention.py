"""Attention of 512 tokens in SmolLM2: what an answer takes and weighs, and how smooth its page is.

python benchmarks/explorer_attention.py [--rounds 3] [--tokens 512]
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

from _machine import machine, report
from _measure import in_turn, peak_of_this_process

FRAMES = """async () => {
  const plane = document.querySelector('.plane');
  const box = plane.getBoundingClientRect();
  const times = [];
  const held = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = (act) => held((now) => {
    const begun = performance.now();
    act(now);
    // What the change asks of the layout is part of it.
    document.querySelector('.flow').getBoundingClientRect();
    times.push(performance.now() - begun);
  });
  for (let step = 1; step <= 80; step += 1) {
    const at = 40 + (step / 80) * (box.height - 60);
    const event = { clientX: box.left + 40 + at * 0.6, clientY: box.top + at, bubbles: true };
    plane.dispatchEvent(new PointerEvent('pointermove', event));
    await new Promise((done) => held(() => held(done)));
  }
  return times.sort((a, b) => a - b);
}"""

ZOOM = """async () => {
  const plane = document.querySelector('.plane');
  const times = [];
  plane.focus();
  for (let step = 0; step < 24; step += 1) {
    const begun = performance.now();
    const key = step < 6 ? '+' : step < 18 ? 'ArrowLeft' : '-';
    plane.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
    plane.getBoundingClientRect();
    times.push(performance.now() - begun);
  }
  return times.sort((a, b) => a - b);
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=512)
    options = parser.parse_args()
    report(machine=machine())
    from molehill.questions import Desk, answer
    from molehill.questions.desk import ModelEntry

    desk = Desk({"smollm2": ModelEntry("smollm2")})
    lm = desk.model("smollm2")
    asked = {"model": "smollm2", "text": text_of(lm, options.tokens)}
    one = {**asked, "layer": 17, "head": 3}

    def afresh():
        desk.shelf.kept.clear()
        return answer(desk, "attention", asked)

    took = in_turn(
        {
            "all heads, a text that is new": afresh,
            "all heads, the pass kept": lambda: answer(desk, "attention", asked),
            "one head, the pass kept": lambda: answer(desk, "attention.head", one),
        },
        options.rounds,
    )
    whole, head = (answer(desk, name, one).data for name in ("attention", "attention.head"))
    sizes = {"all heads, a text that is new": whole, "one head, the pass kept": head}
    for case, times in took.items():
        report(
            benchmark="explorer attention",
            case=case,
            tokens=options.tokens,
            seconds=round(times["seconds"], 3),
            best_seconds=round(times["least"], 3),
            others=times["others"],
            kilobytes=round(len(json.dumps(sizes[case])) / 1000) if case in sizes else None,
            peak_mb=round(peak_of_this_process()),
        )
    look_at(whole, options.tokens)


def look_at(data, tokens: int) -> None:
    """Hover and zoom in a browser, where there is one: milliseconds of script and layout."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if chromium is None:
        report(benchmark="explorer attention", case="hover", skipped="there is no Chromium")
        return
    from playwright.sync_api import sync_playwright

    from molehill.views.html import page

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        file = Path(folder) / "attention.html"
        file.write_text(page("attention", data, title="Attention", text=""), encoding="utf-8")
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": 1280, "height": 900})
        opened.goto(file.as_uri())
        opened.wait_for_selector("article footer")
        for case, script in (("hover", FRAMES), ("zoom and arrow keys", ZOOM)):
            times = opened.evaluate(script)
            report(
                benchmark="explorer attention",
                case=case,
                tokens=tokens,
                steps=len(times),
                median_ms=round(times[len(times) // 2], 1),
                worst_ms=round(times[-1], 1),
            )
        browser.close()


def text_of(lm, tokens: int) -> str:
    """As much of the README as has this many tokens."""
    words = Path(__file__).resolve().parents[1].joinpath("README.md").read_text(encoding="utf-8")
    return lm.decode(lm.encode(words, truncate=True).ids[0, :tokens])


if __name__ == "__main__":
    main()
