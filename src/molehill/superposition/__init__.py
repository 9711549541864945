"""Nearly orthogonal directions: how many fit, what a small model does with them, what a real one has."""

from __future__ import annotations

__all__: list[str] = []
