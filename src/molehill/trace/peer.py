"""The same texts through `transformers`, for the certificate.

A folder that `transformers` can read is given to it as it is. Another checkpoint is first written
as such a folder, which checks our saving as well. The library is imported only here and only when
it is asked for; nothing is downloaded and no code of a checkpoint is run.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from molehill.checkpoints.families import auto_class
from molehill.checkpoints.save import save_checkpoint
from molehill.errors import CheckpointError, MissingExtraError
from molehill.language_model import LanguageModel
from molehill.text.tokens import Tokens

__all__ = ["peer_finals"]


def peer_finals(lm: LanguageModel, tokens: Tokens) -> tuple[Tensor, str]:
    """The scores, or the final vectors of a model without a head, as `transformers` computes them.

    Returns:
        [batch, pos, ...], and what was read: the checkpoint itself or our copy of it.

    Raises:
        MissingExtraError: `transformers` is not installed.
        CheckpointError: it cannot read the model.
    """
    try:
        import transformers
    except ImportError as error:
        raise MissingExtraError(f"transformers cannot be imported: {error}.") from None
    source = None if lm.report is None else Path(lm.report.path)
    if source is not None and (source / "config.json").is_file():
        return _run(transformers, lm, source, tokens), "the checkpoint itself"
    with tempfile.TemporaryDirectory(prefix="molehill-") as folder:
        copy = Path(folder) / "copy"
        save_checkpoint(lm.model, None, copy)
        return _run(transformers, lm, copy, tokens), "a copy that Molehill wrote"


def _run(transformers: Any, lm: LanguageModel, folder: Path, tokens: Tokens) -> Tensor:
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        peer = getattr(transformers, auto_class(lm.config)).from_pretrained(
            folder, dtype=lm.model.dtype, local_files_only=True, trust_remote_code=False
        )
        peer = peer.eval().to(lm.model.device)
        ids, mask = tokens.ids.to(lm.model.device), tokens.mask.to(lm.model.device)
        with torch.no_grad():
            out = peer(input_ids=ids, attention_mask=mask.long())
    except Exception as error:  # a foreign library's business: whatever it is, it is said
        first = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise CheckpointError(f"transformers cannot run it: {first[0]}") from None
    finally:
        transformers.logging.set_verbosity(before)
        transformers.logging.enable_progress_bar()
    return out.logits if lm.config.has_head else out.last_hidden_state
