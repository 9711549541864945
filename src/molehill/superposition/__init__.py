"""Nearly orthogonal directions: how many fit, and what models do with them."""

from __future__ import annotations

from molehill.superposition.bounds import Bounds, VectorBounds, bounds
from molehill.superposition.capacity import capacity_curve
from molehill.superposition.cosines import PairCosines, pair_cosines
from molehill.superposition.how_many import HowMany, dimensions_needed, how_many
from molehill.superposition.known_packings import compare_known
from molehill.superposition.matrices import matrices
from molehill.superposition.packing import Packing, pack
from molehill.superposition.report import Report, report
from molehill.superposition.toy_models import ToyGrid, ToyModels, toy_grid
from molehill.superposition.toy_phases import toy_phases
from molehill.superposition.toy_shapes import dimensionality, shapes_of
from molehill.superposition.toy_training import train_toys

__all__ = [
    "Bounds",
    "HowMany",
    "Packing",
    "PairCosines",
    "Report",
    "ToyGrid",
    "ToyModels",
    "VectorBounds",
    "bounds",
    "capacity_curve",
    "compare_known",
    "dimensionality",
    "dimensions_needed",
    "how_many",
    "matrices",
    "pack",
    "pair_cosines",
    "report",
    "shapes_of",
    "toy_grid",
    "toy_phases",
    "train_toys",
]
