"""Features: sparse autoencoders trained on any site of a model, and what they find."""

from __future__ import annotations

from molehill.features.activations import Live, Place, Stored
from molehill.features.attribution import attribute
from molehill.features.autoencoder import Autoencoder, Settings
from molehill.features.codes import Codes
from molehill.features.edits import AblateFeature, AddFeature, ClampFeature, ScaleFeature, Splice
from molehill.features.evaluating import evaluate
from molehill.features.examples_file import open_examples
from molehill.features.examples_writing import write_examples
from molehill.features.formats import read_features
from molehill.features.learner import Job, Learner
from molehill.features.loop import train_features
from molehill.features.making import ARCHITECTURES, make_autoencoder
from molehill.features.recipe import FeaturesRecipe, read_features_recipe
from molehill.features.saelens_writing import write_saelens
from molehill.features.splicing import spliced_losses
from molehill.features.steering import steer
from molehill.features.trained import Features, load_features, save_features

__all__ = [
    "ARCHITECTURES",
    "AblateFeature",
    "AddFeature",
    "Autoencoder",
    "ClampFeature",
    "Codes",
    "Features",
    "FeaturesRecipe",
    "Job",
    "Learner",
    "Live",
    "Place",
    "ScaleFeature",
    "Settings",
    "Splice",
    "Stored",
    "attribute",
    "evaluate",
    "load_features",
    "make_autoencoder",
    "open_examples",
    "read_features",
    "read_features_recipe",
    "save_features",
    "spliced_losses",
    "steer",
    "train_features",
    "write_examples",
    "write_saelens",
]
