"""The same numbers again: by any number of threads, compiled or not, and bit for bit if asked."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

import molehill
from molehill.checkpoints import save_checkpoint
from molehill.model import ModelConfig, Transformer
from molehill.model.generate import generate

SIZES = {
    "n_layers": 2,
    "d_model": 128,
    "n_heads": 4,
    "d_head": 32,
    "d_mlp": 384,
    "d_vocab": 900,
    "n_ctx": 128,
}
KINDS = {
    "gpt2": {"activation": "gelu_tanh", "qkv_bias": True, "mlp_bias": True},
    "llama": {
        "positions": "rotary",
        "norm": "rms",
        "activation": "silu",
        "gated": True,
        "n_kv_heads": 2,
    },
    "bert": {
        "causal": False,
        "norm_place": "post",
        "final_norm": False,
        "embed_norm": True,
        "activation": "gelu",
    },
}
each_kind = pytest.mark.parametrize("kind", KINDS)
SOURCE = str(Path(__file__).resolve().parents[2] / "src")


def made(kind: str, dtype: torch.dtype = torch.float32) -> Transformer:
    model = Transformer(ModelConfig(**SIZES, **KINDS[kind]), dtype=dtype).initialise(4)
    for weight in model.parameters():
        if weight.ndim > 1:
            weight.data.mul_(4.0)  # so that attention looks somewhere
    return model.requires_grad_(False).eval()


def ids(texts: int = 3, length: int = 96) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(SIZES["d_vocab"], (texts, length), generator=generator)


@contextmanager
def threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def assert_near(found: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    """Within a share of the largest number: what rounding may do."""
    assert float((found - expected).abs().max() / expected.abs().max()) < tolerance


@each_kind
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-13)])
def test_one_thread_and_two_give_the_same_within_rounding(kind, dtype, tolerance):
    model = made(kind, dtype)
    with torch.no_grad():
        with threads(1):
            one = model(ids()).logits
        with threads(2):
            two = model(ids()).logits
    assert_near(two, one, tolerance)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method.*:DeprecationWarning")  # torch's own
@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_a_compiled_pass_gives_the_same_within_rounding(kind):
    model = made(kind)
    torch._dynamo.reset()
    compiled = torch.compile(lambda given: model(given).logits, dynamic=False)
    with torch.no_grad():
        plain = model(ids(1, 24)).logits
        assert_near(compiled(ids(1, 24)), plain, 1e-5)
        float64 = made(kind, torch.float64)
        assert_near(plain.double(), float64(ids(1, 24)).logits, 1e-5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("models") / "one"
    save_checkpoint(made("llama"), None, path)
    return path


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_deterministic_repeats_are_equal_to_the_bit(folder, dtype):
    first = molehill.load(folder, dtype=dtype, deterministic=True)
    again = molehill.load(folder, dtype=dtype, deterministic=True)
    with torch.no_grad():
        expected = first.model(ids()).logits
        # More often than any route is tried before one is chosen.
        for model in [first.model] * 12 + [again.model] * 2:
            assert torch.equal(model(ids()).logits, expected)
    assert {*first.model.products.routes.values()} <= {"torch"}
    assert first.model.products.choice == first.model.step_products.choice == "torch"


def test_deterministic_steps_are_equal_to_the_bit(folder):
    lm = molehill.load(folder, deterministic=True)

    def written():
        steps = generate(lm.model, ids(2, 20), max_new_tokens=16, temperature=1.0, seed=3)
        return [(step.ids.tolist(), step.logprobs.tolist()) for step in steps]

    first = written()
    assert all(written() == first for _ in range(3))


def test_without_asking_the_route_is_measured(folder, monkeypatch):
    monkeypatch.delenv("MOLEHILL_LINEAR", raising=False)
    assert molehill.load(folder).model.products.choice == "auto"


_CHILD = """
import hashlib, sys, torch, molehill
torch.set_num_threads(2)
lm = molehill.load(sys.argv[1], deterministic=True)
generator = torch.Generator().manual_seed(1)
ids = torch.randint(900, (3, 96), generator=generator)
with torch.no_grad():
    logits = lm.model(ids).logits
print(hashlib.sha256(logits.numpy().tobytes()).hexdigest())
"""


def test_another_process_gives_the_same_bits(folder):
    with torch.no_grad(), threads(2):
        own = molehill.load(folder, deterministic=True).model(ids()).logits
    expected = hashlib.sha256(own.numpy().tobytes()).hexdigest()
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    given = [sys.executable, "-c", _CHILD, str(folder)]
    found = subprocess.run(given, capture_output=True, text=True, env=environment, check=True)
    assert found.stdout.strip() == expected
