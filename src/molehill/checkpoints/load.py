"""A file or folder of weights becomes a model: the arrow from disk to `Transformer`.

The order is what makes it safe: read what the files say of the model, build it without memory
(torch's meta device), compare every name and shape, and only then allocate and read. Nothing is
allocated because a config asks for it; only because the file has the bytes. Knows no architecture
(see `families/`) and no format (see `source.py`).
"""

from __future__ import annotations

import json
import math
import os
import re
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from molehill.checkpoints.families import (
    Family,
    Slot,
    from_theirs,
    read_config,
    read_gguf_config,
)
from molehill.checkpoints.gguf import GgufFile
from molehill.checkpoints.names import model_path
from molehill.checkpoints.opening import open_weights
from molehill.checkpoints.source import TensorSource
from molehill.errors import CheckpointError, ConfigError
from molehill.model import ModelConfig, Transformer
from molehill.text import Tokenizer

__all__ = ["LoadReport", "Loaded", "Opened", "load_checkpoint", "open_checkpoint"]

# A config.json of a few kilobytes is usual; with every id of a label table, some hundred.
_LARGEST_CONFIG = 4 * 2**20
_NAMES_SHOWN = 12
# Numbers of a narrow type that are summed at a time: torch starts no threads for so few.
_SUMMED = 1 << 15
_NO_WEIGHTS = re.compile("BOOL|[IU](8|16|32|64)|C64")
_TOKENIZERS = ("tokenizer.json", "vocab.json", "vocab.txt")


@dataclass(frozen=True)
class LoadReport:
    """What was found in a checkpoint, and what was made of it."""

    path: str
    family: str
    """The architecture as its own library calls it."""
    stored: Mapping[str, int]
    """Numbers by the type in which the file stores them."""
    dtype: str
    """The type in which the model holds them."""
    parameters: int
    seconds: float
    ignored: tuple[str, ...] = ()
    """Tensors that are no part of the words' way through the model: constant buffers, a pooler."""
    missing: tuple[str, ...] = ()
    """Only with `allow_partial`: tensors that the file lacks; those weights are zero."""
    left_over: tuple[str, ...] = ()
    """Only with `allow_partial`: tensors that nothing was made of."""
    non_finite: Mapping[str, int] = field(default_factory=dict)
    """How many numbers of a parameter are NaN or infinite; healthy models have none."""


@dataclass(frozen=True)
class Loaded:
    """A checkpoint in memory."""

    model: Transformer
    tokenizer: Tokenizer | None
    report: LoadReport


@dataclass(frozen=True)
class Opened:
    """A checkpoint whose headers have been read and none of whose weights have."""

    path: Path
    source: TensorSource
    family: Family
    config: ModelConfig


def open_checkpoint(path: str | os.PathLike[str]) -> Opened:
    """Read the headers of a folder, a `.safetensors` beside its config, or a `.gguf`.

    The caller closes `source`.

    Raises:
        CheckpointError: no such file, a pickle, or a damaged or unknown file.
        ConfigError: a config that contradicts itself or asks for what is not supported.
    """
    path = Path(path)
    source = open_weights(path)
    try:
        if isinstance(source, GgufFile):
            family, config = read_gguf_config(source)
        else:
            folder = path if path.is_dir() else path.parent
            family, config = read_config(_read_json(folder / "config.json"))
        # Every layer has tensors of its own: a model of more layers than the file has tensors is a
        # lie, and is not built, not even without memory.
        if config.n_layers > len(source.tensors):
            raise ConfigError(
                f"{path}: the config asks for {config.n_layers} layers and the file holds only "
                f"{len(source.tensors)} tensors."
            )
    except BaseException:
        source.close()
        raise
    return Opened(path, source, family, config)


def load_checkpoint(
    path: str | os.PathLike[str],
    *,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
    allow_partial: bool = False,
    strict: bool = False,
) -> Loaded:
    """Load a model and, if it is there, its tokenizer.

    Args:
        path: A folder with `config.json` and safetensors, a `.safetensors` file beside its
            `config.json`, a `.gguf` file, or a name that `molehill models` lists.
        dtype: What the weights are converted to, one tensor at a time.
        device: Where they go.
        allow_partial: Accept tensors that are missing (their weights become zero) or left over.
            Shapes must agree all the same.
        strict: Refuse weights that are NaN or infinite instead of counting them.

    Raises:
        CheckpointError: files that are damaged, hostile or pickled; tensors that are missing, left
            over or of another shape, all of them listed at once.
        ConfigError: a config that contradicts itself or asks for what is not supported.
    """
    started = time.perf_counter()
    opened = open_checkpoint(model_path(path))
    with opened.source as source:
        plan = _compare(opened, allow_partial)
        # The tokenizer is parsed while the disk is waited for.
        with ThreadPoolExecutor(1) as beside:
            tokenizer = beside.submit(_tokenizer, opened)
            model = _allocate(opened.config, dtype, device)
            non_finite = _fill(model, plan, source)
        if non_finite and strict:
            raise CheckpointError(_listed_non_finite(opened.path, non_finite))
        stored: Counter[str] = Counter()
        for slot in plan.slots:
            stored[source.tensors[plan.file_names[slot.theirs]].dtype] += _count(slot.shape)
    report = LoadReport(
        path=str(opened.path),
        family=opened.family.name,
        stored=dict(stored),
        dtype=str(dtype).removeprefix("torch."),
        parameters=sum(weight.numel() for weight in model.parameters()),
        seconds=time.perf_counter() - started,
        ignored=plan.ignored,
        missing=plan.missing,
        left_over=plan.left_over,
        non_finite=non_finite,
    )
    return Loaded(model, tokenizer.result(), report)


# --- finding and opening ----------------------------------------------------------------------


def _read_json(path: Path) -> dict[str, Any]:
    """A config file, bounded in size; the parser itself stops at a depth."""
    try:
        size = path.stat().st_size
        if size > _LARGEST_CONFIG:
            raise ConfigError(
                f"{path} has {size:,} bytes; a model's config has at most {_LARGEST_CONFIG:,}."
            )
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CheckpointError(
            f"{path} is not there: a folder of weights needs its config.json."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}.") from None
    try:
        values = json.loads(text)
    except ValueError as error:  # also an integer of more digits than Python converts
        raise ConfigError(f"{path} is not JSON: {str(error)[:80]}.") from None
    except RecursionError:
        raise ConfigError(f"{path} is nested too deep to be a model's config.") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds a {type(values).__name__}, expected an object.")
    return values


# --- comparing --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Plan:
    """Which tensor goes where; made before any memory is taken."""

    slots: tuple[Slot, ...]
    file_names: Mapping[str, str]
    """The family's bare name -> the name in the file."""
    ignored: tuple[str, ...]
    missing: tuple[str, ...]
    left_over: tuple[str, ...]


def _compare(opened: Opened, allow_partial: bool) -> _Plan:
    source, family = opened.source, opened.family
    file_names, problems = _bare_names(family, source)
    slots = list(family.slots(Transformer(opened.config, device="meta")))
    wanted = {slot.theirs for slot in slots}
    found = {bare: source.tensors[name] for bare, name in file_names.items()}
    problems += [
        f"{found[slot.theirs].name} has shape {_shape(found[slot.theirs].shape)}, "
        f"expected {_shape(slot.shape)}"
        for slot in slots
        if slot.theirs in found and tuple(found[slot.theirs].shape) != slot.shape
    ]
    problems += [
        f"{found[slot.theirs].name} is stored as {found[slot.theirs].dtype}, "
        "expected floating-point numbers"
        for slot in slots
        if slot.theirs in found and _NO_WEIGHTS.fullmatch(found[slot.theirs].dtype)
    ]
    missing = [slot for slot in slots if slot.theirs not in file_names]
    others = {bare: name for bare, name in file_names.items() if bare not in wanted}
    ignored = {bare: name for bare, name in others.items() if family.is_ignored(bare)}
    copies, bad_copies = _copies(opened, others, file_names)
    problems += bad_copies
    left_over = [name for bare, name in others.items() if bare not in ignored.keys() | copies]
    if not allow_partial:
        problems += [f"{slot.theirs} {_shape(slot.shape)} is missing" for slot in missing]
        problems += [
            f"{name} {_shape(source.tensors[name].shape)} is left over" for name in left_over
        ]
    if problems:
        raise CheckpointError(_listed(opened, problems, only_names=not allow_partial))
    return _Plan(
        slots=tuple(slot for slot in slots if slot.theirs in file_names),
        file_names=file_names,
        ignored=tuple(ignored.values()),
        missing=tuple(slot.theirs for slot in missing),
        left_over=tuple(left_over),
    )


def _bare_names(family: Family, source: TensorSource) -> tuple[dict[str, str], list[str]]:
    names: dict[str, str] = {}
    problems = []
    for name in source.tensors:
        bare = family.bare(name)
        if bare in names:
            problems.append(f"{names[bare]} and {name} are two tensors for one place")
        names[bare] = name
    return names, problems


def _copies(
    opened: Opened, others: Mapping[str, str], file_names: Mapping[str, str]
) -> tuple[set[str], list[str]]:
    """Tensors that a file holds twice (a tied head). They may be dropped only if they are equal."""
    copies, problems = set(), []
    for second, first in opened.family.copies:
        if second not in others or first not in file_names:
            continue
        copies.add(second)
        one, two = file_names[first], file_names[second]
        if not _equal(opened.source, one, two):
            problems.append(f"{two} differs from {one}, and the config says that they are one")
    return copies, problems


def _equal(source: TensorSource, one: str, two: str) -> bool:
    if source.tensors[one].shape != source.tensors[two].shape:
        return False
    return torch.equal(source.read(one), source.read(two))


def _listed(opened: Opened, problems: list[str], only_names: bool) -> str:
    shown = problems[:_NAMES_SHOWN]
    if len(problems) > len(shown):
        shown.append(f"and {len(problems) - len(shown)} more")
    remedy = " (allow_partial=True accepts what is missing or left over)" if only_names else ""
    return (
        f"{opened.path} does not fit a {opened.family.name} of its config: "
        f"{'; '.join(shown)}{remedy}."
    )


def _shape(shape: tuple[int, ...]) -> str:
    return "[" + ", ".join(map(str, shape)) + "]"


def _count(shape: tuple[int, ...]) -> int:
    return torch.Size(shape).numel()


# --- filling ----------------------------------------------------------------------------------


def _allocate(config: ModelConfig, dtype: torch.dtype, device: str | torch.device) -> Transformer:
    """The model with memory for its weights, which nothing has been written to yet."""
    model = Transformer(config, dtype=dtype, device="meta")
    for module in model.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            empty = torch.empty(weight.shape, dtype=dtype, device=device)
            setattr(module, name, nn.Parameter(empty, requires_grad=False))
    return model.eval()


@torch.no_grad()
def _fill(model: Transformer, plan: _Plan, source: TensorSource) -> dict[str, int]:
    """Read every tensor into its place; returns how many numbers of a parameter are not finite."""
    parameters = dict(model.named_parameters())
    filled: Counter[str] = Counter()
    non_finite: Counter[str] = Counter()
    for slot in plan.slots:
        place = parameters[slot.ours].data[slot.rows]
        _read_slot(source, plan.file_names[slot.theirs], slot, place)
        non_finite[slot.ours] += _count_non_finite(place)  # now, while it is in the cache
        filled[slot.ours] += slot.rows.stop - slot.rows.start
    for name, weight in parameters.items():
        if plan.missing and filled[name] < weight.shape[0]:
            _zero_the_rest(weight, [slot.rows for slot in plan.slots if slot.ours == name])
        assert plan.missing or filled[name] == weight.shape[0], f"the table leaves {name} unfilled"
    return {name: count for name, count in non_finite.items() if count}


def _read_slot(source: TensorSource, name: str, slot: Slot, place: Tensor) -> None:
    on_cpu = place.device.type == "cpu"
    if on_cpu and not slot.shift and slot.layout in ("same", "transposed"):
        # Straight into place, converted on the way: no second copy.
        source.read_into(name, place.T if slot.layout == "transposed" else place)
        return
    # A shift is undone before the number is rounded to the model's dtype.
    wide = place.dtype if place.dtype == torch.float64 else torch.float32
    theirs = source.read(name, wide if slot.shift else place.dtype)
    place.copy_(from_theirs(theirs, slot))


def _zero_the_rest(weight: Tensor, filled: list[slice]) -> None:
    rows = torch.ones(weight.shape[0], dtype=torch.bool)
    for part in filled:
        rows[part] = False
    weight.data[rows.to(weight.device)] = 0


def _count_non_finite(weight: Tensor) -> int:
    """NaN and infinite numbers.

    A sum is finite only if every number is, and is taken without a copy; only where it is not are
    the numbers looked at one by one, row by row.
    """
    if math.isfinite(_sum(weight)):
        return 0
    return sum(int((~torch.isfinite(row)).sum()) for row in weight)


def _sum(weight: Tensor) -> float:
    if weight.device.type == "cpu" and weight.dtype in (torch.float32, torch.float64):
        # By NumPy, in this thread: torch would gather all threads for each of hundreds of tensors,
        # which on a busy machine took ten times as long as the sums themselves.
        with np.errstate(over="ignore", invalid="ignore"):
            return float(weight.numpy().sum())
    if weight.device.type != "cpu":
        return float(weight.sum(dtype=torch.float32))
    # In pieces: torch would first convert all of it, which is a second copy, twice as large.
    return sum(float(piece.sum(dtype=torch.float32)) for piece in weight.reshape(-1).split(_SUMMED))


def _listed_non_finite(path: Path, found: Mapping[str, int]) -> str:
    listed = ", ".join(f"{name} ({count})" for name, count in list(found.items())[:_NAMES_SHOWN])
    return f"{path} holds numbers that are NaN or infinite: {listed}."


def _tokenizer(opened: Opened) -> Tokenizer | None:
    """The tokenizer that lies beside or in the weights, if there is one.

    Raises:
        TextError: it has more ids than the token table has rows.
    """
    if isinstance(opened.source, GgufFile):
        if "tokenizer.ggml.model" not in opened.source.metadata:
            return None
        tokenizer = Tokenizer.from_gguf(opened.source.metadata)
    else:
        folder = opened.path if opened.path.is_dir() else opened.path.parent
        if not any((folder / name).is_file() for name in _TOKENIZERS):
            return None
        tokenizer = Tokenizer.from_folder(folder)
    tokenizer.check_fits(opened.config.d_vocab)
    return tokenizer
