"""What a run will take, told before it starts: parameters, tokens, memory.

Memory is an estimate for one process: what learns is counted, what a pass keeps for its backward
pass is counted for a plain block, and the program itself is a constant. This module knows sizes,
and runs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from molehill.model import ModelConfig, Transformer
from molehill.model.account import count_parameters
from molehill.training.optimizers import OptimizerChoice, make_optimizers
from molehill.training.recipe import Recipe

__all__ = ["Plan", "make_plan"]

_FLOAT = 4
_PROGRAM = 450 * 2**20
"""Python and torch with nothing in them."""
_SCORES = 2**22
"""Scores of the vocabulary that are in memory at once (`loss.py`)."""


@dataclass(frozen=True)
class Plan:
    """What a run is about to do."""

    parameters: int
    non_embedding: int
    """Parameters in the blocks and norms."""
    steps: int
    step_tokens: int
    """Tokens of a step, over all processes."""
    corpus_tokens: int
    """Tokens to learn from."""
    processes: int
    memory: int
    """Bytes that one process will take, about."""

    @property
    def tokens(self) -> int:
        """Tokens of the whole run."""
        return self.steps * self.step_tokens

    @property
    def epochs(self) -> float:
        """How often the corpus is read."""
        return self.tokens / self.corpus_tokens


def make_plan(recipe: Recipe, config: ModelConfig, corpus_tokens: int, processes: int) -> Plan:
    """The plan of a recipe on a corpus of so many tokens."""
    account = count_parameters(config)
    return Plan(
        parameters=account.total,
        non_embedding=account.non_embedding,
        steps=recipe.steps,
        step_tokens=recipe.step_tokens,
        corpus_tokens=corpus_tokens,
        processes=processes,
        memory=_PROGRAM + _learning(recipe, config) + _passing(recipe, config, processes),
    )


def _learning(recipe: Recipe, config: ModelConfig) -> int:
    """Weights, their gradients, the optimizers' memory of them, and the copies that products are
    made with."""
    model = Transformer(config, device="meta")
    total = sum(weight.numel() for weight in model.parameters())
    slots = _optimizer_numbers(model, recipe.optimizer)
    casts = total * 2 if recipe.training.dtype == "bfloat16" else 0
    return (2 * total + slots) * _FLOAT + casts


def _optimizer_numbers(model: Transformer, choice: OptimizerChoice) -> int:
    """Muon keeps one number for each weight, AdamW two."""
    muon, adamw = 0, 0
    for optimizer in make_optimizers(model.named_parameters(), choice):
        count = sum(w.numel() for group in optimizer.param_groups for w in group["params"])
        if type(optimizer).__name__ == "Muon":
            muon += count
        else:
            adamw += count
    return muon + 2 * adamw


def _passing(recipe: Recipe, config: ModelConfig, processes: int) -> int:
    """What one micro-batch's pass keeps, and the scores of the vocabulary."""
    part = recipe.training
    rows = min(part.micro_batch or part.batch, part.batch // processes)
    size = 2 if part.dtype == "bfloat16" else 4
    heads = (config.n_heads + 2 * config.kv_heads) * config.d_head
    # Read, asked, mixed and added by attention; the same by the MLP; norms in float32.
    block = 8 * config.d_model + 2 * heads + (4 if config.gated else 2) * config.d_mlp
    kept = rows * part.context * (config.n_layers * block * size + 4 * config.d_model * _FLOAT)
    return kept + 4 * _SCORES * _FLOAT + config.d_vocab * config.d_model * _FLOAT
