"""What a pass is given, looked at before anything is calculated, and where its texts end.

Knows shapes and bounds; does no arithmetic of the model.
"""

from __future__ import annotations

import torch
from torch import Tensor

from molehill.errors import SiteError
from molehill.model.config import ModelConfig

__all__ = ["check_inputs", "last_real"]


def check_inputs(
    config: ModelConfig, ids: Tensor | None, resid: Tensor | None, mask: Tensor | None
) -> torch.Size:
    """The [batch, pos] of this pass.

    Raises:
        SiteError: what would fail or be silently wrong further on: ids outside the vocabulary,
            shapes that do not fit, nothing to read.
    """
    if (ids is None) == (resid is None):
        raise SiteError(
            "Give the forward pass either token ids or a residual stream to start from."
        )
    if ids is None:
        assert resid is not None
        if resid.ndim != 3 or resid.shape[-1] != config.d_model:
            raise SiteError(
                f"resid has shape {tuple(resid.shape)}, expected (batch, pos, {config.d_model})."
            )
        shape = resid.shape[:2]
    else:
        if ids.ndim != 2:
            raise SiteError(
                f"ids have shape {tuple(ids.shape)}, expected (batch, pos): "
                "wrap one text in a list."
            )
        shape = ids.shape
    if shape.numel() == 0:
        raise SiteError(f"There are no tokens to read: ids have shape {tuple(shape)}.")
    if ids is not None and not 0 <= int(ids.min()) <= int(ids.max()) < config.d_vocab:
        raise SiteError(
            f"Token ids run from {int(ids.min())} to {int(ids.max())} and the vocabulary has "
            f"{config.d_vocab}: "
            "the text was encoded with another model's tokenizer."
        )
    if mask is not None and mask.shape != shape:
        raise SiteError(f"mask has shape {tuple(mask.shape)} and the tokens {tuple(shape)}.")
    return shape


def last_real(x: Tensor, real: Tensor) -> Tensor:
    """Each text's last token that is not padding: x [batch, pos, d_model] -> [batch, 1,
    d_model]."""
    slots = torch.arange(real.shape[1], device=real.device)
    last = torch.where(real, slots, 0).amax(1)
    return x[torch.arange(x.shape[0], device=x.device), last][:, None]
