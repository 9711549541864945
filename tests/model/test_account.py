"""The account of parameters against counts made by hand and by transformers."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree

import pytest
import torch
from tests.checkpoints.peers import PEERS

from molehill.checkpoints import load_checkpoint
from molehill.cli import main
from molehill.model import ModelConfig
from molehill.model.account import PARTS, count_parameters
from molehill.views.account import account_data, account_html, account_svg

# The notes' block: attention, ReLU MLP four times as wide, one norm at the end; d = 64.
NOTES = ModelConfig(
    n_layers=3,
    d_model=64,
    n_heads=4,
    d_head=16,
    d_mlp=256,
    d_vocab=500,
    n_ctx=32,
    norm_place="block_end",
    final_norm=False,
)


def test_the_notes_two_thirds_by_hand():
    account = count_parameters(NOTES)
    square = 64 * 64
    assert account.of_group("mlp") == 3 * 8 * square
    assert account.of_group("attention") == 3 * 4 * square
    assert account.of_group("norm") == 3 * 2 * 64
    assert account.of_group("embedding") == (500 + 32) * 64
    assert account.non_embedding == account.in_blocks == 3 * (12 * square + 128)
    assert account.mlp_share_non_embedding == pytest.approx(2 / 3, abs=0.002)


# One with each part that a model may have.
@pytest.mark.parametrize("name", ["opt-350m", "pythia", "qwen2", "gemma3", "bert", "minilm"])
def test_the_parts_add_up_to_the_models_parameters_and_to_theirs(name, tmp_path):
    theirs = PEERS[name].build(torch.float32)
    theirs.save_pretrained(tmp_path)
    model = load_checkpoint(tmp_path).model
    account = count_parameters(model.config)
    assert account.total == sum(weight.numel() for weight in model.parameters())
    pooler = sum(
        weight.numel() for key, weight in theirs.named_parameters() if key.startswith("pooler")
    )
    assert account.total == theirs.num_parameters() - pooler
    assert sum(entry.total for entry in account.by_part()) == account.total
    assert sum(sum(layer.values()) for layer in account.by_layer()) == account.in_blocks
    assert {entry.part for entry in account.entries} <= set(PARTS)


def test_shared_key_heads_and_gates_are_counted_as_they_are():
    config = ModelConfig(
        n_layers=2,
        d_model=12,
        n_heads=4,
        n_kv_heads=2,
        d_head=5,
        d_mlp=7,
        d_vocab=11,
        n_ctx=8,
        qkv_bias=True,
        gated=True,
        norm="rms",
        positions="rotary",
        rotary_dims=4,
        tied=False,
    )
    parts = {
        entry.part: (entry.weights, entry.biases) for entry in count_parameters(config).by_part()
    }
    assert parts == {
        "token embedding": (11 * 12, 0),
        "attention queries": (2 * 20 * 12, 2 * 20),
        "attention keys": (2 * 10 * 12, 2 * 10),
        "attention values": (2 * 10 * 12, 2 * 10),
        "attention output": (2 * 20 * 12, 0),
        "MLP gate": (2 * 7 * 12, 0),
        "MLP in": (2 * 7 * 12, 0),
        "MLP out": (2 * 7 * 12, 0),
        "norms": (2 * 2 * 12 + 12, 0),
        "unembedding": (11 * 12, 0),
    }


def test_the_account_costs_no_memory():
    huge = ModelConfig(80, 8192, 64, 128, 28672, 128_256, 8192, gated=True, positions="rotary")
    assert count_parameters(huge).total > 60e9


def test_the_picture_is_whole_and_says_what_the_table_says():
    account = count_parameters(NOTES)
    picture = ElementTree.fromstring(account_svg(account, '<the "notes">'))
    words = " ".join(picture.itertext())
    assert '<the "notes">' in words
    for entry in account.by_part():
        assert f"{entry.part}: {entry.total:,}" in words
    bars = [float(bar.get("width")) for bar in picture.iter("{http://www.w3.org/2000/svg}rect")]
    assert all(width > 0 for width in bars)
    page = account_html(account, "<script>alert(1)</script>")
    assert "<script" not in page
    assert f"{account.total:,}" in page


def test_the_verb_reads_headers_only_and_agrees_with_the_loaded_model(
    minilm_folder, tmp_path, capsys
):
    assert main(["params", str(minilm_folder), "--json", "--svg", str(tmp_path / "a.svg")]) == 0
    told = json.loads(capsys.readouterr().out)
    model = load_checkpoint(minilm_folder).model
    assert told["total"] == sum(weight.numel() for weight in model.parameters())
    assert told == json.loads(
        json.dumps(account_data(count_parameters(model.config), told["model"]))
    )
    ElementTree.parse(tmp_path / "a.svg")


def test_a_place_that_cannot_be_written_is_told_in_a_line(minilm_folder, tmp_path, capsys):
    assert main(["params", str(minilm_folder), "--html", str(tmp_path / "no" / "a.html")]) == 2
    assert "cannot be written" in capsys.readouterr().err
