"""What loading a whole model takes at its peak, measured in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from molehill.checkpoints import save_checkpoint
from molehill.model import ModelConfig, Transformer

SOURCE = str(Path(__file__).resolve().parents[2] / "src")
# The largest number of bytes that loading may add, as a share of the model's weights.
MOST = 1.15
BIASED = {"qkv_bias": True, "attn_out_bias": True, "mlp_bias": True}

# What is imported and touched before counts as there already: the least model warms everything up.
CHILD = """
import json, sys
from pathlib import Path
import torch
from molehill.checkpoints import load
from molehill.checkpoints.load import load_checkpoint

def memory(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))

path, dtype, least = sys.argv[1], getattr(torch, sys.argv[2]), sys.argv[3]
load._tokenizer = lambda opened: None  # a vocabulary takes memory of its own
load_checkpoint(least, dtype=dtype)
before = memory("VmRSS:")
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
model = load_checkpoint(path, dtype=dtype).model
weights = sum(weight.nbytes for weight in model.parameters())
print(json.dumps({"added": memory("VmHWM:") - before, "weights": weights}))
"""

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="the peak is read from Linux's /proc"
)


@pytest.fixture(scope="module")
def least(tmp_path_factory) -> Path:
    sizes = {"n_layers": 1, "d_model": 32, "n_heads": 2, "d_head": 16, "d_mlp": 64}
    path = tmp_path_factory.mktemp("models") / "least"
    config = ModelConfig(**sizes, d_vocab=100, n_ctx=32, activation="gelu_tanh", **BIASED)
    save_checkpoint(Transformer(config).initialise(), None, path)
    return path


@pytest.fixture(scope="module")
def hundred_megabytes(tmp_path_factory) -> Path:
    """A GPT-2 of 26 million numbers, whose matrices are stored the other way round."""
    sizes = {"n_layers": 6, "d_model": 512, "n_heads": 8, "d_head": 64, "d_mlp": 2048}
    config = ModelConfig(**sizes, d_vocab=14_000, n_ctx=256, activation="gelu_tanh", **BIASED)
    path = tmp_path_factory.mktemp("models") / "large"
    save_checkpoint(Transformer(config).initialise(), None, path)
    assert 95e6 < sum(file.stat().st_size for file in path.iterdir()) < 115e6
    return path


def share(path: Path, least: Path, dtype: str = "float32") -> float:
    """What loading adds at its peak, as a share of the weights."""
    given = [str(path), dtype, str(least)]
    found = subprocess.run(
        [sys.executable, "-c", CHILD, *given],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": SOURCE},
        check=True,
    )
    told = json.loads(found.stdout)
    return told["added"] / told["weights"]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_folder_takes_its_weights_and_little_more(dtype, hundred_megabytes, least):
    assert 0.9 < share(hundred_megabytes, least, dtype) < MOST


def test_smollm2_takes_its_weights_and_little_more(smollm2_gguf, least):
    assert 0.9 < share(smollm2_gguf, least) < MOST


def test_minilm_takes_its_weights_and_little_more(minilm_folder, least):
    assert 0.9 < share(minilm_folder, least) < MOST


def test_the_measure_sees_a_second_copy(hundred_megabytes, least, monkeypatch):
    """A loader that held everything twice would be caught."""
    twice = CHILD.replace(
        "model = load_checkpoint(path, dtype=dtype).model",
        "model = load_checkpoint(path, dtype=dtype).model\n"
        "copies = [weight.clone() for weight in model.parameters()]",
    )
    monkeypatch.setitem(globals(), "CHILD", twice)
    assert share(hundred_megabytes, least) > 1.8
