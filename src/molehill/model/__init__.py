"""Token ids become logits: the transformer, its configuration, its sites and its cache."""

from __future__ import annotations

from molehill.model.cache import KVCache
from molehill.model.config import ModelConfig, RopeScaling
from molehill.model.generate import Sampling, Step, generate
from molehill.model.products import Products
from molehill.model.sites import all_sites, resolve_site
from molehill.model.transformer import Output, Transformer
from molehill.model.watch import Watch

__all__ = [
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
    "generate",
    "resolve_site",
]
