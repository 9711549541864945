"""Token ids become logits: the transformer, its configuration, its sites and its cache."""

from __future__ import annotations

from molehill.model.aliases import Dialect, foreign_name, resolve_site
from molehill.model.cache import KVCache
from molehill.model.config import ModelConfig, RopeScaling
from molehill.model.generate import Sampling, Step, generate
from molehill.model.products import Products
from molehill.model.sites import all_sites
from molehill.model.transformer import Output, Transformer
from molehill.model.watch import Watch

__all__ = [
    "Dialect",
    "KVCache",
    "ModelConfig",
    "Output",
    "Products",
    "RopeScaling",
    "Sampling",
    "Step",
    "Transformer",
    "Watch",
    "all_sites",
    "foreign_name",
    "generate",
    "resolve_site",
]
