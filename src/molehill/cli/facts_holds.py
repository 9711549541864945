"""`molehill facts holds`: which facts a vector holds."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molehill.cli.common import (
    DEFAULT_MODEL,
    Dtype,
    DtypeOption,
    HtmlOption,
    JsonOption,
    ModelOption,
    check_writable,
    load_model,
    loads_models,
    print_view,
    print_view_json,
    progress,
    write_files,
)
from molehill.cli.facts_read import StartOption
from molehill.errors import FactError

if TYPE_CHECKING:
    from molehill.facts.directions import Method
    from molehill.language_model import LanguageModel

__all__ = ["MakingName", "register"]


class MakingName(StrEnum):
    """How a direction is made."""

    means = "means"
    probe = "probe"


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    app.command("holds")(loads_models(_holds))


def _holds(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="Whose vector is asked about.")],
    concepts: Annotated[
        Path,
        typer.Argument(
            metavar="CONCEPTS",
            help="A relation's file, each object a concept; or a JSON file "
            '{"name": {"above": [texts], "below": [texts]}, ...}.',
        ),
    ],
    model: ModelOption = DEFAULT_MODEL,
    site: Annotated[
        str | None,
        typer.Option("--site", metavar="SITE", help="Default: resid_post of the last layer."),
    ] = None,
    word: Annotated[
        str | None,
        typer.Option(
            "--word", metavar="WORD", help="Its last occurrence; default: the last token."
        ),
    ] = None,
    making: Annotated[
        MakingName,
        typer.Option("--method", help="Difference of means, or a linear probe."),
    ] = MakingName.means,
    start: StartOption = "",
    shuffles: Annotated[
        int, typer.Option("--shuffles", min=1, max=10_000, help="How often labels are shuffled.")
    ] = 200,
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=2**31, help="Of folds, shuffles and draws.")
    ] = 0,
    html: HtmlOption = None,
    as_json: JsonOption = False,
    dtype: DtypeOption = Dtype.float32,
) -> None:
    """Say which facts a vector holds: concepts become directions, and it is held against each.

    Beside each stand random directions, how well it tells held-out vectors, and shuffled labels.

    Example: molehill facts holds "Leo Rosner plays" docs/examples/facts/sport.json -m village
    """
    check_writable([] if html is None else [html])

    from molehill.facts.held_facts import held_facts, read_concepts
    from molehill.version import __version__
    from molehill.views.fact_holds import fact_holds_data

    prompt = start + prompt
    given = read_concepts(concepts, without=prompt, start=start)
    lm = load_model(model, dtype)
    method: Method = "linear probe" if making == MakingName.probe else "difference of means"
    with progress("Directions", len(given)) as advance:
        found = held_facts(
            lm,
            prompt,
            given,
            site=site,
            at=-1 if word is None else _place(lm, prompt, word),
            method=method,
            shuffles=shuffles,
            seed=seed,
            progress=advance,
        )
    _show(fact_holds_data(lm, found, version=__version__), html=html, as_json=as_json)


def _place(lm: LanguageModel, prompt: str, word: str) -> int:
    """The last token of a word's last occurrence."""
    found = lm.encode([prompt]).find(word)
    if not found:
        raise FactError(f"{prompt!r} does not hold {word!r}.")
    return found[-1].positions[-1]


def _show(data: dict[str, Any], *, html: Path | None, as_json: bool) -> None:
    from molehill.views.fact_holds_text import fact_holds_renderable, fact_holds_text

    if html is not None:
        from molehill.views.html import page

        title = f"What {data['site']} holds: {data['text']}"[:80]
        content = page("fact-holds", data, title=title, text=fact_holds_text(data))
        write_files([(html, content.encode("utf-8"))])
    if as_json:
        print_view_json(data)
        return
    print_view(lambda width, ascii_only: fact_holds_renderable(data, ascii_only=ascii_only))
