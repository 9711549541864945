"""Patching every layer and token of one prompt pair of SmolLM2: our sweep, plain hooks on
`transformers`, and TransformerLens' own helper, on the same weights and in one run.

python benchmarks/sweeps.py [--rounds 3] [--dtype float32] [--window 10] [--draws 10]

Reported are seconds, the largest difference of the results, and beside them what the products
alone would take at this machine's rate: the bound. A second line traces one fact in full (three
kinds, ten draws of noise).
"""

from __future__ import annotations

import argparse
import time

import _peers
from _machine import machine, report
from _measure import in_turn

CLEAN = "The Space Needle is in the city of Seattle, and the"
OTHER = (" Golden", " Gate")
"""In the place of the subject's two tokens."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype", default="float32")
    told = parser.parse_args()
    import torch

    import molehill
    from molehill.text import Tokens

    found = machine()
    report(machine=found, peers=_peers.versions())
    lm = molehill.load("smollm2", dtype=told.dtype)
    clean = lm.encode(CLEAN)
    spoilt = clean.row(0)
    spoilt[1:3] = [row[0] for row in lm.tokenizer.ids(OTHER, add_special=False)]
    corrupt = Tokens.of_ids([spoilt])
    results: dict[str, torch.Tensor] = {}
    cases = {"molehill": lambda: results.update(molehill=ours(lm, clean, corrupt))}
    with _peers.folder_of("smollm2") as folder:
        if _peers.has("transformers"):
            model = _peers.transformers_model(folder, told.dtype)
            cases["transformers, hooks"] = lambda: results.update(
                {"transformers, hooks": hooks(model, clean.ids, corrupt.ids)}
            )
        if _peers.has("transformer_lens"):
            bridge = _peers.transformer_lens(folder, told.dtype)
            cases["TransformerLens, helper"] = lambda: results.update(
                {"TransformerLens, helper": helper(bridge, clean.ids, corrupt.ids)}
            )
        for work in cases.values():
            work()  # kernels are chosen, pages are read
        measured = in_turn(cases, told.rounds, warm_up=False)
    bound = (
        flops(lm, clean.ids.shape[1])
        / 1e9
        / max(found[f"{told.dtype}_gflops"], found.get(f"{told.dtype}_gflops_onednn", 0))
    )
    for name, took in measured.items():
        apart = float((results[name].float() - results["molehill"].float()).abs().max())
        report(
            case=name,
            dtype=told.dtype,
            patches=results[name].numel(),
            **took,
            times_ours=took["seconds"] / measured["molehill"]["seconds"],
            largest_difference_of_log_probability=apart,
            products_alone=bound,
        )
    trace(lm)


def flops(lm, length: int) -> float:
    """Of the products that no sweep can do without: layers above the patch, tokens from it on."""
    config = lm.config
    heads = (config.n_heads + 2 * config.kv_heads) * config.d_head
    per_token = 2 * config.d_model * (heads + config.n_heads * config.d_head + 3 * config.d_mlp)
    tokens = sum(length - place for place in range(length))
    layers = sum(config.n_layers - 1 - layer for layer in range(config.n_layers))
    scored = config.n_layers * length * 2 * config.d_vocab * config.d_model
    return per_token * tokens * layers + scored


def ours(lm, clean, corrupt):
    """[layer, pos]: the log probability of one word with each state put back."""
    from molehill.trace import Patch, record, sweep

    layers, length = lm.config.n_layers, clean.ids.shape[1]
    known = record(lm, clean, ["*.resid_post"], logits="none")
    variants = [
        [Patch(f"{layer}.resid_post", known, positions=[place])]
        for layer in range(layers)
        for place in range(length)
    ]
    return sweep(lm, corrupt, variants).log_probs(WORD)[:, 0, 0].view(layers, length)


WORD = 260
"""Any word does: all give its log probability."""


def hooks(model, clean, corrupt):
    """The plain way: a hook on a layer, and a whole run for every place."""
    import torch

    layers = model.model.layers
    kept = []

    def keep(_module, _inputs, output):
        kept.append((output[0] if isinstance(output, tuple) else output).clone())

    found = torch.zeros(len(layers), clean.shape[1])
    with torch.no_grad():
        handles = [layer.register_forward_hook(keep) for layer in layers]
        model(clean)
        for handle in handles:
            handle.remove()
        for number, layer in enumerate(layers):
            for place in range(clean.shape[1]):

                def put(_module, _inputs, output, place=place, number=number):
                    state = output[0] if isinstance(output, tuple) else output
                    state[:, place] = kept[number][:, place]
                    return output

                handle = layer.register_forward_hook(put)
                logits = model(corrupt, logits_to_keep=1).logits
                handle.remove()
                found[number, place] = logits[0, -1].float().log_softmax(-1)[WORD]
    return found


def helper(bridge, clean, corrupt):
    """TransformerLens' generic patching over the residual stream."""
    import torch
    from transformer_lens import patching

    with torch.no_grad():
        _, cache = bridge.run_with_cache(clean)
        return patching.generic_activation_patch(
            bridge,
            corrupt,
            cache,
            patching_metric=lambda logits: logits[0, -1].float().log_softmax(-1)[WORD],
            patch_setter=patching.layer_pos_patch_setter,
            activation_name="resid_post",
            index_axis_names=("layer", "pos"),
        )


def trace(lm) -> None:
    """One fact, traced in full."""
    from molehill.facts import Fact
    from molehill.facts.locate import trace_fact

    fact = Fact("Michael Jordan", "basketball", "The sport that {} plays is", start="<|endoftext|>")
    trace_fact(lm, fact, draws=1)
    for draws in (1, 10):
        begun = time.perf_counter()
        found = trace_fact(lm, fact, draws=draws)
        report(
            case="causal trace of three kinds",
            draws=draws,
            seconds=time.perf_counter() - begun,
            total_effect=found.total_effect,
        )


if __name__ == "__main__":
    main()
