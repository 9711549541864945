"""Which weights go to which optimizer, and what a step of each does."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from molehill.errors import ConfigError
from molehill.model import ModelConfig, Transformer
from molehill.training.optimizers import OptimizerChoice, make_optimizers

CONFIG = ModelConfig(
    n_layers=2,
    d_model=16,
    n_heads=2,
    d_head=8,
    d_mlp=32,
    d_vocab=20,
    n_ctx=12,
    d_embed=8,
    mlp_bias=True,
    tied=False,
)


def names_by_optimizer(model, choice):
    names = {weight: name for name, weight in model.named_parameters()}
    return [
        (type(optimizer).__name__, group["weight_decay"], sorted(names[w] for w in group["params"]))
        for optimizer in make_optimizers(model.named_parameters(), choice)
        for group in optimizer.param_groups
    ]


def is_table(name):
    return name in ("w_token", "w_pos", "w_unembed")


def test_muon_moves_matrices_adamw_the_rest_and_every_weight_has_one_optimizer():
    model = Transformer(CONFIG).initialise()
    (muon, decay, matrices), (adamw, none, others) = names_by_optimizer(model, OptimizerChoice())
    assert (muon, decay) == ("Muon", 0.1)
    assert (adamw, none) == ("AdamW", 0.0)
    assert sorted(matrices + others) == sorted(name for name, _ in model.named_parameters())
    assert matrices == sorted(
        name for name, weight in model.named_parameters() if weight.ndim == 2 and not is_table(name)
    )
    assert {"w_embed_in", "w_embed_out", "blocks.0.attn.w_qkv", "blocks.1.mlp.w_out"} <= set(
        matrices
    )


def test_adamw_alone_lets_only_matrices_decay():
    model = Transformer(CONFIG).initialise()
    rest, matrices = names_by_optimizer(model, OptimizerChoice(matrices="adamw", weight_decay=0.2))
    assert (rest[0], rest[1], matrices[0], matrices[1]) == ("AdamW", 0.0, "AdamW", 0.2)
    assert "w_token" in rest[2]
    assert "blocks.0.mlp.b_in" in rest[2]
    assert "blocks.0.mlp.w_in" in matrices[2]


def test_a_step_of_muon_moves_all_singular_values_alike():
    weight = nn.Parameter(torch.randn(24, 8, generator=torch.Generator().manual_seed(0)))
    before = weight.detach().clone()
    choice = OptimizerChoice(muon_rate=0.01, weight_decay=0.0)
    (muon, _) = make_optimizers(
        [("blocks.0.mlp.w_in", weight), ("w_token", nn.Parameter(torch.zeros(2, 2)))], choice
    )
    # Singular values from 1 to 300: their order of size must not matter.
    left, _, right = torch.linalg.svd(before, full_matrices=False)
    weight.grad = left * torch.logspace(0, 2.5, 8) @ right
    muon.step()
    values = torch.linalg.svdvals(weight.detach() - before) / (0.01 * 0.2 * 24**0.5)
    # Five Newton-Schulz steps reach 0.7 to 1.2 from values above a hundredth of the whole.
    assert values.max() < 1.3
    assert values[:6].min() > 0.6


def test_a_step_of_adamw_equals_the_paper():
    weight = nn.Parameter(torch.tensor([[1.0, -2.0], [0.5, 3.0]]))
    choice = OptimizerChoice(matrices="adamw", adamw_rate=0.1, weight_decay=0.5)
    (adamw,) = make_optimizers([("blocks.0.mlp.w_in", weight)], choice)
    before, gradient = weight.detach().clone(), torch.tensor([[2.0, -1.0], [4.0, 0.5]])
    weight.grad = gradient.clone()
    adamw.step()
    # After one step both corrected moments are the gradient and its square.
    truth = before * (1 - 0.1 * 0.5) - 0.1 * gradient.sign()
    torch.testing.assert_close(weight.detach(), truth)


def test_a_choice_that_cannot_be_is_refused_with_all_its_faults():
    with pytest.raises(ConfigError) as caught:
        OptimizerChoice(muon_rate=-1.0, momentum=1.0, eps=0.0, max_norm=0.0)
    for part in ("muon_rate is -1.0", "momentum has 1.0", "eps is 0.0", "max_norm is 0.0"):
        assert part in str(caught.value)
