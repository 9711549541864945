"""A corpus becomes a checkpoint: recipe, loss, optimizers, one step of learning, the loop."""

from __future__ import annotations

from molehill.training.events import (
    Began,
    Evaluated,
    Event,
    Listener,
    Notice,
    Sampled,
    Saved,
    Stepped,
)
from molehill.training.learner import Applied, Learner, Objective
from molehill.training.loop import Outcome, train
from molehill.training.loss import ScoreLoss, next_token_loss, score_loss
from molehill.training.optimizers import OptimizerChoice, make_optimizers
from molehill.training.recipe import Recipe, read_recipe

__all__ = [
    "Applied",
    "Began",
    "Evaluated",
    "Event",
    "Learner",
    "Listener",
    "Notice",
    "Objective",
    "OptimizerChoice",
    "Outcome",
    "Recipe",
    "Sampled",
    "Saved",
    "ScoreLoss",
    "Stepped",
    "make_optimizers",
    "next_token_loss",
    "read_recipe",
    "score_loss",
    "train",
]
