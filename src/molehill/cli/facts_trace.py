"""`molehill facts trace`: where a fact is kept, by restoring what corruption took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from molehill.cli.facts_read import ObjectOption, StartOption, SubjectOption
from molehill.errors import FactError

if TYPE_CHECKING:
    from molehill.facts.locate import Approximate
    from molehill.facts.traced import Kind
    from molehill.language_model import LanguageModel

__all__ = ["ApproximateName", "KindName", "register"]


class KindName(StrEnum):
    """What is restored."""

    state = "state"
    mlp = "mlp"
    attention = "attention"


class ApproximateName(StrEnum):
    """Estimates from gradients."""

    attribution = "attribution"
    integrated = "integrated"


_KINDS: Mapping[KindName, Kind] = {
    KindName.state: "state",
    KindName.mlp: "mlp",
    KindName.attention: "attention",
}
_APPROXIMATE: Mapping[ApproximateName, Approximate] = {
    ApproximateName.attribution: "attribution patching",
    ApproximateName.integrated: "integrated gradients",
}


@dataclass(frozen=True)
class _How:
    """How a trace is made; names are those of `trace_fact`."""

    noise: float
    draws: int
    seed: int
    window: int | None
    kinds: Sequence[Kind]

    def given(self) -> dict[str, Any]:
        return dict(vars(self))


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    app.command("trace")(loads_models(_trace))


def _trace(
    prompt: Annotated[
        str | None, typer.Argument(metavar="PROMPT", help="Ends where the answer would begin.")
    ] = None,
    subject: SubjectOption = None,
    object_: ObjectOption = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="OTHER",
            help="Another subject in its place instead of noise; with as many tokens.",
        ),
    ] = None,
    relation: Annotated[
        Path | None,
        typer.Option(
            "--relation",
            metavar="FILE",
            help="Instead of a prompt: the mean over a relation's facts that the model knows.",
        ),
    ] = None,
    most: Annotated[
        int | None,
        typer.Option("--most", min=1, metavar="N", help="Of the relation, so many facts at most."),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Of the relation, facts that are not known too.")
    ] = False,
    noise: Annotated[
        float | None,
        typer.Option("--noise", help="In standard deviations of the token table; default: 3."),
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option("--draws", min=1, max=1000, help="How often noise is drawn; default: 10."),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=2**31, help="Of the noise and of drawn facts.")
    ] = 0,
    window: Annotated[
        int | None,
        typer.Option(
            "--window",
            min=1,
            metavar="N",
            help="Layers restored together, of MLPs and attention; default: a third, at most 10.",
        ),
    ] = None,
    kind: Annotated[
        list[KindName] | None,
        typer.Option("--kind", help="What is restored; repeatable; default: all three."),
    ] = None,
    approximate: Annotated[
        list[ApproximateName] | None,
        typer.Option("--approximate", help="Estimates by gradients beside it; repeatable."),
    ] = None,
    start: StartOption = "",
    model: ModelOption = DEFAULT_MODEL,
    html: HtmlOption = None,
    figure: Annotated[
        Path | None,
        typer.Option("--figure", metavar="FILE", help="A figure for print: .png or .svg."),
    ] = None,
    as_json: JsonOption = False,
    dtype: DtypeOption = Dtype.float32,
) -> None:
    """Trace where a fact is kept: corrupt its subject, restore one place, see what comes back.

    Example: molehill facts trace "An oak is a kind of" --subject oak
    """
    _check(prompt, relation, figure, subject, object_, against, approximate, most, every)
    if against is not None and not (noise is None and draws is None):
        raise FactError(
            "--against puts another subject in the place of noise: leave --noise and --draws away."
        )
    check_writable([path for path in (html, figure) if path is not None])
    kinds = tuple(_KINDS[name] for name in kind or KindName)
    how = _How(3.0 if noise is None else noise, draws or 10, seed, window, kinds)
    lm = load_model(model, dtype)
    _check_window(lm, window, kinds)
    if relation is not None:
        data = _relation(lm, relation, how, start, most, every)
        title = f"{data['relation']}, in {lm.name}"
    else:
        names = tuple(_APPROXIMATE[name] for name in approximate or ())
        data = _fact(lm, prompt or "", how, subject, object_, against, start, names)
        title = f"{data['subject']} → {data['target'].strip()}, in {lm.name}"
    _show(data, title, html, figure, as_json)


def _check(
    prompt: str | None,
    relation: Path | None,
    figure: Path | None,
    subject: str | None,
    object_: str | None,
    against: str | None,
    approximate: Sequence[ApproximateName] | None,
    most: int | None,
    every: bool,
) -> None:
    if (prompt is None) == (relation is None):
        raise FactError("Give either a prompt or --relation FILE.")
    if relation is not None and (subject or object_ or against or approximate):
        raise FactError(
            "--subject, --object, --against and --approximate are of one prompt; a relation's "
            "facts are in its file."
        )
    if relation is None and (most or every):
        raise FactError("--most and --all are of a relation: give --relation FILE.")
    if figure is not None and figure.suffix not in (".png", ".svg"):
        raise FactError(f"--figure is {str(figure)!r}: name a .png or a .svg file.")


def _check_window(lm: LanguageModel, window: int | None, kinds: Sequence[Kind]) -> None:
    """A window that changes nothing is a mistake, and none of the model's."""
    if window is None:
        return
    if kinds == ("state",):
        raise FactError("--window is of MLPs and attention: a state is restored one at a time.")
    if window > lm.config.n_layers:
        raise FactError(
            f"--window is {window}, but {lm.name} has {lm.config.n_layers} layers: give at most "
            "that many."
        )


def _fact(
    lm: LanguageModel,
    prompt: str,
    how: _How,
    subject: str | None,
    object_: str | None,
    against: str | None,
    start: str,
    approximate: Sequence[Approximate],
) -> dict[str, Any]:
    from molehill.facts.locate import trace_fact
    from molehill.facts.prompts import fact_of
    from molehill.version import __version__
    from molehill.views.fact_trace import fact_trace_data

    fact = fact_of(lm, prompt, subject=subject, answer=object_, start=start)
    places = lm.config.n_layers * len(lm.encode([fact.prompt]).row(0)) * len(how.kinds)
    with progress("Tracing", places) as advance:
        trace = trace_fact(
            lm, fact, against=against, approximate=approximate, progress=advance, **how.given()
        )
    return fact_trace_data(lm, trace, version=__version__)


def _relation(
    lm: LanguageModel, path: Path, how: _How, start: str, most: int | None, every: bool
) -> dict[str, Any]:
    import random

    from molehill.facts.cases import known_facts
    from molehill.facts.locate import trace_relation
    from molehill.facts.relations import read_relation
    from molehill.version import __version__
    from molehill.views.fact_trace import relation_trace_data

    relation = read_relation(path, start=start)
    facts = relation.facts
    if not every:
        with progress("Asking", len(facts) * len(relation.templates)) as advance:
            facts = known_facts(lm, relation, progress=advance).known
        if not facts:
            raise FactError(
                f"{lm.name} knows none of the {len(relation.facts)} facts of {path}: --all traces "
                "them all the same."
            )
    if most is not None and len(facts) > most:
        facts = tuple(random.Random(how.seed).sample(facts, most))
    with progress("Tracing", len(facts)) as advance:
        trace = trace_relation(lm, facts, relation=relation.name, progress=advance, **how.given())
    return relation_trace_data(lm, trace, version=__version__)


def _show(
    data: dict[str, Any], title: str, html: Path | None, figure: Path | None, as_json: bool
) -> None:
    from molehill.views.fact_trace_text import fact_trace_renderable, fact_trace_text

    if html is not None:
        from molehill.views.html import page

        content = page("fact-trace", data, title=title, text=fact_trace_text(data))
        write_files([(html, content.encode("utf-8"))])
    if figure is not None:
        from molehill.views.fact_trace_figure import fact_trace_figure

        drawn = fact_trace_figure(data, kind="svg" if figure.suffix == ".svg" else "png")
        write_files([(figure, drawn)])
    if as_json:
        print_view_json(data)
        return
    print_view(
        lambda width, ascii_only: fact_trace_renderable(data, width=width, ascii_only=ascii_only)
    )
