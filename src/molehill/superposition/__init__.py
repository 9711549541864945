"""Nearly orthogonal directions: how many fit, and what models do with them."""

from __future__ import annotations

__all__: list[str] = []
