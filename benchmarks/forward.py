"""Many texts through SmolLM2: the bare pass, all residual streams, everything; ours and theirs.

    python benchmarks/forward.py [--texts 64] [--length 128] [--rounds 3] [--dtypes float32]

The cases take turns. "last" scores the next word at each text's last token only. Full capture is
taken of few texts: it holds every attention pattern.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from _machine import machine, report
from _measure import in_turn, peak_memory, peak_of_this_process
from _peers import folder_of, has, transformer_lens, transformers_model, versions

Cases = dict[str, Callable[[], object]]
FULL_TEXTS = 4


def main() -> None:
    arguments = parse()
    import torch

    torch.set_grad_enabled(False)
    generator = torch.Generator().manual_seed(0)
    shape = (arguments.texts, arguments.length)
    ids = torch.randint(10, 40_000, shape, generator=generator)
    if arguments.only:
        dtype, _, case = arguments.only.partition(" ")
        build_cases(ids, Path(arguments.folder), dtype, case)[case]()
        print(peak_of_this_process())
        return
    report(machine=machine(), versions=versions())
    with folder_of("smollm2") as folder:
        for dtype in arguments.dtypes.split(","):
            measure(ids, folder, dtype, arguments)


def measure(ids, folder: Path, dtype: str, arguments: argparse.Namespace) -> None:
    """One dtype: every case in turn, one line each, with ratios to transformers."""
    took = in_turn(cases := build_cases(ids, folder, dtype), arguments.rounds)
    bare, last = took["ours, last"]["seconds"], took.get("transformers, last")
    del cases
    for case, times in took.items():
        tokens = ids.numel() if "full" not in case else FULL_TEXTS * ids.shape[1]
        report(
            benchmark="forward",
            case=case,
            dtype=dtype,
            tokens_per_s=round(tokens / times["seconds"], 1),
            best_tokens_per_s=round(tokens / times["least"], 1),
            others=times["others"],
            times_of_ours_last=None if "full" in case else round(times["seconds"] / bare, 3),
            speed_over_transformers_last=(
                None
                if last is None or "full" in case
                else round(last["seconds"] / times["seconds"], 2)
            ),
            peak_mb=peak_memory(
                __file__,
                *("--only", f"{dtype} {case}", "--folder", str(folder)),
                *("--texts", str(ids.shape[0]), "--length", str(ids.shape[1])),
            )
            if arguments.memory
            else None,
        )


def build_cases(ids, folder: Path, dtype: str, only: str = "") -> Cases:
    """Name -> work, of those whose library is here; with `only`, no other model is loaded."""
    cases: Cases = {}
    if not only or only.startswith("ours"):
        cases |= our_cases(ids, dtype)
    if has("transformers") and (not only or only.startswith("transformers")):
        cases |= transformers_cases(ids, folder, dtype)
    if has("transformer_lens") and (not only or only.startswith("TransformerLens")):
        cases |= lens_cases(ids, folder, dtype)
    return cases


def our_cases(ids, dtype: str) -> Cases:
    import molehill

    lm = molehill.load("smollm2", dtype=dtype)
    few = ids[:FULL_TEXTS]
    return {
        "ours, last": lambda: lm.model(ids, logits="last"),
        "ours, all residuals": lambda: molehill.record(lm, ids, ["*.resid_post"], logits="last"),
        "ours, full capture": lambda: molehill.record(lm, few, ["*"], logits="last"),
    }


def transformers_cases(ids, folder: Path, dtype: str) -> Cases:
    model = transformers_model(folder, dtype)
    return {
        "transformers, bare": lambda: model(ids),
        "transformers, last": lambda: model(ids, logits_to_keep=1, use_cache=False),
        "transformers, all residuals": lambda: model(
            ids, logits_to_keep=1, use_cache=False, output_hidden_states=True
        ),
    }


def lens_cases(ids, folder: Path, dtype: str) -> Cases:
    model = transformer_lens(folder, dtype)
    few = ids[:FULL_TEXTS]
    return {
        "TransformerLens, all residuals": lambda: model.run_with_cache(
            ids, names_filter=lambda name: name.endswith("hook_resid_post")
        ),
        "TransformerLens, full capture": lambda: model.run_with_cache(few),
    }


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=64)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtypes", default="float32,bfloat16")
    parser.add_argument("--memory", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--only", default="", help="one case, for its memory alone")
    parser.add_argument("--folder", default="")
    return parser.parse_args()


if __name__ == "__main__":
    main()
