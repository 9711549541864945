"""Steps of training, ours and transformers': tokens per second and their share of the machine.

    python benchmarks/training.py [--rounds 3] [--dtypes bfloat16] [--context 256] [--batch 16]

Every case makes the same step of the same size: a pass, its gradients, and AdamW on float32
weights. In bfloat16 transformers runs under autocast, as its own trainer does. The cases take
turns.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from _machine import machine, report
from _measure import in_turn
from _peers import has, versions

LAYERS, HEADS, WIDTH, WORDS = 6, 6, 384, 8192


def main() -> None:
    arguments = parse()
    import torch

    generator = torch.Generator().manual_seed(0)
    shape = (arguments.batch, arguments.context + 1)
    rows = torch.randint(0, WORDS, shape, generator=generator)
    report(machine=(known := machine()), versions=versions())
    for dtype in arguments.dtypes.split(","):
        cases = our_cases(rows, dtype)
        if has("transformers"):
            cases |= transformers_cases(rows, dtype)
        took = in_turn(cases, arguments.rounds)
        flops = (
            6 * (LAYERS * 12 * WIDTH**2 + WORDS * WIDTH) + 6 * LAYERS * arguments.context * WIDTH
        )
        peer = took.get("transformers, compiled")
        for case, times in took.items():
            speed = rows.shape[0] * arguments.context / times["seconds"]
            report(
                benchmark="training",
                case=case,
                dtype=dtype,
                tokens_per_s=round(speed, 1),
                gflops=round(speed * flops / 1e9, 1),
                share_of_products=round(speed * flops / 1e9 / known[f"{dtype}_gflops"], 2),
                others=times.get("others"),
                speed_over_compiled_transformers=(
                    None if peer is None else round(peer["seconds"] / times["seconds"], 2)
                ),
            )


def our_cases(rows, dtype: str) -> dict[str, Callable[[], object]]:
    import torch

    from molehill.model import ModelConfig, Transformer
    from molehill.training import Learner, OptimizerChoice

    def case(compiled: bool, matrices: str) -> Callable[[], object]:
        config = ModelConfig(
            n_layers=LAYERS,
            d_model=WIDTH,
            n_heads=HEADS,
            d_head=WIDTH // HEADS,
            d_mlp=4 * WIDTH,
            d_vocab=WORDS,
            n_ctx=rows.shape[1] - 1,
            activation="gelu_tanh",
        )
        learner = Learner(
            Transformer(config).initialise(0),
            OptimizerChoice(matrices=matrices),
            dtype=getattr(torch, dtype),
            compile=compiled,
        )

        def step() -> None:
            learner.accumulate(rows)
            learner.apply()

        return step

    return {
        "ours, compiled": case(True, "adamw"),
        "ours, compiled, Muon": case(True, "muon"),
        "ours, as it is": case(False, "adamw"),
    }


def transformers_cases(rows, dtype: str) -> dict[str, Callable[[], object]]:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    def case(compiled: bool) -> Callable[[], object]:
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
        model = GPT2LMHeadModel(config).train()
        run = torch.compile(model) if compiled else model
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
        # The model shifts labels itself: one token less is predicted than by ours.
        ids = rows[:, :-1].contiguous()

        def step() -> None:
            with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
                loss = run(input_ids=ids, labels=ids).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

        return step

    return {"transformers, compiled": case(True), "transformers, as it is": case(False)}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtypes", default="bfloat16")
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    return parser.parse_args()


if __name__ == "__main__":
    main()
