"""`molehill export`: a model becomes a folder that `transformers` loads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molehill.cli.common import (
    Dtype,
    JsonOption,
    ModelArgument,
    edits_file,
    load_model,
    loads_models,
    print_json,
)

if TYPE_CHECKING:
    from molehill.language_model import LanguageModel

__all__ = ["register"]

# Number formats by the names that files have for them.
_KEPT = {
    "F64": Dtype.float64,
    "F32": Dtype.float32,
    "BF16": Dtype.bfloat16,
    "F16": Dtype.float16,
}
# What a narrow format holds without rounding; float32 holds all but float64, quants included.
_HELD = {
    Dtype.bfloat16: {"BF16", "F8_E4M3", "F8_E5M2"},
    Dtype.float16: {"F16", "F8_E4M3", "F8_E5M2"},
}


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    app.command("export")(loads_models(_export))


def _export(
    model: ModelArgument,
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="Where it goes; made if it is not there.", show_default=False
        ),
    ],
    family: Annotated[
        str | None,
        typer.Option(
            "--family",
            metavar="NAME",
            help="The architecture: gpt2, opt, llama, ...; molehill holds every model, and only "
            "Molehill reads it. Default: the plainest of transformers that loses nothing.",
        ),
    ] = None,
    dtype: Annotated[
        Dtype | None,
        typer.Option(
            "--dtype",
            help="Number format of the weights. Default: as they are stored now; with --edits, "
            "float32, which rounds none of them.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the model in a folder that has files.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a model and its tokenizer as a folder that transformers loads.

    A MODEL may be a run of training, or RUN@STEP. What no architecture of transformers can hold is
    refused, with the reason.

    Example: molehill export runs/first my-model
    """
    from molehill.checkpoints import save_checkpoint
    from molehill.errors import CheckpointError

    _check_free(folder, overwrite)
    lm = load_model(model, dtype or Dtype.float32)
    _check_form(lm, family)
    if dtype is None and edits_file() is None:
        # Loaded as float32, which holds any of the others: going back rounds nothing.
        lm.model.to(_torch_dtype(_stored(lm)))
    try:
        saved_as = save_checkpoint(
            lm.model, lm.tokenizer, folder, family=family, overwrite=overwrite
        )
    except OSError as error:
        raise CheckpointError(
            f"{folder} could not be written: {error.strerror}. Make room, or name another folder."
        ) from error
    facts = _facts(lm, folder, saved_as)
    if as_json:
        print_json(facts)
    else:
        _tell(facts)


def _check_free(folder: Path, overwrite: bool) -> None:
    """Before anything is loaded."""
    from molehill.errors import CheckpointError

    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"{folder} is a file: name a folder.")
    if folder.exists() and any(folder.iterdir()) and not overwrite:
        raise CheckpointError(
            f"{folder} has files in it: name another folder, or give --overwrite."
        )


def _check_form(lm: LanguageModel, family: str | None) -> None:
    from molehill.checkpoints.families import why_no_family
    from molehill.errors import CheckpointError

    reason = why_no_family(lm.config, family)
    if reason is None:
        return
    remedy = "leave --family out, for the plainest that does"
    if family is None:
        remedy = 'train a model that has a form there: preset = "gpt2", activation = "relu"'
    raise CheckpointError(
        f"{reason} Give --family molehill, which keeps it and only Molehill reads; or {remedy}."
    )


def _stored(lm: LanguageModel) -> Dtype:
    """The format in which all weights were stored; float32 where there are several, or quants."""
    kinds = set(lm.report.stored) if lm.report is not None else set()
    kept = _KEPT.get(kinds.pop()) if len(kinds) == 1 else None
    # float64 was rounded when it was loaded.
    return Dtype.float32 if kept in (None, Dtype.float64) else kept


def _torch_dtype(dtype: Dtype) -> Any:
    import torch

    return getattr(torch, str(dtype))


def _facts(lm: LanguageModel, folder: Path, saved_as: str) -> dict[str, Any]:
    """What was written, and what loads it."""
    from molehill.checkpoints.families import FAMILIES, auto_class

    written = FAMILIES[saved_as]
    dtype = Dtype(str(lm.model.dtype).removeprefix("torch."))
    stored = list(lm.report.stored) if lm.report is not None else []
    return {
        "model": lm.name,
        "folder": folder,
        "family": saved_as,
        "architecture": written.with_head if lm.config.has_head else written.without_head,
        "dtype": str(dtype),
        "rounded_from": [kind for kind in stored if not _holds(dtype, kind)],
        "parameters": sum(weight.numel() for weight in lm.model.parameters()),
        "bytes": sum(path.stat().st_size for path in folder.glob("model*.safetensors")),
        "tokenizer": lm.tokenizer is not None,
        "load": _loading(str(folder), saved_as, auto_class(lm.config), lm.tokenizer is not None),
    }


def _holds(dtype: Dtype, kind: str) -> bool:
    """Whether numbers stored as `kind` are the same in `dtype`."""
    if dtype in _HELD:
        return kind in _HELD[dtype]
    return dtype == Dtype.float64 or kind != "F64"


def _loading(folder: str, family: str, model_class: str, with_tokenizer: bool) -> str:
    """A line of Python that loads the folder."""
    if family == "molehill":
        return f"import molehill; lm = molehill.load({folder!r})"
    names = [model_class, *(["AutoTokenizer"] if with_tokenizer else [])]
    line = f"from transformers import {', '.join(names)}; "
    line += f"model = {model_class}.from_pretrained({folder!r})"
    if with_tokenizer:
        line += f"; tokenizer = AutoTokenizer.from_pretrained({folder!r})"
    return line


def _tell(facts: dict[str, Any]) -> None:
    rounded = f" (rounded from {', '.join(facts['rounded_from'])})" if facts["rounded_from"] else ""
    tokenizer = "with its tokenizer" if facts["tokenizer"] else "without a tokenizer: it has none"
    typer.echo(
        f"Saved as {facts['family']} ({facts['architecture']}) in {facts['dtype']}{rounded}: "
        f"{facts['parameters']:,} parameters, {facts['bytes']:,} bytes, {tokenizer}."
    )
    reader = "Only Molehill reads it" if facts["family"] == "molehill" else "transformers loads it"
    typer.echo(f"{reader}:\n  {facts['load']}")
