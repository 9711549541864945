"""Steps of training, ours and the neighbours': tokens per second, share of the machine, memory.

    python benchmarks/training.py [--rounds 5] [--dtypes bfloat16,float32]
    python benchmarks/training.py --contexts 128,256,512,1024,2048    ours, by the length of a row
    python benchmarks/training.py --processes 1,2                     ours, by processes

Every case makes the same step of the same size: a pass, its gradients, and AdamW on float32
weights. In bfloat16 the neighbours run under autocast, as their own trainers do. The cases take
turns. Memory is the most that a process of its own held which made two steps. Rows by context keep
the tokens of a step; processes share the rows of a step and the processor's cores.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from _machine import machine, report
from _measure import in_turn, peak_memory, peak_of_this_process
from _peers import has, versions

LAYERS, HEADS, WIDTH, WORDS = 6, 6, 384, 8192
Step = Callable[[], object]


def main() -> None:
    arguments = parse()
    if arguments.memory_of:
        print_memory(arguments)
        return
    if "RANK" in os.environ:
        shared_steps(arguments)
        return
    report(machine=(known := machine()), versions=versions())
    for dtype in arguments.dtypes.split(","):
        if arguments.contexts:
            by_context(arguments, dtype, known)
        elif arguments.processes:
            by_processes(arguments, dtype)
        else:
            side_by_side(arguments, dtype, known)


# --- what is measured -------------------------------------------------------------------------


def side_by_side(arguments: argparse.Namespace, dtype: str, known: dict[str, object]) -> None:
    rows = random_rows(arguments.batch, arguments.context)
    makers = our_cases() | (transformers_cases() if has("transformers") else {})
    makers |= litgpt_cases() if has("litgpt") else {}
    took = in_turn({name: make(rows, dtype) for name, make in makers.items()}, arguments.rounds)
    compiled = [took[name]["seconds"] for name in took if "ours" not in name and "comp" in name]
    for case, times in took.items():
        speed = arguments.batch * arguments.context / times["seconds"]
        report(
            benchmark="training",
            case=case,
            dtype=dtype,
            tokens_per_s=round(speed, 1),
            **share(speed, arguments.context, dtype, known),
            others=times["others"],
            speed_over_best_compiled_peer=(
                round(min(compiled) / times["seconds"], 2) if compiled else None
            ),
            peak_mb=memory_of(case, arguments, dtype),
        )


def by_context(arguments: argparse.Namespace, dtype: str, known: dict[str, object]) -> None:
    tokens = arguments.batch * arguments.context
    make = our_cases()["ours, compiled"]
    for context in map(int, arguments.contexts.split(",")):
        rows = random_rows(tokens // context, context)
        took = in_turn({"step": make(rows, dtype)}, arguments.rounds)["step"]
        speed = tokens / took["seconds"]
        report(
            benchmark="training by context",
            context=context,
            dtype=dtype,
            tokens_per_s=round(speed, 1),
            **share(speed, context, dtype, known),
            others=took["others"],
        )


def by_processes(arguments: argparse.Namespace, dtype: str) -> None:
    for count in map(int, arguments.processes.split(",")):
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
        threads = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // count))}
        given = ["--dtypes", dtype, "--rounds", str(arguments.rounds)]
        given += ["--context", str(arguments.context), "--batch", str(arguments.batch)]
        subprocess.run(
            [sys.executable, *launcher, __file__, *given], env=os.environ | threads, check=True
        )


def shared_steps(arguments: argparse.Namespace) -> None:
    """One of the processes of `by_processes`."""
    from molehill.training.parallel import joined

    with joined("ddp", 120.0) as world:
        rows = random_rows(arguments.batch, arguments.context)[world.rank :: world.size]
        step = our_step(rows, arguments.dtypes, wrap=world.wrap)
        step()
        took = []
        for _ in range(arguments.rounds):
            world.meet()
            start = time.perf_counter()
            step()
            took.append(time.perf_counter() - start)
        if world.first:
            speed = arguments.batch * arguments.context / statistics.median(took)
            report(
                benchmark="training by processes",
                processes=world.size,
                dtype=arguments.dtypes,
                tokens_per_s=round(speed, 1),
            )


def share(speed: float, context: int, dtype: str, known: dict[str, object]) -> dict[str, object]:
    """The rate of the model's own products, and its share of what products reach here at best.
    Attention is counted over the pairs that a causal model needs."""
    flops = 6 * (LAYERS * 12 * WIDTH**2 + WORDS * WIDTH) + 6 * LAYERS * context * WIDTH
    rate = speed * flops / 1e9
    best = float(str(known[f"{dtype}_gflops"]))
    return {"gflops": round(rate, 1), "share_of_products": round(rate / best, 2)}


def memory_of(case: str, arguments: argparse.Namespace, dtype: str) -> float | None:
    given = ["--memory-of", case, "--dtypes", dtype]
    given += ["--context", str(arguments.context), "--batch", str(arguments.batch)]
    peak = peak_memory(__file__, *given)
    return None if peak is None else round(peak)


def print_memory(arguments: argparse.Namespace) -> None:
    step = all_cases()[arguments.memory_of](
        random_rows(arguments.batch, arguments.context), arguments.dtypes
    )
    step()
    step()
    print(peak_of_this_process())


# --- the cases --------------------------------------------------------------------------------


def all_cases() -> dict[str, Callable[..., Step]]:
    return our_cases() | transformers_cases() | litgpt_cases()


def random_rows(batch: int, context: int):
    """Rows of one token more than is read."""
    import torch

    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, WORDS, (batch, context + 1), generator=generator)


def our_cases() -> dict[str, Callable[..., Step]]:
    return {
        "ours, compiled": lambda rows, dtype: our_step(rows, dtype),
        "ours, compiled, Muon": lambda rows, dtype: our_step(rows, dtype, matrices="muon"),
        "ours, as it is": lambda rows, dtype: our_step(rows, dtype, compiled=False),
    }


def our_step(rows, dtype: str, *, compiled: bool = True, matrices: str = "adamw", wrap=None):
    import torch

    from molehill.model import Transformer
    from molehill.training import Learner, OptimizerChoice
    from molehill.training.presets import preset_config

    size = {"n_layers": LAYERS, "n_heads": HEADS, "d_model": WIDTH}
    config = preset_config("gpt2", "10m", d_vocab=WORDS, n_ctx=rows.shape[1] - 1, changes=size)
    learner = Learner(
        Transformer(config).initialise(0),
        OptimizerChoice(matrices=matrices),
        dtype=getattr(torch, dtype),
        compile=compiled,
        wrap=wrap,
    )

    def step() -> None:
        learner.accumulate(rows)
        learner.apply()

    return step


def transformers_cases() -> dict[str, Callable[..., Step]]:
    def make(rows, dtype: str, *, compiled: bool) -> Step:
        from transformers import GPT2Config, GPT2LMHeadModel

        config = GPT2Config(
            vocab_size=WORDS,
            n_positions=rows.shape[1],
            n_embd=WIDTH,
            n_layer=LAYERS,
            n_head=HEADS,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            use_cache=False,
        )
        # The model shifts labels itself: one token less is predicted than by ours.
        ids = rows[:, :-1].contiguous()
        model = GPT2LMHeadModel(config).train()
        return peer_step(model, lambda run: run(input_ids=ids, labels=ids).loss, dtype, compiled)

    return {
        "transformers, compiled": lambda rows, dtype: make(rows, dtype, compiled=True),
        "transformers, as it is": lambda rows, dtype: make(rows, dtype, compiled=False),
    }


def litgpt_cases() -> dict[str, Callable[..., Step]]:
    def make(rows, dtype: str, *, compiled: bool) -> Step:
        from litgpt import GPT, Config
        from litgpt.utils import chunked_cross_entropy

        # The form of Pythia, the plainest that it has: rotary positions, an MLP of four widths.
        config = Config(
            name="small",
            block_size=rows.shape[1] - 1,
            vocab_size=WORDS,
            padded_vocab_size=WORDS,
            n_layer=LAYERS,
            n_head=HEADS,
            n_embd=WIDTH,
            parallel_residual=False,
        )
        ids, targets = rows[:, :-1].contiguous(), rows[:, 1:].contiguous()

        def loss(run):
            return chunked_cross_entropy(run(ids), targets)

        return peer_step(GPT(config).train(), loss, dtype, compiled)

    return {
        "litgpt, compiled": lambda rows, dtype: make(rows, dtype, compiled=True),
        "litgpt, as it is": lambda rows, dtype: make(rows, dtype, compiled=False),
    }


def peer_step(model, loss_of, dtype: str, compiled: bool) -> Step:
    import torch

    run = torch.compile(model) if compiled else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
            loss = loss_of(run)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dtypes", default="bfloat16,float32")
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--contexts")
    parser.add_argument("--processes")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
