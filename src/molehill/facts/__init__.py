"""What the MLPs store: find a fact, read it, write it, rewrite it, and see what that did."""

from __future__ import annotations

from molehill.facts.card import FactCard, fact_card
from molehill.facts.cases import Knowledge, known_facts, make_cases
from molehill.facts.directions import (
    Direction,
    Holdings,
    direction_between,
    holds,
    unembedding_difference,
    vectors_at,
)
from molehill.facts.edit_files import load_fact_edits, save_fact_edits
from molehill.facts.edits import Dense, FactEdit, LowRank, Neurons, apply_edits, sizes
from molehill.facts.evaluate import METRICS, CaseScore, Evaluation, evaluate, judge
from molehill.facts.fact import Fact, subject_tokens
from molehill.facts.health import Health, Limits, health
from molehill.facts.held_facts import Concept, HeldFacts, held_facts, read_concepts
from molehill.facts.keys import KeyStatistics, gather_keys
from molehill.facts.locate import average, trace_fact, trace_relation
from molehill.facts.memories import NeuronCard, neuron_card
from molehill.facts.neuron_index import NeuronIndex
from molehill.facts.preparing import default_layers, default_prefixes, prepare_keys
from molehill.facts.relations import (
    Case,
    Relation,
    read_counterfact,
    read_relation,
    read_relations,
)
from molehill.facts.rewriting import METHODS, Settings, rewrite
from molehill.facts.traced import FactTrace, RelationTrace
from molehill.facts.values import Learning, learn_value
from molehill.facts.writing import certify_firing, write_neuron, write_neurons

__all__ = [
    "METHODS",
    "METRICS",
    "Case",
    "CaseScore",
    "Concept",
    "Dense",
    "Direction",
    "Evaluation",
    "Fact",
    "FactCard",
    "FactEdit",
    "FactTrace",
    "Health",
    "HeldFacts",
    "Holdings",
    "KeyStatistics",
    "Knowledge",
    "Learning",
    "Limits",
    "LowRank",
    "NeuronCard",
    "NeuronIndex",
    "Neurons",
    "Relation",
    "RelationTrace",
    "Settings",
    "apply_edits",
    "average",
    "certify_firing",
    "default_layers",
    "default_prefixes",
    "direction_between",
    "evaluate",
    "fact_card",
    "gather_keys",
    "health",
    "held_facts",
    "holds",
    "judge",
    "known_facts",
    "learn_value",
    "load_fact_edits",
    "make_cases",
    "neuron_card",
    "prepare_keys",
    "read_concepts",
    "read_counterfact",
    "read_relation",
    "read_relations",
    "rewrite",
    "save_fact_edits",
    "sizes",
    "subject_tokens",
    "trace_fact",
    "trace_relation",
    "unembedding_difference",
    "vectors_at",
    "write_neuron",
    "write_neurons",
]
