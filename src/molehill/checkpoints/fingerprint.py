"""The fingerprint of a model: one number for configuration and weights as they are in memory.

This module knows nothing of files or of what a fingerprint is used for.
"""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from molehill.model import Transformer

__all__ = ["fingerprint"]


def fingerprint(model: Transformer, dtype: torch.dtype | None = None) -> str:
    """SHA-256 over configuration and weights, their dtype included, in hexadecimal digits.

    It reads every weight: about half a second for half a gigabyte.

    Args:
        model: on any device.
        dtype: as if the weights were in this dtype; None: as they are.
    """
    config = json.dumps(model.config.to_dict(), sort_keys=True)
    digest = hashlib.sha256(config.encode())
    weights = list(model.named_parameters())
    # hashlib lets go of the interpreter's lock while it works, so threads help.
    with ThreadPoolExecutor() as pool:
        for part in pool.map(lambda item: _weight_digest(item[0], _as(item[1], dtype)), weights):
            digest.update(part)
    return digest.hexdigest()


def _as(weight: Tensor, dtype: torch.dtype | None) -> Tensor:
    return weight if dtype is None else weight.detach().to(dtype)


def _weight_digest(name: str, weight: Tensor) -> bytes:
    head = f"{name} {weight.dtype} {tuple(weight.shape)}".encode()
    # Viewed as bytes: NumPy, which lends its memory to the hash, has no bfloat16.
    flat = weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
    return hashlib.sha256(head + hashlib.sha256(flat).digest()).digest()
