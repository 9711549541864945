"""Evaluating: an autoencoder over held-out texts, by all core metrics, with what was left out.

    found = evaluate(lm, features, texts, most_tokens=100_000)
    found.score.explained_variance, found.losses.recovered
    found.to_saebench()                     # SAEBench's own groups and names

The vectors are those of the same windows in both parts; which tokens are left out is what training
left out. This module writes no files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from molehill.features.scoring import Score, score_rows
from molehill.features.splicing import LeftOut, SplicedLosses, left_out_of, spliced_losses
from molehill.features.trained import Features
from molehill.language_model import LanguageModel
from molehill.trace.recording import Recording, shards_of
from molehill.trace.windows import WindowStream

__all__ = ["Evaluation", "evaluate", "held_out_rows"]

_ROWS_HELD = 8192


@dataclass(frozen=True)
class Evaluation:
    """What held-out texts say of an autoencoder."""

    features: Features
    score: Score
    losses: SplicedLosses | None
    """None where the model predicts nothing, or nobody asked."""
    left_out: LeftOut

    def to_saebench(self) -> dict[str, Any]:
        """The groups and names of SAEBench's core evaluation (Karvonen et al. 2025)."""
        score, losses = self.score.to_dict(), self.losses
        groups = {
            "reconstruction_quality": (
                "explained_variance",
                "explained_variance_legacy",
                "mse",
                "cossim",
            ),
            "shrinkage": ("l2_ratio", "relative_reconstruction_bias"),
            "sparsity": ("l0", "l1"),
            "misc_metrics": (
                "freq_over_1_percent",
                "freq_over_10_percent",
                "average_max_encoder_cosine_sim",
                "average_max_decoder_cosine_sim",
                "frac_alive",
            ),
        }
        told: dict[str, Any] = {}
        if losses is not None:
            told["model_behavior_preservation"] = {
                "kl_div_score": losses.kl_recovered,
                "kl_div_with_ablation": losses.kl_zero,
                "kl_div_with_sae": losses.kl_spliced,
            }
            told["model_performance_preservation"] = {
                "ce_loss_score": losses.recovered,
                "ce_loss_with_ablation": losses.zero,
                "ce_loss_with_sae": losses.spliced,
                "ce_loss_without_sae": losses.original,
            }
        for group, names in groups.items():
            told[group] = {name: score[name] for name in names}
        told["token_stats"] = {
            "total_tokens_eval_reconstruction": 0 if losses is None else losses.tokens,
            "total_tokens_eval_sparsity_variance": self.score.rows,
        }
        return told


def evaluate(
    lm: LanguageModel,
    features: Features,
    texts: Callable[[], Iterable[str]],
    *,
    context: int | None = None,
    most_tokens: int | None = None,
    left_out: LeftOut | None = None,
    losses: bool = True,
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """All core metrics over held-out texts.

    Args:
        texts: gives the texts from their beginning, each time the same.
        context: tokens read together; None: the model's context, at most 512.
        most_tokens: stop after about so many tokens.
        left_out: tokens that are left alone; None: those that training left out.
        losses: whether to ask how predictions change, which takes four more runs of the model.
        progress: called with each batch's tokens.

    Raises:
        ConfigError: features of another model, or no rows.
        TextError: no tokenizer, or texts without a token that counts.
    """
    features.check(lm)
    left_out = left_out_of(features) if left_out is None else left_out
    rows = held_out_rows(lm, features, texts(), left_out, context, most_tokens, progress)
    score = score_rows(features, rows)
    found = None
    if losses and lm.config.has_head and lm.config.causal:
        found = spliced_losses(
            lm,
            features,
            texts(),
            context=context,
            left_out=left_out,
            most_tokens=most_tokens,
            progress=progress,
        )
    return Evaluation(features, score, found, left_out)


def held_out_rows(
    lm: LanguageModel,
    features: Features,
    texts: Iterable[str],
    left_out: LeftOut,
    context: int | None = None,
    most_tokens: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Mapping[str, Tensor]]:
    """The vectors at the features' sites, some thousand rows at a time."""
    sites = tuple(dict.fromkeys((*features.reads, *features.writes)))
    context = min(lm.config.n_ctx, 512) if context is None else context
    recording = Recording.of(
        lm,
        sites,
        context=context,
        shard_tokens=max(_ROWS_HELD, context),
        skip_special=left_out.special,
        skip_first=left_out.first,
        max_tokens=most_tokens,
    )
    stream = WindowStream(recording.tokenizer, texts, context)
    done = 0
    for windows, _ in shards_of(stream, recording, 0):
        tensors = recording.run(windows, done, progress)
        values = {site: tensors[f"site/{site}"] for site in recording.sites}
        done += len(next(iter(values.values())))
        yield values
        if most_tokens is not None and done >= most_tokens:
            return
