"""Uses: the one word of a sentence at which a feature is put to use.

A feature stays true up to the end of its sentence, and a model need not go on saying it: a sense is
used where its word stands, a fact where its object comes next. `use_table` has a feature at that
word only; where it is true elsewhere, it counts neither for nor against whoever looks for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from molehill.village.truth import Told, feature_table
from molehill.village.world import World

__all__ = ["use_table"]


def use_table(
    world: World, sentences: Sequence[Told]
) -> tuple[Bool[Tensor, "token feature"], Bool[Tensor, "token feature"]]:
    """Where features are put to use, and where they are true beside that.

    A `kind:` is used at every word; a `topic:`, a `subject:` and a `relation:` at the word that
    tells it; a `sense:` at its ambiguous word, if a cue stood before; a `fact:` at the last word
    before its object. Columns are `world.features`, rows the words of all sentences.
    """
    active = feature_table(world, sentences)
    starts = torch.tensor([place == 0 for told in sentences for place in range(len(told.tokens))])
    before = active.roll(1, 0)
    before[starts] = False
    after = active.roll(-1, 0)
    after[starts.roll(-1, 0)] = False
    ambiguous = [token.kind == "ambiguous" for told in sentences for token in told.tokens]
    used = active & ~before
    for column, name in enumerate(world.features):
        kind = name.partition(":")[0]
        if kind == "kind":
            used[:, column] = active[:, column]
        elif kind == "sense":
            used[:, column] = active[:, column] & torch.tensor(ambiguous)
        elif kind == "fact":
            used[:, column] = active[:, column] & ~after[:, column]
    return used, active & ~used
