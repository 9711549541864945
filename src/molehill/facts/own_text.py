"""Text that a model writes by itself: what its statistics and prefixes are made of where no corpus
is given.

A model's own samples follow the distribution that it knows, need no file and no licence, and are
the same for the same seed. This module writes tokens; it measures nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from molehill.errors import FactError
from molehill.language_model import LanguageModel
from molehill.model.generate import generate

__all__ = ["own_text"]


def own_text(
    lm: LanguageModel,
    texts: int,
    length: int,
    *,
    seed: int = 0,
    start: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> Tensor:
    """Texts drawn from the model at temperature one [texts, length], the first token included.

    Args:
        start: the first token of every text. None: the tokenizer's start or end token; where it
            has none, a token at random.
        progress: called with the number of tokens written since the last call.

    Raises:
        FactError: the model cannot go on from a token (it is bidirectional, or has no head).
    """
    config = lm.config
    if not config.causal or not config.has_head:
        raise FactError(f"{lm.name} does not write text: give texts of your own.")
    drawn = torch.Generator().manual_seed(seed)
    tokenizer = lm.tokenizer
    given = [start]
    if tokenizer is not None:
        given += [tokenizer.bos_id, tokenizer.eos_id]
    first = next((token for token in given if token is not None), None)
    if first is None:
        ids = torch.randint(config.d_vocab, (texts, 1), generator=drawn)
    else:
        ids = torch.full((texts, 1), first)
    length = min(length, config.n_ctx)
    seeds = torch.randint(2**31, (texts,), generator=drawn).tolist()
    columns = [ids.to(lm.model.device)]
    if length == 1:
        return ids
    steps = generate(lm.model, columns[0], max_new_tokens=length - 1, temperature=1.0, seed=seeds)
    for step in steps:
        columns.append(step.ids[:, None])
        if progress is not None:
            progress(texts)
    return torch.cat(columns, dim=1).cpu()
