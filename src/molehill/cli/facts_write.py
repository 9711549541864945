"""`molehill facts write`: one fact as one new neuron, with proof of when it fires."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molehill.cli.common import (
    DEFAULT_MODEL,
    HtmlOption,
    JsonOption,
    ModelOption,
    check_writable,
    load_model,
    loads_models,
    print_view,
    print_view_json,
    progress,
    read_lines,
    write_files,
)
from molehill.cli.facts_edit import edits_so_far, write_edits

if TYPE_CHECKING:
    from molehill.facts.fact import Fact
    from molehill.language_model import LanguageModel

__all__ = ["register"]

_TEXTS, _LONG = 128, 64
"""The model's own text where none is given."""
_WIDE = 256
"""From this width on every token of the vocabulary is looked at as well."""


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    app.command("write")(loads_models(_write))


def _write(
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="What the fact is about.")],
    object_: Annotated[str, typer.Argument(metavar="OBJECT", help="What is to be said of it.")],
    template: Annotated[
        str, typer.Option("--template", help="How it is asked, with {} for the subject.")
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Edits so far and this one go there.")
    ],
    model: ModelOption = DEFAULT_MODEL,
    paraphrase: Annotated[
        list[str] | None,
        typer.Option("--paraphrase", metavar="T", help="Another way to ask; repeatable."),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            "--keep", metavar="T", help="Another question whose answer is to stay; repeatable."
        ),
    ] = None,
    layer: Annotated[
        int | None,
        typer.Option("--layer", metavar="N", min=0, help="Whose MLP. Default: a sixth up."),
    ] = None,
    texts: Annotated[
        Path | None,
        typer.Option(
            "--texts",
            metavar="FILE",
            help="Text not to fire on, one on each line; default: what the model writes itself.",
        ),
    ] = None,
    start: Annotated[
        str, typer.Option("--start", metavar="TEXT", help="Text before every prompt.")
    ] = "",
    html: HtmlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write one fact by hand: a new neuron whose row asks for the subject and whose column answers.

    What it fires on is counted, and told, before it is kept; where no row tells the subject from
    other texts, nothing is written.

    Example: molehill facts write oak flower --template "An {} is a kind of" --out edits.safetensors
    """
    check_writable([out] if html is None else [out, html])

    from molehill.facts.before_after import Asked, compare
    from molehill.facts.edits import apply_edits
    from molehill.facts.fact import Fact
    from molehill.facts.preparing import default_layers, default_prefixes
    from molehill.facts.writing import Hand, write_neuron
    from molehill.version import __version__
    from molehill.views.written_neuron import written_neuron_data

    fact = Fact(subject, object_, template, paraphrases=tuple(paraphrase or ()), start=start)
    before = edits_so_far(out)
    lm = load_model(model, edited=False)
    reference = _own(lm) if texts is None else read_lines(texts)
    edit = write_neuron(
        lm,
        fact,
        layer=default_layers(lm.config)[0] if layer is None else layer,
        reference=reference,
        how=Hand(
            prefixes=default_prefixes(lm),
            keep=tuple(keep or ()),
            vocabulary=int(lm.config.d_model >= _WIDE),
        ),
        edits=before,
    )
    old, new = apply_edits(lm, before), apply_edits(lm, [*before, edit])
    compared = compare(old, new, [Asked(prompt, object_) for prompt in fact.prompts])
    data = written_neuron_data(lm, edit, compared, version=__version__)
    _show(data, fact, html=html, as_json=as_json)
    write_edits(out, [*before, edit])


def _show(data: dict[str, Any], fact: Fact, *, html: Path | None, as_json: bool) -> None:
    from molehill.views.written_neuron import written_neuron_renderable, written_neuron_text

    if html is not None:
        from molehill.views.html import page

        title = f"Written: {fact}"[:80]
        content = page("written-neuron", data, title=title, text=written_neuron_text(data))
        write_files([(html, content.encode("utf-8"))])
    if as_json:
        print_view_json(data)
        return
    print_view(lambda width, ascii_only: written_neuron_renderable(data, ascii_only=ascii_only))


def _own(lm: LanguageModel) -> Any:
    """What the model writes by itself, as tokens."""
    from molehill.facts.own_text import own_text
    from molehill.text.tokens import Tokens

    length = min(_LONG, lm.config.n_ctx)
    with progress("Own text", _TEXTS * length) as advance:
        return Tokens.of_ids(own_text(lm, _TEXTS, length, progress=advance).tolist())
