"""How long starting takes: the interpreter, the package, the command line, torch beside them."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

from _machine import best_of, machine, report

CASES = {
    "python": "pass",
    "import molehill": "import molehill",
    "molehill --help": "from molehill.cli import main; main(['--help'])",
    "molehill models": "from molehill.cli import main; main(['models'])",
    "import torch": "import torch",
    "import molehill and a model's class": "import molehill; molehill.Transformer",
}


def main() -> None:
    report(machine=machine())
    for name, code in CASES.items():
        seconds = best_of(5, partial(start, code))
        report(benchmark="startup", case=name, seconds=round(seconds, 3))


def start(code: str) -> None:
    """Run `code` in a fresh interpreter."""
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
