"""Loading: what is refused, listed and reported. Equality is the matter of `test_families`."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.checkpoints.peers import PEERS, texts

from molehill.checkpoints import load, load_checkpoint, open_checkpoint, save_checkpoint
from molehill.errors import CheckpointError, ConfigError, TextError
from molehill.model import ModelConfig, Transformer
from molehill.text import Tokenizer

TINY = ModelConfig(
    n_layers=2,
    d_model=12,
    n_heads=3,
    d_head=4,
    d_mlp=20,
    d_vocab=60,
    n_ctx=16,
    qkv_bias=True,
    attn_out_bias=True,
    mlp_bias=True,
    activation="gelu_tanh",
)


@pytest.fixture
def folder(tmp_path) -> Path:
    """A tiny GPT-2 on disk."""
    save_checkpoint(Transformer(TINY).initialise(), None, tmp_path / "model", family="gpt2")
    return tmp_path / "model"


@pytest.fixture
def no_memory(monkeypatch):
    """Memory for weights must not be asked for in this test."""

    def refuse(*_):
        raise AssertionError("memory was allocated before the file had been checked")

    monkeypatch.setattr(load, "_allocate", refuse)


def change_weights(folder: Path, change) -> None:
    """Rewrite a folder's weights after `change(weights)`."""
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")


def change_config(folder: Path, **values) -> None:
    """Set fields of a folder's config.json; None removes one."""
    config = json.loads((folder / "config.json").read_text()) | values
    kept = {name: value for name, value in config.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(kept))


# --- what does not fit ------------------------------------------------------------------------


def test_everything_that_does_not_fit_is_listed_at_once(folder, no_memory):
    def spoil(weights):
        del weights["transformer.h.0.ln_1.bias"]
        del weights["transformer.h.1.mlp.c_fc.weight"]
        weights["transformer.h.7.attn.c_attn.weight"] = torch.zeros(12, 36)
        weights["transformer.wpe.weight"] = torch.zeros(9, 12)
        weights["transformer.ln_f.weight"] = torch.zeros(12, dtype=torch.int64)
        weights["transformer.h.0.mlp.c_proj.weight"] = weights[
            "transformer.h.0.mlp.c_proj.weight"
        ].T.contiguous()

    change_weights(folder, spoil)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(folder)
    told = str(caught.value)
    assert "h.0.ln_1.bias [12] is missing" in told
    assert "h.1.mlp.c_fc.weight [12, 20] is missing" in told
    assert "transformer.h.7.attn.c_attn.weight [12, 36] is left over" in told
    assert "transformer.wpe.weight has shape [9, 12], expected [16, 12]" in told
    assert "transformer.h.0.mlp.c_proj.weight has shape [12, 20], expected [20, 12]" in told
    assert "transformer.ln_f.weight is stored as I64" in told
    assert "\n" not in told


def test_a_long_list_is_cut_and_counted(folder):
    change_weights(folder, dict.clear)
    change_weights(folder, lambda weights: weights.update(a=torch.ones(1), b=torch.ones(1)))
    with pytest.raises(CheckpointError, match=r"and \d+ more"):
        load_checkpoint(folder)


def test_what_is_missing_is_zero_and_named_if_that_is_allowed(folder):
    whole = load_checkpoint(folder).model

    def spoil(weights):
        del weights["transformer.h.1.ln_2.weight"]
        weights["classifier.weight"] = torch.ones(3)

    change_weights(folder, spoil)
    loaded = load_checkpoint(folder, allow_partial=True)
    assert loaded.report.missing == ("h.1.ln_2.weight",)
    assert loaded.report.left_over == ("classifier.weight",)
    ours = dict(loaded.model.named_parameters())
    for name, weight in whole.named_parameters():
        expected = torch.zeros_like(weight) if name == "blocks.1.norm2.gain" else weight
        assert torch.equal(ours[name], expected)


def test_rows_that_are_missing_from_a_fused_matrix_are_zero(tmp_path):
    PEERS["llama"].build(torch.float32).save_pretrained(tmp_path)
    whole = load_checkpoint(tmp_path).model.blocks[0].attn.w_qkv
    change_weights(tmp_path, lambda weights: weights.pop("model.layers.0.self_attn.k_proj.weight"))
    partial = load_checkpoint(tmp_path, allow_partial=True).model.blocks[0].attn.w_qkv
    queries, keys = 24, 12
    expected = whole.clone()
    expected[queries : queries + keys] = 0
    assert torch.equal(partial, expected)


def test_a_wrong_shape_is_refused_even_where_gaps_are_allowed(folder):
    change_weights(
        folder, lambda weights: weights.update({"transformer.wpe.weight": torch.ones(9, 12)})
    )
    with pytest.raises(CheckpointError, match=r"\[9, 12\], expected \[16, 12\]"):
        load_checkpoint(folder, allow_partial=True)


def test_two_tensors_for_one_place_are_refused(folder):
    change_weights(
        folder,
        lambda weights: weights.update({"wpe.weight": weights["transformer.wpe.weight"].clone()}),
    )
    with pytest.raises(CheckpointError, match="two tensors for one place"):
        load_checkpoint(folder)


def test_a_copy_of_a_tied_head_is_dropped_only_if_it_is_one(folder):
    head = {"lm_head.weight": load_file(folder / "model.safetensors")["transformer.wte.weight"]}
    change_weights(folder, lambda weights: weights.update(head))
    assert load_checkpoint(folder).report.left_over == ()
    head["lm_head.weight"][3, 4] += 1
    change_weights(folder, lambda weights: weights.update(head))
    with pytest.raises(CheckpointError, match=r"differs from transformer\.wte\.weight"):
        load_checkpoint(folder)


# --- configs from strangers -------------------------------------------------------------------

HUGE = 10**12


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"n_embd": -12}, "n_embd is -12"),
        ({"vocab_size": HUGE}, f"vocab_size is {HUGE}"),
        ({"n_layer": HUGE}, f"n_layer is {HUGE}"),
        ({"n_layer": 3000}, "3000 layers"),
        ({"n_head": 5}, "12 cannot be shared out among 5 heads"),
        ({"n_head": 0}, "n_head is 0"),
        ({"n_head": "3"}, "n_head is '3'"),
        ({"n_head": True}, "n_head is True"),
        ({"n_embd": 12.0}, "n_embd is 12.0"),
        ({"n_embd": None}, "no 'n_embd'"),
        ({"n_inner": {"deep": 1}}, "n_inner is {'deep': 1}"),
        ({"vocab_size": 2**24}, "expected [16777216, 12]"),
        ({"layer_norm_epsilon": 0}, "layer_norm_epsilon is 0"),
        ({"layer_norm_epsilon": 10**400}, "layer_norm_epsilon is inf"),
        ({"activation_function": "softmax"}, "activation_function is 'softmax'"),
        ({"model_type": "mamba"}, "model_type is 'mamba'"),
        ({"model_type": 7}, "model_type is 7"),
        ({"model_type": None}, "no 'model_type'"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings is 'yes'"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx is True"),
        ({"architectures": "GPT2LMHeadModel"}, "architectures is 'GPT2LMHeadModel'"),
    ],
)
def test_a_config_that_cannot_be_is_named_by_its_field(folder, no_memory, values, told):
    change_config(folder, **values)
    with pytest.raises((ConfigError, CheckpointError)) as caught:
        load_checkpoint(folder)
    assert told in str(caught.value)
    assert len(str(caught.value)) < 1500


@pytest.mark.parametrize(
    ("name", "values", "told"),
    [
        ("llama", {"num_key_value_heads": 3}, "n_heads 4 is not a multiple of n_kv_heads 3"),
        ("llama", {"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, "type 'yarn'"),
        ("llama", {"rope_scaling": {"type": "linear"}}, "no 'factor'"),
        ("llama", {"rope_parameters": [1]}, "rope_parameters is [1]"),
        ("qwen2-windowed", {"layer_types": ["full_attention"]}, "3 entries"),
        ("qwen2-windowed", {"layer_types": ["linear_attention"] * 3}, "layer_types"),
        ("gemma2", {"use_bidirectional_attention": True}, "use_bidirectional_attention"),
        ("bert", {"is_decoder": True}, "is_decoder is True"),
        ("bert", {"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ("roberta", {"hidden_act": "relu"}, "hidden_act is 'relu'"),
        ("roberta", {"pad_token_id": 40}, "leaves no position"),
        ("opt", {"layer_norm_elementwise_affine": False}, "layer_norm_elementwise_affine"),
    ],
)
def test_what_a_family_may_ask_and_we_do_not_have_is_refused(name, values, told, tmp_path):
    PEERS[name].config().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text()) | values
    with pytest.raises(ConfigError) as caught:
        load.read_config(config)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[" * 100_000, "nested too deep"),
        ('{"a":' * 100_000, "nested too deep"),
        ("{", "is not JSON"),
        ("[1]", "holds a list"),
        ('{"model_type": "gpt2", "n_embd": ' + "9" * 5000 + "}", "is not JSON"),
        (" " * (5 * 2**20), "bytes"),
    ],
)
def test_a_config_file_that_is_none_is_refused(folder, text, told):
    (folder / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=told):
        load_checkpoint(folder)


def test_a_config_that_is_absent_or_no_text_is_told(folder):
    (folder / "config.json").write_bytes(b"\xff\xfe")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_checkpoint(folder)
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"needs its config\.json"):
        load_checkpoint(folder)


def test_our_own_config_is_bounded_too(tmp_path):
    save_checkpoint(Transformer(TINY).initialise(), None, tmp_path / "own", family="molehill")
    config = json.loads((tmp_path / "own" / "config.json").read_text())
    for field, value in (("n_layers", HUGE), ("d_model", -1), ("n_heads", "3")):
        bad = config | {"molehill": config["molehill"] | {field: value}}
        (tmp_path / "own" / "config.json").write_text(json.dumps(bad))
        with pytest.raises(ConfigError, match=field):
            load_checkpoint(tmp_path / "own")
    (tmp_path / "own" / "config.json").write_text('{"model_type": "molehill"}')
    with pytest.raises(ConfigError, match="no 'molehill'"):
        load_checkpoint(tmp_path / "own")


# --- other files ------------------------------------------------------------------------------


class Payload:
    """A pickle that leaves a mark if it is ever opened."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


def test_a_pickle_is_refused_and_never_opened(folder, tmp_path):
    mark = tmp_path / "opened"
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Payload(mark)))
    for path in (folder, folder / "pytorch_model.bin"):
        with pytest.raises(CheckpointError, match="pickle"):
            load_checkpoint(path)
    assert not mark.exists()


def test_a_file_beside_its_config_is_the_same_model(folder):
    assert load_checkpoint(folder / "model.safetensors").report.family == "gpt2"


def test_a_name_that_is_no_model_says_where_it_was_looked_for():
    with pytest.raises(CheckpointError, match="no file, folder or model"):
        load_checkpoint("no-such-model")


def test_opening_reads_no_weight(folder):
    change_weights(
        folder, lambda weights: weights.update({"transformer.wpe.weight": torch.ones(3)})
    )
    opened = open_checkpoint(folder)
    opened.source.close()
    assert opened.config == TINY


# --- numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("stored", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("wanted", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_every_stored_type_becomes_every_wanted_type(tmp_path, stored, wanted):
    model = Transformer(TINY).initialise().to(stored)
    save_checkpoint(model, None, tmp_path / "model")
    loaded = load_checkpoint(tmp_path / "model", dtype=wanted)
    assert loaded.report.dtype == str(wanted).removeprefix("torch.")
    for name, weight in loaded.model.named_parameters():
        assert weight.dtype == wanted
        assert torch.equal(weight, model.get_parameter(name).to(wanted)), name


def test_numbers_that_are_none_are_counted_and_refused_if_wanted(folder):
    def spoil(weights):
        weights["transformer.h.1.ln_1.weight"][3] = torch.nan
        weights["transformer.wte.weight"][2:4, 5] = torch.inf
        weights["transformer.wte.weight"][7, 5] = -torch.inf

    change_weights(folder, spoil)
    report = load_checkpoint(folder).report
    assert report.non_finite == {"w_token": 3, "blocks.1.norm1.gain": 1}
    with pytest.raises(CheckpointError, match=r"w_token \(3\)"):
        load_checkpoint(folder, strict=True)


def test_numbers_too_large_to_add_up_are_finite_all_the_same(folder):
    change_weights(folder, lambda weights: weights["transformer.wte.weight"].fill_(3e38))
    assert load_checkpoint(folder, strict=True).report.non_finite == {}


def test_a_healthy_model_is_reported_whole(folder):
    report = load_checkpoint(folder, strict=True).report
    assert (report.family, report.dtype) == ("gpt2", "float32")
    assert report.parameters == sum(report.stored.values())
    assert set(report.stored) == {"F32"}
    assert report.missing == report.left_over == report.ignored == ()


def test_loaded_weights_are_still_and_the_model_is_in_rest(folder):
    model = load_checkpoint(folder).model
    assert not model.training
    assert not any(weight.requires_grad for weight in model.parameters())


# --- the tokenizer beside it ------------------------------------------------------------------


def test_a_tokenizer_of_another_model_is_refused(folder, tmp_path):
    big = Tokenizer.train(["the mole dug a tunnel under the garden"] * 3, d_vocab=300)
    big.save(folder)
    with pytest.raises(TextError, match="do not belong together"):
        load_checkpoint(folder)


def test_ids_are_read_as_the_reference_reads_them(minilm_folder):
    ids, mask = texts("right")
    loaded = load_checkpoint(minilm_folder)
    assert loaded.tokenizer is not None
    assert loaded.report.ignored == (
        "embeddings.position_ids",
        "pooler.dense.bias",
        "pooler.dense.weight",
    )
    import transformers

    theirs = transformers.BertModel.from_pretrained(minilm_folder, dtype=torch.float32).eval()
    with torch.no_grad():
        expected = theirs(ids, attention_mask=mask.long()).last_hidden_state
    ours = loaded.model(ids, mask=mask).final
    assert torch.allclose(ours[mask], expected[mask], atol=1e-5)
