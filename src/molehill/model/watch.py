"""How a value is watched: the one optional argument of the forward pass.

At every site the model runs `x = watch(site, x)`; with no watch that line is skipped and costs
nothing. Whatever keeps values or changes them lives outside the model, in an object with these
three methods.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

__all__ = ["Watch", "seen", "wanted"]


@runtime_checkable
class Watch(Protocol):
    """What the forward pass asks of a watcher."""

    def begin(self, positions: Tensor, real: Tensor) -> None:
        """A pass begins over tokens at `positions` [batch, pos]; `real` [batch, pos] is False at
        padding."""
        ...

    def wants(self, site: str) -> bool:
        """Whether the value at `site` is to be handed over. Some values are computed only if
        somebody wants them."""
        ...

    def __call__(self, site: str, x: Tensor) -> Tensor:
        """Take the value at a wanted site and return what the model goes on with, of the same
        shape."""
        ...


def wanted(watch: Watch | None, site: str) -> bool:
    """Whether somebody watches and wants the value at `site`."""
    return watch is not None and watch.wants(site)


def seen(watch: Watch | None, site: str, x: Tensor) -> Tensor:
    """What the model goes on with: `x`, or what a watcher that wants it returns."""
    return watch(site, x) if watch is not None and watch.wants(site) else x
