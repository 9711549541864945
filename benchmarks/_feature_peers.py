"""The neighbours' TopK autoencoders, set up alike, each behind the same two functions: a step of
training on a batch, and how much of a batch it explains.

They run in an environment of their own (`scripts/peers`). `fast` puts them in bfloat16 by autocast
and gives their Adam its fused form, which none of them does by itself here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["PEERS"]


class _SAELens:
    """sae-lens: its trainer's own step."""

    def __init__(self, d: int, features: int, k: int, rate: float, steps: int, fast: bool) -> None:
        from sae_lens import TopKTrainingSAE, TopKTrainingSAEConfig
        from sae_lens.config import SAETrainerConfig
        from sae_lens.training.sae_trainer import SAETrainer

        config = TopKTrainingSAEConfig(d_in=d, d_sae=features, k=k, dtype="float32", device="cpu")
        trainer = SAETrainerConfig(
            total_training_samples=4096 * steps,
            train_batch_size_samples=4096,
            lr=rate,
            lr_end=0.0,
            lr_decay_steps=steps // 5,
            lr_warm_up_steps=steps // 20,
            autocast=fast,
        )
        self.sae = TopKTrainingSAE(config)
        self.trainer = SAETrainer(trainer, self.sae, iter(()))
        if fast:
            _fuse(self.trainer.optimizer)

    def step(self, x: Tensor) -> None:
        self.trainer._train_step(self.sae, x)
        self.trainer.n_training_steps += 1

    def output(self, x: Tensor) -> Tensor:
        return self.sae.decode(self.sae.encode(x))


class _DictionaryLearning:
    """dictionary_learning: its trainer's `update`."""

    def __init__(self, d: int, features: int, k: int, rate: float, steps: int, fast: bool) -> None:
        from dictionary_learning.trainers.top_k import TopKTrainer

        self.trainer = TopKTrainer(
            steps=steps,
            activation_dim=d,
            dict_size=features,
            k=k,
            layer=0,
            lm_name="",
            lr=rate,
            warmup_steps=max(1, steps // 20),
            decay_start=steps * 4 // 5,
            device="cpu",
        )
        self.fast, self.done = fast, 0
        if fast:
            _fuse(self.trainer.optimizer)

    def step(self, x: Tensor) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.fast):
            self.trainer.update(self.done, x)
        self.done += 1

    def output(self, x: Tensor) -> Tensor:
        return self.trainer.ae(x)


class _Sparsify:
    """sparsify: its coder with the loss and the order of its trainer's step."""

    def __init__(self, d: int, features: int, k: int, rate: float, steps: int, fast: bool) -> None:
        from sparsify import SparseCoder, SparseCoderConfig

        self.sae = SparseCoder(d, SparseCoderConfig(num_latents=features, k=k), device="cpu")
        self.optimizer = torch.optim.Adam(self.sae.parameters(), lr=rate, fused=fast)
        self.rate, self.steps, self.done, self.fast = rate, steps, 0, fast
        self.idle = torch.zeros(features, dtype=torch.long)

    def step(self, x: Tensor) -> None:
        if not self.done:
            self.sae.b_dec.data = x.mean(0)
        self.sae.set_decoder_norm_to_unit_norm()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.fast):
            out = self.sae(x, dead_mask=self.idle > 10_000_000)
        (out.fvu + out.auxk_loss / 32).backward()
        self.sae.remove_gradient_parallel_to_decoder_directions()
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * _course(self.done, self.steps)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.idle += len(x)
        self.idle[out.latent_indices.flatten()] = 0
        self.done += 1

    def output(self, x: Tensor) -> Tensor:
        return self.sae(x).sae_out


def _course(step: int, steps: int) -> float:
    return min(1.0, (step + 1) / max(1, steps // 20), (steps - step) / max(1, steps // 5))


def _fuse(optimizer: torch.optim.Optimizer) -> None:
    for group in optimizer.param_groups:
        group["fused"], group["foreach"] = True, False


PEERS: dict[str, Callable[..., Any]] = {
    "sae-lens": _SAELens,
    "dictionary_learning": _DictionaryLearning,
    "sparsify": _Sparsify,
}
