"""The model against itself run another way, and the notes' block against the same written by hand.
Equality with transformers, family by family, is the matter of `checkpoints/test_families`."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from tests.checkpoints.peers import PEERS, ask, texts

from molehill.checkpoints import load_checkpoint
from molehill.errors import ConfigError, SiteError
from molehill.model import KVCache, ModelConfig, Transformer

BASE = ModelConfig(
    n_layers=3,
    d_model=12,
    n_heads=3,
    d_head=4,
    d_mlp=20,
    d_vocab=53,
    n_ctx=24,
    qkv_bias=True,
    mlp_bias=True,
)
SHAPES = {
    "notes": replace(BASE, norm_place="block_end", final_norm=False),
    "pre": BASE,
    "post": replace(BASE, norm_place="post", final_norm=False),
    "parallel": replace(BASE, parallel=True, positions="rotary", rotary_dims=2),
    "windowed": replace(
        BASE,
        positions="rotary",
        n_heads=4,
        n_kv_heads=2,
        window=4,
        windowed_layers=(0, 2),
        rope_theta_windowed=100.0,
        gated=True,
        norm="rms",
        qk_norm=True,
        norm_place="sandwich",
        attn_softcap=2.0,
        final_softcap=3.0,
        tied=False,
    ),
    "no positions": replace(BASE, positions="none"),
    "both ways": replace(BASE, causal=False, embed_norm=True, token_types=2),
}
each_shape = pytest.mark.parametrize("name", SHAPES)
causal_shapes = pytest.mark.parametrize("name", [n for n in SHAPES if SHAPES[n].causal])


def random_model(config: ModelConfig, dtype: torch.dtype = torch.float64) -> Transformer:
    """Every parameter random, gains and biases too."""
    generator = torch.Generator().manual_seed(3)
    model = Transformer(config, dtype=dtype)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
            gain = 1.0 if name.endswith("gain") else 0.0
            weight.copy_(noise * 0.3 + gain)
    return model.requires_grad_(False)


def close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, rtol=0, atol=1e-11)


# --- the notes' block, written out -----------------------------------------------------------


def test_the_notes_block_is_attention_then_mlp_added_then_one_norm():
    config = replace(SHAPES["notes"], qkv_bias=False, mlp_bias=True, attn_out_bias=False)
    model = random_model(config)
    ids = torch.tensor([[5, 7, 7, 2]])
    x = model.w_token[ids[0]] + model.w_pos[:4]
    for block in model.blocks:
        heads = []
        for head in range(3):
            rows = slice(4 * head, 4 * head + 4)
            q = x @ block.attn.w_qkv[0:12][rows].T
            k = x @ block.attn.w_qkv[12:24][rows].T
            v = x @ block.attn.w_qkv[24:36][rows].T
            for t in range(4):
                weights = torch.softmax(k[: t + 1] @ q[t] / 4**0.5, dim=0)
                heads.append((t, block.attn.w_out[:, rows] @ (weights @ v[: t + 1])))
        attended = x.clone()
        for t, added in heads:
            attended[t] += added
        hidden = attended @ block.mlp.w_in.T + block.mlp.b_in
        hidden[hidden < 0] = 0  # the yes/no gate
        added = attended + hidden @ block.mlp.w_out.T + block.mlp.b_out
        centred = added - added.mean(1, keepdim=True)
        spread = (centred.square().mean(1, keepdim=True) + config.norm_eps).sqrt()
        x = centred / spread * block.norm2.gain + block.norm2.bias
    out = model(ids)
    assert close(out.resid[0], x)
    assert close(out.logits[0], x @ model.w_token.T)


# --- the same, another way --------------------------------------------------------------------


class Everything:
    """A watcher that wants every value, which takes the plain path through attention."""

    def begin(self, positions, real):
        pass

    def wants(self, site):
        return True

    def __call__(self, site, x):
        return x.clone()


@each_shape
def test_the_plain_path_and_the_fast_one_agree(name):
    model = random_model(SHAPES[name])
    ids, mask = texts("left")
    for given in (None, mask):
        fast = model(ids, mask=given)
        plain = model(ids, mask=given, watch=Everything())
        assert close(fast.resid, plain.resid)
        assert close(fast.logits, plain.logits)


@each_shape
def test_padding_anywhere_changes_no_text(name):
    model = random_model(SHAPES[name])
    ids, _ = texts()
    mask = torch.ones_like(ids, dtype=torch.bool)
    mask[0, [0, 3, 4, 11]] = False
    mask[1, 5:] = False
    together = model(ids, mask=mask)
    last = model(ids, mask=mask, logits="last")
    for text in range(3):
        alone = model(ids[text][mask[text]][None])
        assert close(together.logits[text][mask[text]], alone.logits[0])
        assert close(last.logits[text, 0], alone.logits[0, -1])


@causal_shapes
def test_a_text_read_in_pieces_through_the_cache_gives_the_same(name):
    model = random_model(SHAPES[name])
    ids, mask = texts("left")
    whole = model(ids, mask=mask).logits
    cache = KVCache(model.config, 3, 12, dtype=torch.float64)
    pieces = []
    for start, end in ((0, 5), (5, 6), (6, 9), (9, 12)):
        part = None if bool(mask[:, start:end].all()) else mask[:, start:end]
        pieces.append(model(ids[:, start:end], mask=part, cache=cache).logits)
    assert close(torch.cat(pieces, 1)[mask], whole[mask])


@each_shape
def test_a_run_may_be_cut_between_layers_and_go_on(name):
    model = random_model(SHAPES[name])
    ids, mask = texts("right")
    whole = model(ids, mask=mask)
    for cut in range(model.config.n_layers + 1):
        before = model(ids, mask=mask, last=cut)
        assert before.logits is None
        assert before.final is None
        after = model(None, resid=before.resid, mask=mask, first=cut)
        assert close(after.logits[mask], whole.logits[mask])


@each_shape
def test_logits_of_the_last_token_only_are_those_of_all(name):
    model = random_model(SHAPES[name])
    ids, _ = texts()
    assert close(model(ids, logits="last").logits, model(ids).logits[:, -1:])
    assert model(ids, logits="none").logits is None


@each_shape
def test_float32_is_float64_within_its_own_precision(name):
    """Noise shrinks with the dtype; a mistake would not."""
    model = random_model(SHAPES[name])
    ids, mask = texts("left")
    double = model(ids, mask=mask).logits[mask]
    single = copy.deepcopy(model).float()(ids, mask=mask).logits[mask]
    assert float((single - double).abs().max() / double.abs().max()) < 2e-6


@pytest.mark.parametrize(
    "name",
    ["gpt2", "opt-350m", "pythia", "llama3", "mistral", "qwen2-windowed", "gemma2", "gemma3"],
)
def test_cached_steps_of_padded_texts_are_the_references_whole_pass(name, tmp_path):
    peer = PEERS[name]
    theirs = peer.build(torch.float64)
    theirs.save_pretrained(tmp_path)
    model = load_checkpoint(tmp_path, dtype=torch.float64).model
    ids, mask = texts("left")
    expected = ask(peer, theirs, ids, mask).logits
    cache = KVCache(model.config, 3, 12, dtype=torch.float64)
    model(ids[:, :6], mask=mask[:, :6], cache=cache)
    for place in range(6, 12):
        step = model(ids[:, place : place + 1], cache=cache, logits="last").logits[:, 0]
        scale = max(1.0, float(expected.abs().max()))
        assert float((step - expected[:, place]).abs().max()) / scale < 1e-9


def test_a_window_hides_what_lies_further_back():
    config = replace(SHAPES["windowed"], n_layers=1, windowed_layers=(0,))
    model = random_model(config)
    ids, _ = texts()
    other = ids.clone()
    other[:, 7] = (other[:, 7] + 1) % 50
    one, two = model(ids).logits, model(other).logits
    same = [torch.equal(one[:, place], two[:, place]) for place in range(12)]
    # With a window of 4, token 7 is seen by 7, 8, 9 and 10.
    assert same == [True] * 7 + [False] * 4 + [True]


def test_a_causal_model_does_not_see_ahead_and_a_bidirectional_one_does():
    ids, _ = texts()
    other = ids.clone()
    other[:, -1] = (other[:, -1] + 1) % 50
    for name, sees in (("pre", False), ("both ways", True)):
        model = random_model(SHAPES[name])
        differs = not torch.equal(model(ids).logits[:, :-1], model(other).logits[:, :-1])
        assert differs == sees


# --- what is refused --------------------------------------------------------------------------


def test_what_does_not_fit_is_refused_with_both_values():
    model = random_model(BASE)
    ids, mask = texts()
    cases = [
        (lambda: model(ids + 53), r"vocabulary has 53"),
        (lambda: model(ids - 60), r"Token ids run from -"),
        (lambda: model(torch.zeros(1, 25, dtype=torch.long)), r"25 tokens .* at most 24"),
        (lambda: model(ids[0]), r"\(12,\), expected \(batch, pos\)"),
        (lambda: model(ids[:, :0]), r"no tokens to read"),
        (lambda: model(ids, mask=torch.ones(3, 11, dtype=torch.bool)), r"\(3, 11\)"),
        (lambda: model(ids, resid=torch.zeros(3, 12, 12)), r"either token ids or a residual"),
        (lambda: model(None, resid=torch.zeros(3, 12, 11)), r"expected \(batch, pos, 12\)"),
    ]
    for call, told in cases:
        with pytest.raises(SiteError, match=told):
            call()
    assert mask is None


def test_a_headless_model_has_no_unembedding_and_says_so():
    model = random_model(replace(BASE, has_head=False))
    assert model(texts()[0]).logits is None
    with pytest.raises(ConfigError, match="no unembedding"):
        _ = model.unembedding


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"n_heads": 0}, "n_heads is 0"),
        ({"n_kv_heads": 2}, "n_heads 3 is not a multiple of n_kv_heads 2"),
        ({"activation": "swiglu"}, "swiglu"),
        ({"norm_place": "middle"}, "middle"),
        ({"parallel": True, "norm_place": "post"}, "parallel blocks need"),
        ({"positions": "rotary", "rotary_dims": 3}, "rotary_dims 3 must be even"),
        ({"positions": "rotary", "d_head": 5}, "need an even d_head"),
        ({"windowed_layers": (1,)}, "without a window"),
        ({"window": 3, "windowed_layers": [3]}, "outside the 3 layers"),
        ({"norm": "batch"}, "norm"),
        ({"tied": "yes"}, "tied"),
        ({"norm_eps": "small"}, "norm_eps"),
        ({"rope_theta": float("inf")}, "rope_theta is inf"),
        ({"position_offset": -1}, "position_offset is -1"),
        ({"rope_scaling": {"kind": "linear"}}, "factor"),
        ({"rope_scaling": {"kind": "linear", "factor": -2.0}}, "stretched"),
    ],
)
def test_sizes_that_do_not_go_together_are_named(changes, told):
    # Through a file's values, where anything may stand.
    with pytest.raises(ConfigError, match=told):
        ModelConfig.from_dict({**BASE.to_dict(), **changes})


def test_a_config_goes_to_plain_values_and_back():
    for config in SHAPES.values():
        assert ModelConfig.from_dict(config.to_dict()) == config
    with pytest.raises(ConfigError, match=r"Unknown fields .* wings"):
        ModelConfig.from_dict({**BASE.to_dict(), "wings": 2})
    values = BASE.to_dict()
    del values["d_model"]
    with pytest.raises(ConfigError, match="d_model"):
        ModelConfig.from_dict(values)


# --- starting from nothing --------------------------------------------------------------------


def test_random_weights_are_the_same_for_a_seed_and_spread_as_in_gpt2():
    config = replace(BASE, d_model=96, d_head=32, d_mlp=384, norm_offset=1.0)
    one, two, other = (
        Transformer(config).initialise(seed).requires_grad_(False) for seed in (5, 5, 6)
    )
    assert all(map(torch.equal, one.parameters(), two.parameters()))
    assert not torch.equal(one.w_token, other.w_token)
    assert float(one.blocks[0].mlp.w_in.std()) == pytest.approx(0.02, rel=0.05)
    assert float(one.blocks[0].mlp.w_out.std()) == pytest.approx(0.02 / 6**0.5, rel=0.05)
    assert bool((one.blocks[0].norm1.multiplier == 1).all())
    assert bool((one.blocks[0].mlp.b_in == 0).all())
