"""The foreign architectures that can be loaded and saved, one small table each."""

from __future__ import annotations

from molehill.checkpoints.families.family import Family, Slot, differences, from_theirs, to_theirs
from molehill.checkpoints.families.gguf import GGUF_FAMILIES, read_gguf_config
from molehill.checkpoints.families.known import (
    FAMILIES,
    auto_class,
    family_for,
    read_config,
    why_no_family,
    write_config,
)

__all__ = [
    "FAMILIES",
    "GGUF_FAMILIES",
    "Family",
    "Slot",
    "auto_class",
    "differences",
    "family_for",
    "from_theirs",
    "read_config",
    "read_gguf_config",
    "to_theirs",
    "why_no_family",
    "write_config",
]
