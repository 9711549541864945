"""Senses of a word told from the best features at it: labelled uses in CoarseWSD-20's format, for
`molehill features evaluate --senses`.

The rooms `features` and `journey` know nothing of each other; here they meet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from molehill.features.trained import Features
    from molehill.journey.coarsewsd import SenseWord, Use
    from molehill.language_model import LanguageModel

__all__ = ["sense_probes", "sense_words"]

_TOGETHER = 64


def sense_words(folders: Sequence[Path]) -> list[SenseWord]:
    """The words of some folders, each of one word or of many.

    Raises:
        TextError: one of them cannot be read.
    """
    from molehill.journey.coarsewsd import is_sense_word, read_sense_word, read_sense_words

    found: list[SenseWord] = []
    for folder in folders:
        found += [read_sense_word(folder)] if is_sense_word(folder) else read_sense_words(folder)
    return found


def sense_probes(
    lm: LanguageModel, features: Features, words: Sequence[SenseWord]
) -> list[dict[str, Any]]:
    """For each word, the mean over its senses of how well each is told from all others, at the
    word's last token."""
    import torch

    from molehill.features.probing import probe_labels

    told = []
    for word in words:
        sides = []
        for uses in (word.train, word.test):
            x = _vectors(lm, features, uses)
            with torch.no_grad():
                codes = features.autoencoder.encode(x)
            sides.append((codes, x, [word.titles[use.label] for use in uses]))
        scores = [score.to_dict() for score in probe_labels(sides[0], sides[1])]
        numbers = [name for name, value in scores[0].items() if isinstance(value, float)]
        means = {name: sum(one[name] for one in scores) / len(scores) for name in numbers}
        told.append({"word": word.word, **means, "senses": scores})
    return told


def _vectors(lm: LanguageModel, features: Features, uses: Sequence[Use]) -> Tensor:
    """What the autoencoder reads at the last token of the word, in every use."""
    import torch

    from molehill.journey.paths import tokens_at
    from molehill.trace import record

    parts = []
    for first in range(0, len(uses), _TOGETHER):
        some = uses[first : first + _TOGETHER]
        tokens = lm.encode([use.sentence for use in some])
        at = [tokens_at(tokens, n, use.start, use.end)[-1] for n, use in enumerate(some)]
        trace = record(lm, tokens, features.reads, logits="none")
        rows = torch.arange(len(some))
        here = {site: trace[site][rows, torch.tensor(at)].float().cpu() for site in features.reads}
        parts.append(features.rows(here, features.reads))
    return torch.cat(parts)
