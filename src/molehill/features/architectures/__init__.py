"""The architectures, one file each."""

from __future__ import annotations

from molehill.features.architectures.batch_topk import BatchTopK
from molehill.features.architectures.gated import Gated
from molehill.features.architectures.jumprelu import JumpReLU
from molehill.features.architectures.matryoshka import Matryoshka
from molehill.features.architectures.relu import ReLU
from molehill.features.architectures.topk import TopK

__all__ = ["BatchTopK", "Gated", "JumpReLU", "Matryoshka", "ReLU", "TopK"]
