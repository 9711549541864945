"""`molehill record`: a corpus through a model, the values at some sites to disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from molehill.cli.common import (
    DEFAULT_MODEL,
    Dtype,
    DtypeOption,
    JsonOption,
    ModelArgument,
    load_model,
    loads_models,
    print_error,
    print_json,
    progress,
)

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    app.command("record")(loads_models(_record))


def _record(
    texts: Annotated[
        Path,
        typer.Option(
            "--texts",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            readable=True,
            help="One text per line; in a .jsonl file, each line's field 'text'.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where the store is made.")],
    sites: Annotated[
        list[str],
        typer.Option(
            "--sites",
            metavar="SITES",
            help="Sites by name or pattern, with commas between: resid_post,'1?.mlp.act'.",
        ),
    ],
    model: ModelArgument = DEFAULT_MODEL,
    dtype: DtypeOption = Dtype.float32,
    keep: Annotated[
        Dtype | None, typer.Option("--keep", help="Number format on disk; default: the model's.")
    ] = None,
    context: Annotated[
        int | None,
        typer.Option(
            "--context", min=1, help="Tokens read together; default: the model's, up to 512."
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Windows in a pass.")] = 32,
    shard_tokens: Annotated[
        int, typer.Option("--shard-tokens", min=1, help="The most tokens in a file.")
    ] = 65_536,
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", min=1, help="Stop after so many tokens.")
    ] = None,
    special: Annotated[
        bool, typer.Option("--special/--no-special", help="Keep the special tokens' rows too.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a corpus through a model and keep what is at some sites, in files that can be resumed.

    Given again, the same command goes on where it stopped.

    Example: molehill record smollm2 --texts corpus.txt --sites 12.resid_post --out store
    """
    import torch

    from molehill.trace import Store

    lm = load_model(model, dtype)
    names = [name.strip() for part in sites for name in part.split(",") if name.strip()]
    try:
        with progress("Tokens", max_tokens) as advance:
            store = Store.create(
                out,
                lm,
                names,
                _texts(texts),
                context=context,
                batch_size=batch_size,
                shard_tokens=shard_tokens,
                dtype=None if keep is None else getattr(torch, keep),
                skip_special=not special,
                max_tokens=max_tokens,
                progress=advance,
            )
    except KeyboardInterrupt:
        print_error(_stopped(out))
        raise SystemExit(130) from None  # said above: not once more
    if as_json:
        print_json({**store.settings, "tokens": len(store), "bytes": store.nbytes, "folder": out})
    else:
        typer.echo(f"{store!r}\n{store.nbytes / 1e6:,.1f} MB in {out}")


def _texts(path: Path) -> Iterator[str]:
    """The file's texts, read as they are needed."""
    from molehill.errors import TextError

    with open(path, encoding="utf-8") as file:
        number = 0
        try:
            for number, line in enumerate(file, start=1):
                if path.suffix != ".jsonl":
                    yield line.rstrip("\r\n")
                    continue
                found = json.loads(line)
                if not isinstance(found, dict) or not isinstance(found.get("text"), str):
                    raise TextError(f"{path}, line {number} has no field 'text' with a string.")
                yield found["text"]
        except UnicodeDecodeError as error:
            raise TextError(f"{path} is not UTF-8: {error.reason}.") from None
        except json.JSONDecodeError as error:
            raise TextError(f"{path}, line {number} is not JSON: {error.msg}.") from None


def _stopped(folder: Path) -> str:
    """What stands after an interruption, and how to go on."""
    from molehill.errors import CheckpointError
    from molehill.trace import Store

    try:
        store = Store.open(folder, verify=False)
    except CheckpointError:
        return "stopped before the first shard was written"
    return (
        f"stopped: {len(store.shards)} shards with {len(store):,} tokens are whole in {folder}; "
        "give the same command again to go on"
    )
