"""The search for neurons in SmolLM2: building the index, and queries over all 46,080 neurons.

Beside a query stands what reading its matrices once would take at the machine's own rate.

python benchmarks/neurons.py [--model smollm2] [--rounds 9]
"""

from __future__ import annotations

import argparse
import time

from _machine import machine, report
from _measure import in_turn, peak_of_this_process


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    here = machine()
    report(machine=here)
    import molehill
    from molehill.facts.memories import neuron_card
    from molehill.facts.neuron_index import NeuronIndex

    lm = molehill.load(given.model)
    loaded = peak_of_this_process()
    start = time.perf_counter()
    index = NeuronIndex.build(lm)
    report(
        benchmark="neurons",
        case="index",
        neurons=index.columns.numel(),
        seconds=round(time.perf_counter() - start, 2),
        index_bytes=index.nbytes,
        peak_mb_above_the_loaded_model=round(peak_of_this_process() - loaded),
    )
    size = index.columns.numel() * lm.config.d_model * lm.model.w_token.element_size()
    took = in_turn(
        {
            "writing": lambda: index.writing(400, k=20),
            "asking": lambda: index.asking(400, k=20),
            "a card without texts": lambda: neuron_card(lm, lm.config.n_layers - 1, 1),
        },
        given.rounds,
    )
    for case, times in took.items():
        query = case in ("writing", "asking")
        report(
            benchmark="neurons",
            case=case,
            ms=round(1e3 * times["seconds"], 1),
            best_ms=round(1e3 * times["least"], 1),
            bytes_read=size if query else None,
            ms_at_the_machines_rate=round(size / here["read_gb_per_s"] / 1e6, 1) if query else None,
            others=times["others"],
        )


if __name__ == "__main__":
    main()
