"""Keys and values of the tokens already read, so that each further token costs one token's work.

A cache is a row of slots per text. A slot may be padding: texts of unequal lengths stay side by
side, each with its own positions, and padding is masked for ever. The cache knows nothing of
sampling.
"""

from __future__ import annotations

import torch
from torch import Tensor

from molehill.errors import ConfigError
from molehill.model.config import ModelConfig

__all__ = ["KVCache"]


class KVCache:
    """Room for `capacity` slots in every layer.

    Attributes:
        keys, values: [layer, batch, kv_head, capacity, d_head].
        positions: [batch, capacity], the position of each slot's token in its own text.
        real: [batch, capacity], False at padding and in slots not yet used.
        used: slots filled so far, the same for every text.
        padded: whether any used slot is padding.
    """

    def __init__(
        self,
        config: ModelConfig,
        batch: int,
        capacity: int,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        if not config.causal:
            raise ConfigError(
                "A bidirectional model reads the whole text at once: it cannot use a cache."
            )
        shape = (config.n_layers, batch, config.kv_heads, capacity, config.d_head)
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        # One view per layer, made once: a one-token pass is many small steps.
        self._by_layer = list(zip(self.keys.unbind(0), self.values.unbind(0), strict=True))
        self.positions = torch.zeros(batch, capacity, dtype=torch.int64, device=device)
        self.real = torch.zeros(batch, capacity, dtype=torch.bool, device=device)
        self.used = 0
        self.padded = False

    @property
    def capacity(self) -> int:
        """Slots there are room for."""
        return self.keys.shape[3]

    def reserve(self, positions: Tensor, real: Tensor | None) -> slice:
        """Take the next slots for tokens at `positions` [batch, pos] and return them.

        Raises:
            ConfigError: the cache is full.
        """
        start, end = self.used, self.used + positions.shape[1]
        if end > self.capacity:
            raise ConfigError(
                f"The cache has {self.capacity} slots and {end} are needed: make it larger."
            )
        slots = slice(start, end)
        self.positions[:, slots] = positions
        self.real[:, slots] = True if real is None else real
        self.padded = self.padded or real is not None
        self.used = end
        return slots

    def extend(
        self, layer: int, slots: slice, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Store one layer's [batch, kv_head, pos, d_head] in `slots`; returns all that is stored
        up to there."""
        start, end = slots.start, slots.stop
        all_keys, all_values = self._by_layer[layer]
        all_keys.narrow(2, start, end - start).copy_(keys)
        all_values.narrow(2, start, end - start).copy_(values)
        return all_keys.narrow(2, 0, end), all_values.narrow(2, 0, end)
