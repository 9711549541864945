"""Tiny random models of every family that read and write words, for the tests of this room."""

from __future__ import annotations

import tokenizers
import torch
from tests.trace.small_families import FAMILIES, build
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import BertPreTokenizer

from molehill.language_model import LanguageModel
from molehill.text import Tokenizer
from molehill.text.vocabulary import Vocabulary, add_specials, wrap_in

NAMES = "Anna Bell Carl Dorn Ruth Hale"
OTHERS = "plays sport of the is a chess golf rowing tennis in we say that long ago it was also ."
WORDS = tuple(f"{NAMES} {OTHERS}".split())
CAUSAL = [name for name, choices in FAMILIES.items() if choices.get("causal", True)]


def wordy(family: str, dtype: torch.dtype = torch.float64, **changes) -> LanguageModel:
    """A model of a family with one token for each of the words."""
    tokenizer = Tokenizer.of_words(WORDS)
    model = build(family, dtype, d_vocab=tokenizer.d_vocab, **changes)
    return LanguageModel(model.requires_grad_(False), tokenizer, family)


def gap_filling(**changes) -> LanguageModel:
    """A model that reads both ways and fills gaps, with one token for each of the words and the
    tokens that BERT puts around a text."""
    special = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    numbers = {token: number for number, token in enumerate([*special.values(), *WORDS])}
    backend = tokenizers.Tokenizer(WordLevel(numbers, unk_token="[UNK]"))
    backend.pre_tokenizer = BertPreTokenizer()
    add_specials(backend, special.values())
    wrap_in(backend, ["[CLS]"], ["[SEP]"])
    roles = {role: numbers[token] for role, token in special.items()}
    tokenizer = Tokenizer(Vocabulary(backend, roles, "plain"))
    model = build("bert", d_vocab=len(numbers), **changes)
    return LanguageModel(model.requires_grad_(False), tokenizer, "bert")
