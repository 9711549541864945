"""`molehill facts find`, and a neuron's card for `molehill facts read`."""

from __future__ import annotations

from collections.abc import Iterator
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
from molehill.errors import FactError

if TYPE_CHECKING:
    from molehill.language_model import LanguageModel

__all__ = ["NEURON", "RowName", "TextsOption", "is_neuron", "read_neuron", "register"]

NEURON = r"(neuron )?\d+\.\d+"
"""What names a neuron and no prompt: `17.1203`."""

TextsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--texts",
        metavar="FILE",
        help="Texts to watch a neuron over, one on each line of a .txt; repeatable.",
    ),
]


class RowName(StrEnum):
    """Which row of a gated MLP is asked."""

    gate = "gate"
    up = "up"


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    app.command("find")(loads_models(_find))


def is_neuron(given: str) -> bool:
    """Whether what a person gave names a neuron."""
    import re

    return re.fullmatch(NEURON, given.strip()) is not None


def read_neuron(
    lm: LanguageModel,
    name: str,
    *,
    texts: list[str] | None = None,
    k: int = 10,
    html: Path | None = None,
    as_json: bool = False,
) -> None:
    """Print a neuron's card, or write it as a page too.

    Args:
        name: `17.1203`.
        texts: files, as `documents` reads them; a plain text file is one text per line.
        k: how many words, sources and examples of each kind.

    Raises:
        FactError: the model has no such neuron.
        TextError: texts that cannot be read.
        MolehillError: the page cannot be written.
    """
    check_writable([] if html is None else [html])

    from molehill.facts.memories import neuron_card, parse_neuron
    from molehill.version import __version__
    from molehill.views.neuron import neuron_data
    from molehill.views.neuron_text import neuron_renderable

    layer, neuron = parse_neuron(name)
    with progress("Texts") as advance:
        given = None if not texts else _lines(texts)
        card = neuron_card(lm, layer, neuron, texts=given, k=k, progress=advance)
    data = neuron_data(lm, card, version=__version__)
    if html is not None:
        from molehill.views.html import page
        from molehill.views.neuron_text import neuron_text

        title = f"{card.label} of {lm.name}"
        content = page("neuron", data, title=title, text=neuron_text(data))
        write_files([(html, content.encode("utf-8"))])
    if as_json:
        print_view_json(data)
        return
    print_view(
        lambda width, ascii_only: neuron_renderable(data, width=width, ascii_only=ascii_only)
    )


def _lines(files: list[str]) -> Iterator[str]:
    """The texts of all files, without empty ones."""
    from molehill.text.documents import documents

    for document in documents(files, split="line"):
        if document.text.strip():
            yield document.text


def _find(
    writes: Annotated[
        str | None,
        typer.Option("--writes", metavar="WORD", help="Neurons whose column promotes this word."),
    ] = None,
    asks: Annotated[
        str | None,
        typer.Option("--asks", metavar="WORD", help="Neurons whose row matches this word."),
    ] = None,
    model: ModelOption = DEFAULT_MODEL,
    k: Annotated[
        int, typer.Option("--k", "-k", min=1, max=1000, help="How many neurons are listed.")
    ] = 20,
    row: Annotated[
        RowName | None,
        typer.Option(
            "--row", help="With --asks: of a gated MLP, the gate row (the default) or the up row."
        ),
    ] = None,
    html: HtmlOption = None,
    as_json: JsonOption = False,
    dtype: DtypeOption = Dtype.float32,
) -> None:
    """Find the neurons of the whole model that write a word, or that ask for it.

    Scores are in standard deviations over the vocabulary, with what chance reaches beside them.

    Example: molehill facts find --writes instrument
    """
    if (writes is None) == (asks is None):
        raise FactError("Give either --writes WORD or --asks WORD.")
    if row is not None and asks is None:
        raise FactError("--row is of --asks: a column has no gate, and --writes looks at columns.")
    check_writable([] if html is None else [html])

    from molehill.facts.neuron_index import NeuronIndex
    from molehill.version import __version__
    from molehill.views.neuron import search_data

    lm = load_model(model, dtype)
    if row is not None and not lm.config.gated:
        raise FactError(
            f"{lm.name} has no gates, so each neuron has one row: leave --row {row} away."
        )
    with progress("Neurons", lm.config.n_layers) as advance:
        index = NeuronIndex.build(lm, progress=advance)
    if writes is not None:
        found = index.writing(writes, k)
    else:
        found = index.asking(asks or "", k, row="up" if row == RowName.up else "gate")
    data = search_data(lm, found, version=__version__)
    _show_search(data, html=html, as_json=as_json)


def _show_search(data: dict[str, Any], *, html: Path | None, as_json: bool) -> None:
    from molehill.views.neuron_text import search_renderable, search_text

    if html is not None:
        from molehill.views.html import page

        made = data["provenance"]
        title = f"Neurons that {data['kind'].removesuffix('s')} {data['piece'].lstrip('·')}"
        content = page(
            "neuron-search", data, title=f"{title}, {made['model']}", text=search_text(data)
        )
        write_files([(html, content.encode("utf-8"))])
    if as_json:
        print_view_json(data)
        return
    print_view(
        lambda width, ascii_only: search_renderable(data, width=width, ascii_only=ascii_only)
    )
