"""A transformer and its tokenizer together: what `molehill.load` returns.

The two are strangers to each other; here they meet, are named, write text, and get a fingerprint by
which a result can say which weights it came from. This module does no arithmetic of its own.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from molehill.checkpoints.fingerprint import fingerprint
from molehill.checkpoints.hub import fetch_from_hub, is_hub_name
from molehill.checkpoints.load import LoadReport, load_checkpoint
from molehill.checkpoints.names import find_model, model_path
from molehill.errors import CheckpointError, ConfigError, TextError
from molehill.model import ModelConfig, Products, Step, Transformer
from molehill.model.generate import generate
from molehill.text import Tokenizer, Tokens, next_token

__all__ = ["Continuation", "LanguageModel", "load"]

_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}


@dataclass(frozen=True)
class Continuation:
    """What a model wrote after a prompt."""

    text: str
    """What follows the prompt's text, the space between them included; without special tokens, and
    without the stop string that ended it."""
    ids: tuple[int, ...]
    """Every token that was chosen, those of a stop string included."""
    logprobs: tuple[float, ...]
    """Each token's log probability under the model, before temperature and filters."""
    ending: str
    """`stop` (an end token or a stop string), `length` (as much as was asked for), or `context`
    (as much as the model can read)."""


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A model that reads and writes text.

    Attributes:
        model: Ids to logits.
        tokenizer: Text to ids; None if the checkpoint had none.
        name: What it was loaded as, for people.
        report: What loading found; None for a model made in memory.
    """

    model: Transformer
    tokenizer: Tokenizer | None
    name: str
    report: LoadReport | None = field(default=None, repr=False)

    @property
    def config(self) -> ModelConfig:
        """The model's sizes and choices."""
        return self.model.config

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over configuration and weights as they are in memory, their dtype included.

        Computed when first asked for (about half a second for half a gigabyte) and kept: a model
        whose weights are changed afterwards has to be wrapped anew.
        """
        return fingerprint(self.model)

    def encode(
        self, texts: str | Sequence[str], *, add_special: bool = True, truncate: bool = False
    ) -> Tokens:
        """Texts as ids that fit this model's context.

        Raises:
            TextError: there is no tokenizer, or a text is longer than the context and `truncate`
                is not set.
        """
        return self._tokenizer().encode(
            texts, add_special=add_special, limit=self.config.n_ctx, truncate=truncate
        )

    def decode(self, ids: Iterable[int] | Tensor) -> str:
        """Ids as text.

        Raises:
            TextError: there is no tokenizer.
        """
        return self._tokenizer().decode(ids.tolist() if isinstance(ids, Tensor) else list(ids))

    def stream(
        self,
        prompts: str | Sequence[str],
        *,
        max_new_tokens: int = 128,
        stop: Sequence[str] = (),
        add_special: bool = True,
        **sampling: Any,
    ) -> Generator[tuple[str, ...], None, list[Continuation]]:
        """Go on from prompts; yields, token by token, the text that each one gained.

        A piece may be empty: half a character, the beginning of what may be a stop string, or a
        text that has ended. The generator's return value is what `generate` returns.

        Args:
            prompts: One text or several, of any lengths; none depends on the others.
            max_new_tokens: Tokens to add at most.
            stop: Strings that end a text; they are not part of it. The tokenizer's end token
                always does.
            add_special: Whether to put around each prompt what the tokenizer defines; a prompt
                made by a chat template has it already.
            sampling: `temperature`, `top_k`, `top_p`, `min_p`, `seed` and `watch`, as in
                `molehill.model.generate`. Without a temperature the likeliest token is taken.

        Raises:
            TextError: no tokenizer, or a prompt that is empty or fills the context.
            ConfigError: a model that cannot go on, or values outside their range.
        """
        writers, steps = self._begin(prompts, max_new_tokens, stop, add_special, sampling)
        return _write(writers, steps)

    def generate(
        self,
        prompts: str | Sequence[str],
        *,
        max_new_tokens: int = 128,
        stop: Sequence[str] = (),
        add_special: bool = True,
        **sampling: Any,
    ) -> list[Continuation]:
        """Go on from prompts; one `Continuation` for each. Arguments and errors are those of
        `stream`."""
        writers, steps = self._begin(prompts, max_new_tokens, stop, add_special, sampling)
        for _ in _write(writers, steps):
            pass
        return [writer.continuation() for writer in writers]

    def _begin(
        self,
        prompts: str | Sequence[str],
        max_new_tokens: int,
        stop: Sequence[str],
        add_special: bool,
        sampling: dict[str, Any],
    ) -> tuple[list[_Writer], Iterator[Step]]:
        tokens = self.encode(prompts, add_special=add_special)
        tokenizer = self._tokenizer()
        stops = (stop,) if isinstance(stop, str) else tuple(stop)
        if "" in stops:
            raise TextError("A stop string is empty; it would end every text at once.")
        end = () if tokenizer.eos_id is None else (tokenizer.eos_id,)
        steps = generate(
            self.model,
            tokens.ids.to(self.model.device),
            tokens.mask.to(self.model.device),
            max_new_tokens=max_new_tokens,
            stop_ids=end,
            **sampling,
        )
        writers = [_Writer(tokenizer, stops, tokens.row(text)) for text in range(len(tokens))]
        return writers, steps

    def next_token(self, word: str) -> int:
        """The token that a word is when it comes next (see `molehill.text.next_token`).

        Raises:
            TextError: it is several tokens, or the model has no tokenizer.
        """
        return next_token(self._tokenizer(), word)

    def _tokenizer(self) -> Tokenizer:
        if self.tokenizer is None:
            raise TextError(
                f"The model {self.name!r} has no tokenizer: put its tokenizer.json beside the "
                "weights, or give ids instead of text."
            )
        return self.tokenizer


class _Writer:
    """One text that is being written: tokens in, text out, ended by a stop string."""

    def __init__(self, tokenizer: Tokenizer, stops: tuple[str, ...], prompt: Sequence[int]) -> None:
        self.decoder = tokenizer.stream(after=prompt)
        self.stops = stops
        self.text = ""
        self.held = ""
        """Text that may turn out to be the beginning of a stop string."""
        self.ids: list[int] = []
        self.logprobs: list[float] = []
        self.ending = ""

    def push(self, token: int, logprob: float, ending: str) -> str:
        """Take one more token; returns the text that is certain by now."""
        if self.ending:
            return ""
        self.ids.append(token)
        self.logprobs.append(logprob)
        self.held += self.decoder.push(token)
        if ending:
            self.held += self.decoder.close()
        places = [place for stop in self.stops if (place := self.held.find(stop)) >= 0]
        if places:
            self.held, ending = self.held[: min(places)], "stop"
        self.ending = ending
        keep = 0 if ending else self._beginning_of_a_stop()
        certain = self.held[: len(self.held) - keep]
        self.held = self.held[len(certain) :]
        self.text += certain
        return certain

    def _beginning_of_a_stop(self) -> int:
        """How many characters at the end could be the first ones of a stop string."""
        longest = max((len(stop) - 1 for stop in self.stops), default=0)
        for size in range(min(longest, len(self.held)), 0, -1):
            if any(stop.startswith(self.held[-size:]) for stop in self.stops):
                return size
        return 0

    def continuation(self) -> Continuation:
        return Continuation(self.text, tuple(self.ids), tuple(self.logprobs), self.ending)


def _write(
    writers: list[_Writer], steps: Iterator[Step]
) -> Generator[tuple[str, ...], None, list[Continuation]]:
    for step in steps:
        yield tuple(
            writer.push(token, logprob, ending)
            for writer, token, logprob, ending in zip(
                writers, step.ids.tolist(), step.logprobs.tolist(), step.endings, strict=True
            )
        )
        if all(writer.ending for writer in writers):
            break
    return [writer.continuation() for writer in writers]


def load(
    name_or_path: str | os.PathLike[str],
    *,
    dtype: str | torch.dtype = "float32",
    device: str | torch.device = "cpu",
    revision: str | None = None,
    download: bool = False,
    allow_partial: bool = False,
    strict: bool = False,
    deterministic: bool = False,
) -> LanguageModel:
    """Load a model and its tokenizer.

    Args:
        name_or_path: A name that `molehill models` lists, a folder with config.json and
            safetensors, a `.gguf` file, or a hub name `organisation/model`.
        dtype: float32, bfloat16, float16 or float64: what the weights are converted to.
        device: Where they go.
        revision: A hub name's commit; giving one, or `download`, allows the network to be asked.
        download: Fetch a hub name that is not on this machine.
        allow_partial: Accept tensors that are missing (zero then) or left over.
        strict: Refuse weights that are NaN or infinite.
        deterministic: Make every product by torch's own route, so that a run gives the same bits
            each time, in this process and in the next with as many threads. Otherwise the route is
            measured, and two runs may differ in the last bits; `MOLEHILL_LINEAR=torch` says the
            same from outside.

    Raises:
        CheckpointError: no such model, or files that are damaged, hostile, pickled or do not fit.
        ConfigError: a config that contradicts itself or asks for what is not supported.
        MissingExtraError: a hub name without the extra `hub`.
    """
    path = _path(name_or_path, revision, download)
    loaded = load_checkpoint(
        path, dtype=_dtype(dtype), device=device, allow_partial=allow_partial, strict=strict
    )
    if deterministic:
        loaded.model.products = Products("torch")
        loaded.model.step_products = Products("torch")
    return LanguageModel(loaded.model, loaded.tokenizer, str(name_or_path), loaded.report)


def _path(name_or_path: str | os.PathLike[str], revision: str | None, download: bool) -> Path:
    name = os.fspath(name_or_path)
    local = Path(name).expanduser().exists() or find_model(name) is not None
    if local or not is_hub_name(name):
        if local and revision is not None:
            raise CheckpointError(
                f"{name!r} is a model on this machine, which has no revision {revision!r}: leave "
                "the revision out, or give a hub name."
            )
        return model_path(name)
    return fetch_from_hub(name, revision, download=download or revision is not None)


def _dtype(dtype: str | torch.dtype) -> torch.dtype:
    found = dtype if isinstance(dtype, torch.dtype) else _DTYPES.get(dtype)
    if found is None or found not in _DTYPES.values():
        raise ConfigError(f"dtype is {dtype!r}; a model can be run in {', '.join(_DTYPES)}.")
    return found
