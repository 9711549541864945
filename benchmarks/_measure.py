"""How cases are measured: in turn, so that what else runs on the machine is shared by all of them,
with how much that was, and memory in a process of its own."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

__all__ = ["in_turn", "peak_memory", "peak_of_this_process"]


def in_turn(
    cases: Mapping[str, Callable[[], object]], rounds: int, *, warm_up: bool = True
) -> dict[str, dict[str, float]]:
    """Seconds of every case: the median over the rounds, the least, and the most; and `others`, the
    processor seconds per second that other programs took meanwhile."""
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    others: dict[str, float] = dict.fromkeys(cases, 0.0)
    if warm_up:
        for work in cases.values():
            work()
    for _ in range(rounds):
        for name, work in cases.items():
            start, before = time.perf_counter(), _others()
            work()
            seconds[name].append(time.perf_counter() - start)
            others[name] += _others() - before
    return {
        name: {
            "seconds": statistics.median(took),
            "least": min(took),
            "most": max(took),
            "others": round(max(0.0, others[name] / sum(took)), 2),
        }
        for name, took in seconds.items()
    }


def _others() -> float:
    """Processor seconds that all other programs have taken since the machine started; 0 where the
    system does not count them."""
    try:
        line = Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0]
    except OSError:
        return 0.0
    user, nice, system, _, _, *interrupts = map(int, line.split()[1:9])
    all_of_them = (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")
    own = os.times()
    return all_of_them - own.user - own.system - own.children_user - own.children_system


def peak_memory(script: str, *arguments: str) -> float | None:
    """The most memory, in MB, that `script` held in a process of its own; it prints the number as
    its last line (`peak_of_this_process`). None if it failed."""
    done = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True)
    return float(done.stdout.split()[-1]) if done.returncode == 0 and done.stdout else None


def peak_of_this_process() -> float:
    """The most memory that this process has held so far, in MB."""
    # Not getrusage where it can be helped: a child begins there with its parent's figure.
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
