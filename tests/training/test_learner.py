"""The learner: gradients, accumulation, steps that are refused, and going on where one stopped."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from molehill.errors import CheckpointError, ConfigError, TextError
from molehill.model import ModelConfig, Transformer
from molehill.training.learner import Learner
from molehill.training.optimizers import OptimizerChoice

NOTES = ModelConfig(
    n_layers=2,
    d_model=16,
    n_heads=2,
    d_head=8,
    d_mlp=32,
    d_vocab=50,
    n_ctx=12,
    norm_place="block_end",
    final_norm=False,
)
GEMMA_LIKE = ModelConfig(
    n_layers=2,
    d_model=16,
    n_heads=4,
    d_head=4,
    n_kv_heads=2,
    d_mlp=32,
    d_vocab=50,
    n_ctx=12,
    norm="rms",
    norm_place="sandwich",
    norm_offset=1.0,
    activation="gelu_tanh",
    gated=True,
    positions="rotary",
    embed_scale=4.0,
    final_softcap=3.0,
    attn_softcap=5.0,
    qk_norm=True,
)
NARROW = ModelConfig(
    n_layers=2,
    d_model=16,
    n_heads=2,
    d_head=8,
    d_mlp=32,
    d_vocab=50,
    n_ctx=12,
    d_embed=8,
    tied=False,
    unembed_bias=True,
    head_transform=True,
    embed_norm=True,
    token_types=2,
    mlp_bias=True,
    qkv_bias=True,
)
ALL = pytest.mark.parametrize(
    "config", [NOTES, GEMMA_LIKE, NARROW], ids=["notes", "gemma", "narrow"]
)


def make(config=NOTES, *, dtype=torch.float32, weights=torch.float32, **choice):
    model = Transformer(config, dtype=weights).initialise(1)
    if weights == torch.float64:  # far from nothing, so that every part matters
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(torch.randn_like(weight) * 0.3)
    return Learner(model, OptimizerChoice(**choice), dtype=dtype, compile=False)


def rows_of(number, *, seed=0, length=13):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 50, (number, length), generator=generator)


def gradients(learner):
    return {name: weight.grad.clone() for name, weight in learner.model.named_parameters()}


@ALL
def test_the_gradient_is_that_of_cross_entropy_over_the_logits(config):
    torch.manual_seed(0)
    learner = make(config, dtype=torch.float64, weights=torch.float64)
    rows = rows_of(5)
    rows[1, 6:] = -1
    loss = learner.accumulate(rows)
    found = gradients(learner)
    learner.forget()
    logits = learner.model(rows[:, :-1].clamp(min=0)).logits
    truth = F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten(), ignore_index=-1)
    truth.backward()
    assert loss.item() == pytest.approx(truth.item(), rel=1e-12)
    for name, weight in learner.model.named_parameters():
        torch.testing.assert_close(found[name], weight.grad, rtol=1e-9, atol=1e-12, msg=name)
    assert learner.evaluate(rows) == pytest.approx(truth.item(), rel=1e-12)


@ALL
def test_products_in_bfloat16_err_no_more_than_a_model_that_is_bfloat16_throughout(config):
    """Against float32, over all weights; and gradients arrive in float32."""
    wide, narrow = make(config), make(config, dtype=torch.bfloat16)
    rows = rows_of(256)
    assert narrow.accumulate(rows).item() == pytest.approx(wide.accumulate(rows).item(), rel=2e-3)
    truth, found = gradients(wide), gradients(narrow)
    assert {one.dtype for one in found.values()} == {torch.float32}
    throughout = make(config).model.bfloat16()
    logits = throughout(rows[:, :-1]).logits.float()
    F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten()).backward()
    other = {name: weight.grad.float() for name, weight in throughout.named_parameters()}

    def error(gradient):
        apart = sum(float((gradient[name] - truth[name]).square().sum()) for name in truth)
        return math.sqrt(apart / sum(float(one.square().sum()) for one in truth.values()))

    assert error(found) < 0.05
    assert error(found) < 1.2 * error(other)


def test_micro_batches_with_their_shares_make_the_gradient_of_one_large_batch():
    rows = rows_of(8)
    rows[7, 4:] = -1
    counted = int((rows[:, 1:] >= 0).sum())
    one, many = make(), make()
    whole = one.accumulate(rows)
    total = 0.0
    for part in rows.split([1, 4, 3]):
        share = int((part[:, 1:] >= 0).sum()) / counted
        total += share * many.accumulate(part, scale=share).item()
    assert total == pytest.approx(whole.item(), rel=1e-6)
    for name, truth in gradients(one).items():
        found = dict(many.model.named_parameters())[name].grad
        assert (found - truth).norm() <= 1e-6 * truth.norm(), name


@pytest.mark.parametrize("matrices", ["muon", "adamw"])
def test_a_few_rows_are_learned_by_heart(matrices):
    learner = make(dtype=torch.bfloat16, matrices=matrices, muon_rate=0.02, adamw_rate=0.01)
    rows = rows_of(4)
    first = learner.evaluate(rows)
    for _ in range(150):
        learner.accumulate(rows)
        learner.apply(1.0)
    assert first == pytest.approx(math.log(50), abs=0.2)
    assert learner.evaluate(rows) < 0.3


def test_a_long_gradient_is_clipped_and_its_length_told():
    clipped, free = (
        make(max_norm=one, matrices="adamw", eps=1e3, adamw_rate=1e3) for one in (1e-3, None)
    )
    before = free.model.w_token.detach().clone()
    for learner in (clipped, free):
        learner.accumulate(rows_of(4))
    length = math.sqrt(sum(float(g.double().square().sum()) for g in gradients(free).values()))
    told = [learner.apply().grad_norm for learner in (clipped, free)]
    assert told == pytest.approx([length, length], rel=1e-5)
    # With so large an eps AdamW's step is the gradient times a constant.
    first, second = ((one.model.w_token.detach() - before).norm() for one in (clipped, free))
    assert float(first / second) == pytest.approx(1e-3 / length, rel=1e-2)


def copied(learner):
    return {name: value.clone() for name, value in learner.state().items()}


def assert_same_bits(one, other):
    assert set(one) == set(other)
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def steps(learner, first, number):
    for step in range(first, first + number):
        learner.accumulate(rows_of(4, seed=step), scale=0.5)
        learner.accumulate(rows_of(4, seed=1000 + step), scale=0.5)
        learner.apply(min(1.0, (step + 1) / 10))


@pytest.mark.parametrize("poison", [math.nan, math.inf, 1e38])
def test_a_gradient_that_is_not_finite_changes_nothing(poison):
    learner = make()
    steps(learner, 0, 3)
    before = copied(learner)
    learner.accumulate(rows_of(4))
    learner.model.blocks[0].mlp.w_in.grad[0, :2] = poison
    assert not learner.apply().finite
    assert_same_bits(copied(learner), before)
    # Nothing of it is left for the next step.
    other = make()
    other.load_state(before)
    steps(learner, 3, 1)
    steps(other, 3, 1)
    assert_same_bits(copied(learner), copied(other))


@pytest.mark.parametrize("matrices", ["muon", "adamw"])
def test_fifty_steps_after_a_state_was_loaded_are_bit_equal(matrices, tmp_path):
    from safetensors.torch import load_file, save_file

    straight = make(dtype=torch.bfloat16, matrices=matrices)
    steps(straight, 0, 5)
    save_file(straight.state(), tmp_path / "state.safetensors")
    steps(straight, 5, 50)
    resumed = make(dtype=torch.bfloat16, matrices=matrices)
    steps(resumed, 100, 2)  # whatever it did before is overwritten
    resumed.load_state(load_file(tmp_path / "state.safetensors"))
    steps(resumed, 5, 50)
    assert_same_bits(copied(resumed), copied(straight))


def test_a_state_from_before_the_first_step_starts_the_optimizers_anew():
    fresh = make()
    start = copied(fresh)
    assert not [name for name in start if name.startswith("optimizer.")]
    used = make()
    steps(used, 0, 2)
    used.load_state(start)
    steps(used, 0, 2)
    steps(fresh, 0, 2)
    assert_same_bits(copied(used), copied(fresh))


def test_a_state_that_does_not_fit_changes_nothing():
    learner = make()
    steps(learner, 0, 1)
    state = copied(learner)
    adamw = make(matrices="adamw")
    steps(adamw, 0, 1)
    for wrong, message in (
        ({k: v for k, v in state.items() if k != "model.w_pos"}, r"missing model\.w_pos"),
        (state | {"model.w_other": torch.zeros(1)}, r"unknown model\.w_other"),
        (state | {"model.w_pos": torch.zeros(3, 16)}, r"w_pos has shape \(3, 16\), expected"),
        (copied(adamw), "of another model or optimizer"),
    ):
        with pytest.raises(CheckpointError, match=message):
            learner.load_state(wrong)
        assert_same_bits(copied(learner), state)


def test_rows_that_cannot_be_read_are_refused():
    learner = make()
    for rows, message in (
        (rows_of(2).int(), "expected token ids"),
        (rows_of(2, length=14), "the model reads 12"),
        (rows_of(2) + 49, "the vocabulary has 50"),
        (rows_of(2, length=1), "nothing to predict"),
        (torch.full((2, 5), -1), "nothing to predict"),
    ):
        with pytest.raises(TextError, match=message):
            learner.accumulate(rows)


def test_models_that_cannot_be_trained_are_refused():
    import dataclasses

    def learner(dtype=torch.float32, products=torch.bfloat16, **changes):
        config = dataclasses.replace(NOTES, **changes)
        return Learner(Transformer(config, dtype=dtype).initialise(), dtype=products)

    with pytest.raises(ConfigError, match="causal=False"):
        learner(causal=False)
    with pytest.raises(ConfigError, match="has_head=False"):
        learner(has_head=False)
    with pytest.raises(ConfigError, match=r"train in float32 \(model\.float\(\)\)"):
        learner(dtype=torch.bfloat16)
    with pytest.raises(ConfigError, match=r"expected torch\.bfloat16"):
        learner(products=torch.float16)
