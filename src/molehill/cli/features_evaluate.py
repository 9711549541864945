"""`molehill features evaluate`: autoencoders scored on held-out texts, and against what is true."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molehill.cli.common import (
    Dtype,
    DtypeOption,
    HtmlOption,
    JsonOption,
    check_writable,
    load_model,
    loads_models,
    print_view,
    print_view_json,
    progress,
    write_files,
)
from molehill.errors import ConfigError

if TYPE_CHECKING:
    from molehill.features.evaluating import Evaluation
    from molehill.features.trained import Features
    from molehill.language_model import LanguageModel

__all__ = ["TruthName", "register"]

_TOKENS = 100_000
_SENTENCES = 12_000
_PROBE_STEPS = 300


class TruthName(StrEnum):
    """Whose truth is known."""

    village = "village"


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    app.command("evaluate")(loads_models(_evaluate))


def _evaluate(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="Molehill's own files or other tools' folders; several make a frontier.",
        ),
    ],
    texts: Annotated[
        list[Path] | None,
        typer.Option(
            "--texts",
            metavar="PATH",
            help="Held-out files and folders; repeatable. With --truth, its own sentences.",
        ),
    ] = None,
    truth: Annotated[
        TruthName | None,
        typer.Option("--truth", help="Score against what is known to be true there."),
    ] = None,
    senses: Annotated[
        list[Path] | None,
        typer.Option(
            "--senses",
            metavar="FOLDER",
            help="Tell a word's senses by its best features: CoarseWSD-20's format; repeatable.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", metavar="MODEL", help="Default: the model that the first file names."
        ),
    ] = None,
    tokens: Annotated[
        int, typer.Option("--tokens", min=2, metavar="N", help="Read about so many tokens.")
    ] = _TOKENS,
    context: Annotated[
        int | None,
        typer.Option(
            "--context", min=2, metavar="N", help="Tokens read together; default: at most 512."
        ),
    ] = None,
    html: HtmlOption = None,
    figure: Annotated[
        Path | None,
        typer.Option("--figure", metavar="FILE", help="A figure for print: .png or .svg."),
    ] = None,
    dtype: DtypeOption = Dtype.float32,
    as_json: JsonOption = False,
) -> None:
    """Score autoencoders: what they explain, what predictions lose, how many features they use.

    Tokens that training left out are left out here too, and said. --json has SAEBench's names.

    Example: molehill features evaluate lexicon-4 --texts docs/examples
    """
    if figure is not None and figure.suffix not in (".png", ".svg"):
        raise ConfigError(f"--figure is {str(figure)!r}: name a .png or a .svg file.")
    if texts is None and truth is None:
        raise ConfigError("Give --texts to score on, held out from training, or --truth village.")
    check_writable([path for path in (html, figure) if path is not None])
    data = _data(files, texts, truth, senses or [], model, tokens, context, dtype)
    _show(data, html, figure, as_json)


def _data(
    files: list[Path],
    texts: list[Path] | None,
    truth: TruthName | None,
    senses: list[Path],
    model: str | None,
    tokens: int,
    context: int | None,
    dtype: Dtype,
) -> dict[str, Any]:
    from molehill.cli.features_senses import sense_probes, sense_words
    from molehill.version import __version__
    from molehill.views.feature_scores import feature_scores_data

    words = sense_words(senses)
    lm = None if model is None else load_model(model, dtype)
    found = [_read(path, lm) for path in files]
    if lm is None:
        lm = load_model(_named(found[0], files[0]), dtype)
    for one in found:
        one.check(lm)
    held_out, told = _texts(texts, tokens)
    scores = _scores(lm, found, held_out, tokens, context)
    truths = [] if truth is None else _truths(lm, found)
    probes = [sense_probes(lm, one, words) for one in found] if words else []
    named = [(str(path), one) for path, one in zip(files, scores, strict=True)]
    return feature_scores_data(
        lm, named, texts=told, truths=truths, senses=probes, version=__version__
    )


def _read(path: Path, lm: LanguageModel | None) -> Features:
    from molehill.features.foreign import Placing
    from molehill.features.formats import read_features

    return read_features(path, Placing(None if lm is None else lm.config)).features


def _named(features: Features, path: Path) -> str:
    if not features.model:
        raise ConfigError(f"{path} does not say which model it is for: give it by -m MODEL.")
    return features.model


def _texts(given: list[Path] | None, tokens: int) -> tuple[Callable[[], Iterable[str]], str]:
    """What is read, from its beginning each time, and in words."""
    from molehill.text.documents import documents

    if given:
        paths = [str(path) for path in given]
        return lambda: (one.text for one in documents(paths)), ", ".join(paths)
    from molehill.cli.features_truth import held_out_sentences

    return held_out_sentences(tokens), "sentences of the village that training did not tell"


def _scores(
    lm: LanguageModel,
    found: list[Features],
    texts: Callable[[], Iterable[str]],
    tokens: int,
    context: int | None,
) -> list[Evaluation]:
    from molehill.features.evaluating import evaluate

    with progress("Scoring", 2 * tokens * len(found)) as advance:
        return [
            evaluate(lm, one, texts, context=context, most_tokens=tokens, progress=advance)
            for one in found
        ]


def _truths(lm: LanguageModel, found: list[Features]) -> list[dict[str, Any]]:
    from molehill.cli.features_truth import village_scores, village_truth
    from molehill.features.truth import linear_ceiling

    sites = tuple(dict.fromkeys(site for one in found for site in one.reads))
    told = []
    with progress("Words of the village") as advance:
        truth = village_truth(lm, sites, sentences=_SENTENCES, progress=advance)
    ceilings: dict[tuple[str, ...], Any] = {}
    with progress("Probes of the truth", _PROBE_STEPS * len({one.reads for one in found})) as step:
        for one in found:
            if one.reads not in ceilings:
                x = one.rows(truth.rows, one.reads)
                ceilings[one.reads] = linear_ceiling(
                    x, truth.used, choosing=truth.choosing, steps=_PROBE_STEPS, progress=step
                )
    with progress("Truth", len(found)) as advance:
        for one in found:
            told.append(village_scores(truth, one, ceiling=ceilings[one.reads]))
            advance(1)
    return told


def _show(data: dict[str, Any], html: Path | None, figure: Path | None, as_json: bool) -> None:
    from molehill.views.feature_scores_text import feature_scores_renderable, feature_scores_text

    if html is not None:
        from molehill.views.html import page

        title = f"Features of {data['provenance']['model']}, scored"
        text = feature_scores_text(data)
        content = page("features-frontier", data, title=title, text=text)
        write_files([(html, content.encode("utf-8"))])
    if figure is not None:
        from molehill.views.feature_scores_figure import feature_scores_figure

        drawn = feature_scores_figure(data, kind="svg" if figure.suffix == ".svg" else "png")
        write_files([(figure, drawn)])
    if as_json:
        print_view_json(data)
        return
    print_view(
        lambda width, ascii_only: feature_scores_renderable(
            data, width=width, ascii_only=ascii_only
        )
    )
