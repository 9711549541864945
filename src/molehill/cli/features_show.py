"""`molehill features show`: features as cards, from an examples file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molehill.cli.common import (
    HtmlOption,
    JsonOption,
    check_writable,
    print_view,
    print_view_json,
    write_files,
)

if TYPE_CHECKING:
    from molehill.features.examples_file import Examples

__all__ = ["ExamplesFile", "register", "show_cards"]

ExamplesFile = Annotated[
    Path,
    typer.Option(
        "--examples",
        metavar="FILE",
        help="What `molehill features examples` made.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    # A number with a minus is a number that no feature has, and no option.
    app.command("show", context_settings={"ignore_unknown_options": True})(_show)


def _show(
    examples: ExamplesFile,
    numbers: Annotated[
        list[int] | None,
        typer.Argument(metavar="[FEATURE]...", help="Features by number.", show_default=False),
    ] = None,
    random: Annotated[
        int | None,
        typer.Option(
            "--random", min=1, metavar="N", help="So many, drawn from all that are active at all."
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=2**31, help="Which ones are drawn.")
    ] = 0,
    top: Annotated[
        int, typer.Option("--top", min=1, help="The most examples of the largest activations.")
    ] = 10,
    dashboard: Annotated[
        Path | None,
        typer.Option(
            "--dashboard",
            metavar="FOLDER",
            help="Write them as JSON for Neuronpedia and SAEDashboard too; needs --features.",
        ),
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option("--features", metavar="FILE", help="The features' file, for --dashboard."),
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(
            "--endpoint",
            metavar="URL",
            help="Ask an OpenAI-compatible endpoint for labels of these features: their example "
            "texts are sent there. A key is taken from MOLEHILL_ENDPOINT_KEY.",
        ),
    ] = None,
    asked: Annotated[
        str | None,
        typer.Option("--endpoint-model", metavar="NAME", help="The model to ask there."),
    ] = None,
    html: HtmlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show features: what they answer to and how sure that is, examples, what they promote, and
    their relatives. Without numbers, five drawn at random.

    With --endpoint, labels in a language model's words are scored and kept in the examples file.

    Example: molehill features show --random 20 --examples lexicon-4.db --html features.html
    """
    from molehill.errors import ConfigError

    if dashboard is not None and features is None:
        raise ConfigError("--dashboard also tells of the features' vectors: give --features FILE.")
    if (endpoint is None) != (asked is None):
        raise ConfigError("--endpoint URL and --endpoint-model NAME belong together.")
    if numbers and random:
        raise ConfigError("Give either features by number, or --random N.")
    check_writable([] if html is None else [html])
    if dashboard is not None and not dashboard.parent.is_dir():
        raise ConfigError(f"{dashboard} cannot be made: there is no folder {dashboard.parent}.")

    from molehill.features.examples_file import open_examples
    from molehill.version import __version__
    from molehill.views.features_card import cards_data

    with open_examples(examples) as opened:
        chosen = list(dict.fromkeys(numbers or opened.random(random or 5, seed)))
        if endpoint is not None and asked is not None:
            _ask(opened, chosen, endpoint, asked, seed)
        drawn = "" if numbers else f", drawn at random (seed {seed})"
        data = cards_data(opened, chosen, drawn=drawn, top=top, version=__version__)
        if dashboard is not None and features is not None:
            _dashboard(dashboard, features, opened, chosen)
    show_cards(data, html=html, as_json=as_json)


def show_cards(data: dict[str, Any], *, html: Path | None, as_json: bool) -> None:
    """Print cards or a search, or write them as a page too."""
    from molehill.views.features_card_text import cards_renderable, cards_text

    if html is not None:
        from molehill.views.html import page

        search = data["search"]
        what = f"{len(data['cards'])} features" if search is None else f"“{search['asked'][:40]}”"
        title = f"{what} of {data['features']['name']}"
        content = page("features-card", data, title=title, text=cards_text(data))
        write_files([(html, content.encode("utf-8"))])
    if as_json:
        print_view_json(data)
        return
    print_view(lambda width, ascii_only: cards_renderable(data, width=width, ascii_only=ascii_only))


def _ask(opened: Examples, chosen: list[int], url: str, model: str, seed: int) -> None:
    """Labels from an endpoint, into the file."""
    from molehill.features.examples_file import keep_label
    from molehill.features.label_endpoint import Endpoint, endpoint_label

    endpoint = Endpoint(url, model)
    for number in chosen:
        if len(opened.examples(number)) >= 4:
            keep_label(opened.path, number, endpoint_label(opened, number, endpoint, seed=seed))


def _dashboard(folder: Path, features: Path, opened: Examples, chosen: list[int]) -> None:
    from molehill.errors import ConfigError
    from molehill.features.dashboard import write_dashboards
    from molehill.features.examples_dashboard import dashboard_run, shown_features
    from molehill.features.trained import load_features

    read = load_features(features)
    if read.n_features != opened.n_features:
        raise ConfigError(
            f"{features} has {read.n_features:,} features and {opened.path} is of "
            f"{opened.n_features:,}: give the file that the examples were made with."
        )
    paths = write_dashboards(folder, read, shown_features(opened, chosen), dashboard_run(opened))
    typer.echo(f"Written: {', '.join(map(str, paths))}", err=True)
