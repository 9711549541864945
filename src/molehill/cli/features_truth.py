"""Features of the village's model against the village's truth: what `molehill features evaluate
--truth village` tells, and what `benchmarks/village_features.py` asks of many.

The rooms `features` and `village` know nothing of each other; here they meet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from torch import Tensor

    from molehill.features.trained import Features
    from molehill.features.truth import Truth
    from molehill.language_model import LanguageModel
    from molehill.village import World

__all__ = ["LINE", "VillageTruth", "held_out_sentences", "village_scores", "village_truth"]

LINE = 0.9
"""Above it an F1 or a cosine counts as found."""
_SEED = 20_000
"""Of the sentences; none that a run tells itself."""


@dataclass(frozen=True)
class VillageTruth:
    """Words of some sentences, with the vectors there and what is true of them."""

    world: World
    rows: dict[str, Tensor]
    """Vectors by site."""
    everywhere: Truth
    used: Truth
    """At the word where each feature is put to use; where it is true beside that, rows are set
    aside."""
    choosing: int
    """Rows of the first half of the sentences, which choose; the others judge."""

    def of_kind(self) -> dict[str, list[int]]:
        """The features of each kind."""
        kinds: dict[str, list[int]] = {}
        for number, name in enumerate(self.everywhere.names):
            kinds.setdefault(name.partition(":")[0], []).append(number)
        return kinds


def held_out_sentences(tokens: int) -> Callable[[], Iterable[str]]:
    """Sentences of the village for about so many tokens, which no run tells itself."""
    from molehill.village import make_world, tell

    told = tell(make_world(), tokens // 8 + 1, _SEED + 1)
    return lambda: (one.text for one in told)


def village_truth(
    lm: LanguageModel,
    sites: Sequence[str],
    *,
    sentences: int = 12_000,
    seed: int = _SEED,
    progress: Callable[[int], None] | None = None,
) -> VillageTruth:
    """Sentences told, read by the model, with their truth; every word is a row. `progress` is
    called with numbers of words.

    Raises:
        ConfigError: the model's vocabulary is not the village's.
    """
    from molehill.errors import ConfigError
    from molehill.features.truth import Truth
    from molehill.trace.recording import Recording
    from molehill.trace.windows import Window
    from molehill.village import feature_table, make_world, tell
    from molehill.village.uses import use_table

    world = make_world()
    told = tell(world, sentences, seed)
    words = [word for word, kind in world.kinds.items() if kind != "stop"]
    one = lm.tokenizer
    if one is None or any(len(ids) != 1 or ids == [one.unk_id] for ids in one.ids(words)):
        raise ConfigError(f"{lm.name} does not read the village's words: its truth is not known.")
    recording = Recording.of(lm, tuple(sites), skip_special=False)
    encoded = one.ids([each.text for each in told])
    windows = [Window(number, 0, tuple(ids)) for number, ids in enumerate(encoded)]
    tensors = recording.run(windows, 0, progress)
    used, aside = use_table(world, told)
    active = feature_table(world, told)
    rows = {site: tensors[f"site/{site}"].float() for site in recording.sites}
    if len(active) != len(rows[recording.sites[0]]):
        raise ConfigError(f"{lm.name} does not read a word as a token: its truth is not known.")
    choosing = sum(len(each.tokens) for each in told[: sentences // 2])
    names = tuple(world.features)
    return VillageTruth(world, rows, Truth(names, active), Truth(names, used, aside), choosing)


def village_scores(
    truth: VillageTruth, features: Features, *, ceiling: Tensor | None = None, deep: bool = True
) -> dict[str, Any]:
    """What an autoencoder has found of the village, as plain values.

    Args:
        ceiling: from `linear_ceiling` of its site, for `truth.used`.
        deep: splitting, absorption and probes as well.
    """
    import torch

    from molehill.features.truth import found_by_activity

    x = features.rows(truth.rows, features.reads)
    with torch.no_grad():
        codes = features.autoencoder.encode(x)
    kinds = truth.of_kind()
    told: dict[str, Any] = {"rows": len(x), "judged": len(x) - truth.choosing, "l0": codes.l0}
    for name, one in (("used", truth.used), ("everywhere", truth.everywhere)):
        found = found_by_activity(codes, one, choosing=truth.choosing)
        told[name] = {
            "found": found.share(LINE),
            "mean_f1": found.f1.mean().item(),
            "control": found.control,
            "by_kind": {
                kind: {
                    "features": len(numbers),
                    "found": found.share(LINE, among=numbers),
                    "mean_f1": found.f1[numbers].mean().item(),
                }
                for kind, numbers in kinds.items()
            },
        }
    if ceiling is not None:
        told["used"]["ceiling"] = (ceiling > LINE).double().mean().item()
        for kind, numbers in kinds.items():
            there = told["used"]["by_kind"][kind]
            there["ceiling"] = (ceiling[numbers] > LINE).double().mean().item()
            there["ceiling_mean_f1"] = ceiling[numbers].mean().item()
    told["directions"] = _directions(truth, features, x, codes.counts() > 0)
    if deep:
        told |= _deep(truth, features, x, codes)
    return told


def _directions(
    truth: VillageTruth, features: Features, x: Tensor, alive: Tensor
) -> dict[str, Any]:
    """Directions of the features that are active at all, beside estimates of the true ones."""
    from molehill.features.matching import match_directions
    from molehill.features.truth import estimated_directions

    if features.transcodes:
        return {}
    estimated = estimated_directions(x, truth.used, choosing=truth.choosing)
    told: dict[str, Any] = {
        "explained": estimated.explained,
        "explained_shuffled": estimated.explained_shuffled,
        "with_a_direction": (estimated.own > 0.5).double().mean().item(),
    }
    for name, rows in (("effects", estimated.effects), ("means", estimated.means)):
        match = match_directions(rows, features.autoencoder.w_dec[alive])
        told[name] = {
            "recall": match.recall(LINE),
            "precision": match.precision(LINE),
            "mmcs": match.mean_nearest,
            "mmcs_back": match.mean_back,
            "curve": match.curve(),
            "mean_cosine": {
                kind: match.nearest[numbers].mean().item()
                for kind, numbers in truth.of_kind().items()
            },
        }
    return told


def _deep(truth: VillageTruth, features: Features, x: Tensor, codes: Any) -> dict[str, Any]:
    """Splitting, absorption, and probes of the senses at their words."""
    from molehill.features.splitting import absorption, splits
    from molehill.features.truth import estimated_directions

    parts = splits(codes, truth.used)
    told: dict[str, Any] = {
        "mean_num_split_features": sum(len(one.learnt) for one in parts) / len(parts)
    }
    if not features.transcodes:
        effects = estimated_directions(x, truth.used, choosing=truth.choosing).effects
        found = absorption(features.autoencoder, x, truth.used, effects, parts)
        told["mean_full_absorption_score"] = found.mean_full
        told["mean_absorption_fraction_score"] = found.mean_part
    senses = truth.of_kind()["sense"]
    told["probes"] = _sense_probes(truth, features, x, senses)
    return told


def _sense_probes(
    truth: VillageTruth, features: Features, x: Tensor, senses: list[int]
) -> dict[str, Any]:
    """For each ambiguous word, its senses told from the k best features at the word; means."""
    import torch

    from molehill.features.probing import probe_labels

    sums: dict[str, list[float]] = {}
    words: dict[str, list[int]] = {}
    for number in senses:
        word = truth.used.names[number].removeprefix("sense:").partition("/")[0]
        words.setdefault(word, []).append(number)
    for numbers in words.values():
        table = truth.used.active[:, numbers]
        rows = table.any(1).nonzero().squeeze(1)
        labels = [truth.used.names[numbers[one]] for one in table[rows].int().argmax(1).tolist()]
        split = int((rows < truth.choosing).sum())
        if len(set(labels[:split])) < 2 or not labels[split:]:
            continue  # so few sentences that there is nothing to tell apart
        with torch.no_grad():
            sides = [
                (features.autoencoder.encode(x[part]), x[part], named)
                for part, named in (
                    (rows[:split], labels[:split]),
                    (rows[split:], labels[split:]),
                )
            ]
        for score in probe_labels(sides[0], sides[1]):
            plain = score.to_dict()
            for name, value in plain.items():
                if isinstance(value, float):
                    sums.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in sums.items()}
