"""A small invented world: sentences whose senses, facts and features are all known."""

from __future__ import annotations

from molehill.village.grammar import Grammar
from molehill.village.saved import read_world, save_world
from molehill.village.score import (
    FactScore,
    SenseScore,
    score_facts,
    score_senses,
    village_tokenizer,
)
from molehill.village.tell import fact_prompts, is_held_out, sense_sentences, tell
from molehill.village.truth import FactPrompt, TokenTruth, Told, feature_table
from molehill.village.world import Fact, Sense, World, make_world

__all__ = [
    "Fact",
    "FactPrompt",
    "FactScore",
    "Grammar",
    "Sense",
    "SenseScore",
    "TokenTruth",
    "Told",
    "World",
    "fact_prompts",
    "feature_table",
    "is_held_out",
    "make_world",
    "read_world",
    "save_world",
    "score_facts",
    "score_senses",
    "sense_sentences",
    "tell",
    "village_tokenizer",
]
