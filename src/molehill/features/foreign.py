"""What reading other tools' autoencoders has in common: their files as bounded data, and one form
for their weights.

Files are read by the same readers as models: headers are checked before a number is read, pickles
are refused, and every number must be finite. The decoder's rows stay as long as they are in the
file, so that codes and outputs are those of the tool that wrote it. This module knows no layout.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from molehill.checkpoints.raw_file import RawFile, printable
from molehill.checkpoints.safetensors_file import SafetensorsFile
from molehill.checkpoints.safetensors_header import no_twins
from molehill.errors import CheckpointError, ConfigError
from molehill.features.autoencoder import Autoencoder, Settings
from molehill.features.hooks import check_width, site_of
from molehill.features.making import make_autoencoder
from molehill.features.trained import Features
from molehill.model.config import ModelConfig

__all__ = [
    "Found",
    "Placing",
    "Weights",
    "assembled",
    "check_weights",
    "flag",
    "named_in",
    "placed",
    "read_json",
    "read_weights",
    "text",
    "whole",
]

_LARGEST_JSON = 4 << 20
_SMALLEST = 1e-37
"""Stands for a threshold of zero, whose logarithm there is none of: no float32 product that is
above zero in practice is below it."""


@dataclass(frozen=True)
class Found:
    """Features that were read, and what happened to them on the way."""

    features: Features
    layout: str
    folded: tuple[str, ...] = ()
    """What was put into the weights, and what else is not as in the file; a sentence each."""


@dataclass(frozen=True)
class Placing:
    """What the caller knows of the place of features, and the files may not say."""

    config: ModelConfig | None = None
    """The model's; hook names and widths are then held against it."""
    reads: str | None = None
    writes: str | None = None
    """Sites, instead of those that the files name."""
    scale: float | None = None
    """What inputs were multiplied with in training, where weights do not hold it yet."""


@dataclass(frozen=True)
class Weights:
    """An autoencoder's numbers as a file has them, in our orientation: a row for each feature.
    Nothing is checked yet but that the encoder is a matrix; `check_weights` does."""

    architecture: str
    w_enc: Tensor
    """[n_features, d_in]"""
    b_enc: Tensor
    """[n_features]"""
    w_dec: Tensor
    """[n_features, d_out]"""
    b_dec: Tensor
    """[d_out]"""
    w_skip: Tensor | None = None
    """[d_out, d_in]"""
    threshold: Tensor | None = None
    """JumpReLU: [n_features], active strictly above it; BatchTopK and Matryoshka: one number,
    active from it on."""
    log_ratio: Tensor | None = None
    """Gated: [n_features], as `b_mag`."""
    b_mag: Tensor | None = None
    centred: bool = True
    k: int | None = None
    prefixes: tuple[int, ...] = ()


# --- files ----------------------------------------------------------------------------------------


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """A small JSON object.

    Raises:
        CheckpointError: no such file, too large, no JSON, no object, or a key given twice.
    """
    file = RawFile(path)
    try:
        if file.size > _LARGEST_JSON:
            raise file.error(f"has {file.size} bytes; at most {_LARGEST_JSON} are read")
        raw = bytes(file.read(0, file.size))
    finally:
        file.close()
    try:
        found = json.loads(raw.decode("utf-8"), object_pairs_hook=no_twins)
    except (ValueError, RecursionError) as error:
        raise file.error(f"is not valid JSON ({printable(str(error))})") from None
    if not isinstance(found, dict):
        raise file.error("is no JSON object")
    return found


def read_weights(
    path: str | os.PathLike[str], needed: set[str], allowed: set[str] | None = None
) -> dict[str, Tensor]:
    """The tensors of a safetensors file in float32.

    Args:
        needed: names that must be there.
        allowed: names that may be there as well.

    Raises:
        CheckpointError: a damaged or hostile file, a pickle; or other tensors than these: all that
            are missing or unknown are named at once.
    """
    with SafetensorsFile(path) as file:
        names = set(file.tensors)
        named_in(file.path, names, needed, allowed or set())
        return {name: file.read(name, torch.float32) for name in names}


def named_in(path: Path, found: set[str], needed: set[str], allowed: set[str]) -> None:
    """Whether a file has the tensors that it must, and no others.

    Raises:
        CheckpointError: it has not.
    """
    missing, more = sorted(needed - found), sorted(found - needed - allowed)
    if missing or more:
        said = [f"lacks {', '.join(missing)}"] if missing else []
        said += [f"has {printable(', '.join(more))}, which does not belong there"] if more else []
        raise CheckpointError(f"{printable(str(path))}: {' and '.join(said)}.")


# --- values of a description ----------------------------------------------------------------------


def text(values: Mapping[str, Any], key: str, path: Path, default: str = "") -> str:
    """A short line of text."""
    found = values.get(key)
    if found is None:
        return default
    if not isinstance(found, str) or len(found) > 500:
        raise _wrong(path, key, found, "a line of text")
    return printable(found, longest=500)


def whole(values: Mapping[str, Any], key: str, path: Path, default: int | None = None) -> int:
    """A whole number from 1 up; a float that is one will do."""
    found = values.get(key, default)
    number = isinstance(found, int | float) and not isinstance(found, bool)
    if not number or not 1 <= found < 2**40 or found != int(found):
        raise _wrong(path, key, found, "a whole number from 1 up")
    return int(found)


def flag(values: Mapping[str, Any], key: str, path: Path, default: bool) -> bool:
    """True or false."""
    found = values.get(key, default)
    if not isinstance(found, bool):
        raise _wrong(path, key, found, "true or false")
    return found


def _wrong(path: Path, key: str, found: Any, expected: str) -> CheckpointError:
    shown = printable(repr(found), longest=60)
    return CheckpointError(f"{printable(str(path))}: {key} is {shown}, expected {expected}.")


# --- weights --------------------------------------------------------------------------------------


def assembled(weights: Weights, path: Path) -> Autoencoder:
    """An autoencoder that holds these numbers.

    Raises:
        CheckpointError: shapes that contradict one another, numbers that are not finite, or sizes
            that cannot be.
    """
    check_weights(weights, path)
    n_features, d_in = weights.w_enc.shape
    try:
        settings = Settings(
            weights.architecture,
            d_in,
            weights.w_dec.shape[1],
            n_features,
            k=min(32, n_features) if weights.k is None else weights.k,
            prefixes=weights.prefixes,
            centred=weights.centred,
            skip=weights.w_skip is not None,
        )
        made = make_autoencoder(settings)
    except ConfigError as error:
        raise CheckpointError(f"{printable(str(path))}: {error}") from None
    state = made.state_dict() | _state(weights)
    made.load_state_dict(state, assign=True)
    return made.eval()


def _state(weights: Weights) -> dict[str, Tensor]:
    """By the names of the autoencoder's own."""
    named = ("w_enc", "b_enc", "w_dec", "b_dec", "w_skip", "log_ratio", "b_mag")
    found = {name: getattr(weights, name) for name in named}
    theta = weights.threshold
    if theta is not None and weights.architecture == "jumprelu":
        # By way of float64, so that exp() gives the threshold back as nearly as it can.
        found["log_threshold"] = theta.double().clamp(min=_SMALLEST).log()
    elif theta is not None:
        found["threshold"] = theta.clamp(min=0)
    return {
        name: value.detach().float().contiguous()
        for name, value in found.items()
        if value is not None
    }


def check_weights(weights: Weights, path: Path) -> None:
    """Whether the shapes fit one another and all numbers are finite.

    Raises:
        CheckpointError: one does not, with both shapes; or one holds NaN or infinities.
    """
    assert weights.w_enc.ndim == 2, "readers turn the encoder's matrix round"
    n, d_in = weights.w_enc.shape
    d_out = weights.b_dec.numel()
    expected = {
        "w_enc": (n, d_in),
        "b_enc": (n,),
        "w_dec": (n, d_out),
        "b_dec": (d_out,),
        "w_skip": (d_out, d_in),
        "threshold": (n,) if weights.architecture == "jumprelu" else (),
        "log_ratio": (n,),
        "b_mag": (n,),
    }
    for name, shape in expected.items():
        value = getattr(weights, name)
        if value is None:
            continue
        if tuple(value.shape) != shape:
            raise CheckpointError(
                f"{printable(str(path))}: {name} is {_shown(value.shape)} with a row for each "
                f"feature, expected {_shown(shape)} beside an encoder of {n} by {d_in} and an "
                f"output bias of {d_out}: its tensors contradict one another."
            )
        if not bool(torch.isfinite(value).all()):
            raise CheckpointError(
                f"{printable(str(path))}: holds numbers that are not finite in {name}."
            )


def _shown(shape: tuple[int, ...]) -> str:
    return " by ".join(map(str, shape)) or "one number"


def placed(
    weights: Weights,
    path: Path,
    placing: Placing,
    *,
    hook: Callable[[], tuple[str, str]],
    name: str,
    model: str = "",
    provenance: Mapping[str, Any] | None = None,
) -> Features:
    """Features of these weights at their place.

    Args:
        hook: gives the hooks, read and written, that the files name; called where the caller named
            no site.

    Raises:
        CheckpointError: as `assembled`.
        SiteError: a place that the model does not have, or that depends on it.
        ConfigError: the model's sites have other widths.
    """
    autoencoder = assembled(weights, path)
    if placing.reads is None:
        reads, writes = hook()
    else:
        reads, writes = placing.reads, placing.writes or placing.reads
    reads, writes = (site_of(each, placing.config) for each in (reads, placing.writes or writes))
    if placing.config is not None:
        check_width(reads, autoencoder.settings.d_in, placing.config, "read")
        check_width(writes, autoencoder.settings.d_out, placing.config, "write")
    return Features(
        autoencoder, (reads,), (writes,), name, model, provenance=dict(provenance or {})
    )
