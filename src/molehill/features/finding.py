"""Finding features: by a word at which they are active, by a text that activates them, by a vector.

    by_word(examples, "mole")                       # needs the examples file alone
    by_text(lm, features, examples, "The mole digs.")
    by_vector(features, vector)

What a text activates is ranked by how far a value lies above the feature's usual one, times how
rare the feature is: features that are always active come last. Beside cosines stands what the best
of as many random directions would reach. This module knows no views.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from molehill.checkpoints.tensorfile import open_tensors
from molehill.errors import CheckpointError, ConfigError, TextError
from molehill.features.examples_file import Examples
from molehill.features.splicing import left_out_of
from molehill.features.trained import Features
from molehill.language_model import LanguageModel
from molehill.trace.recording import Recording
from molehill.trace.windows import Window

__all__ = [
    "Activated",
    "Alike",
    "ByText",
    "ByVector",
    "ByWord",
    "WordHit",
    "by_text",
    "by_vector",
    "by_word",
    "read_vector",
]


@dataclass(frozen=True)
class WordHit:
    """A feature that has to do with a word."""

    feature: int
    top: float
    """Of its largest activations, the share for which it holds."""
    sample: float
    """Of its activations drawn at random."""


@dataclass(frozen=True)
class ByWord:
    """What a word found, the best of each list first."""

    word: str
    at: tuple[WordHit, ...]
    """Features that are active at the word."""
    near: tuple[WordHit, ...]
    """Features with the word in the texts of their examples, but not at their tokens."""
    named: tuple[int, ...]
    """Features whose label names the word, and are in no list above."""
    promoting: tuple[int, ...]
    """Features whose direction promotes it, among its first words."""


@dataclass(frozen=True)
class Activated:
    """A feature that a text activates."""

    feature: int
    score: float
    """`times` times `rarity`, at the token where that is largest."""
    at: int
    """That token."""
    value: float
    """Its value there."""
    times: float
    """The same, divided by its mean value where it is active."""
    rarity: float
    """-ln of its density."""
    values: tuple[float, ...]
    """Its value at each token."""


@dataclass(frozen=True)
class ByText:
    """What a text activates, the best first."""

    tokens: tuple[int, ...]
    looked_at: tuple[bool, ...]
    """Tokens that the features' training left out are not looked at."""
    hits: tuple[Activated, ...]
    active: int
    """Features that are active at some token."""


@dataclass(frozen=True)
class Alike:
    """A feature and its cosine with a vector."""

    feature: int
    cosine: float


@dataclass(frozen=True)
class ByVector:
    """Features whose direction (or row) points as a vector does, the best first."""

    hits: tuple[Alike, ...]
    against: tuple[Alike, ...]
    """Those that point the other way, the furthest first."""
    chance: float
    """About what the best of as many random directions would reach."""
    side: str
    """`direction`, what is added; or `row`, what asks."""


# --- by word --------------------------------------------------------------------------------------


def by_word(examples: Examples, word: str, k: int = 20) -> ByWord:
    """Features by a word, whatever its case; it may be several tokens.

    Raises:
        TextError: no word.
    """
    word = " ".join(word.split()).casefold()
    if not word:
        raise TextError("There is no word to look for: give one.")
    at = _shares(
        examples,
        "SELECT feature, kind, count(*) FROM examples WHERE word = ? GROUP BY feature, kind",
        (word,),
    )
    quoted = '"' + word.replace('"', '""') + '"'
    near = _shares(
        examples,
        "SELECT feature, kind, count(*) FROM examples WHERE word != ? AND window IN "
        "(SELECT rowid FROM words WHERE words MATCH ?) GROUP BY feature, kind",
        (word, quoted),
        within=word,
    )
    listed = {hit.feature for hit in (*at[:k], *near[:k])}
    named = _matching(examples, f"label : {quoted}", k)
    return ByWord(
        word,
        tuple(at[:k]),
        tuple(near[:k]),
        tuple(one for one in named if one not in listed),
        tuple(_matching(examples, f"promoted : {quoted}", k)),
    )


def _matching(examples: Examples, asked: str, k: int) -> list[int]:
    found = examples.base.execute(
        "SELECT rowid FROM labels WHERE labels MATCH ? ORDER BY rank LIMIT ?", (asked, k)
    )
    return [number for (number,) in found]


def _shares(
    examples: Examples, asked: str, given: tuple[str, ...], within: str | None = None
) -> list[WordHit]:
    """Features by the share of their examples that a query counts, the best first."""
    counts: dict[int, dict[str, int]] = {}
    for feature, kind, count in examples.base.execute(asked, given):
        counts.setdefault(feature, {})[kind] = count
    hits = []
    # Windows are longer than examples: of the most promising features each example is read.
    promising = sorted(counts, key=lambda one: -sum(counts[one].values()))
    for feature in promising[:200] if within else promising:
        wholes = dict(
            examples.base.execute(
                "SELECT kind, count(*) FROM examples WHERE feature = ? GROUP BY kind", (feature,)
            )
        )
        found = counts[feature] if within is None else _within(examples, feature, within)
        shares = [found.get(kind, 0) / max(1, wholes.get(kind, 0)) for kind in ("top", "sample")]
        if any(shares):
            hits.append(WordHit(feature, *shares))
    return sorted(hits, key=lambda hit: (-hit.top - hit.sample, hit.feature))


def _within(examples: Examples, feature: int, word: str) -> dict[str, int]:
    """How many examples have the word before their own token, among the tokens that are shown."""
    found: dict[str, int] = {}
    for example in examples.examples(feature):
        before = "".join(
            piece.replace("·", " ").removeprefix("##") for piece in example.pieces[: example.at]
        )
        plain = " ".join(piece.lstrip("·") for piece in example.pieces[: example.at])
        if example.word != word and any(
            f" {word} " in f" {text.casefold()} " for text in (before, plain)
        ):
            found[example.kind] = found.get(example.kind, 0) + 1
    return found


# --- by text --------------------------------------------------------------------------------------


@torch.no_grad()
def by_text(
    lm: LanguageModel, features: Features, examples: Examples | None, text: str, k: int = 20
) -> ByText:
    """Features that a text activates.

    Args:
        examples: where densities and usual values are from; None: every value counts alike.

    Raises:
        ConfigError: features of another model; an examples file of other features.
        TextError: a text that is empty or longer than the model reads.
    """
    features.check(lm)
    if examples is not None and examples.n_features != features.n_features:
        raise ConfigError(
            f"{examples.path} is of {examples.n_features:,} features and {features.name} has "
            f"{features.n_features:,}: give the examples that were made of it."
        )
    ids = tuple(lm.encode(text).row(0))
    left_out = left_out_of(features)
    recording = Recording.of(
        lm,
        features.reads,
        context=lm.config.n_ctx,
        shard_tokens=lm.config.n_ctx,
        dtype=torch.float32,
        skip_special=left_out.special,
        skip_first=left_out.first,
    )
    window = Window(0, 0, ids)
    kept = recording.kept(window)
    if not kept:
        raise TextError(f"The text has no token to look at: left out are {left_out}.")
    rows = recording.run([window], 0, None)
    device = features.autoencoder.w_enc.device
    codes = features.encode({site: rows[f"site/{site}"].to(device) for site in features.reads})
    parts, active = (codes.row_of, codes.features, codes.values), codes.active
    row, feature, value = (part[active].cpu() for part in parts)
    places = np.array(kept)[row.numpy()]
    hits = _ranked(examples, ids, places, feature.numpy(), value.float().numpy())
    looked_at = tuple(place in set(kept) for place in range(len(ids)))
    return ByText(ids, looked_at, tuple(hits[:k]), len(hits))


def _ranked(
    examples: Examples | None,
    ids: tuple[int, ...],
    places: np.ndarray,
    feature: np.ndarray,
    value: np.ndarray,
) -> list[Activated]:
    if examples is None:
        times, rarity = value.astype(np.float64), np.ones(len(value))
    else:
        means, density = examples.means()[feature], examples.densities()[feature]
        times = np.divide(value, means, out=np.ones(len(value)), where=means > 0)
        # One that was never seen is as rare as half a token of all that were read.
        rarity = -np.log(np.maximum(density, 0.5 / max(1, examples.rows)))
    score = times * rarity
    best: dict[int, int] = {}
    values: dict[int, list[float]] = {}
    for entry, (number, place) in enumerate(zip(feature.tolist(), places.tolist(), strict=True)):
        values.setdefault(number, [0.0] * len(ids))[place] = float(value[entry])
        if number not in best or score[entry] > score[best[number]]:
            best[number] = entry
    hits = [
        Activated(
            number,
            float(score[entry]),
            int(places[entry]),
            float(value[entry]),
            float(times[entry]),
            float(rarity[entry]),
            tuple(values[number]),
        )
        for number, entry in best.items()
    ]
    return sorted(hits, key=lambda hit: (-hit.score, hit.feature))


# --- by vector ------------------------------------------------------------------------------------


@torch.no_grad()
def by_vector(
    features: Features,
    vector: Float[Tensor, " d"],
    k: int = 20,
    *,
    rows: bool = False,
    without: int | None = None,
) -> ByVector:
    """Features whose direction points as a vector does.

    Args:
        vector: as wide as what the features write; with `rows`, as what they read.
        rows: hold it against what asks, instead of what is added.
        without: a feature to leave out: that whose own direction the vector is.

    Raises:
        ConfigError: a vector of another width, or one without a direction.
    """
    weights = features.autoencoder.w_enc if rows else features.autoencoder.w_dec
    vector = vector.detach().float().cpu().flatten()
    if len(vector) != weights.shape[1]:
        raise ConfigError(
            f"The vector has {len(vector)} numbers and a feature's {'row' if rows else 'direction'}"
            f" {weights.shape[1]}: give one of that width."
        )
    length = vector.norm()
    if not math.isfinite(length.item()) or not length.item():
        raise ConfigError("The vector has no direction: it is zero or not finite.")
    table = weights.detach().float().cpu()
    cosines = table @ (vector / length) / table.norm(dim=1).clamp(min=1e-30)
    kept = torch.ones(len(cosines), dtype=torch.bool)
    if without is not None:
        kept[without] = False
    there = kept.nonzero().squeeze(1)
    cosines = cosines[there]
    k = min(k, len(cosines))

    def listed(largest: bool) -> tuple[Alike, ...]:
        values, places = cosines.topk(k, largest=largest)
        numbers = there[places]
        pairs = zip(numbers.tolist(), values.tolist(), strict=True)
        return tuple(Alike(number, value) for number, value in pairs)

    count = len(cosines)
    # Blom 1958: about the best of so many normal numbers.
    z = NormalDist().inv_cdf((count - 0.375) / (count + 0.25)) if count > 1 else 0.0
    chance = min(1.0, z / len(vector) ** 0.5)
    return ByVector(listed(True), listed(False), chance, "row" if rows else "direction")


def read_vector(path: str | os.PathLike[str]) -> Float[Tensor, " d"]:
    """The one vector of a safetensors file; `FILE:NAME` says which one of several.

    Raises:
        CheckpointError: no such file or tensor, several tensors and no name, or no vector.
    """
    given, name = str(path), ""
    if not Path(given).exists() and ":" in given:
        given, _, name = given.rpartition(":")
    with open_tensors(given) as file:
        names = list(file.keys())
        if not name and len(names) == 1:
            name = names[0]
        if name not in names:
            listed = ", ".join(names[:8])
            raise CheckpointError(
                f"{given} holds {len(names)} tensors ({listed}): name one, as in {given}:NAME."
            )
        found = file.get_tensor(name)
    if found.squeeze().ndim != 1:
        shape = " by ".join(map(str, found.shape))
        raise CheckpointError(f"{name} in {given} is {shape}, expected one vector.")
    return found.squeeze()
