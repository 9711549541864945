"""Molehill: watch a word find its meaning.

    import molehill

    lm = molehill.load("smollm2")
    print(molehill.shift(lm, "mole", ["The mole dug a tunnel.", "The spy was a mole."]))

This file is the facade: explicit names, each fetched from its room when it is first used, so that
`import molehill` costs a few milliseconds and torch is imported only by who needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from molehill.errors import (
    CheckpointError,
    ConfigError,
    FactError,
    GeometryError,
    MissingExtraError,
    MolehillError,
    SiteError,
    TextError,
)
from molehill.version import __version__

if TYPE_CHECKING:
    from molehill.facts import (
        Fact,
        apply_edits,
        load_fact_edits,
        neuron_card,
        rewrite,
        save_fact_edits,
        trace_fact,
        write_neuron,
    )
    from molehill.features import (
        AblateFeature,
        AddFeature,
        ClampFeature,
        Features,
        ScaleFeature,
        Splice,
        load_features,
        read_features,
        train_features,
    )
    from molehill.journey import (
        attention,
        between,
        discover_senses,
        ledger,
        lens,
        score_senses,
        shift,
        why_attended,
    )
    from molehill.language_model import LanguageModel, load
    from molehill.model import ModelConfig, Transformer
    from molehill.text import Tokenizer, Tokens
    from molehill.trace import Add, Patch, Replace, Scale, Trace, Zero, record, sweep
    from molehill.widgets import show

__all__ = [
    "AblateFeature",
    "Add",
    "AddFeature",
    "CheckpointError",
    "ClampFeature",
    "ConfigError",
    "Fact",
    "FactError",
    "Features",
    "GeometryError",
    "LanguageModel",
    "MissingExtraError",
    "ModelConfig",
    "MolehillError",
    "Patch",
    "Replace",
    "Scale",
    "ScaleFeature",
    "SiteError",
    "Splice",
    "TextError",
    "Tokenizer",
    "Tokens",
    "Trace",
    "Transformer",
    "Zero",
    "__version__",
    "apply_edits",
    "attention",
    "between",
    "discover_senses",
    "ledger",
    "lens",
    "load",
    "load_fact_edits",
    "load_features",
    "neuron_card",
    "read_features",
    "record",
    "rewrite",
    "save_fact_edits",
    "score_senses",
    "shift",
    "show",
    "sweep",
    "trace_fact",
    "train_features",
    "why_attended",
    "write_neuron",
]

# Where each lazy name lives; the same as the imports for type checkers above (a test compares).
_HOMES = {
    "molehill.facts": (
        "Fact",
        "apply_edits",
        "load_fact_edits",
        "neuron_card",
        "rewrite",
        "save_fact_edits",
        "trace_fact",
        "write_neuron",
    ),
    "molehill.features": (
        "AblateFeature",
        "AddFeature",
        "ClampFeature",
        "Features",
        "ScaleFeature",
        "Splice",
        "load_features",
        "read_features",
        "train_features",
    ),
    "molehill.journey": (
        "attention",
        "between",
        "discover_senses",
        "ledger",
        "lens",
        "score_senses",
        "shift",
        "why_attended",
    ),
    "molehill.language_model": ("LanguageModel", "load"),
    "molehill.model": ("ModelConfig", "Transformer"),
    "molehill.text": ("Tokenizer", "Tokens"),
    "molehill.trace": ("Add", "Patch", "Replace", "Scale", "Trace", "Zero", "record", "sweep"),
    "molehill.widgets": ("show",),
}


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            # Kept, so that this function is asked once per name.
            value = globals()[name] = getattr(import_module(home), name)
            return value
    raise AttributeError(f"module 'molehill' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
