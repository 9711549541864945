"""Molehill's own format: the configuration as it is, the parameters under their own names.

It holds every model that this project can run, also those that no other library knows (the notes'
block, with its one norm at the end).
"""

from __future__ import annotations

from typing import Any

from molehill.checkpoints.families.family import Family, Slot
from molehill.checkpoints.families.fields import Fields
from molehill.errors import ConfigError
from molehill.model import ModelConfig, Transformer

__all__ = ["MOLEHILL"]


class _OwnFamily(Family):
    """Every parameter is a row of the table, so there is no table to write."""

    def slots(self, model: Transformer):
        for name, weight in model.named_parameters():
            shape = tuple(weight.shape)
            yield Slot(name, name, slice(0, shape[0]), "same", 1, 0.0, shape)


def _read(fields: Fields) -> ModelConfig:
    own = fields.part("molehill")
    if not own.values:
        raise ConfigError(f"{fields.where} has no 'molehill', which holds the model's sizes.")
    own.layers("n_layers")  # a bound before anything counts layers
    return ModelConfig.from_dict(dict(own.values))


def _write(config: ModelConfig) -> dict[str, Any]:
    return {"model_type": "molehill", "molehill": config.to_dict()}


MOLEHILL = _OwnFamily(
    name="molehill",
    rows=(),
    config_from=_read,
    config_to=_write,
    with_head="MolehillTransformer",
    without_head="MolehillTransformer",
)
