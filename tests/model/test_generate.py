"""Generation against transformers' own, one by one against batched, and what ends a text."""

from __future__ import annotations

import pytest
import torch
import transformers

from molehill.errors import ConfigError, TextError
from molehill.model import ModelConfig, Transformer
from molehill.model.generate import Sampling, filter_logits, generate

SIZES = {
    "n_layers": 2,
    "d_model": 32,
    "n_heads": 4,
    "d_head": 8,
    "d_mlp": 48,
    "d_vocab": 100,
    "n_ctx": 48,
}
CONFIGS = {
    "rotary, grouped heads": {
        "n_kv_heads": 2,
        "positions": "rotary",
        "norm": "rms",
        "norm_eps": 1e-6,
        "activation": "silu",
        "gated": True,
    },
    "learned positions": {"positions": "learned", "qkv_bias": True},
    "sliding window": {"positions": "rotary", "window": 5, "windowed_layers": (1,)},
    "soft cap": {"positions": "rotary", "attn_softcap": 20.0, "final_softcap": 5.0},
}


def make_model(name="rotary, grouped heads", seed=0):
    """A model whose weights are large enough that its choices depend on the whole text."""
    model = Transformer(ModelConfig(**SIZES | CONFIGS[name])).initialise(seed)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data.mul_(8.0)
    return model


def make_prompts(*lengths, seed=1):
    """Right-padded prompts and their mask."""
    generator = torch.Generator().manual_seed(seed)
    longest = max(lengths)
    ids = torch.randint(0, SIZES["d_vocab"], (len(lengths), longest), generator=generator)
    mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
    return ids, mask


def collect(steps):
    """Ids [batch, step], log probabilities [batch, step], last endings."""
    steps = list(steps)
    ids = torch.stack([step.ids for step in steps], 1)
    return ids, torch.stack([step.logprobs for step in steps], 1), steps[-1].endings


@pytest.fixture(scope="module")
def pair():
    """A tiny Llama of transformers and ours with its weights."""
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=100,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=48,
        initializer_range=0.3,
        tie_word_embeddings=True,
        eos_token_id=None,
        bos_token_id=None,
        pad_token_id=0,
    )
    theirs = transformers.LlamaForCausalLM(config).eval()
    ours = make_model()
    values = theirs.state_dict()
    with torch.no_grad():
        ours.w_token.copy_(values["model.embed_tokens.weight"])
        ours.final_norm.gain.copy_(values["model.norm.weight"])
        for layer, block in enumerate(ours.blocks):
            at = f"model.layers.{layer}."
            attn = [values[f"{at}self_attn.{part}_proj.weight"] for part in "qkv"]
            gated = [values[f"{at}mlp.{part}_proj.weight"] for part in ("gate", "up")]
            block.attn.w_qkv.copy_(torch.cat(attn))
            block.attn.w_out.copy_(values[f"{at}self_attn.o_proj.weight"])
            block.mlp.w_in.copy_(torch.cat(gated))
            block.mlp.w_out.copy_(values[f"{at}mlp.down_proj.weight"])
            block.norm1.gain.copy_(values[f"{at}input_layernorm.weight"])
            block.norm2.gain.copy_(values[f"{at}post_attention_layernorm.weight"])
    return ours, theirs


def test_greedy_gives_the_tokens_of_transformers(pair):
    ours, theirs = pair
    ids, _ = make_prompts(7, 7, 7)
    truth = theirs.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=30, do_sample=False
    )
    made, _, endings = collect(generate(ours, ids, max_new_tokens=30))
    assert made.tolist() == truth[:, 7:].tolist()
    assert endings == ("length",) * 3
    assert len(set(made.flatten().tolist())) > 5, "a model that repeats itself proves little"


def test_the_filters_are_those_of_transformers_in_its_order():
    from transformers.generation import logits_process as theirs

    logits = torch.randn(6, 100, generator=torch.Generator().manual_seed(3)) * 3
    for temperature, top_k, top_p, min_p in [
        (0.7, None, None, None),
        (1.0, 10, None, None),
        (1.0, None, 0.8, None),
        (1.0, None, None, 0.1),
        (1.7, 40, 0.9, 0.05),
        (0.3, 1, 0.01, 1.0),
        (1.0, 1000, 1.0, 0.0),
    ]:
        truth = theirs.TemperatureLogitsWarper(temperature)(None, logits)
        if top_k:
            truth = theirs.TopKLogitsWarper(top_k)(None, truth)
        if top_p:
            truth = theirs.TopPLogitsWarper(top_p)(None, truth)
        if min_p:
            truth = theirs.MinPLogitsWarper(min_p)(None, truth)
        made = filter_logits(logits, Sampling(temperature, top_k, top_p, min_p))
        assert torch.equal(made.isinf(), truth.isinf())
        assert torch.allclose(made, truth)


@pytest.mark.parametrize("name", CONFIGS)
def test_cached_steps_equal_reading_the_whole_text_again(name):
    model = make_model(name)
    ids, _ = make_prompts(6)
    made, logprobs, _ = collect(generate(model, ids, max_new_tokens=20))
    whole = torch.cat([ids, made], 1)
    with torch.no_grad():
        scores = model(whole).logits.log_softmax(-1)[0, 5:-1]
    assert scores.argmax(-1).tolist() == made[0].tolist()
    assert torch.allclose(scores.gather(1, made.T)[:, 0], logprobs[0], atol=1e-5)


@pytest.mark.parametrize("temperature", [0.0, 1.3])
@pytest.mark.parametrize("name", CONFIGS)
def test_unequal_prompts_go_on_as_they_would_alone(name, temperature):
    model = make_model(name)
    lengths = (3, 9, 1, 6)
    ids, mask = make_prompts(*lengths)
    how = {"max_new_tokens": 12, "temperature": temperature, "top_p": 0.95}
    together, logprobs, _ = collect(generate(model, ids, mask, seed=[5, 6, 7, 8], **how))
    for text, length in enumerate(lengths):
        alone = generate(model, ids[text : text + 1, :length], seed=5 + text, **how)
        made, alone_logprobs, _ = collect(alone)
        assert made[0].tolist() == together[text].tolist()
        assert torch.allclose(alone_logprobs[0], logprobs[text], atol=1e-5)


def test_padding_may_stand_on_the_left():
    model = make_model()
    ids, mask = make_prompts(4, 8)
    left = ids.clone()
    left[0] = ids[0].roll(4)
    made, _, _ = collect(generate(model, ids, mask, max_new_tokens=10))
    rolled = mask.clone()
    rolled[0] = mask[0].roll(4)
    assert collect(generate(model, left, rolled, max_new_tokens=10))[0].tolist() == made.tolist()


def test_a_seed_gives_the_same_again_and_no_seed_does_not():
    model = make_model()
    ids, _ = make_prompts(5, 5)
    ids[1] = ids[0]

    def draw(seed):
        how = {"max_new_tokens": 20, "temperature": 2.0}
        return collect(generate(model, ids, seed=seed, **how))[0].tolist()

    assert draw(3) == draw(3)
    assert draw(3)[0] == draw(3)[1], "one seed: equal prompts go on equally"
    assert draw([3, 4])[0] == draw(3)[0] != draw([3, 4])[1]
    assert draw(None) != draw(None)


def test_draws_have_the_models_probabilities():
    model = make_model()
    ids, _ = make_prompts(4)
    many = 4000
    steps = generate(
        model, ids.expand(many, 4), max_new_tokens=1, temperature=1.0, top_k=4, seed=range(many)
    )
    made = next(iter(steps)).ids
    with torch.no_grad():
        kept = filter_logits(model(ids).logits[:, -1], Sampling(1.0, top_k=4)).softmax(-1)[0]
    shares = torch.bincount(made, minlength=100) / many
    assert set(made.unique().tolist()) <= set(kept.nonzero()[:, 0].tolist())
    assert (shares - kept).abs().max() < 4 * 0.5 / many**0.5


def test_a_temperature_near_zero_is_greedy():
    model = make_model()
    ids, _ = make_prompts(5)
    greedy, _, _ = collect(generate(model, ids, max_new_tokens=10))
    cold, _, _ = collect(generate(model, ids, max_new_tokens=10, temperature=1e-4, seed=0))
    assert cold.tolist() == greedy.tolist()


def test_a_stop_token_ends_its_text_and_no_other():
    model = make_model()
    ids, _ = make_prompts(6, 6)
    free, free_logprobs, _ = collect(generate(model, ids, max_new_tokens=12))
    stop = next(token for token in free[0].tolist() if token not in free[1].tolist())
    where = free[0].tolist().index(stop)
    steps = list(generate(model, ids, max_new_tokens=12, stop_ids={stop}))
    made = torch.stack([step.ids for step in steps], 1)
    assert made[0, : where + 1].tolist() == free[0, : where + 1].tolist()
    assert made[0, where + 1 :].tolist() == [-1] * (11 - where)
    assert made[1].tolist() == free[1].tolist()
    assert [step.finished[0] for step in steps] == [False] * where + [True] * (12 - where)
    assert steps[-1].endings == ("stop", "length")
    assert all(step.logprobs[0] == 0 for step in steps[where + 1 :])
    assert torch.allclose(torch.stack([step.logprobs[1] for step in steps]), free_logprobs[1])


def test_it_stops_when_every_text_has_ended():
    model = make_model()
    ids, _ = make_prompts(6, 6)
    first = next(generate(model, ids, max_new_tokens=5)).ids.tolist()
    assert len(list(generate(model, ids, max_new_tokens=5, stop_ids=first))) == 1


@pytest.mark.parametrize("name", CONFIGS)
def test_the_longest_text_of_the_model_is_a_visible_end(name):
    model = make_model(name)
    ids, mask = make_prompts(40, 45, 47)
    made, _, endings = collect(generate(model, ids, mask, max_new_tokens=6))
    assert endings == ("length", "context", "context")
    assert (made >= 0).sum(1).tolist() == [6, 3, 1]
    alone, _, _ = collect(generate(model, ids[:1, :40], max_new_tokens=6))
    assert alone[0].tolist() == made[0].tolist()


class Steer:
    """Adds a direction to the stream after block 0, in every pass, and counts the passes."""

    def __init__(self, direction):
        self.direction = direction
        self.passes = 0

    def begin(self, positions, real):
        self.passes += 1

    def wants(self, site):
        return site == "0.resid_post"

    def __call__(self, site, x):
        return x + self.direction


def test_an_edit_acts_in_every_step():
    model = make_model()
    ids, _ = make_prompts(6)
    steer = Steer(torch.randn(32, generator=torch.Generator().manual_seed(0)) * 3)
    made, _, _ = collect(generate(model, ids, max_new_tokens=10, watch=steer))
    assert steer.passes == 10
    text = ids
    for _ in range(10):
        with torch.no_grad():
            best = model(text, watch=steer, logits="last").logits[:, -1].argmax(-1)
        text = torch.cat([text, best[:, None]], 1)
    assert made.tolist() == text[:, 6:].tolist()
    assert made.tolist() != collect(generate(model, ids, max_new_tokens=10))[0].tolist()


def test_the_callers_gradients_stay_on_between_steps():
    model = make_model()
    ids, _ = make_prompts(4)
    for _ in generate(model, ids, max_new_tokens=2):
        assert torch.is_grad_enabled()


def test_bfloat16_weights_give_scores_in_float32():
    model = make_model().bfloat16()
    ids, _ = make_prompts(4)
    step = next(generate(model, ids, max_new_tokens=1))
    assert step.logprobs.dtype == torch.float32


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"temperature": -1.0}, "temperature is -1.0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_k": 0}, "top_k is 0"),
        ({"top_p": 0.0}, "top_p is 0.0"),
        ({"top_p": 1.5}, "top_p is 1.5"),
        ({"min_p": 2.0}, "min_p is 2.0"),
        ({"temperature": 1.0, "seed": [1, 2, 3]}, "3 seeds for 2 texts"),
    ],
)
def test_values_outside_their_range_are_refused_at_the_call(wrong, message):
    ids, _ = make_prompts(4, 4)
    with pytest.raises(ConfigError, match=message):
        generate(make_model(), ids, **{"max_new_tokens": 3} | wrong)


def test_prompts_that_cannot_go_on_are_refused_at_the_call():
    model = make_model()
    ids, mask = make_prompts(4, 4)
    mask[1] = False
    with pytest.raises(TextError, match="Prompt 2 of 2 has no tokens"):
        generate(model, ids, mask, max_new_tokens=3)
    with pytest.raises(TextError, match="The prompt has no tokens"):
        generate(model, ids[:1], mask[1:2], max_new_tokens=3)
    with pytest.raises(TextError, match="48 tokens and the model reads at most 48"):
        generate(model, make_prompts(48)[0], max_new_tokens=3)
    with pytest.raises(TextError, match=r"shape \(4,\)"):
        generate(model, ids[0], max_new_tokens=3)
    with pytest.raises(TextError, match="mask has shape"):
        generate(model, ids, mask[:, :2], max_new_tokens=3)


def test_models_that_cannot_go_on_are_refused():
    ids, _ = make_prompts(4)
    both_ways = Transformer(ModelConfig(**SIZES, causal=False)).initialise()
    with pytest.raises(ConfigError, match="bidirectional"):
        generate(both_ways, ids, max_new_tokens=1)
    headless = Transformer(ModelConfig(**SIZES, has_head=False)).initialise()
    with pytest.raises(ConfigError, match="no head"):
        generate(headless, ids, max_new_tokens=1)


def test_smollm2_writes_what_transformers_writes(smollm2_gguf, tmp_path):
    from molehill.checkpoints import load_checkpoint, save_checkpoint

    loaded = load_checkpoint(smollm2_gguf)
    save_checkpoint(loaded.model, loaded.tokenizer, tmp_path / "folder")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "folder").eval()
    texts = ["The mole dug a tunnel under the garden, and", "A spy"]
    tokens = loaded.tokenizer.encode(texts)
    made, _, _ = collect(generate(loaded.model, tokens.ids, tokens.mask, max_new_tokens=16))
    for text, length in enumerate(tokens.lengths.tolist()):
        prompt = tokens.ids[text : text + 1, :length]
        truth = theirs.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=16,
            do_sample=False,
            eos_token_id=None,
            pad_token_id=0,
        )
        assert made[text].tolist() == truth[0, length:].tolist()
