"""`molehill features examples`: one pass over texts becomes a file of every feature's examples."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from molehill.cli.common import (
    Dtype,
    DtypeOption,
    JsonOption,
    check_writable,
    load_model,
    loads_models,
    print_error,
    print_json,
    progress,
)

__all__ = ["FeaturesFile", "ModelOfFeatures", "model_of", "register"]

FeaturesFile = Annotated[
    Path,
    typer.Option(
        "--features",
        metavar="FILE",
        help="Features of a model (see `molehill features train`).",
        show_default=False,
    ),
]

# What a shell sees of a program that a signal ended: 128 and the signal's number.
_SIGNALLED = 128

ModelOfFeatures = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        help="The model; default: the one that the features' file names.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    app.command("examples")(loads_models(_examples))


def _examples(
    texts: Annotated[
        list[str],
        typer.Argument(
            metavar="TEXTS...",
            help="Files, folders or hf:... data sets, as `molehill corpus build` takes them.",
            show_default=False,
        ),
    ],
    features: FeaturesFile,
    out: Annotated[
        Path,
        typer.Option("--out", metavar="FILE", help="The file to make.", show_default=False),
    ],
    model: ModelOfFeatures = None,
    split: Annotated[
        str,
        typer.Option("--split", help="Of plain text, what one text is: file, paragraph or line."),
    ] = "paragraph",
    tokens: Annotated[
        int | None, typer.Option("--tokens", min=1, help="Stop after so many tokens.")
    ] = None,
    top: Annotated[
        int, typer.Option("--top", min=1, max=1000, help="Largest activations of each feature.")
    ] = 20,
    sample: Annotated[
        int,
        typer.Option("--sample", min=0, max=1000, help="Activations drawn at random from all."),
    ] = 40,
    context: Annotated[
        int | None,
        typer.Option(
            "--context", min=1, help="Tokens read together; default: the model's, up to 512."
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=2**31, help="Of what is drawn at random.")
    ] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file, with labels that it may hold.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Fail if there is no stopped pass to go on from.")
    ] = False,
    as_json: JsonOption = False,
    dtype: DtypeOption = Dtype.float32,
) -> None:
    """Read texts once, and keep of every feature its largest and some random activations, how often
    and with which others it is active, what its direction promotes, and a label. Given again, the
    same command goes on where it stopped.

    The file is SQLite, can be searched, and needs no model afterwards (`molehill features show`,
    `search`). Until it is there, FILE.unfinished holds what was found: Ctrl-C and SIGTERM save it.

    Example: molehill features examples docs --features lexicon-4 --out lexicon-4.db
    """
    check_writable([out])

    import hashlib

    from molehill.errors import ConfigError
    from molehill.features.examples_writing import PassStopped, write_examples
    from molehill.features.gathering import Gathering
    from molehill.features.trained import features_path, load_features

    if out.exists() and not overwrite:
        raise ConfigError(f"{out} is there already: name another file, or give --overwrite.")
    read = load_features(features)
    with open(features_path(features), "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    lm = load_model(model_of(read.model, model), dtype)
    settings = Gathering(top=top, sample=sample, context=context, most_tokens=tokens, seed=seed)
    try:
        with progress("Tokens", tokens) as advance:
            found = write_examples(
                out,
                lm,
                read,
                _texts(texts, split),
                settings,
                named=texts,
                features_sha256=digest,
                progress=advance,
                notice=print_error,
                must_resume=resume,
            )
    except PassStopped as stopped:
        print_error(f"{stopped}; the same command goes on")
        # Not typer's Exit, which cannot be told from an interruption: the line above is all.
        raise SystemExit(_SIGNALLED + stopped.by) from None
    _report(out, found, as_json)


def model_of(named: str, given: str | None) -> str:
    """The model to load.

    Raises:
        ConfigError: the file names none, and none is given.
    """
    from molehill.errors import ConfigError

    if given is None and not named:
        raise ConfigError("The features' file names no model: give it with --model.")
    return given or named


def _texts(texts: list[str], split: str) -> Iterator[str]:
    """All texts, without empty ones."""
    from molehill.text.documents import documents

    for document in documents(texts, split=split):
        if document.text.strip():
            yield document.text


def _report(out: Path, found: Any, as_json: bool) -> None:
    active = int((found.counts > 0).sum())
    seconds = {name: round(took, 2) for name, took in found.seconds.items()}
    if as_json:
        print_json(
            {
                "file": out,
                "bytes": out.stat().st_size,
                "texts": found.texts,
                "tokens": found.rows,
                "features": len(found.counts),
                "active": active,
                "seconds": seconds,
                "table_bytes": found.nbytes,
            }
        )
        return
    total = max(1e-9, sum(seconds.values()))
    typer.echo(
        f"{out}: {len(found.counts):,} features over {found.rows:,} tokens of {found.texts:,} "
        f"texts; {active:,} were active; {out.stat().st_size / 1e6:,.1f} MB"
    )
    typer.echo(
        f"{found.rows / total:,.0f} tokens/s: model {seconds['model'] / total:.0%}, encoder "
        f"{seconds['encode'] / total:.0%}, keeping {seconds['keep'] / total:.0%}"
    )
    typer.echo(f"Look at some: molehill features show --random 5 --examples {out}")
