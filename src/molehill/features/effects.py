"""Effects: which words a feature's direction promotes and demotes, which features point the same
way, and what chance alone would reach.

A direction is followed to the end by itself: through the gains of the norms on the way, centred
where they centre, onto the unembedding, as in the logit lens (nostalgebraist 2020) and in Geva et
al. (2022) for neurons. What later layers make of it is not in that. A word's score, less the mean
of all words, is told in standard deviations of what directions drawn at random give to this word:
words with long rows come first for every direction, and here they do not. That is the cosine times
the root of the width. Beside it stands what the best word of random directions reaches. Tables of
features by words are made some rows at a time. This module knows no texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from molehill.errors import ConfigError
from molehill.features.selecting import largest_of_each_row
from molehill.features.trained import Features
from molehill.language_model import LanguageModel
from molehill.model.norm import Norm
from molehill.model.sites import parse_site
from molehill.model.transformer import Block, Transformer

__all__ = ["Effects", "Nearest", "effects_of", "nearest_features", "reader_of_word", "reads_words"]

_NUMBERS = 1 << 24
"""Of a table that is made at a time: 64 MiB."""
_RANDOM = 200
_CHANCE = 0.95
_STREAM = 0x6D6F6C65


@dataclass(frozen=True, eq=False)
class Effects:
    """Words by feature, the furthest first [feature, k]."""

    promoted: Int[Tensor, "feature k"]
    promoted_z: Float[Tensor, "feature k"]
    """In standard deviations of what random directions give to the word."""
    demoted: Int[Tensor, "feature k"]
    demoted_z: Float[Tensor, "feature k"]
    """Below zero."""
    chance: float
    """What the best word of a random direction stays below in 95 of 100 cases."""


@dataclass(frozen=True, eq=False)
class Nearest:
    """Features by the cosine of their directions, the nearest first [feature, k]."""

    features: Int[Tensor, "feature k"]
    cosines: Float[Tensor, "feature k"]


def reads_words(lm: LanguageModel, features: Features) -> bool:
    """Whether scores of words can be read straight from what the features write: a head without a
    transform of its own, and a site in the stream or added to it."""
    config = lm.config
    if not config.has_head or lm.model.w_head is not None or len(features.writes) != 1:
        return False
    _, kind = parse_site(features.writes[0])
    return kind in _ADDED


_ADDED = ("embed", "resid_pre", "resid_mid", "resid_post", "attn.out", "mlp.out", "final")


@torch.no_grad()
def effects_of(lm: LanguageModel, features: Features, k: int = 10, *, seed: int = 0) -> Effects:
    """The words that each feature's direction promotes and demotes most.

    Args:
        k: words on each side.
        seed: of the random directions.

    Raises:
        ConfigError: `reads_words` says no.
    """
    readers = _readers(lm, features)
    k = min(k, len(readers))
    found: list[list[Tensor]] = [[], [], [], []]
    for rows in _pieces(features.autoencoder.w_dec, len(readers)):
        z = _z(rows, readers)
        for at, sign in ((0, 1), (2, -1)):
            values, words = _largest(z * sign, k)
            found[at].append(words)
            found[at + 1].append(values * sign)
    # Not the stream of numbers that weights begin with: they would be the words' own first vectors.
    generator = torch.Generator().manual_seed(_STREAM + seed)
    random = torch.randn(_RANDOM, features.settings.d_out, generator=generator)
    best = torch.cat([_z(rows, readers).amax(1) for rows in _pieces(random, len(readers))])
    made = [torch.cat(parts) for parts in found]
    return Effects(*made, chance=best.quantile(_CHANCE).item())


@torch.no_grad()
def nearest_features(directions: Float[Tensor, "feature d"], k: int = 8) -> Nearest:
    """Those with the largest cosine, never the feature itself; those at right angles or beyond
    count as 0."""
    k = min(k, len(directions) - 1)
    if k < 1:
        empty = torch.zeros(len(directions), 0)
        return Nearest(empty.long(), empty)
    rows = directions.detach().float().cpu()
    rows = rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-12)
    found: tuple[list[Tensor], list[Tensor]] = ([], [])
    start = 0
    for some in _pieces(rows, len(rows)):
        cosines = some @ rows.T
        own = torch.arange(len(some))
        cosines[own, own + start] = -1.0
        values, chosen = _largest(cosines, k)
        found[0].append(chosen)
        found[1].append(values)
        start += len(some)
    return Nearest(torch.cat(found[0]), torch.cat(found[1]))


@torch.no_grad()
def reader_of_word(lm: LanguageModel, features: Features, token: int) -> Float[Tensor, " d_out"]:
    """The direction in which a feature has to point to raise a word's score above the mean of all
    words: the unembedding's row, carried back to where features write.

    Raises:
        ConfigError: `reads_words` says no.
    """
    return _readers(lm, features)[token]


def _readers(lm: LanguageModel, features: Features) -> Float[Tensor, "word d_out"]:
    """For every word, what reads from a direction how far it raises the word above the mean."""
    if not reads_words(lm, features):
        raise ConfigError(
            f"What {features.name} writes at {' + '.join(features.writes)} of {lm.name} is not "
            "read by an unembedding: there are no promoted words."
        )
    layer, kind = parse_site(features.writes[0])
    table = lm.model.unembedding.detach().float().cpu()
    if lm.model.w_embed_out is not None:
        table = table @ lm.model.w_embed_out.detach().float().cpu()
    readers = table - table.mean(0)
    for multiplier, centres in reversed(list(_path(lm.model, layer, kind))):
        readers = readers * multiplier
        if centres:
            readers = readers - readers.mean(1, keepdim=True)
    return readers


def _path(model: Transformer, layer: int | None, kind: str) -> Iterator[tuple[Tensor, bool]]:
    """The norms that the stream itself passes after a site, each as its gain and whether it
    centres; what they divide by is one positive number and changes no order."""
    if kind == "final":
        return
    first = -1 if layer is None else layer
    for number, block in enumerate(model.blocks):
        assert isinstance(block, Block), "a transformer's blocks are blocks"
        if number < first or (number == first and kind == "resid_post"):
            continue
        passed_first = number == first and kind in ("resid_mid", "mlp.out")
        if block.place == "post" and block.norm1 is not None and not passed_first:
            yield _stage(block.norm1)
        if block.place in ("post", "block_end"):
            yield _stage(block.norm2)
    if model.final_norm is not None:
        yield _stage(model.final_norm)


def _stage(norm: Norm) -> tuple[Tensor, bool]:
    return norm.multiplier.detach().float().cpu(), not norm.rms


def _z(directions: Tensor, readers: Float[Tensor, "word d"]) -> Float[Tensor, "rows word"]:
    rows = directions.detach().float().cpu()
    rows = rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-30)
    lengths = readers.norm(dim=1).clamp(min=1e-30)
    return (rows @ readers.T).mul_(readers.shape[1] ** 0.5 / lengths)


def _pieces(rows: Tensor, width: int) -> Iterator[Tensor]:
    """Some rows at a time, so that a table of them by `width` stays small."""
    yield from rows.detach().split(max(1, _NUMBERS // max(1, width)))


def _largest(table: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each row in order; what is below zero counts as zero."""
    values, chosen = largest_of_each_row(table.contiguous(), k)
    order = values.argsort(dim=1, descending=True, stable=True)
    return values.gather(1, order), chosen.gather(1, order)
