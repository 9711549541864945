"""`molehill facts evaluate`: methods of editing judged over many facts, one by one or in a row."""

from __future__ import annotations

from collections.abc import Sequence
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
    print_error,
    print_view,
    print_view_json,
    progress,
    read_lines,
    write_files,
)
from molehill.cli.facts_edit import (
    KeysOption,
    LayerOption,
    MethodName,
    StartOption,
    TextsOption,
    TokenName,
    gathered,
    parted,
    settings_of,
)
from molehill.errors import FactError

if TYPE_CHECKING:
    from molehill.facts.edits import FactEdit
    from molehill.facts.relations import Case, Relation
    from molehill.language_model import LanguageModel

__all__ = ["register"]

_AT_ONCE = 64
"""Records that are asked together."""


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    app.command("evaluate")(loads_models(_evaluate))


def _evaluate(
    source: Annotated[
        Path, typer.Argument(metavar="FILE", help="A relation's JSON file, or a folder of them.")
    ],
    model: ModelOption = DEFAULT_MODEL,
    counterfact: Annotated[
        bool, typer.Option("--counterfact", help="The file holds CounterFact's records.")
    ] = False,
    method: Annotated[
        list[MethodName] | None,
        typer.Option("--method", help="How facts are rewritten; repeatable. Default: rome."),
    ] = None,
    most: Annotated[
        int, typer.Option("--most", min=1, metavar="N", help="So many cases at most.")
    ] = 20,
    known_only: Annotated[
        bool, typer.Option("--known-only", help="Only facts that the model itself says.")
    ] = False,
    layer: LayerOption = None,
    token: Annotated[
        TokenName,
        typer.Option(
            "--token", help="Where facts are written: their subject's last token, or the last."
        ),
    ] = TokenName.subject,
    start: StartOption = "",
    words: Annotated[
        int,
        typer.Option("--words", min=0, metavar="N", help="Tokens of free text, for its fluency."),
    ] = 0,
    stack: Annotated[
        bool, typer.Option("--stack", help="Edits in a row, judged after 1, 3, 10, 30, 100.")
    ] = False,
    texts: TextsOption = None,
    keys: KeysOption = None,
    html: HtmlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge methods of editing by every definition, over the facts of a file.

    Each case teaches the model another object of the same relation; paraphrases are the relation's
    other templates, neighbours its other subjects. Ctrl-C ends early and shows what is done.

    Example: molehill facts evaluate docs/examples/facts/sport.json --most 5 -m village
    """
    check_writable([] if html is None else [html])

    from molehill.version import __version__
    from molehill.views.fact_scores import fact_scores_data

    lm = load_model(model)
    cases = _cases(lm, source, counterfact=counterfact, known=known_only, start=start, most=most)
    lines = None if texts is None else read_lines(texts)
    learnt, held, _ = parted(lines, texts)
    makers = {}
    for one in method or [MethodName.rome]:
        settings = settings_of(lm, one.value, layer, token=token.value)
        statistics = gathered(lm, one.value, settings, learnt, texts, keys)
        makers[one.value] = _maker(lm, one.value, statistics, settings)
    if stack:
        stacks, ended = _in_a_row(lm, cases, makers, held, words)
        evaluations: list[Any] = []
    else:
        stacks = {}
        evaluations, ended = _one_by_one(lm, cases, makers, words)
    data = fact_scores_data(
        lm, evaluations, stacks=stacks, cases=len(cases), ended=ended, version=__version__
    )
    _show(data, source, html=html, as_json=as_json)


def _cases(
    lm: LanguageModel, source: Path, *, counterfact: bool, known: bool, start: str, most: int
) -> list[Case]:
    """Cases to be judged, those of all relations mixed; `known` leaves out some and changes neither
    the order nor the rest.

    Raises:
        FactError: the file is at fault, or there is no case.
    """
    import random
    from dataclasses import replace

    from molehill.facts.cases import make_cases
    from molehill.facts.relations import read_counterfact, read_relations

    if counterfact:
        cases = list(read_counterfact(source))
        cases = [replace(one, fact=replace(one.fact, start=start)) for one in cases]
        return _some(_said(lm, cases, most) if known else cases, most, source)
    relations = read_relations(source, start=start)
    placed = [
        (number, case)
        for number, relation in enumerate(relations)
        for case in make_cases(relation.facts, relation)
    ]
    random.Random(0).shuffle(placed)
    if known:
        return _some(_known(lm, relations, placed, most), most, source)
    return _some([case for _, case in placed], most, source)


def _said(lm: LanguageModel, cases: Sequence[Case], most: int) -> list[Case]:
    """Of CounterFact's records in their order, those whose true object the model says, as many as
    are asked for."""
    from molehill.facts.asking import score_answers

    found: list[Case] = []
    with progress("Asking", len(cases)) as advance:
        for first in range(0, len(cases), _AT_ONCE):
            some = cases[first : first + _AT_ONCE]
            answers = score_answers(lm, [(one.fact.prompt, one.fact.object) for one in some])
            found += [one for one, said in zip(some, answers, strict=True) if said.greedy]
            advance(len(some))
            if len(found) >= most:
                break
    return found


def _known(
    lm: LanguageModel, relations: Sequence[Relation], placed: Sequence[tuple[int, Case]], most: int
) -> list[Case]:
    """Of mixed cases in their order, those whose fact the model says in some template, asked in one
    that it knows; of each relation the first `10 * most` are looked at."""
    from dataclasses import replace

    from molehill.facts.cases import known_facts, make_cases

    made: dict[tuple[int, str, str], Case] = {}
    for number, relation in enumerate(relations):
        facts = [case.fact for home, case in placed if home == number][: 10 * most]
        if not facts:
            continue
        with progress(f"Asking {relation.name}", len(facts) * len(relation.templates)) as advance:
            asked = replace(relation, facts=tuple(facts))
            known = known_facts(lm, asked, progress=advance).known
        for case in make_cases(known, relation):
            made[number, case.fact.subject, case.fact.object] = case
    keys = ((home, case.fact.subject, case.fact.object) for home, case in placed)
    return [made[key] for key in dict.fromkeys(keys) if key in made]


def _some(cases: list[Case], most: int, source: Path) -> list[Case]:
    if not cases:
        raise FactError(
            f"{source} gives no case: a relation needs facts that the model knows, and two objects."
        )
    return cases[:most]


def _maker(lm: LanguageModel, method: Any, statistics: Any, settings: Any) -> Any:
    from molehill.facts.rewriting import rewrite

    def make(case: Case, edits: Sequence[FactEdit]) -> FactEdit:
        wanted = case.fact.with_object(case.new)
        return rewrite(lm, [wanted], method, statistics, settings, edits=edits)

    return make


def _one_by_one(
    lm: LanguageModel, cases: Sequence[Case], makers: dict[str, Any], words: int
) -> tuple[list[Any], bool]:
    """Every case by every method; whether all were done."""
    from molehill.facts.edits import apply_edits
    from molehill.facts.evaluate import CaseScore, Evaluation, judge

    scores: dict[str, list[Any]] = {method: [] for method in makers}
    ended = True
    try:
        with progress("Edits", len(cases) * len(makers)) as advance:
            for case in cases:
                before = judge(lm, case, original=lm, words=words)
                for method, make in makers.items():
                    edit = make(case, ())
                    edited = apply_edits(lm, [edit])
                    after = judge(edited, case, original=lm, words=words)
                    scores[method].append(CaseScore(case, before, after, edit.name))
                    advance(1)
    except KeyboardInterrupt:
        ended = False
        print_error("stopped: what follows is what was measured by then.")
    return [Evaluation(lm.name, name, tuple(rows)) for name, rows in scores.items()], ended


def _in_a_row(
    lm: LanguageModel,
    cases: Sequence[Case],
    makers: dict[str, Any],
    held: Sequence[str] | None,
    words: int,
) -> tuple[dict[str, list[Any]], bool]:
    """The milestones of every method; whether all were reached."""
    from molehill.facts.stacking import MILESTONES, stack_scores

    at = (*MILESTONES, len(cases))
    stacks: dict[str, list[Any]] = {method: [] for method in makers}
    try:
        with progress("Edits", len(cases) * len(makers)) as advance:
            for method, make in makers.items():
                rows = stack_scores(
                    lm, cases, make, method=method, at=at, texts=held, words=words, progress=advance
                )
                for row in rows:
                    stacks[method].append(row)
    except KeyboardInterrupt:
        print_error("stopped: what follows is what was measured by then.")
        return stacks, False
    return stacks, True


def _show(data: dict[str, Any], source: Path, *, html: Path | None, as_json: bool) -> None:
    from molehill.views.fact_scores_text import fact_scores_renderable, fact_scores_text

    if html is not None:
        from molehill.views.html import page

        text = fact_scores_text(data, width=100)
        content = page("fact-scores", data, title=f"Scores of edits: {source.name}", text=text)
        write_files([(html, content.encode("utf-8"))])
    if as_json:
        print_view_json(data)
        return
    print_view(
        lambda width, ascii_only: fact_scores_renderable(data, width=width, ascii_only=ascii_only)
    )
