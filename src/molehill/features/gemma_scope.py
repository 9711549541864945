"""Gemma Scope's autoencoders and transcoders: `params.npz` of the first release,
`params.safetensors` of the second.

Both are JumpReLU: `w_enc` d_in by features, `w_dec` features by d_out, `b_enc`, `b_dec`,
`threshold`; the second has `affine_skip_connection` d_in by d_out in some. The bias of the output
is not taken from the input. An npz file is a zip of arrays; each array's header is held against its
size before its numbers are read, and arrays of objects, which are pickles, are refused. Lieberum et
al. 2024, "Gemma Scope", section 3.
"""

from __future__ import annotations

import math
import os
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from molehill.checkpoints.raw_file import RawFile, printable
from molehill.errors import CheckpointError
from molehill.features.foreign import Found, Placing, Weights, named_in, placed, read_weights

__all__ = ["NPZ_NAME", "PARAMS_NAME", "read_gemma_scope"]

NPZ_NAME = "params.npz"
PARAMS_NAME = "params.safetensors"

_NAMES = {"w_enc", "w_dec", "b_enc", "b_dec", "threshold"}
_SKIP = "affine_skip_connection"
_LAYER = re.compile(r"layer_(\d{1,4})(?:_.*)?")
# What parts of a path say; attention is read per head, and transcoders after a norm of theirs.
_PLACES = (("-res", "resid_post"), ("resid_post", "resid_post"))
_PLACES += (("-mlp", "mlp.out"), ("mlp_out", "mlp.out"))


def read_gemma_scope(path: str | os.PathLike[str], placing: Placing | None = None) -> Found:
    """Features from a file of Gemma Scope, or the folder that has it.

    Args:
        path: `params.npz`, `params.safetensors`, or their folder.
        placing: the sites, where the path does not say them as the release's folders do
            (`gemma-scope-2b-pt-res/layer_12/...`, `resid_post/layer_12_...`).

    Raises:
        CheckpointError: damaged or hostile files; a cross-layer transcoder.
        SiteError, ConfigError: its place is not one of the model's.
    """
    path, placing = Path(path), placing or Placing()
    if path.is_dir():
        path = path / (NPZ_NAME if (path / NPZ_NAME).exists() else PARAMS_NAME)
    tensors = _read_npz(path) if path.suffix == ".npz" else read_weights(path, _NAMES, {_SKIP})
    if tensors["w_dec"].ndim == 3:
        raise CheckpointError(
            f"{printable(str(path))}: is a cross-layer transcoder, which writes into every later "
            "layer; one that reads and writes a single layer is read."
        )
    if tensors["w_enc"].ndim != 2:
        raise CheckpointError(f"{printable(str(path))}: w_enc is no matrix.")
    skip = tensors.get(_SKIP)
    weights = Weights(
        "jumprelu",
        tensors["w_enc"].T,
        tensors["b_enc"],
        tensors["w_dec"],
        tensors["b_dec"],
        w_skip=None if skip is None else skip.T,
        threshold=tensors["threshold"],
        centred=False,
    )
    folder = path.resolve().parent
    features = placed(
        weights,
        path,
        placing,
        hook=lambda: _hooks(path),
        name=printable("-".join(folder.parts[-2:])) or "features",
        provenance={"read_from": "Gemma Scope"},
    )
    return Found(features, "Gemma Scope")


def _hooks(path: Path) -> tuple[str, str]:
    """The site that the release's folders say, read and written."""
    parts = path.resolve().parts[-6:]
    layers = [match[1] for part in parts if (match := _LAYER.fullmatch(part))]
    places = {site for part in parts for sign, site in _PLACES if sign in part}
    if len(layers) != 1 or len(places) != 1:
        raise CheckpointError(
            f"{printable(str(path))}: neither the file nor its path says which layer of what it "
            "reads: name the site, and of a transcoder both."
        )
    site = f"{int(layers[0])}.{places.pop()}"
    return site, site


# --- npz ------------------------------------------------------------------------------------------


def _read_npz(path: Path) -> dict[str, Tensor]:
    """The arrays of an npz file in float32."""
    RawFile(path).close()  # no pipe, device or folder
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            if len(members) != len(archive.infolist()):
                raise _damaged(path, "an array is given twice")
            named_in(path, set(members), _NAMES, set())
            _check_sizes(path, list(members.values()))
            return {name: _array(archive, info, path) for name, info in members.items()}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
        raise _damaged(path, str(error)) from None
    except RuntimeError as error:  # what zipfile says of encrypted members
        raise _damaged(path, str(error)) from None


def _check_sizes(path: Path, members: list[zipfile.ZipInfo]) -> None:
    """Weights cannot be packed much smaller; what claims to be is a bomb."""
    total, size = sum(info.file_size for info in members), path.stat().st_size
    if total > 4 * size + (1 << 20):
        raise _damaged(path, f"{size} bytes claim to unpack to {total}")


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> Tensor:
    with archive.open(info) as file:
        shape, fortran, dtype = _header(file)
        if dtype.hasobject or dtype.kind != "f":
            raise _damaged(path, f"{printable(info.filename)} holds {dtype}, expected floats")
        nbytes = math.prod(shape) * dtype.itemsize
        raw = bytearray(file.read(nbytes + 1)) if nbytes < info.file_size else bytearray()
    if len(raw) != nbytes:
        raise _damaged(path, f"{printable(info.filename)} has not the {shape} numbers it claims")
    array = np.frombuffer(raw, dtype=dtype).reshape(shape, order="F" if fortran else "C")
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def _header(file: Any) -> tuple[tuple[int, ...], bool, Any]:
    """Shape, order and type of an array, of which no number is read yet."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    return np.lib.format.read_array_header_2_0(file)


def _damaged(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f"{printable(str(path))}: is no npz file of Gemma Scope, or is damaged "
        f"({printable(reason.rstrip('.'))})."
    )
