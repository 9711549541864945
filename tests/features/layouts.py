"""Autoencoders as their formats' own documentation says, written with the format's own library, and
what they compute as dense formulas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from molehill.features.autoencoder import Autoencoder

D, F, OUT, K = 10, 28, 6, 4


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + 31 * len(shape)))


def inputs(rows: int = 40) -> Tensor:
    return 2 * numbers(rows, D, seed=9)


def parts(d_out: int = D) -> dict[str, Tensor]:
    """By SAELens' names and in its orientation; the decoder's rows have any length."""
    return {
        "W_enc": numbers(D, F, seed=1),
        "b_enc": 0.3 * numbers(F, seed=2),
        "W_dec": numbers(F, d_out, seed=3),
        "b_dec": 0.5 * numbers(d_out, seed=4),
    }


def thresholds() -> Tensor:
    return numbers(F, seed=5).abs() + 0.2


def top(pre: Tensor, k: int = K) -> Tensor:
    """TopK as SAELens documents it: the k largest of each row, those below zero as zero."""
    kept = torch.zeros_like(pre)
    best = pre.topk(k, dim=1)
    return kept.scatter(1, best.indices, best.values.relu())


def write_folder(folder: Path, cfg: dict[str, Any], tensors: dict[str, Tensor]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cfg.json").write_text(json.dumps(cfg))
    tensors = {name: value.clone().contiguous() for name, value in tensors.items()}
    save_file(tensors, folder / "sae_weights.safetensors")
    return folder


def cfg(architecture: str, **more: Any) -> dict[str, Any]:
    """As version 6 writes it."""
    metadata = {
        "sae_lens_version": "6.54.12",
        "model_name": "gpt2-small",
        "hook_name": "blocks.3.hook_resid_post",
        **more.pop("metadata", {}),
    }
    return {
        "architecture": architecture,
        "d_in": D,
        "d_sae": F,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": metadata,
        **more,
    }


def computed(autoencoder: Autoencoder, x: Tensor) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        codes = autoencoder.encode(x)
        return codes.dense(), autoencoder(x)


def agree(autoencoder: Autoencoder, codes: Tensor, output: Tensor, x: Tensor | None = None) -> None:
    """Equal to the dense formula, to what float32 rounds."""
    found, near = computed(autoencoder, inputs() if x is None else x)
    assert 0 < codes.count_nonzero() < codes.numel(), "a case that says nothing"
    torch.testing.assert_close(found, codes, rtol=2e-6, atol=2e-6)
    torch.testing.assert_close(near, output, rtol=5e-6, atol=5e-6)
