"""Features: sparse autoencoders trained on any site of a model, and what they find."""

from __future__ import annotations

__all__: list[str] = []
