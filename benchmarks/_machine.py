"""What a figure was measured on; a time without its machine means little."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["best_of", "machine", "report"]


def machine() -> dict[str, object]:
    """The processor, its cores, and the rates that bound everything else (GFLOP/s, GB/s)."""
    import torch

    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "float32_gflops": round(_product_rate(torch.float32)),
        "float32_gflops_onednn": round(_product_rate(torch.float32, "onednn")),
        "bfloat16_gflops": round(_product_rate(torch.bfloat16)),
        "read_gb_per_s": round(_read_rate()),
    }


def report(**result: object) -> None:
    """One result as one line of JSON on stdout."""
    print(json.dumps(result), flush=True)


def best_of(times: int, work: Callable[[], object]) -> float:
    """Seconds that `work` takes, the best of some tries after one that warms up."""
    work()
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")


def _product_rate(dtype, route: str = "torch") -> float:
    import torch

    from molehill.errors import ConfigError
    from molehill.model import Products

    try:
        multiply = Products(route)
    except ConfigError:
        return 0.0
    size = 1024
    with torch.no_grad():
        a, b = (torch.randn(size, size).to(dtype) for _ in range(2))
        return 2 * size**3 / best_of(5, lambda: multiply(a, b)) / 1e9


def _read_rate() -> float:
    import torch

    numbers = torch.ones(50_000_000)
    return 0.2 / best_of(5, numbers.sum)


if __name__ == "__main__":
    report(machine=machine())
