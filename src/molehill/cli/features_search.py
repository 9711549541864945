"""`molehill features search`: features by a word, by a text that activates them, by a vector."""

from __future__ import annotations

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
)
from molehill.cli.features_examples import ModelOfFeatures, model_of
from molehill.cli.features_show import ExamplesFile, show_cards

if TYPE_CHECKING:
    from molehill.features.examples_file import Examples
    from molehill.features.trained import Features

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    app.command("search")(loads_models(_search))


def _search(
    examples: ExamplesFile,
    word: Annotated[
        str | None,
        typer.Argument(metavar="[WORD]", help="A word of the examples.", show_default=False),
    ] = None,
    text: Annotated[
        str | None, typer.Option("--text", metavar="TEXT", help="Features that a text activates.")
    ] = None,
    vector: Annotated[
        str | None,
        typer.Option(
            "--vector",
            metavar="FILE[:NAME]",
            help="Features that point as a vector of a safetensors file does.",
        ),
    ] = None,
    like: Annotated[
        int | None,
        typer.Option("--like", metavar="FEATURE", help="Features that point as this one does."),
    ] = None,
    promotes: Annotated[
        str | None,
        typer.Option("--promotes", metavar="WORD", help="Features that point to a word's score."),
    ] = None,
    rows: Annotated[
        bool,
        typer.Option("--rows", help="Hold vectors against what features ask, not what they add."),
    ] = False,
    features: Annotated[
        Path | None,
        typer.Option(
            "--features",
            metavar="FILE",
            help="The features' file: for all but words.",
        ),
    ] = None,
    model: ModelOfFeatures = None,
    k: Annotated[int, typer.Option("--k", "-k", min=1, max=1000, help="How many are listed.")] = 15,
    html: HtmlOption = None,
    as_json: JsonOption = False,
    dtype: DtypeOption = Dtype.float32,
) -> None:
    """Find features by a word of their examples, by a text that activates them, or by a vector.

    Example: molehill features search mole --examples lexicon-4.db
    """
    from molehill.errors import ConfigError

    ways = [word, text, vector, like, promotes]
    if sum(way is not None for way in ways) != 1:
        raise ConfigError("Give one of: a word, --text, --vector, --like, --promotes.")
    if word is None and features is None:
        raise ConfigError("Texts and vectors are held against the features: give --features FILE.")
    if rows and vector is None and like is None:
        raise ConfigError("--rows is of --vector and --like.")
    check_writable([] if html is None else [html])

    from molehill.features.examples_file import open_examples
    from molehill.features.finding import by_word
    from molehill.version import __version__
    from molehill.views.features_search import word_search_data

    with open_examples(examples) as opened:
        if word is not None:
            found = by_word(opened, word, k)
            data = word_search_data(opened, found, version=__version__)
        else:
            assert features is not None, "asked for above"
            read = _matching(features, opened)
            if text is not None:
                data = _by_text(opened, read, text, k, model, dtype)
            else:
                data = _by_vector(opened, read, vector, like, promotes, rows, k, model, dtype)
    show_cards(data, html=html, as_json=as_json)


def _matching(path: Path, opened: Examples) -> Features:
    """The features, if the examples are theirs."""
    from molehill.errors import ConfigError
    from molehill.features.trained import load_features

    read = load_features(path)
    if read.n_features != opened.n_features:
        raise ConfigError(
            f"{path} has {read.n_features:,} features and {opened.path} is of "
            f"{opened.n_features:,}: give the file that the examples were made with."
        )
    return read


def _by_text(
    opened: Examples, read: Features, text: str, k: int, model: str | None, dtype: Dtype
) -> dict[str, Any]:
    from molehill.features.finding import by_text
    from molehill.version import __version__
    from molehill.views.features_search import text_search_data

    lm = load_model(model_of(read.model, model), dtype)
    found = by_text(lm, read, opened, text, k)
    return text_search_data(opened, found, text, version=__version__)


def _by_vector(
    opened: Examples,
    read: Features,
    vector: str | None,
    like: int | None,
    promotes: str | None,
    rows: bool,
    k: int,
    model: str | None,
    dtype: Dtype,
) -> dict[str, Any]:
    from molehill.errors import TextError
    from molehill.features.finding import by_vector, read_vector
    from molehill.version import __version__
    from molehill.views.features_search import vector_search_data

    if vector is not None:
        wanted, told = read_vector(vector), f"the vector of {vector}"
    elif like is not None:
        if not 0 <= like < read.n_features:
            raise TextError(f"There is no feature {like}: {read.name} has {read.n_features:,}.")
        table = read.autoencoder.w_enc if rows else read.autoencoder.w_dec
        wanted, told = table[like], f"feature {like}"
    else:
        from molehill.features.effects import reader_of_word
        from molehill.text.next_word import next_token

        lm = load_model(model_of(read.model, model), dtype)
        assert promotes is not None and lm.tokenizer is not None, "one way was given"
        wanted = reader_of_word(lm, read, next_token(lm.tokenizer, promotes))
        told = f"what raises the score of “{promotes}”"
    found = by_vector(read, wanted, k, rows=rows, without=like)
    return vector_search_data(opened, found, told, version=__version__)
