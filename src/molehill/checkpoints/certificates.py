"""Certificates that were made on this machine, so that what is saved later can say so by itself.

`molehill check` keeps what it found in the user's data folder, one small file for each fingerprint
of weights, dtype and version of Molehill; whatever is saved or shown of the same weights looks
there. `MOLEHILL_CERTIFICATES` names another folder; `off` keeps nothing and finds nothing. A folder
that cannot be read or written is as good as none: a measurement is never lost for want of a note.
This module knows a certificate as plain values; what is checked is not its business.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from molehill.checkpoints.fingerprint import fingerprint
from molehill.files import write_atomically
from molehill.model import Transformer
from molehill.version import __version__

__all__ = [
    "MOST_KEPT",
    "certificate_folder",
    "certificate_of",
    "keep_certificate",
    "kept_certificate",
]

MOST_KEPT = 256
"""So many certificates are kept; the one that was written first makes room."""

_LARGEST = 64 * 2**10  # bytes; a certificate has two or three thousand


def certificate_folder() -> Path | None:
    """Where certificates are kept; None where that was switched off."""
    chosen = os.environ.get("MOLEHILL_CERTIFICATES")
    if chosen is not None:
        return None if chosen.strip().lower() in ("", "off") else Path(chosen).expanduser()
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "molehill" / "certificates"


def keep_certificate(certificate: Mapping[str, Any]) -> Path | None:
    """Keep what `Certificate.to_dict` gives, in place of an earlier one of the same weights.

    Returns:
        The file; None where certificates are not kept or the folder cannot be written.
    """
    path = _path(certificate["fingerprint"], certificate["dtype"], certificate["molehill"])
    if path is None:
        return None
    content = json.dumps(dict(certificate), indent=1, allow_nan=False).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda file: file.write(content))
        _make_room(path)
    except OSError:
        return None
    return path


def kept_certificate(
    fingerprint: str, dtype: str, version: str = __version__
) -> dict[str, Any] | None:
    """The certificate of these weights in this dtype by this version, if one was kept.

    A file that is damaged, too large or of other weights is no certificate.
    """
    path = _path(fingerprint, dtype, version)
    try:
        if path is None or path.stat().st_size > _LARGEST:
            return None
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found if _is_certificate(found, fingerprint, dtype) else None


def certificate_of(model: Transformer) -> dict[str, Any] | None:
    """The kept certificate of a model's weights as they are now.

    The weights are read for it only where any certificate is kept.
    """
    folder = certificate_folder()
    if folder is None or not folder.is_dir() or not any(folder.glob("*.json")):
        return None
    return kept_certificate(fingerprint(model), str(model.dtype).removeprefix("torch."))


def _path(fingerprint: str, dtype: str, version: str) -> Path | None:
    folder = certificate_folder()
    # A trace whose weights have changed since has words for a fingerprint.
    if folder is None or not re.fullmatch("[0-9a-f]{64}", fingerprint):
        return None
    return folder / f"{fingerprint}-{dtype}-{re.sub('[^0-9A-Za-z.+]', '_', version)}.json"


def _is_certificate(found: object, fingerprint: str, dtype: str) -> bool:
    return (
        isinstance(found, dict)
        and (found.get("fingerprint"), found.get("dtype")) == (fingerprint, dtype)
        and isinstance(found.get("passed"), bool)
        and isinstance(found.get("date"), str)
        and isinstance(found.get("checks"), list)
        and all(isinstance(check, dict) and "name" in check for check in found["checks"])
    )


def _make_room(newest: Path) -> None:
    """Remove the oldest files beyond `MOST_KEPT`."""
    ages = []
    for path in newest.parent.glob("*.json"):
        with contextlib.suppress(OSError):  # another process may be making room too
            ages.append((path.stat().st_mtime_ns, path))
    for _, path in sorted(ages)[:-MOST_KEPT]:
        if path != newest:
            path.unlink(missing_ok=True)
