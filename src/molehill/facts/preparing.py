"""What rewriting needs beside the facts: which layers, what stands before the prompts, and the key
statistics, kept on disk so that they are gathered once for a model.

Statistics come from text that is given, or from text that the model writes itself. This module
makes no edits.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from molehill.errors import CheckpointError, FactError
from molehill.facts.fact import Fact
from molehill.facts.keys import KeyStatistics, gather_keys, keys_file
from molehill.facts.own_text import own_text
from molehill.facts.values import contexts_of, keys_at
from molehill.language_model import LanguageModel
from molehill.model import ModelConfig
from molehill.text.tokens import Tokens

__all__ = [
    "OWN",
    "default_layers",
    "default_prefixes",
    "key_folder",
    "key_work",
    "living_layers",
    "prepare_keys",
]

OWN = (128, 128)
"""The model's own text: so many texts, of so many tokens each where it reads as many."""
_MOST = 100_000
"""Keys that are taken from given text at most."""
_AT_ONCE = 16
_PREFIXES = (
    "In the year after that,",
    "Many people say that",
    "It was reported yesterday that",
    "As we all know,",
)


def default_layers(config: ModelConfig, method: str = "rome") -> tuple[int, ...]:
    """The layers that a method changes where none are named: a sixth of the way up, and for the
    methods that spread a change the two below as well (what was tried on SmolLM2)."""
    middle = config.n_layers // 6
    if method not in ("memit", "null-space"):
        return (middle,)
    return tuple(layer for layer in range(middle - 2, middle + 1) if layer >= 0)


def living_layers(lm: LanguageModel, fact: Fact, layers: Sequence[int]) -> tuple[int, ...]:
    """Layers in which some neuron fires at the fact's subject: those given, and in the place of one
    in which none does (with ReLU that happens) the nearest in which one does.

    Raises:
        FactError: no layer has one; or see `contexts_of`.
    """
    (context,) = contexts_of(lm, fact, ())
    alive = [
        layer for layer in range(lm.config.n_layers) if bool(keys_at(lm, [context], layer).any())
    ]
    if not alive:
        raise FactError(f"No neuron of {lm.name} fires at the subject of {str(fact)!r}.")
    return tuple(
        sorted({min(alive, key=lambda one, layer=layer: abs(one - layer)) for layer in layers})
    )


def default_prefixes(lm: LanguageModel) -> tuple[str, ...]:
    """Beginnings of sentences to put before a prompt, those that the model has words for."""
    if lm.tokenizer is None:
        return ()
    unknown = lm.tokenizer.unk_id
    ids = lm.tokenizer.ids(list(_PREFIXES), add_special=False)
    return tuple(
        text
        for text, row in zip(_PREFIXES, ids, strict=True)
        if unknown is None or unknown not in row
    )


def key_folder() -> Path:
    """Where key statistics are kept: `$MOLEHILL_KEYS`, else below the user's cache folder."""
    chosen = os.environ.get("MOLEHILL_KEYS")
    if chosen:
        return Path(chosen).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "molehill" / "keys"


def key_work(
    lm: LanguageModel, texts: Sequence[str] | None = None, own: tuple[int, int] = OWN
) -> int | None:
    """How many tokens `prepare_keys` will tell of, where that is known before."""
    return 2 * own[0] * min(own[1], lm.config.n_ctx) if texts is None else None


def prepare_keys(
    lm: LanguageModel,
    layers: Sequence[int],
    *,
    texts: Sequence[str] | None = None,
    own: tuple[int, int] = OWN,
    data: str = "",
    folder: str | os.PathLike[str] | None = None,
    progress: Callable[[int], object] | None = None,
) -> dict[int, KeyStatistics]:
    """The key statistics of layers: those that are kept, and the others gathered in one pass.

    Args:
        lm: the model without edits.
        texts: to take keys from. None: the model's own text.
        own: how many texts of its own, of up to how many tokens each.
        data: the texts' name, for people; their content is part of what the statistics are kept
            under, so that another file of that name is not mistaken for it.
        folder: where they are kept; None keeps nothing. One that cannot be written or read is as
            good as none.
        progress: called with the number of tokens written or read since the last call.

    Raises:
        FactError: no text, or a layer that the model does not have.
    """
    name = _name(texts, data, own)
    found = {layer: kept for layer in layers if (kept := _kept(folder, lm, layer, name))}
    missing = [layer for layer in dict.fromkeys(layers) if layer not in found]
    if missing:
        batches = _batches(lm, texts, own, progress)
        made = gather_keys(lm, missing, batches, name, most=_MOST, progress=progress)
        found |= made
        for layer, statistics in made.items():
            _keep(folder, lm, layer, statistics)
    return found


def _name(texts: Sequence[str] | None, data: str, own: tuple[int, int]) -> str:
    if texts is None:
        return f"own text {own[0]}x{own[1]}"
    content = sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{content} {data or 'texts'}"


def _batches(
    lm: LanguageModel,
    texts: Sequence[str] | None,
    own: tuple[int, int],
    progress: Callable[[int], object] | None,
) -> Iterator[Tokens]:
    if texts is None:
        rows = own_text(lm, *own, progress=progress)
        for start in range(0, len(rows), _AT_ONCE):
            yield Tokens.of_ids(rows[start : start + _AT_ONCE].tolist())
        return
    for start in range(0, len(texts), _AT_ONCE):
        yield lm.encode(list(texts[start : start + _AT_ONCE]), truncate=True)


def _kept(
    folder: str | os.PathLike[str] | None, lm: LanguageModel, layer: int, data: str
) -> KeyStatistics | None:
    if folder is None:
        return None
    try:
        found = KeyStatistics.load(keys_file(folder, lm, layer, data))
        found.check(lm)
    except (CheckpointError, FactError, KeyError, TypeError, ValueError):
        return None
    width = lm.config.d_mlp
    fits = found.layer == layer and found.data == data and found.moment.shape == (width, width)
    return found if fits and bool(found.moment.isfinite().all()) else None


def _keep(
    folder: str | os.PathLike[str] | None, lm: LanguageModel, layer: int, found: KeyStatistics
) -> None:
    if folder is None:
        return
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        found.save(keys_file(folder, lm, layer, found.data))
    except (OSError, CheckpointError):
        return
