"""Greedy continuation of SmolLM2: 128 tokens from a 32-token prompt, one text and eight.

    python benchmarks/generation.py [--new 128] [--prompt 32] [--rounds 3] [--dtypes float32]

The cases take turns. In float32 our tokens are held against those of transformers. llama.cpp reads
the GGUF file as it is, in four bits, so its figure answers another question: what the same model
costs where its weights stay small.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from _machine import machine, report
from _measure import in_turn, peak_memory, peak_of_this_process
from _peers import folder_of, has, llama_cpp, transformers_model, versions

Cases = dict[str, Callable[[], object]]


def main() -> None:
    arguments = parse()
    import torch

    torch.set_grad_enabled(False)
    if arguments.only:
        dtype, batch, case = arguments.only.split(" ", 2)
        folder = Path(arguments.folder)
        ids = prompts(int(batch), arguments.prompt, folder)
        build_cases(ids, folder, dtype, arguments.new, case)[case]()
        print(peak_of_this_process())
        return
    machine_now = machine()
    report(machine=machine_now, versions=versions())
    with folder_of("smollm2") as folder:
        for batch in (1, 8):
            for dtype in arguments.dtypes.split(","):
                measure(batch, folder, dtype, arguments, machine_now["read_gb_per_s"])


def measure(batch, folder: Path, dtype: str, arguments, read_gb_per_s: float) -> None:
    ids = prompts(batch, arguments.prompt, folder)
    cases = build_cases(ids, folder, dtype, arguments.new)
    same = None
    if "transformers" in cases and dtype == "float32":
        same = cases["ours"]() == cases["transformers"]()
    took = in_turn(cases, arguments.rounds, warm_up=same is None)
    theirs = took.get("transformers")
    weights_gb = {"float32": 0.538, "bfloat16": 0.269}[dtype]
    for case, times in took.items():
        report(
            benchmark="generation",
            case=case,
            dtype="as stored (Q4_1)" if case == "llama.cpp" else dtype,
            batch=batch,
            tokens_per_s=round(batch * arguments.new / times["seconds"], 1),
            best_tokens_per_s=round(batch * arguments.new / times["least"], 1),
            others=times["others"],
            speed_over_transformers=(
                None if theirs is None else round(theirs["seconds"] / times["seconds"], 2)
            ),
            # Reading the weights once per token is what no program of this dtype can go below.
            bound_tokens_per_s=round(batch * read_gb_per_s / weights_gb, 1),
            same_tokens_as_transformers=same if case == "ours" else None,
            peak_mb=peak_memory(
                __file__,
                *("--only", f"{dtype} {batch} {case}", "--folder", str(folder)),
                *("--new", str(arguments.new), "--prompt", str(arguments.prompt)),
            )
            if arguments.memory
            else None,
        )


def prompts(batch: int, length: int, folder: Path):
    """Ids that mean something, each text another part of one: random ids loop at once."""
    from molehill.text import Tokenizer

    words = Path(__file__).resolve().parents[1].joinpath("README.md").read_text(encoding="utf-8")
    ids = Tokenizer.from_folder(folder).encode(words).ids[0]
    return ids[: batch * length].reshape(batch, length)


def build_cases(ids, folder: Path, dtype: str, new: int, only: str = "") -> Cases:
    cases: Cases = {}
    if only in ("", "ours"):
        import molehill

        cases["ours"] = partial(ours, molehill.load("smollm2", dtype=dtype).model, ids, new)
    if has("transformers") and only in ("", "transformers"):
        cases["transformers"] = partial(theirs, transformers_model(folder, dtype), ids, new)
    if has("xllamacpp") and only in ("", "llama.cpp") and dtype == "float32":
        from molehill.checkpoints import model_path

        server = llama_cpp(model_path("smollm2"), slots=len(ids), context=ids.shape[1] + new + 8)
        cases["llama.cpp"] = partial(by_llama_cpp, server, ids, new)
    return cases


def ours(model, ids, new: int) -> list[list[int]]:
    import torch

    from molehill.model import generate

    steps = [step.ids for step in generate(model, ids, max_new_tokens=new)]
    return torch.stack(steps, 1).tolist()


def theirs(model, ids, new: int) -> list[list[int]]:
    import torch

    made = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=new,
        min_new_tokens=None,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
    )
    return made[:, ids.shape[1] :].tolist()


def by_llama_cpp(server, ids, new: int) -> list[str]:
    def one(prompt: list[int]) -> str:
        asked = {"prompt": prompt, "n_predict": new, "temperature": 0.0, "ignore_eos": True}
        answer = server.handle_completions(asked | {"cache_prompt": False, "stream": False})
        return answer["choices"][0]["text"]

    with ThreadPoolExecutor(len(ids)) as pool:
        return list(pool.map(one, ids.tolist()))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--new", type=int, default=128)
    parser.add_argument("--prompt", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtypes", default="float32,bfloat16")
    parser.add_argument("--memory", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--only", default="", help="one case, for its memory alone")
    parser.add_argument("--folder", default="")
    return parser.parse_args()


if __name__ == "__main__":
    main()
