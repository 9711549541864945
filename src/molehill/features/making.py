"""Architectures by the name that files and recipes call them: a new one is a file and a line."""

from __future__ import annotations

from molehill.errors import ConfigError
from molehill.features.architectures import BatchTopK, Gated, JumpReLU, Matryoshka, ReLU, TopK
from molehill.features.autoencoder import Autoencoder, Settings

__all__ = ["ARCHITECTURES", "make_autoencoder"]

ARCHITECTURES: dict[str, type[Autoencoder]] = {
    each.architecture: each for each in (ReLU, TopK, BatchTopK, JumpReLU, Gated, Matryoshka)
}


def make_autoencoder(settings: Settings, *, seed: int = 0) -> Autoencoder:
    """An untrained autoencoder of these settings.

    Raises:
        ConfigError: an architecture that is not there.
    """
    if settings.architecture not in ARCHITECTURES:
        raise ConfigError(
            f"There is no architecture {settings.architecture!r}; there are "
            f"{', '.join(ARCHITECTURES)}."
        )
    return ARCHITECTURES[settings.architecture](settings, seed=seed)
