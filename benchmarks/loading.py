"""Loading SmolLM2's GGUF and MiniLM's folder: seconds and memory above the weights, beside
transformers. Each load is a process of its own, model and tokenizer both; importing is not counted.
transformers maps safetensors and has not read them when it is done: `first_pass_seconds` also holds
a first forward pass over eight tokens. Memory is taken before that pass, and counted from just
before loading. `minilm, weights only` is the same folder without its tokenizer.

python benchmarks/loading.py [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _machine import machine, report
from _measure import peak_of_this_process

MODELS = ("smollm2", "minilm", "minilm, weights only")
SIDES = ("molehill", "transformers")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=2, metavar=("SIDE", "MODEL"), help="One load, in here.")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(load_once(*arguments.one)))
        return
    report(machine=machine())
    for model in MODELS:
        runs = {side: [] for side in SIDES}
        for _ in range(arguments.rounds):  # in turn, so that both meet the same machine
            for side in SIDES:
                runs[side].append(in_a_process(side, model))
        for side in SIDES:
            report(benchmark="loading", model=model, side=side, **summary(runs[side]))


def in_a_process(side: str, model: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", side, model]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def summary(runs: list[dict[str, float]]) -> dict[str, float]:
    weights = runs[0]["weights_mb"]
    peak = max(run["peak_mb"] for run in runs)
    return {
        "seconds": round(statistics.median(run["seconds"] for run in runs), 2),
        "best_seconds": round(min(run["seconds"] for run in runs), 2),
        "first_pass_seconds": round(statistics.median(r["first_pass_seconds"] for r in runs), 2),
        "processor_seconds": round(min(run["processor_seconds"] for run in runs), 2),
        "weights_mb": round(weights),
        "peak_mb": round(peak),
        "peak_over_weights": round(peak / weights, 3),
    }


def load_once(side: str, name: str) -> dict[str, float]:
    """Load in this process; memory is counted from just before."""
    import torch

    from molehill.checkpoints import model_path

    path = model_path(name.partition(",")[0])
    if name.endswith("weights only"):
        path = without_tokenizer(path)
    load = LOADERS[side](path)
    before = memory_now()
    start, processor = time.perf_counter(), time.process_time()
    model = load()
    loaded, peak = time.perf_counter() - start, peak_of_this_process()
    with torch.no_grad():
        model(torch.arange(1, 9)[None])
    parameters = list(model.parameters())
    return {
        "seconds": loaded,
        "first_pass_seconds": time.perf_counter() - start,
        "processor_seconds": time.process_time() - processor,
        "weights_mb": sum(w.numel() * w.element_size() for w in parameters) / 2**20,
        "peak_mb": peak - before,
    }


def without_tokenizer(folder: Path) -> Path:
    """A folder with links to the weights and the config alone."""
    bare = Path(tempfile.mkdtemp())
    for name in ("config.json", "model.safetensors"):
        (bare / name).symlink_to(folder / name)
    return bare


def with_molehill(path: Path):
    from molehill.checkpoints import load_checkpoint

    # The tokenizer's weight is its own matter on both sides; it is loaded and counted on both.
    return lambda: load_checkpoint(path).model


def with_transformers(path: Path):
    import torch
    import transformers

    gguf = path.suffix == ".gguf"
    kind = transformers.LlamaForCausalLM if gguf else transformers.BertModel
    folder, more = (path.parent, {"gguf_file": path.name}) if gguf else (path, {})

    def load():
        if gguf or (folder / "tokenizer.json").exists():
            transformers.AutoTokenizer.from_pretrained(folder, **more)
        return kind.from_pretrained(folder, dtype=torch.float32, **more)

    return load


LOADERS = {"molehill": with_molehill, "transformers": with_transformers}


def memory_now() -> float:
    """What the process holds, in MB; the kernel's record of its peak begins anew from here."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_of_this_process()


if __name__ == "__main__":
    main()
