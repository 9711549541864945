"""The ledger of one token of a 64-token text in SmolLM2, and `molehill shift` from process start.

python benchmarks/ledger.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from _machine import machine, report
from _measure import in_turn, peak_of_this_process

TOKENS = 64
SENTENCES = (
    "The mole dug a tunnel under the garden.",
    "The spy agency found a mole in the ministry.",
    "The doctor removed a mole from her back.",
    "One mole of water weighs about eighteen grams.",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    report(machine=machine())
    import molehill

    lm = molehill.load("smollm2")
    text = text_of(lm, TOKENS)
    book = molehill.ledger(lm, text)
    took = in_turn(
        {
            "ledger": lambda: molehill.ledger(lm, text),
            "ledger and its closing error": lambda: molehill.ledger(lm, text).closing_error,
            "ledger and its ten longest rows": lambda: molehill.ledger(lm, text).top(10),
        },
        rounds,
    )
    for case, times in took.items():
        report(
            benchmark="ledger",
            case=case,
            tokens=TOKENS,
            rows=len(book),
            seconds=round(times["seconds"], 3),
            best_seconds=round(times["least"], 3),
            others=times["others"],
            closing_error=book.closing_error.relative,
            peak_mb=round(peak_of_this_process()),
        )
    shift = in_turn({"molehill shift, four sentences": run_shift}, rounds)
    for case, times in shift.items():
        report(
            benchmark="ledger",
            case=case,
            seconds=round(times["seconds"], 2),
            best_seconds=round(times["least"], 2),
            others=times["others"],
        )


def text_of(lm, tokens: int) -> str:
    """As much of the README as has this many tokens."""
    words = Path(__file__).resolve().parents[1].joinpath("README.md").read_text(encoding="utf-8")
    return lm.decode(lm.encode(words, truncate=True).ids[0, :tokens])


def run_shift() -> None:
    """As a person would: a fresh process, the model's file, a table."""
    verb = [sys.executable, "-m", "molehill", "shift", "mole", *SENTENCES, "--model", "smollm2"]
    subprocess.run(verb, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
