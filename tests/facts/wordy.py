"""Tiny random models of every family that read and write words, for the tests of this room."""

from __future__ import annotations

import torch
from tests.trace.small_families import FAMILIES, build

from molehill.language_model import LanguageModel
from molehill.text import Tokenizer

NAMES = "Anna Bell Carl Dorn Ruth Hale"
OTHERS = "plays sport of the is a chess golf rowing tennis in we say that long ago it was also ."
WORDS = tuple(f"{NAMES} {OTHERS}".split())
CAUSAL = [name for name, choices in FAMILIES.items() if choices.get("causal", True)]


def wordy(family: str, dtype: torch.dtype = torch.float64, **changes) -> LanguageModel:
    """A model of a family with one token for each of the words."""
    tokenizer = Tokenizer.of_words(WORDS)
    model = build(family, dtype, d_vocab=tokenizer.d_vocab, **changes)
    return LanguageModel(model.requires_grad_(False), tokenizer, family)
