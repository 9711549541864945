"""`molehill features convert`: autoencoders of other tools, to and from Molehill's own file."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molehill.cli.common import JsonOption, load_model, loads_models, print_json

if TYPE_CHECKING:
    from molehill.features.foreign import Found
    from molehill.features.formats import Agreement
    from molehill.features.trained import Features
    from molehill.language_model import LanguageModel

__all__ = ["Layout", "register"]

_LARGEST_DIFFERENCE = 1e-4
"""As a share of the largest number; beyond it what was written is not what was read."""


class Layout(StrEnum):
    """What can be written."""

    molehill = "molehill"
    saelens = "saelens"


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    app.command("convert")(loads_models(_convert))


def _convert(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="A file or a folder.", show_default=False)
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="TARGET", help="A .safetensors file, or a folder for SAELens."
        ),
    ],
    to: Annotated[
        Layout | None,
        typer.Option("--to", help="What is written; default: what TARGET's ending says."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help="The model that they belong to: names of hooks and widths are held against it.",
        ),
    ] = None,
    reads: Annotated[
        str | None,
        typer.Option("--reads", metavar="SITE", help="The site, where the files do not say it."),
    ] = None,
    writes: Annotated[
        str | None,
        typer.Option("--writes", metavar="SITE", help="Of a transcoder, the site it stands for."),
    ] = None,
    scale: Annotated[
        float | None,
        typer.Option(
            "--scale",
            metavar="NUMBER",
            help="What inputs were multiplied with in training, where the files do not say it.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what is at TARGET.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Convert autoencoders: read SAELens, Gemma Scope, sparsify, circuit-tracer, converted
    dictionary_learning and Molehill's own; write SAELens or Molehill's own.

    What was written is read again and compared with what was read, on random vectors.

    Example: molehill features convert lexicon-4 --out my-sae
    """
    from molehill.features.foreign import Placing
    from molehill.features.formats import agreement, read_features

    to = to or (Layout.molehill if out.suffix == ".safetensors" else Layout.saelens)
    _check_free(out, to, overwrite)
    lm = None if model is None else load_model(model)
    config = None if lm is None else lm.config
    found = read_features(source, Placing(config, reads, writes, scale))
    found = replace(found, features=_belonging(found.features, lm))
    notes = _write(found.features, out, to, lm, overwrite)
    back = read_features(out).features
    compared = agreement(found.features.autoencoder, back.autoencoder)
    facts = _facts(found, source, out, to, notes, compared)
    if as_json:
        print_json(facts)
    else:
        _tell(facts)
    _check_equal(out, compared)


def _check_free(out: Path, to: Layout, overwrite: bool) -> None:
    """Before anything is read."""
    from molehill.errors import CheckpointError

    if not out.parent.is_dir():
        raise CheckpointError(f"{out} cannot be written: there is no folder {out.parent}.")
    if to == Layout.molehill and out.is_dir():
        raise CheckpointError(f"{out} is a folder: name a file, such as {out}.safetensors.")
    if to == Layout.saelens and out.exists() and not out.is_dir():
        raise CheckpointError(f"{out} is a file: name a folder.")
    if out.is_file() and not overwrite:
        raise CheckpointError(f"{out} is there: name another file, or give --overwrite.")
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        raise CheckpointError(f"{out} has files in it: name another folder, or give --overwrite.")


def _belonging(features: Features, lm: LanguageModel | None) -> Features:
    """Stamped with the model that the user names; one of another model is refused."""
    if lm is None:
        return features
    features.check(lm)
    if features.model not in ("", lm.name):
        provenance = {**features.provenance, "model_there": features.model}
        features = replace(features, provenance=provenance)
    return replace(features, model=lm.name, fingerprint=lm.fingerprint)


def _write(
    features: Features, out: Path, to: Layout, lm: LanguageModel | None, overwrite: bool
) -> tuple[str, ...]:
    from molehill.features.saelens_writing import write_saelens
    from molehill.features.trained import save_features

    if to == Layout.molehill:
        save_features(features, out)
        return ()
    config = None if lm is None else lm.config
    return write_saelens(features, out, config=config, overwrite=overwrite)


def _facts(
    found: Found,
    source: Path,
    out: Path,
    to: Layout,
    notes: tuple[str, ...],
    compared: Agreement,
) -> dict[str, Any]:
    features, settings = found.features, found.features.settings
    lengths = features.autoencoder.w_dec.detach().norm(dim=1)
    files = out.iterdir() if out.is_dir() else [out]
    return {
        "source": source,
        "layout": found.layout,
        "architecture": settings.architecture,
        "features": settings.n_features,
        "k": settings.k if settings.architecture == "topk" else None,
        "d_in": settings.d_in,
        "d_out": settings.d_out,
        "skip": settings.skip,
        "centred": settings.centred,
        "reads": list(features.reads),
        "writes": list(features.writes),
        "model": features.model,
        "shortest_row": lengths.min().item(),
        "longest_row": lengths.max().item(),
        "folded": list(found.folded),
        "target": out,
        "written_as": str(to),
        "bytes": sum(path.stat().st_size for path in files if path.is_file()),
        "notes": list(notes),
        "check": {
            "rows": compared.rows,
            "active": compared.active,
            "codes_apart": compared.codes_apart,
            "outputs_apart": compared.outputs_apart,
            "largest_output": compared.largest_output,
            "relative": compared.relative,
        },
    }


def _tell(facts: dict[str, Any]) -> None:
    k = f" (k = {facts['k']})" if facts["k"] else ""
    place = " + ".join(facts["reads"])
    if facts["writes"] != facts["reads"]:
        place += " -> " + " + ".join(facts["writes"])
    typer.echo(
        f"Read as {facts['layout']}: {facts['features']:,} features by {facts['architecture']}{k}, "
        f"{facts['d_in']} numbers to {facts['d_out']}, at {place} of "
        f"{facts['model'] or 'an unnamed model'}."
    )
    for sentence in facts["folded"]:
        typer.echo(f"Put in: {sentence}.")
    shortest, longest = facts["shortest_row"], facts["longest_row"]
    if max(abs(shortest - 1), abs(longest - 1)) > 1e-3:
        typer.echo(f"The decoder's rows are {shortest:.3g} to {longest:.3g} long, and stay so.")
    kind = "Molehill's own" if facts["written_as"] == "molehill" else "SAELens"
    typer.echo(f"Written as {kind}: {facts['target']}, {facts['bytes']:,} bytes.")
    for sentence in facts["notes"]:
        typer.echo(f"There: {sentence}.")
    check = facts["check"]
    typer.echo(
        f"Read again, on {check['rows']} random vectors with {check['active']:.1f} active features "
        f"each: values differ by at most {check['codes_apart']:.2g}, outputs, up to "
        f"{check['largest_output']:.3g}, by at most {check['outputs_apart']:.2g}."
    )


def _check_equal(out: Path, compared: Agreement) -> None:
    from molehill.errors import CheckpointError

    if not compared.relative <= _LARGEST_DIFFERENCE:
        raise CheckpointError(
            f"{out} was written, and reads as something else: it differs by "
            f"{compared.relative:.2g} of the largest number, expected at most "
            f"{_LARGEST_DIFFERENCE:g}. Do not use it."
        )
