"""The two norms: LayerNorm and RMS norm, with their divisor as a site of its own.

Where in a block they stand is the transformer's business.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from molehill.model.config import ModelConfig
from molehill.model.watch import Watch, seen, wanted

__all__ = ["Norm", "parameter"]


def parameter(*shape: int, **place) -> nn.Parameter:
    """A parameter whose numbers are still to be written."""
    return nn.Parameter(torch.empty(*shape, **place))


class Norm(nn.Module):
    """LayerNorm (centre, divide, gain, bias) or RMS norm (divide, gain).

    The divisor is sqrt(mean of squares + eps). It is a site of its own: with the divisor held fast
    a norm is linear.
    """

    def __init__(
        self, config: ModelConfig, width: int, *, rms: bool | None = None, **place
    ) -> None:
        super().__init__()
        self.rms = config.norm == "rms" if rms is None else rms
        self.eps = config.norm_eps
        # The same as a tensor, where the first pass runs: a number would become one every time.
        self._eps: Tensor | None = None
        self.offset = config.norm_offset
        self.gain = parameter(width, **place)
        self.bias = None if self.rms else parameter(width, **place)

    @property
    def multiplier(self) -> Tensor:
        """What each coordinate is multiplied by after the division."""
        return self.gain + self.offset if self.offset else self.gain

    def forward(self, x: Tensor, watch: Watch | None, site: str) -> Tensor:
        """x [..., width] -> the same shape."""
        if not wanted(watch, site):
            if self.rms:
                return F.rms_norm(x, x.shape[-1:], self.multiplier, self.eps)
            return F.layer_norm(x, x.shape[-1:], self.multiplier, self.bias, self.eps)
        centred = x if self.rms else x - x.mean(-1, keepdim=True)
        wide = centred.to(torch.promote_types(x.dtype, torch.float32))
        divisor = seen(watch, site, self._divisor(wide))
        normed = (wide / divisor).mul_(self.multiplier)
        return (normed if self.bias is None else normed.add_(self.bias)).to(x.dtype)

    def _divisor(self, x: Tensor) -> Tensor:
        """sqrt(mean of squares + eps) of x [..., width] in float32 or wider: [..., 1].

        By the length of the vector, in three operations: one token's pass is made of small ones.
        """
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        eps = self._eps
        if eps is None or eps.dtype != x.dtype or eps.device != x.device:
            eps = self._eps = torch.tensor(self.eps, dtype=x.dtype, device=x.device)
        return torch.addcmul(eps, length, length, value=1 / x.shape[-1]).sqrt_()
