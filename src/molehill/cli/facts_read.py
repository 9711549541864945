"""`molehill facts read`: a neuron's card, or a fact's."""

from __future__ import annotations

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
from molehill.cli.facts_neuron import TextsOption, is_neuron, read_neuron
from molehill.errors import FactError

if TYPE_CHECKING:
    from molehill.facts.fact import Fact
    from molehill.language_model import LanguageModel

__all__ = ["ObjectOption", "StartOption", "SubjectOption", "register"]

SubjectOption = Annotated[
    str | None,
    typer.Option(
        "--subject",
        metavar="S",
        help="As it stands in the prompt; default: its one run of capitalised words.",
    ),
]
ObjectOption = Annotated[
    str | None,
    typer.Option(
        "--object", metavar="O", help="The answer; default: the word that the model itself says."
    ),
]
StartOption = Annotated[
    str,
    typer.Option(
        "--start",
        metavar="TEXT",
        help="Stands before every prompt, as `<|endoftext|>` where a model learnt to begin so.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    app.command("read")(loads_models(_read))


def _read(
    what: Annotated[
        str, typer.Argument(metavar="WHAT", help="A prompt, or a neuron such as 5.542.")
    ],
    subject: SubjectOption = None,
    object_: ObjectOption = None,
    paraphrase: Annotated[
        list[str] | None,
        typer.Option(
            "--paraphrase",
            metavar="T",
            help="The same asked in other words, with the subject or `{}` in it; repeatable.",
        ),
    ] = None,
    start: StartOption = "",
    texts: TextsOption = None,
    k: Annotated[
        int, typer.Option("--k", "-k", min=1, max=100, help="How many of each kind are listed.")
    ] = 10,
    model: ModelOption = DEFAULT_MODEL,
    draws: Annotated[
        int | None,
        typer.Option(
            "--draws",
            min=0,
            max=1000,
            help="Of the noise in the trace and of random parts; 0: no trace; default: 10.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**31, help="Of these draws.")] = 0,
    html: HtmlOption = None,
    as_json: JsonOption = False,
    dtype: DtypeOption = Dtype.float32,
) -> None:
    """Read a fact: is it known, what carries it, what writes it, what is lost without that.

    Given a neuron instead of a prompt: what its row asks, what its column adds.

    Example: molehill facts read "An oak is a kind of" --subject oak
    """
    check_writable([] if html is None else [html])
    if is_neuron(what):
        if subject or object_ or paraphrase or start:
            raise FactError(f"{what} is a neuron: it has no subject, object or other wordings.")
        if draws is not None:
            raise FactError(f"{what} is a neuron: --draws is of a fact's trace.")
        read_neuron(load_model(model, dtype), what, texts=texts, k=k, html=html, as_json=as_json)
        return
    if texts:
        raise FactError("--texts is for a neuron's card; a fact is asked by its prompt.")

    from molehill.facts.prompts import fact_of

    lm = load_model(model, dtype)
    fact = fact_of(
        lm, what, subject=subject, answer=object_, paraphrases=paraphrase or (), start=start
    )
    _show(
        lm,
        fact,
        _card(lm, fact, k, 10 if draws is None else draws, seed, own=object_ is None),
        html,
        as_json,
    )


def _card(
    lm: LanguageModel, fact: Fact, k: int, draws: int, seed: int, *, own: bool
) -> dict[str, Any]:
    """The card's data, with a bar while it is made."""
    from molehill.facts.card import fact_card, first_token
    from molehill.facts.locate import trace_fact
    from molehill.journey import ledger
    from molehill.version import __version__
    from molehill.views.fact_card import fact_card_data

    writers = None
    if lm.config.causal and not lm.config.head_transform:
        writers = ledger(lm, fact.prompt).logit(first_token(lm, fact))
    trace = None
    if draws:
        with progress("Tracing") as advance:
            trace = trace_fact(lm, fact, draws=draws, seed=seed, progress=advance)
    with progress("Switching off") as advance:
        card = fact_card(
            lm,
            fact,
            writers,
            trace=trace,
            k=k,
            controls=max(1, draws),
            seed=seed,
            progress=advance,
        )
    return fact_card_data(lm, card, own_answer=own, version=__version__)


def _show(
    lm: LanguageModel, fact: Fact, data: dict[str, Any], html: Path | None, as_json: bool
) -> None:
    from molehill.views.fact_card_text import fact_card_renderable, fact_card_text

    if html is not None:
        from molehill.views.html import page

        title = f"{fact.subject} → {fact.object}, in {lm.name}"
        content = page("fact-card", data, title=title, text=fact_card_text(data))
        write_files([(html, content.encode("utf-8"))])
    if as_json:
        print_view_json(data)
        return
    print_view(
        lambda width, ascii_only: fact_card_renderable(data, width=width, ascii_only=ascii_only)
    )
