"""Which architecture a config.json describes, and which one a model can be saved as."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from molehill.checkpoints.families.bert import BERT, ROBERTA
from molehill.checkpoints.families.family import Family, differences
from molehill.checkpoints.families.fields import Fields
from molehill.checkpoints.families.gemma import GEMMA2, GEMMA3
from molehill.checkpoints.families.gpt2 import GPT2
from molehill.checkpoints.families.gpt_neox import GPT_NEOX
from molehill.checkpoints.families.llama import LLAMA, MISTRAL
from molehill.checkpoints.families.molehill import MOLEHILL
from molehill.checkpoints.families.opt import OPT
from molehill.checkpoints.families.qwen import QWEN2, QWEN3
from molehill.errors import CheckpointError, ConfigError
from molehill.model import ModelConfig

__all__ = [
    "FAMILIES",
    "auto_class",
    "family_for",
    "read_config",
    "why_no_family",
    "write_config",
]

# In the order in which a form for saving is looked for: the plainest first, our own last.
_IN_ORDER = (
    GPT2,
    OPT,
    GPT_NEOX,
    LLAMA,
    MISTRAL,
    QWEN2,
    QWEN3,
    GEMMA2,
    GEMMA3,
    BERT,
    ROBERTA,
    MOLEHILL,
)
FAMILIES: dict[str, Family] = {family.name: family for family in _IN_ORDER}
# model_types that another family's table reads.
_ALSO = {"gemma3": "gemma3_text"}
# How a loss begins that is no field's: the config could not be read back.
_UNREADABLE = "a config that can be read: "


def read_config(
    values: Mapping[str, Any], where: str = "config.json"
) -> tuple[Family, ModelConfig]:
    """The family and the configuration that a config.json describes, in either dialect.

    Whether the model has a head is for its list of tensors to say; `architectures` is believed
    where it names a known class.

    Raises:
        ConfigError: an unknown `model_type`, or a field that is missing, of a wrong type or out of
            bounds; it is named.
    """
    own = Fields(values, where)
    kind = own.text("model_type")
    family = FAMILIES.get(_ALSO.get(kind, kind))
    if family is None or family.config_from is None:
        names = ", ".join(sorted({*FAMILIES, *_ALSO}))
        raise ConfigError(
            f"{where}: model_type is {kind[:40]!r}, which is not supported; known are {names}."
        )
    config = family.config_from(own)
    if family is not MOLEHILL and not _predicts_words(own):
        config = replace(config, has_head=False)
    return family, config


def _predicts_words(own: Fields) -> bool:
    """Whether the class that was saved had a head for words; a config that names none is taken to
    have."""
    classes = own.get("architectures", default=[])
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise ConfigError(f"{own.where}: architectures is {classes!r:.60}, expected names.")
    with_words = ("LM", "ForConditionalGeneration", "ForPreTraining")
    return not classes or any(mark in name for name in classes for mark in with_words)


def write_config(family: Family, config: ModelConfig) -> dict[str, Any]:
    """The config.json of a model in a family's own words, dtype and special tokens aside."""
    assert family.config_to is not None, f"{family.name} is read only"
    name = family.with_head if config.has_head else family.without_head
    return {"architectures": [name], **family.config_to(config)}


def family_for(config: ModelConfig, name: str | None = None) -> Family:
    """The architecture that a model can be saved as without losing anything.

    Args:
        config: The model.
        name: The only one to consider; None is the first one that holds the model.

    Raises:
        CheckpointError: none holds it; says what none has, or else what the nearest one lacks.
    """
    losses = _losses(config, name)
    found = next((name for name, lost in losses.items() if not lost), None)
    if found is not None:
        return FAMILIES[found]
    raise CheckpointError(
        f"{_reason(losses, name)} "
        'Save it with family="molehill" instead, which holds every model of this project.'
    )


def why_no_family(config: ModelConfig, name: str | None = None) -> str | None:
    """The sentence that says why `family_for` finds none; None where it finds one.

    Raises:
        CheckpointError: there is no architecture of that name.
    """
    losses = _losses(config, name)
    return _reason(losses, name) if all(losses.values()) else None


def auto_class(config: ModelConfig) -> str:
    """The class of transformers that loads a folder of such a model, whatever its family."""
    if not config.has_head:
        return "AutoModel"
    return "AutoModelForCausalLM" if config.causal else "AutoModelForMaskedLM"


def _losses(config: ModelConfig, name: str | None) -> dict[str, list[str]]:
    """What each architecture that may be considered would lose of a model."""
    if name is None:
        return {each.name: _lost(each, config) for each in _IN_ORDER if each is not MOLEHILL}
    if name not in FAMILIES:
        raise CheckpointError(f"There is no family {name!r}; known are {', '.join(FAMILIES)}.")
    return {name: _lost(FAMILIES[name], config)}


def _lost(family: Family, config: ModelConfig) -> list[str]:
    """What of a model does not survive in the words of `family`; tried by writing and reading."""
    try:
        _, again = read_config(write_config(family, config))
    except ConfigError as error:
        # Not even a config.
        return [f"{_UNREADABLE}{str(error).rstrip('.')}"]
    return [f"{name} {getattr(config, name)!r}" for name in differences(config, again)]


def _reason(losses: Mapping[str, list[str]], name: str | None) -> str:
    """Why there is no form, in one sentence."""
    if name is not None:
        return f"{name} does not have this model's form; it lacks: {', '.join(losses[name])}."
    # What could not even be written says nothing of single fields.
    told = {name: lost for name, lost in losses.items() if not lost[0].startswith(_UNREADABLE)}
    nearest = min(told, key=lambda name: len(told[name]), default=None)
    if nearest is None:
        return "No architecture of transformers can hold a model of these sizes."
    nowhere = [what for what in told[nearest] if all(what in lost for lost in told.values())]
    if nowhere:
        return f"No architecture of transformers has {', '.join(nowhere)}."
    return (
        f"No architecture of transformers has this model's form; the nearest, {nearest}, lacks: "
        f"{', '.join(told[nearest])}."
    )
