"""Formats: features from whatever layout lies at a path, and whether two autoencoders are equal.

    found = read_features("gpt2-small/blocks.8.hook_resid_pre")
    found.layout, found.features, found.folded

Which layout it is follows from the names of files and, in a safetensors file, of tensors. This
module knows where each layout is read and not how.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from molehill.checkpoints.pickles import PICKLE_SUFFIXES, pickle_error
from molehill.checkpoints.raw_file import printable
from molehill.checkpoints.safetensors_file import SafetensorsFile
from molehill.errors import CheckpointError
from molehill.features.autoencoder import Autoencoder
from molehill.features.circuit_tracer import read_circuit_tracer, refuse_cross_layer
from molehill.features.dictionary_learning import PICKLE_NAME, read_dictionary_learning
from molehill.features.foreign import Found, Placing
from molehill.features.gemma_scope import NPZ_NAME, PARAMS_NAME, read_gemma_scope
from molehill.features.saelens import CONFIG_NAME, WEIGHTS_NAME, read_saelens
from molehill.features.sparsify import SPARSIFY_NAME, read_sparsify
from molehill.features.trained import features_path, load_features

__all__ = ["Agreement", "agreement", "read_features"]

_KNOWN = (
    "a file of Molehill, a SAELens folder (cfg.json, sae_weights.safetensors), Gemma Scope "
    "(params.npz, params.safetensors), a sparsify folder (cfg.json, sae.safetensors), a "
    "transcoder of circuit-tracer (layer_N.safetensors)"
)


@dataclass(frozen=True)
class Agreement:
    """How far two autoencoders are apart on random vectors."""

    rows: int
    active: float
    """Active features a row."""
    largest_value: float
    codes_apart: float
    """The largest difference of two values of a feature."""
    largest_output: float
    outputs_apart: float

    @property
    def relative(self) -> float:
        """The larger difference as a share of the largest number on its side, never taken below
        one."""
        codes = self.codes_apart / max(1.0, self.largest_value)
        return max(codes, self.outputs_apart / max(1.0, self.largest_output))


def read_features(path: str | os.PathLike[str], placing: Placing | None = None) -> Found:
    """Features from a file or folder of any known layout.

    Args:
        path: what is there.
        placing: what the caller knows of the model and the sites. Molehill's own files say it
            themselves.

    Raises:
        CheckpointError: nothing that is known; damaged or hostile files; what ours cannot compute.
        SiteError, ConfigError: its place is not one of the model's.
    """
    path = features_path(path)
    if not path.exists():
        raise CheckpointError(f"{printable(str(path))} cannot be read: there is no such file.")
    read = _reader_of_folder(path) if path.is_dir() else _reader_of_file(path)
    return read(path, placing)


_Reader = Callable[[Path, Placing | None], Found]


def _reader_of_folder(folder: Path) -> _Reader:
    def there(*names: str) -> bool:
        return all((folder / name).exists() for name in names)

    if there(CONFIG_NAME, WEIGHTS_NAME):
        return read_saelens
    if there(CONFIG_NAME, SPARSIFY_NAME):
        return read_sparsify
    if there(NPZ_NAME) or there(PARAMS_NAME):
        return read_gemma_scope
    if there(PICKLE_NAME) or there("config.json", "model.safetensors"):
        return read_dictionary_learning
    if there("W_enc_0.safetensors"):
        raise refuse_cross_layer(folder)
    if any(folder.glob("layer_*.safetensors")):
        raise CheckpointError(
            f"{printable(str(folder))}: has a transcoder for each layer: name one of its files."
        )
    raise _unknown(folder)


def _reader_of_file(path: Path) -> _Reader:
    if path.suffix.lower() in PICKLE_SUFFIXES:
        raise pickle_error(path)
    if path.suffix == ".npz":
        return read_gemma_scope
    with SafetensorsFile(path) as file:
        names, ours = set(file.tensors), "molehill" in file.metadata
    if path.name in (WEIGHTS_NAME, SPARSIFY_NAME, "model.safetensors") and not _is_ours(names):
        return lambda _, placing: _reader_of_folder(path.parent)(path.parent, placing)
    if ours and _is_ours(names):
        return lambda given, _: Found(load_features(given), "Molehill")
    if "w_enc" in names:
        return read_gemma_scope
    if any(name.startswith("W_enc_") for name in names):
        raise refuse_cross_layer(path)
    if "W_enc" in names:
        return read_circuit_tracer
    raise _unknown(path)


def _is_ours(names: set[str]) -> bool:
    return {"w_enc", "w_dec", "idle"} <= names


def _unknown(path: Path) -> CheckpointError:
    return CheckpointError(f"{printable(str(path))}: is not known. What is read: {_KNOWN}.")


# --- equality -------------------------------------------------------------------------------------


@torch.no_grad()
def agreement(
    first: Autoencoder, second: Autoencoder, *, rows: int = 64, seed: int = 0
) -> Agreement:
    """Both on the same random vectors, which look like what the first one was trained for.

    A quarter is noise; in the others some features' rows are put together, so that these are
    active.
    """
    x = _vectors(first, rows, seed)
    codes = [each.encode(x) for each in (first, second)]
    tables = [each.dense() for each in codes]
    outputs = [
        each.decode(code) + each.skipped(x)
        for each, code in zip((first, second), codes, strict=True)
    ]
    return Agreement(
        rows,
        codes[0].l0,
        tables[0].abs().max().item(),
        (tables[0] - tables[1]).abs().max().item(),
        outputs[0].abs().max().item(),
        (outputs[0] - outputs[1]).abs().max().item(),
    )


def _vectors(autoencoder: Autoencoder, rows: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    settings, w_enc = autoencoder.settings, autoencoder.w_enc.detach()
    lengths = w_enc.norm(dim=1)
    noise = torch.randn(rows, settings.d_in, generator=generator)
    chosen = torch.randint(settings.n_features, (rows, 8), generator=generator)
    # Each alone would have a pre-activation from 0 to 4 before its bias and its threshold.
    weights = 4 * torch.rand(rows, 8, generator=generator) / lengths[chosen].square().clamp(1e-12)
    mixed = torch.einsum("rk,rkd->rd", weights, w_enc[chosen])
    mixed[: rows // 4] = noise[: rows // 4]
    return mixed + autoencoder.b_dec if settings.centred else mixed
