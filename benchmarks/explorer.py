"""The explorer, timed: from the start of the process to the first view drawn, a changed sentence,
the sizes of the views' modules, and clients that ask for minutes.

    python benchmarks/explorer.py [--only first sentence sizes soak] [--seconds 600] [--clients 4]

Chromium draws, as a person's browser would; without a network. How long a hover takes among 100,000
points is measured by `explorer_hover.py`, over 512 tokens of attention by `explorer_attention.py`.
One JSON line each.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from _machine import report
from playwright.sync_api import Browser, Page, sync_playwright

VIEW = ".view article.mh"
SENTENCES = [
    "The old man crossed the river with a horse.",
    "A bank is a slope beside a body of water.",
    "They said that the harbour was closed in winter.",
    "A violin is a small instrument with four strings.",
    "The spy was a mole inside the agency for years.",
    "In the garden a mole dug a tunnel under the lawn.",
    "Money is what a bank keeps for those who save it.",
    "The letter came to the school on a winter morning.",
]

WATCHED = """([sentence, marker]) => new Promise((done) => {
  const box = document.querySelector('#in-text') ?? document.querySelector('#in-sentences');
  const view = document.querySelector('.view');
  const entries = [];
  new PerformanceObserver((list) => entries.push(...list.getEntries()))
    .observe({entryTypes: ['resource']});
  box.value = sentence;
  box.dispatchEvent(new Event('input', {bubbles: true}));
  const before = performance.now();
  box.form.requestSubmit();
  const look = () => {
    const article = view.querySelector('article.mh');
    if (article && !view.classList.contains('pending') && article.textContent.includes(marker)) {
      requestAnimationFrame(() => setTimeout(() => {
        const drawn = performance.now();
        setTimeout(() => {
          const asked = entries.filter((one) => one.name.includes('/api/ask/')).at(-1);
          done({whole: drawn - before, server: asked ? asked.responseStart - asked.startTime : null,
                through: asked ? asked.responseEnd - asked.startTime : null});
        }, 50);
      }));
    } else setTimeout(look, 2);
  };
  look();
})"""


@dataclass
class Server:
    """`molehill explore` in a process of its own."""

    process: subprocess.Popen[str]
    first: str
    begun: float

    @property
    def base(self) -> str:
        return self.first.partition("?")[0]

    @property
    def token(self) -> str:
        return self.first.partition("token=")[2]

    @property
    def port(self) -> int:
        return int(self.base.rstrip("/").rpartition(":")[2])

    def rss(self) -> float:
        """Megabytes in memory now."""
        told = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        found = re.search(r"VmRSS:\s+(\d+)", told)
        assert found is not None, "Linux tells"
        return int(found[1]) / 1024


@contextmanager
def served(*arguments: str) -> Iterator[Server]:
    """A server, until the block ends."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "molehill", "explore", "--no-browser", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None, "it is a pipe"
    try:
        told = process.stdout.readline()
        yield Server(process, told.split()[-1], begun)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser, started once."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        browser.close()


def drawn(page: Page) -> None:
    """Until the view stands."""
    while not page.evaluate(f"() => document.querySelector({VIEW!r}) !== null"):
        time.sleep(0.005)


# --- the first view -------------------------------------------------------------------------------


def first_view(times: int = 5) -> None:
    """From the start of the process to the first view of the built-in model, in an open browser."""
    whole, address = [], []
    with chromium() as browser:
        for _ in range(times):
            with served() as server, contextlib.closing(browser.new_context()) as context:
                address.append(time.perf_counter() - server.begun)
                page = context.new_page()
                page.goto(server.first)
                drawn(page)
                whole.append(time.perf_counter() - server.begun)
    torch = [_seconds("import torch") for _ in range(3)]
    report(
        benchmark="explorer_first_view",
        model="lexicon",
        seconds=round(min(whole), 2),
        median=round(statistics.median(whole), 2),
        until_address=round(min(address), 2),
        import_torch=round(min(torch), 2),
    )


def _seconds(code: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - begun


# --- a changed sentence ---------------------------------------------------------------------------


def changed_sentence(models: Sequence[str] = ("lexicon", "smollm2")) -> None:
    """A sentence typed and sent, until the picture of its answer stands, in four kinds of views."""
    with chromium() as browser, served() as server:
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        page = context.new_page()
        page.goto(server.first)
        drawn(page)
        there = page.evaluate("fetch('/api/catalogue').then((reply) => reply.json())")
        known = [one["name"] for one in there["models"]]
        for model in (one for one in models if one in known):
            for question in ("lens", "ledger", "attention", "shift"):
                _one_view(page, server, model, question)


def _one_view(page: Page, server: Server, model: str, question: str) -> None:
    page.goto("about:blank")
    page.goto(f"{server.base}#/{question}?model={model}")
    drawn(page)
    page.wait_for_timeout(500)
    found = []
    for number, sentence in enumerate(SENTENCES):
        if question == "shift":
            asked = f"The mole in the field number {number + 2} dug.\nA mole is a spy."
            marker = f"number {number + 2} dug"
        else:
            asked, marker = sentence, sentence.split()[-1].rstrip(".")
        found.append(page.evaluate(WATCHED, [asked, marker]))
        page.wait_for_timeout(400)
    told = {
        name: round(statistics.median(one[name] for one in found))
        for name in ("whole", "server", "through")
    }
    report(
        benchmark="explorer_changed_sentence",
        model=model,
        view=question,
        tries=len(found),
        median_ms=told["whole"],
        worst_ms=round(max(one["whole"] for one in found)),
        server_ms=told["through"],
        browser_ms=told["whole"] - told["through"],
    )


# --- sizes ----------------------------------------------------------------------------------------


def sizes() -> None:
    """Bytes of every module of a view, the largest first, and of what the page loads at first."""
    found = {}
    for room in ("views", "explorer"):
        for file in (files(f"molehill.{room}") / "static").iterdir():
            if file.name.endswith(".js"):
                found[file.name] = len(file.read_bytes())
    largest = dict(sorted(found.items(), key=lambda one: -one[1]))
    report(benchmark="explorer_sizes", bytes=largest, largest=max(found.values()), limit=60_000)


# --- clients for minutes --------------------------------------------------------------------------


@dataclass
class Told:
    """What clients saw."""

    answered: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


ASKED = (
    ("lens", lambda text: {"text": text}),
    ("ledger", lambda text: {"text": text, "position": -2}),
    ("attention", lambda text: {"text": text}),
    ("why", lambda text: {"text": text, "query": -1, "key": 0}),
    ("shift", lambda text: {"word": "a", "sentences": [f"a {text}", f"It is a {text}"]}),
    ("features.here", lambda text: {"text": text, "labels": False}),
    ("superposition.bounds", lambda text: {}),
    ("neurons", lambda text: {"writes": random.choice(["animal", "river", "bank"])}),
)


def soak(seconds: float, clients: int) -> None:
    """Clients that ask one question after another, some of which they leave before the answer."""
    with served("lexicon") as server:
        told = Told()
        _soaked(server, 10.0, clients, Told(), 0)  # what is loaded once is loaded
        before, peaks = server.rss(), []
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(5.0):
                peaks.append(server.rss())

        watcher = threading.Thread(target=watch)
        watcher.start()
        begun = time.perf_counter()
        _soaked(server, seconds, clients, told, 1)
        took = time.perf_counter() - begun
        stop.set()
        watcher.join()
        third = max(1, len(peaks) // 3)
        report(
            benchmark="explorer_soak",
            clients=clients,
            seconds=round(took),
            answered=told.answered,
            refused=dict(told.refused),
            failed=len(told.failed),
            first_failure=told.failed[:1],
            median_ms=round(1000 * statistics.median(told.seconds)),
            rss_mb_before=round(before),
            rss_mb_first_third=round(statistics.median(peaks[:third])) if peaks else None,
            rss_mb_last_third=round(statistics.median(peaks[-third:])) if peaks else None,
            rss_mb_after=round(server.rss()),
        )


def _soaked(server: Server, seconds: float, clients: int, told: Told, seed: int) -> None:
    until = time.perf_counter() + seconds
    threads = [
        threading.Thread(target=_client, args=(server, until, told, seed * 100 + number))
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _client(server: Server, until: float, told: Told, seed: int) -> None:
    drawn = random.Random(seed)
    headers = {
        "authorization": f"Bearer {server.token}",
        "content-type": "application/json",
        "accept": "application/json",
    }
    while time.perf_counter() < until:
        question, made = drawn.choice(ASKED)
        words = " ".join(drawn.sample(" ".join(SENTENCES).split(), drawn.randint(3, 24)))
        begun = time.perf_counter()
        line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        try:
            line.request("POST", f"/api/ask/{question}", json.dumps(made(words)), headers)
            if drawn.random() < 0.1:
                time.sleep(drawn.uniform(0, 0.1))
                continue  # left before the answer
            reply = line.getresponse()
            reply.read()
            with told.lock:
                told.seconds.append(time.perf_counter() - begun)
                if reply.status == 200:
                    told.answered += 1
                else:
                    told.refused[reply.status] += 1
        except OSError as error:
            with told.lock:
                told.failed.append(repr(error))
        finally:
            line.close()


def main() -> None:
    """Print one JSON line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=["first", "sentence", "sizes", "soak"])
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--clients", type=int, default=4)
    given = parser.parse_args()
    report(load=os.getloadavg(), cores=os.cpu_count())
    if "sizes" in given.only:
        sizes()
    if "first" in given.only:
        first_view()
    if "sentence" in given.only:
        changed_sentence()
    if "soak" in given.only:
        soak(given.seconds, given.clients)
    report(load=os.getloadavg())


if __name__ == "__main__":
    main()
