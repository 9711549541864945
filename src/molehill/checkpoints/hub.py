"""A model of the Hugging Face hub, fetched only if the user said so.

Nothing but configs, tokenizers and safetensors is asked for: no code, no pickles. A copy that is
already on this machine is used without asking the network. Knows nothing of what is in the files.
"""

from __future__ import annotations

import re
from pathlib import Path

from molehill.errors import CheckpointError, MissingExtraError

__all__ = ["fetch_from_hub", "is_hub_name"]

_WANTED = ["*.json", "*.safetensors", "*.jinja", "vocab.txt", "merges.txt"]
# Seconds for the first answer; without a network the answer is wanted now, not after retries.
_PATIENCE = 5.0


def is_hub_name(name: str) -> bool:
    """Whether `name` reads like `organisation/model`."""
    return re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", name) is not None


def fetch_from_hub(name: str, revision: str | None, *, download: bool) -> Path:
    """The folder of the model `name` at `revision`, downloaded if it has to be.

    Args:
        name: `organisation/model`.
        revision: A commit, tag or branch; only a commit is the same model tomorrow.
        download: Whether the network may be asked at all.

    Raises:
        MissingExtraError: `huggingface_hub` is not installed.
        CheckpointError: not on this machine and not to be had: not asked for, offline, or unknown.
    """
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        if not download:
            raise CheckpointError(
                f"There is no file or folder {name!r}; as a name on the hub it needs the extra "
                "'hub' (pip install 'molehill[hub]') and download=True."
            ) from None
        raise MissingExtraError(
            f"{name!r} names a model of the hub, which needs the extra 'hub': "
            "pip install 'molehill[hub]'."
        ) from None

    def snapshot(**how) -> Path:
        return Path(snapshot_download(name, revision=revision, allow_patterns=_WANTED, **how))

    try:
        return snapshot(local_files_only=True)
    except Exception as error:  # the hub's own tree of errors, and those of its transport
        if not download:
            raise CheckpointError(
                f"{name!r} is not on this machine, and nothing is downloaded unasked: "
                f"molehill.load({name!r}, revision=COMMIT, download=True) fetches it, and so "
                "does any verb with --revision COMMIT or --download."
            ) from error
    try:
        return snapshot(etag_timeout=_PATIENCE)
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise CheckpointError(
            f"{name!r} is not on this machine and the hub did not give it ({reason[0][:160]}): "
            "only local models can be used; `molehill models` lists them."
        ) from error
