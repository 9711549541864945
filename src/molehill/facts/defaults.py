"""How a method is set for a model where nobody says: layers, values, prefixes.

This module makes no edits.
"""

from __future__ import annotations

from collections.abc import Sequence

from molehill.errors import FactError
from molehill.facts.fact import Fact
from molehill.facts.preparing import default_layers, default_prefixes, living_layers
from molehill.facts.rewriting import Settings
from molehill.facts.values import Learning
from molehill.language_model import LanguageModel

__all__ = ["default_settings"]


def default_settings(
    lm: LanguageModel,
    method: str = "rome",
    layers: Sequence[int] | None = None,
    fact: Fact | None = None,
    token: str = "subject",
) -> Settings:
    """A method's settings for a model: layers as given; or the default ones, and in the place of
    one in which no neuron fires at the fact's subject the nearest that is not dead there.

    At the last token what is written has to outweigh an answer that is all but complete: it may be
    as long as three streams there (as `benchmarks/village_facts.py` measured), and is learnt in
    more steps. At most three quarters of one, as at a subject, often leave the old answer.

    Args:
        fact: whose subject the default layers are to be alive at; None asks none.
        token: `subject` or `last`, where the fact is written.

    Raises:
        FactError: a layer that the model does not have.
    """
    chosen = tuple(sorted(set(layers))) if layers else default_layers(lm.config, method)
    if chosen[-1] >= lm.config.n_layers:
        raise FactError(
            f"There is no layer {chosen[-1]}: {lm.name} has {lm.config.n_layers}, from 0."
        )
    at_subject = token == "subject"
    if not layers and fact is not None and lm.config.causal and at_subject:
        chosen = living_layers(lm, fact, chosen)
    learning = Learning() if at_subject else Learning(token="last", steps=60, longest=3.0)
    return Settings(chosen, learning, prefixes=default_prefixes(lm))
