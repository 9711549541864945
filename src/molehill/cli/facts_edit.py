"""`molehill facts edit`, `list`, `undo` and `diff`: facts are rewritten, and edits are kept."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molehill.cli.common import (
    DEFAULT_MODEL,
    HtmlOption,
    JsonOption,
    ModelOption,
    check_writable,
    edits_file,
    load_model,
    loads_models,
    print_error,
    print_view,
    print_view_json,
    progress,
    read_lines,
    write_files,
)
from molehill.errors import FactError

if TYPE_CHECKING:
    from molehill.facts.edits import FactEdit
    from molehill.facts.fact import Fact
    from molehill.facts.rewriting import Settings
    from molehill.language_model import LanguageModel

__all__ = [
    "KeysOption",
    "LayerOption",
    "MethodName",
    "StartOption",
    "TextsOption",
    "TokenName",
    "edits_so_far",
    "gathered",
    "parted",
    "register",
    "settings_of",
    "write_edits",
]


class TokenName(StrEnum):
    """At which token a fact is written."""

    subject = "subject"
    last = "last"


class MethodName(StrEnum):
    """How facts are rewritten; see `molehill.facts.rewriting`."""

    rome = "rome"
    memit = "memit"
    null_space = "null-space"
    fine_tuning = "fine-tuning"
    constrained = "constrained"


LayerOption = Annotated[
    list[int] | None,
    typer.Option(
        "--layer",
        metavar="N",
        min=0,
        help="Layer to change; repeatable. Default: a sixth up.",
    ),
]
StartOption = Annotated[
    str, typer.Option("--start", metavar="TEXT", help="Text before every prompt: <|endoftext|>.")
]
TextsOption = Annotated[
    Path | None,
    typer.Option(
        "--texts",
        metavar="FILE",
        help="Text, one on each line, for key statistics; every tenth is held out for the gate.",
    ),
]
KeysOption = Annotated[
    Path | None,
    typer.Option("--keys", metavar="FOLDER", help="Where key statistics are kept."),
]

_HELD_OUT = 10
"""One line in so many is held out, of so many lines at most."""
_MOST_HELD_OUT = 100
_WRITTEN = 12


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    app.command("edit")(loads_models(_edit))
    app.command("list")(_list)
    app.command("undo")(_undo)
    app.command("diff")(_diff)


def _edit(
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="What the fact is about.")],
    new: Annotated[str, typer.Argument(metavar="OBJECT", help="What is to be said of it.")],
    template: Annotated[
        str, typer.Option("--template", help="How it is asked, with {} for the subject.")
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Edits so far and this one go there.")
    ],
    model: ModelOption = DEFAULT_MODEL,
    paraphrase: Annotated[
        list[str] | None,
        typer.Option("--paraphrase", help="Another way to ask, to be looked at; repeatable."),
    ] = None,
    neighbour: Annotated[
        list[str] | None,
        typer.Option("--neighbour", help="A subject to be left alone; repeatable."),
    ] = None,
    start: StartOption = "",
    method: Annotated[
        MethodName, typer.Option("--method", help="How it is rewritten.")
    ] = MethodName.rome,
    layer: LayerOption = None,
    token: Annotated[
        TokenName,
        typer.Option("--token", help="Where it is written: the subject's last token, or the last."),
    ] = TokenName.subject,
    texts: TextsOption = None,
    keys: KeysOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write the edit even if the health gate refuses it.")
    ] = False,
    html: HtmlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Rewrite one fact, look at what it did to the model, and keep the edit.

    The model's files are never changed: an edit is a small file that every verb takes (--edits).

    Example: molehill facts edit oak flower --template "An {} is a" --out oak.safetensors
    """
    check_writable([out] if html is None else [out, html])

    from molehill.facts.edits import apply_edits, sizes
    from molehill.facts.fact import Fact
    from molehill.facts.health import health
    from molehill.facts.rewriting import rewrite
    from molehill.version import __version__
    from molehill.views.fact_edit import fact_edit_data

    fact = Fact(subject, new, template, paraphrases=tuple(paraphrase or ()), start=start)
    before = edits_so_far(out)
    lm = load_model(model, edited=False)
    lines = None if texts is None else read_lines(texts)
    learnt, held, told = parted(lines, texts)
    if keys is not None and method in (MethodName.fine_tuning, MethodName.constrained):
        print_error(f"note: {method} needs no key statistics; --keys is not used.")
    _tell_if_said(lm, before, fact)
    settings = settings_of(lm, str(method), layer, fact, str(token))
    statistics = gathered(lm, str(method), settings, learnt, texts, keys)
    with progress("Learning") as advance:
        edit = rewrite(
            lm, [fact], method.value, statistics, settings, edits=before, progress=advance
        )
    large = sizes(lm, [edit])
    for one in large:
        print(f"Changes {one.where} by {one.relative:.2%} of its size.", file=sys.stderr)
    edited = apply_edits(lm, [*before, edit])
    near = [(fact.start + template.replace("{}", one).rstrip(), "") for one in neighbour or []]
    found = health(lm, edit, edits=before, edited=edited, texts=held, text=told, neighbours=near)
    edit = edit.measured(
        **_measured(found), sizes={one.where: round(one.relative, 6) for one in large}
    )
    data = fact_edit_data(
        lm,
        edit,
        found,
        edits=before,
        sizes=large,
        written=_written(lm, edited, fact),
        version=__version__,
    )
    _show(data, fact, html=html, as_json=as_json)
    if found.verdict == "refuses" and not force:
        raise FactError(
            f"{out} was not written: {' '.join(found.reasons)} --force keeps the edit all the same."
        )
    write_edits(out, [*before, edit])


def _tell_if_said(lm: LanguageModel, before: Sequence[FactEdit], fact: Fact) -> None:
    """A note where there is nothing to teach: the model says the object already."""
    from molehill.facts.asking import score_answers
    from molehill.facts.edits import apply_edits

    (answer,) = score_answers(apply_edits(lm, before), [(fact.prompt, fact.object)])
    if answer.greedy:
        now = "as it was edited so far" if before else "without any edit"
        print_error(
            f"note: {lm.name} {now} says {fact.object!r} after {fact.prompt!r} already "
            f"({answer.probability:.0%}): there is little for the edit to change."
        )


def settings_of(
    lm: LanguageModel,
    method: str,
    layers: Sequence[int] | None,
    fact: Fact | None = None,
    token: str = "subject",
) -> Settings:
    """See `molehill.facts.defaults.default_settings`."""
    from molehill.facts.defaults import default_settings

    return default_settings(lm, method, layers, fact, token)


def gathered(
    lm: LanguageModel,
    method: str,
    settings: Settings,
    texts: Sequence[str] | None,
    file: Path | None,
    keys: Path | None,
) -> dict[int, Any]:
    """The key statistics that a method needs, kept or gathered under a progress bar."""
    if method in ("fine-tuning", "constrained"):
        return {}
    from molehill.facts.preparing import key_folder, key_work, prepare_keys

    layers = settings.layers[-1:] if method == "rome" else settings.layers
    with progress("Key statistics", key_work(lm, texts)) as advance:
        return prepare_keys(
            lm,
            layers,
            texts=texts,
            data="" if file is None else file.name,
            folder=keys or key_folder(),
            progress=advance,
        )


def edits_so_far(out: Path) -> tuple[FactEdit, ...]:
    """The edits to go on from: those of --edits, or what the file to write holds already.

    Raises:
        FactError: writing would lose edits.
    """
    from molehill.facts.edit_files import load_fact_edits

    given = edits_file()
    there = load_fact_edits(out) if out.exists() else ()
    if given is None:
        return there
    edits = load_fact_edits(given)
    begins = [edit.digest for edit in edits[: len(there)]]
    if [edit.digest for edit in there] != begins:
        raise FactError(
            f"{out} holds edits that {given} does not begin with, and they would be lost: name "
            "another file, or leave --edits out to go on from them."
        )
    return edits


def parted(
    lines: Sequence[str] | None, file: Path | None
) -> tuple[Sequence[str] | None, Sequence[str] | None, str]:
    """Lines for key statistics, lines that are held out, and what those are, in words."""
    if lines is None or file is None:
        return None, None, ""
    if len(lines) < 2 * _HELD_OUT:
        return lines, lines, f"{file.name}, from which the key statistics are too"
    held = lines[::_HELD_OUT][:_MOST_HELD_OUT]
    learnt = [line for number, line in enumerate(lines) if number % _HELD_OUT]
    return learnt, held, f"every {_HELD_OUT}th line of {file.name}"


def _measured(found: Any) -> dict[str, Any]:
    """What of the gate's findings stays with the edit."""
    return {
        "health": found.verdict,
        "measures": {one.name: one.value for one in found.measures},
        "held_out": found.text,
    }


def _written(lm: LanguageModel, edited: LanguageModel, fact: Fact) -> list[tuple[str, str, str]]:
    """What both models write after the prompts; nothing where the model does not write."""
    if not lm.config.causal:
        return []
    prompts = list(fact.prompts)
    old, new = (
        [one.text for one in model.generate(prompts, max_new_tokens=_WRITTEN)]
        for model in (lm, edited)
    )
    return list(zip(prompts, old, new, strict=True))


def _show(data: dict[str, Any], fact: Fact, *, html: Path | None, as_json: bool) -> None:
    from molehill.views.fact_edit_text import fact_edit_renderable, fact_edit_text

    if html is not None:
        from molehill.views.html import page

        title = f"Edit: {fact}"[:80]
        content = page("fact-edit", data, title=title, text=fact_edit_text(data))
        write_files([(html, content.encode("utf-8"))])
    if as_json:
        print_view_json(data)
        return
    print_view(
        lambda width, ascii_only: fact_edit_renderable(data, width=width, ascii_only=ascii_only)
    )


def write_edits(out: Path, edits: Sequence[FactEdit]) -> None:
    """Write a file of edits and say so on stderr."""
    from molehill.facts.edit_files import save_fact_edits

    save_fact_edits(out, edits)
    count = "1 edit" if len(edits) == 1 else f"{len(edits)} edits"
    print(f"Written: {out} ({count})", file=sys.stderr)


_FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A file of edits.")]


def _list(file: _FileArgument, html: HtmlOption = None, as_json: JsonOption = False) -> None:
    """List the edits in a file: what they teach, what they change, what was measured.

    Example: molehill facts list edits.safetensors
    """
    check_writable([] if html is None else [html])

    from molehill.facts.edit_files import load_fact_edits
    from molehill.version import __version__
    from molehill.views.fact_edits import stack_data

    data = stack_data(load_fact_edits(file), file=file.name, version=__version__)
    _show_files(data, f"Edits in {file.name}", html=html, as_json=as_json)


def _undo(
    file: _FileArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The edit's name, or how it begins.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Default: the same file.")
    ] = None,
    html: HtmlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take one edit out of a file; without it the model's weights are as if it had never been.

    Example: molehill facts undo edits.safetensors 3fa94c1e
    """
    out = out or file
    check_writable([out] if html is None else [out, html])

    from molehill.facts.edit_files import load_fact_edits
    from molehill.version import __version__
    from molehill.views.fact_edits import undo_data

    edits = load_fact_edits(file)
    gone = _named(edits, name, file)
    data = undo_data(edits, gone, file=file.name, out=out.name, version=__version__)
    _show_files(data, f"Undone: {gone}"[:80], html=html, as_json=as_json)
    write_edits(out, [edit for edit in edits if edit is not gone])


def _named(edits: Sequence[FactEdit], name: str, file: Path) -> FactEdit:
    found = [edit for edit in edits if name and edit.digest.startswith(name.lower())]
    if len(found) == 1:
        return found[0]
    there = ", ".join(edit.name for edit in edits) or "none"
    what = "no edit" if not found else f"{len(found)} edits"
    raise FactError(f"{file} has {what} {name!r}; its edits are: {there}.")


def _diff(
    first: Annotated[Path, typer.Argument(metavar="A", help="A file of edits.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another one.")],
    html: HtmlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two files of edits: what only one has, and how far apart the weights end up.

    Example: molehill facts diff before.safetensors after.safetensors
    """
    check_writable([] if html is None else [html])

    from molehill.facts.edit_files import load_fact_edits
    from molehill.version import __version__
    from molehill.views.fact_edits import difference_data

    data = difference_data(
        load_fact_edits(first),
        load_fact_edits(second),
        files=(str(first), str(second)),
        version=__version__,
    )
    _show_files(data, f"{first.name} and {second.name}", html=html, as_json=as_json)


def _show_files(data: dict[str, Any], title: str, *, html: Path | None, as_json: bool) -> None:
    from molehill.views.fact_edits_text import fact_edits_renderable, fact_edits_text

    if html is not None:
        from molehill.views.html import page

        content = page("fact-edits", data, title=title, text=fact_edits_text(data))
        write_files([(html, content.encode("utf-8"))])
    if as_json:
        print_view_json(data)
        return
    print_view(lambda width, ascii_only: fact_edits_renderable(data))
