"""The neighbours, each behind the same few functions, and only those that are installed here.

They read the very weights that ours reads: SmolLM2 from its GGUF file, saved once by
`molehill` as a folder that `transformers` loads.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

__all__ = ["folder_of", "has", "llama_cpp", "transformer_lens", "transformers_model", "versions"]

_PACKAGES = ("torch", "transformers", "transformer-lens", "nnsight", "xllamacpp", "litgpt")


def has(module: str) -> bool:
    """Whether a neighbour can be imported here."""
    return importlib.util.find_spec(module) is not None


def versions() -> dict[str, str]:
    """What is installed, by package."""
    found = {}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


@contextlib.contextmanager
def folder_of(name: str) -> Iterator[Path]:
    """A model of ours as a folder for `transformers`, for as long as the context lasts."""
    import molehill
    from molehill.checkpoints import save_checkpoint

    with tempfile.TemporaryDirectory() as place:
        lm = molehill.load(name)
        folder = Path(place) / "model"
        save_checkpoint(lm.model, lm.tokenizer, folder)
        del lm
        yield folder


def transformers_model(folder: Path, dtype: str):
    """transformers' own class for the folder."""
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype))
    return model.eval()


def transformer_lens(folder: Path, dtype: str):
    """TransformerLens's bridge around transformers' model."""
    import torch
    from transformer_lens.model_bridge import TransformerBridge

    return TransformerBridge.boot_transformers(
        str(folder), device="cpu", dtype=getattr(torch, dtype)
    )


def llama_cpp(gguf: Path, *, slots: int, context: int):
    """llama.cpp's server in this process, with prebuilt kernels for this processor."""
    import torch
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(gguf)
    params.n_parallel = slots
    params.n_ctx = context * slots
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = torch.get_num_threads()
    params.warmup = True
    params.cache_prompt = False
    params.verbosity = 0
    return xllamacpp.Server(params)
