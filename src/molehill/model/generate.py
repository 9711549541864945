"""Token ids go on: one token at a time, chosen greedily or drawn, with a cache of keys and values.

The order of the filters is that of `transformers`: temperature, top-k, top-p, min-p. Each text has
a random stream of its own, one number per token, so that what is drawn for it does not depend on
what else is in the batch. This file knows nothing of text: stop strings and half characters are the
business of whoever decodes.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from molehill.errors import ConfigError, SiteError, TextError
from molehill.model.cache import KVCache
from molehill.model.transformer import Transformer
from molehill.model.watch import Watch

__all__ = ["Ending", "Sampling", "Step", "filter_logits", "generate"]

Ending = Literal["", "stop", "length", "context"]
"""Why a text ended: a stop token, as many tokens as were asked for, the model's longest text; empty
while it goes on."""


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen from its scores.

    Raises:
        ConfigError: a value outside its range.
    """

    temperature: float = 0.0
    """What scores are divided by; 0 takes the best token (greedy)."""
    top_k: int | None = None
    """Only the k best tokens."""
    top_p: float | None = None
    """Only the fewest best tokens that together have at least this probability (Holtzman et al.
    2020, nucleus sampling)."""
    min_p: float | None = None
    """Only tokens with at least this share of the best token's probability (Nguyen et al. 2024)."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.temperature < float("inf"):
            raise ConfigError(f"temperature is {self.temperature}, expected 0 (greedy) or more.")
        if self.top_k is not None and self.top_k < 1:
            raise ConfigError(f"top_k is {self.top_k}, expected 1 or more.")
        if self.top_p is not None and not 0.0 < self.top_p <= 1.0:
            raise ConfigError(f"top_p is {self.top_p}, expected more than 0 and at most 1.")
        if self.min_p is not None and not 0.0 <= self.min_p <= 1.0:
            raise ConfigError(f"min_p is {self.min_p}, expected from 0 to 1.")


@dataclass(frozen=True)
class Step:
    """One more token for every text of the batch."""

    ids: Tensor
    """The tokens [batch]; -1 where the text had ended before."""
    logprobs: Tensor
    """Each token's log probability under the model itself, before temperature and filters [batch];
    0 where the text had ended before."""
    endings: tuple[Ending, ...]
    """Why each text ended, with this token or before; empty while it goes on."""

    @property
    def finished(self) -> tuple[bool, ...]:
        """Whether each text has ended."""
        return tuple(bool(ending) for ending in self.endings)


def generate(
    model: Transformer,
    ids: Tensor,
    mask: Tensor | None = None,
    *,
    max_new_tokens: int,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    seed: int | Sequence[int] | None = None,
    stop_ids: Collection[int] = (),
    watch: Watch | None = None,
) -> Iterator[Step]:
    """Go on from prompts, one `Step` at a time, until every text has ended.

    Args:
        model: a causal model with a head.
        ids: prompts [batch, pos].
        mask: [batch, pos], False at padding, which may stand anywhere. None: no padding. Texts of
        unequal lengths go on as they would alone.
        max_new_tokens: how many tokens to add at most.
        temperature, top_k, top_p, min_p: see `Sampling`.
        seed: of every text's random stream (equal prompts then go on equally), or one per text.
        None: fresh ones. Unused when greedy.
        stop_ids: tokens that end a text; they are part of it.
        watch: looks at or changes values, in the prompt's pass and in every step's.

    Raises:
        ConfigError: a model that cannot go on, or values outside their range.
        TextError: an empty prompt, or one as long as the model can read.
        SiteError: at the step where scores are not finite.
    """
    sampling = Sampling(temperature, top_k, top_p, min_p)
    if max_new_tokens < 1:
        raise ConfigError(f"max_new_tokens is {max_new_tokens}, expected 1 or more.")
    if not model.config.has_head:
        raise ConfigError("This model has no head that predicts words: it cannot go on.")
    lengths = _lengths(model, ids, mask)
    room = [min(max_new_tokens, model.config.n_ctx - length) for length in lengths]
    cache = KVCache(
        model.config, len(ids), ids.shape[1] + max(room) - 1, dtype=model.dtype, device=model.device
    )
    if model.step_products.packs is not None:
        model.step_products.packs.refresh()
    streams = _streams(seed, len(ids)) if temperature else []
    limits: list[tuple[int, Ending]] = [
        (steps, "length" if steps == max_new_tokens else "context") for steps in room
    ]
    return _steps(model, ids, mask, cache, sampling, streams, limits, set(stop_ids), watch)


def _steps(
    model: Transformer,
    ids: Tensor,
    mask: Tensor | None,
    cache: KVCache,
    sampling: Sampling,
    streams: list[torch.Generator],
    limits: list[tuple[int, Ending]],
    stop_ids: set[int],
    watch: Watch | None,
) -> Iterator[Step]:
    """The steps themselves; `limits` holds each text's greatest number of tokens and what it is
    called to reach it."""
    endings: tuple[Ending, ...] = ("",) * len(ids)
    for step in range(1, max(steps for steps, _ in limits) + 1):
        logits = _last_logits(model, ids, mask, cache, watch)
        chosen = _choose(logits, sampling, streams)
        logprobs = logits.log_softmax(1).gather(1, chosen[:, None])[:, 0].float()
        if any(endings):
            over = torch.tensor([bool(ending) for ending in endings], device=chosen.device)
            shown = chosen.masked_fill(over, -1)
            logprobs = logprobs.masked_fill(over, 0.0)
        else:
            shown = chosen
        if bool(logprobs.isnan().any()):
            raise SiteError(_not_finite(logprobs, step))
        endings = tuple(
            ending or ("stop" if token in stop_ids else limit if step == steps else "")
            for ending, token, (steps, limit) in zip(endings, chosen.tolist(), limits, strict=True)
        )
        yield Step(shown, logprobs, endings)
        if all(endings):
            return
        ids, mask = chosen[:, None], None


def _not_finite(logprobs: Tensor, step: int) -> str:
    """One NaN or infinite score leaves no probability, and so no next token."""
    texts = ", ".join(str(text) for text in logprobs.isnan().nonzero()[:8, 0].tolist())
    return (
        f"The scores of token {step} to be added to text {texts} are not finite: the model's "
        "weights hold NaN or infinite numbers, an edit wrote some, or its dtype is too narrow. "
        "`molehill check` looks at the weights."
    )


# Not a context around the generator's body: that would reach into the caller's code at every yield.
@torch.no_grad()
def _last_logits(
    model: Transformer, ids: Tensor, mask: Tensor | None, cache: KVCache, watch: Watch | None
) -> Tensor:
    """Scores of the next token [batch, d_vocab], in float32 or wider."""
    positions = None
    if mask is None and cache.used and cache.padded:
        # A text that has ended is dragged along; its position must stay within the tables.
        positions = (cache.real[:, : cache.used].sum(1, keepdim=True)).clamp(
            max=model.config.n_ctx - 1
        )
    out = model(ids, mask=mask, positions=positions, cache=cache, logits="last", watch=watch)
    logits = out.logits[:, -1]
    return logits if logits.dtype == torch.float64 else logits.float()


def _choose(logits: Tensor, sampling: Sampling, streams: list[torch.Generator]) -> Tensor:
    """The next tokens [batch] from their scores [batch, d_vocab]."""
    if not sampling.temperature:
        return logits.argmax(1)
    probabilities = filter_logits(logits, sampling).double().softmax(1)
    # Drawn on the CPU, one number per text, so that every device and every batch draws the same.
    draws = torch.cat([torch.rand(1, generator=one, dtype=torch.float64) for one in streams])
    reached = probabilities.cumsum(1)
    draws = draws.to(logits.device)[:, None] * reached[:, -1:]
    chosen = torch.searchsorted(reached, draws, right=True)[:, 0]
    return chosen.clamp(max=logits.shape[1] - 1)


def filter_logits(logits: Tensor, sampling: Sampling) -> Tensor:
    """Scores [batch, d_vocab] divided by the temperature, -inf where a filter leaves a token out.

    The filters act one after another, each on what the one before it left: top-k, top-p, min-p.
    """
    logits = logits / sampling.temperature
    if sampling.top_k is not None and sampling.top_k < logits.shape[1]:
        least = logits.topk(sampling.top_k, dim=1).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if sampling.top_p is not None and sampling.top_p < 1.0:
        ordered, order = logits.sort(dim=1, descending=True)
        probabilities = ordered.softmax(1)
        before = probabilities.cumsum(1) - probabilities
        beyond = torch.zeros_like(before, dtype=torch.bool).scatter(
            1, order, before >= sampling.top_p
        )
        logits = logits.masked_fill(beyond, -torch.inf)
    if sampling.min_p:
        probabilities = logits.softmax(1)
        least = probabilities.amax(1, keepdim=True) * sampling.min_p
        logits = logits.masked_fill(probabilities < least, -torch.inf)
    return logits


def _lengths(model: Transformer, ids: Tensor, mask: Tensor | None) -> list[int]:
    """Each prompt's number of tokens; refuses those that cannot go on."""
    if ids.ndim != 2 or not ids.shape[0]:
        raise TextError(f"Prompts have shape {tuple(ids.shape)}, expected (batch, pos).")
    if mask is not None and mask.shape != ids.shape:
        raise TextError(f"mask has shape {tuple(mask.shape)} and the prompts {tuple(ids.shape)}.")
    lengths = [ids.shape[1]] * len(ids) if mask is None else mask.bool().sum(1).tolist()
    if empty := [text for text, length in enumerate(lengths, start=1) if not length]:
        which = f"Prompt {empty[0]} of {len(ids)} has"
        if len(empty) > 1:
            which = f"Prompts {', '.join(map(str, empty))} of {len(ids)} have"
        raise TextError(
            f"{'The prompt has' if len(ids) == 1 else which} no tokens: there is nothing to go on "
            "from. Give at least one word."
        )
    if max(lengths) >= model.config.n_ctx:
        raise TextError(
            f"The longest prompt has {max(lengths)} tokens and the model reads at most "
            f"{model.config.n_ctx}, the next ones included: shorten it."
        )
    return lengths


def _streams(seed: int | Sequence[int] | None, batch: int) -> list[torch.Generator]:
    """A random stream per text."""
    if seed is None:
        seeds = [secrets.randbits(63) for _ in range(batch)]
    else:
        seeds = [seed] * batch if isinstance(seed, int) else list(seed)
    if len(seeds) != batch:
        raise ConfigError(f"There are {len(seeds)} seeds for {batch} texts: give one, or as many.")
    return [torch.Generator(device="cpu").manual_seed(one) for one in seeds]
