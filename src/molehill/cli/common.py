"""What the verbs share: the MODEL argument and common options, printing, progress bars, loading.

Rich and torch are imported inside the functions, when something is to be shown or loaded. This
module knows no verb.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from molehill.features.edit_files import FeatureEdits
    from molehill.language_model import LanguageModel

__all__ = [
    "DEFAULT_MODEL",
    "DownloadOption",
    "Dtype",
    "DtypeOption",
    "EditsOption",
    "FeaturesOption",
    "HtmlOption",
    "JsonOption",
    "ModelArgument",
    "ModelOption",
    "RevisionOption",
    "StrictOption",
    "check_writable",
    "console",
    "edits_file",
    "kept_feature_edits",
    "load_model",
    "loads_models",
    "print_error",
    "print_json",
    "print_table",
    "print_view",
    "print_view_json",
    "progress",
    "read_lines",
    "write_files",
]


class Dtype(StrEnum):
    """The number formats a model can be run in."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"
    float64 = "float64"


# It ships with the package: every verb works at once, with nothing fetched.
DEFAULT_MODEL = "lexicon"

_MODEL_HELP = "A name (see `molehill models`), a folder, or a .gguf file."

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help=_MODEL_HELP)]
ModelOption = Annotated[str, typer.Option("--model", "-m", metavar="MODEL", help=_MODEL_HELP)]
DtypeOption = Annotated[
    Dtype, typer.Option("--dtype", help="Number format that the model is run in.")
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document instead of tables.")
]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Refuse weights that are NaN or infinite.")
]
RevisionOption = Annotated[
    str | None,
    typer.Option(
        "--revision", metavar="COMMIT", help="Of a hub name; a commit is the same tomorrow."
    ),
]
DownloadOption = Annotated[
    bool,
    typer.Option("--download", help="Fetch a hub name that is not here; nothing is, unasked."),
]
EditsOption = Annotated[
    Path | None,
    typer.Option(
        "--edits", metavar="FILE", help="Apply these edits first (see `molehill facts edit`)."
    ),
]
FeaturesOption = Annotated[
    Path | None,
    typer.Option(
        "--features",
        metavar="FILE",
        help="Show the rows of its site as features (see `molehill features train`).",
    ),
]
HtmlOption = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Write a page to explore.")
]


@dataclass(frozen=True)
class _Loading:
    """How the verb at work was asked to load its models."""

    strict: bool = False
    revision: str | None = None
    download: bool = False
    edits: Path | None = None


_loading: ContextVar[_Loading | None] = ContextVar("loading", default=None)


def loads_models(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the options that say how `load_model` loads: they are the same everywhere, and no
    verb's own business."""

    @functools.wraps(verb)
    def with_options(
        *given: Any,
        strict: bool,
        revision: str | None,
        download: bool,
        edits: Path | None,
        **named: Any,
    ) -> None:
        token = _loading.set(_Loading(strict, revision, download, edits))
        try:
            verb(*given, **named)
        finally:
            _loading.reset(token)

    options = {
        "strict": (StrictOption, False),
        "revision": (RevisionOption, None),
        "download": (DownloadOption, False),
        "edits": (EditsOption, None),
    }
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in options.items()
    ]
    # Annotations as what they are: as strings they would be looked up in this module.
    kinds = get_type_hints(verb, include_extras=True)
    own = [
        each.replace(annotation=kinds[name])
        for name, each in inspect.signature(verb).parameters.items()
    ]
    made: Any = with_options
    made.__signature__ = inspect.Signature([*own, *added])
    made.__annotations__ = kinds | {name: kind for name, (kind, _) in options.items()}
    return made


def edits_file() -> Path | None:
    """The file of edits that the verb at work was given."""
    how = _loading.get()
    return None if how is None else how.edits


def kept_feature_edits() -> FeatureEdits | None:
    """The edits of features that the verb at work was given with --edits; None where it was given
    none, or edits of facts."""
    path = edits_file()
    if path is None:
        return None
    from molehill.features.edit_files import holds_feature_edits, load_feature_edits

    return load_feature_edits(path) if holds_feature_edits(path) else None


def load_model(model: str, dtype: Dtype = Dtype.float32, *, edited: bool = True) -> LanguageModel:
    """The model of that name or path; a line on stderr tells what is going on, if a person looks,
    and another one if weights are no numbers.

    Args:
        edited: whether the edits that the verb was given are applied to it.

    Raises:
        MolehillError: no such model, its files are at fault, or the edits are not for it.
    """
    how = _loading.get() or _Loading()
    edits = how.edits if edited else None
    with _status(f"Loading {model}"):
        import molehill

        lm = molehill.load(
            model,
            # Edits know their model by its weights in float32.
            dtype=str(dtype if edits is None else Dtype.float32),
            strict=how.strict,
            revision=how.revision,
            download=how.download,
        )
    if lm.report is not None and lm.report.non_finite:
        print_error(_non_finite(model, lm.report.non_finite))
    return lm if edits is None else _with_edits(lm, edits, dtype)


def _with_edits(lm: LanguageModel, path: Path, dtype: Dtype) -> LanguageModel:
    import torch

    from molehill.errors import ConfigError
    from molehill.facts.edit_files import load_fact_edits
    from molehill.facts.edits import apply_edits
    from molehill.features.edit_files import holds_feature_edits

    if holds_feature_edits(path):
        raise ConfigError(
            f"{path} holds edits of features, which change a run and no weights: `molehill "
            "features steer` and `molehill generate` take them; this verb takes edits of facts."
        )
    edited = apply_edits(lm, load_fact_edits(path))
    edited.model.to(getattr(torch, str(dtype)))
    return edited


def _non_finite(model: str, found: Mapping[str, int]) -> str:
    """The warning about weights that are NaN or infinite: how many, and where."""
    count = sum(found.values())
    named = ", ".join(f"{name} ({number:,})" for name, number in list(found.items())[:3])
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return (
        f"warning: {count:,} {'numbers' if count > 1 else 'number'} of {model} "
        f"{'are' if count > 1 else 'is'} NaN or infinite: {named}{more}. What follows from "
        "them is not finite either; --strict refuses such a model."
    )


def console(*, stderr: bool = False) -> Console:
    """Rich's console on stdout or stderr. It obeys NO_COLOR, and draws in ASCII where need be."""
    from rich.console import Console

    # Where nobody looks, a table is as wide as it needs to be: a pipe has no edge to wrap at.
    width = None if _is_terminal(stderr) or "COLUMNS" in os.environ else 160
    return Console(stderr=stderr, width=width, highlight=False, soft_wrap=False)


def print_json(data: Any) -> None:
    """`data` as one indented JSON document on stdout; dataclasses, paths and tuples are accepted.

    Values that JSON lacks (NaN, infinities) become null, so that every reader can read it.
    """
    text = json.dumps(_plain(data), indent=2, ensure_ascii=not _writes_unicode(), allow_nan=False)
    sys.stdout.write(text + "\n")


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str | None = None
) -> None:
    """A table on stdout. Columns that hold only numbers are set flush right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False
    )
    for index, name in enumerate(columns):
        numbers = bool(rows) and all(isinstance(row[index], int | float) for row in rows)
        table.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        # Text, not markup: a token such as "[/bold]" is shown as it is.
        table.add_row(*(Text(_shown(value)) for value in row))
    console().print(table)


def print_view(drawn: Callable[[int, bool], RenderableType]) -> None:
    """A view on stdout: `drawn(width, ascii_only)` lays it out for the room there is.

    Where nobody looks, it is 80 columns wide: a view is wrapped text, unlike a table.
    """
    from rich.console import Console

    from molehill.views.terminal import in_ascii

    width = None if _is_terminal(stderr=False) or "COLUMNS" in os.environ else 80
    view = Console(width=width, highlight=False, emoji=False, markup=False)
    with view.capture() as captured:
        view.print(drawn(view.width, not _writes_unicode()))
    text = captured.get() if _writes_unicode() else in_ascii(captured.get())
    lines = text.splitlines()
    sys.stdout.write("\n".join(line.rstrip() for line in lines) + "\n")


def print_view_json(data: Any) -> None:
    """A view's data on stdout, as one JSON document that a person can read too."""
    from molehill.views.documents import readable_json

    sys.stdout.write(readable_json(data, ascii_only=not _writes_unicode()))


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, without empty ones; `-` is stdin.

    Raises:
        TextError: the file cannot be read, is not UTF-8, or holds no line.
    """
    from molehill.errors import TextError

    name = "stdin" if str(path) == "-" else str(path)
    try:
        raw = sys.stdin.buffer.read() if name == "stdin" else path.read_bytes()
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise TextError(f"{name} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise TextError(f"{name} is not UTF-8: byte {error.start} is no character.") from error
    lines = [line.strip("\r") for line in text.split("\n")]
    if not any(line.strip() for line in lines):
        raise TextError(f"{name} holds no sentence: put one on each line.")
    return [line for line in lines if line.strip()]


def check_writable(paths: Sequence[Path]) -> None:
    """Say before long work, not after it, that a file cannot be written.

    Raises:
        MolehillError: its folder is not there or not writable, or it is itself a folder.
    """
    from molehill.errors import MolehillError

    for path in paths:
        folder = path.parent
        if path.is_dir():
            raise MolehillError(f"{path} is a folder: name a file.")
        if not folder.is_dir():
            raise MolehillError(f"{path} cannot be written: there is no folder {folder}.")
        if not os.access(folder, os.W_OK):
            raise MolehillError(f"{path} cannot be written: the folder {folder} is read-only.")


def write_files(contents: Iterable[tuple[Path, bytes]]) -> None:
    """Write each file whole or not at all, and say so on stderr.

    Raises:
        MolehillError: a file cannot be written.
    """
    from molehill.errors import MolehillError
    from molehill.files import write_atomically

    for path, content in contents:
        try:
            write_atomically(path, lambda file, content=content: file.write(content))
        except OSError as error:
            raise MolehillError(f"{path} cannot be written: {error.strerror}.") from error
        print(f"Written: {path}", file=sys.stderr)


def print_error(message: str) -> None:
    """One line on stderr, `molehill: ...`, whatever the message holds."""
    line = " ".join(message.split())
    encoding = sys.stderr.encoding or "ascii"
    safe = line.encode(encoding, "backslashreplace").decode(encoding)
    # stderr may be gone, closed with the pipe it led to; there is nobody left to tell.
    with contextlib.suppress(OSError, ValueError):
        print(f"molehill: {safe}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def progress(label: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr, shown only to a person: `with progress("Texts", 100) as advance`.

    Calling `advance(n)` moves it on by n.
    """
    if not _is_terminal(stderr=True):
        yield lambda steps=1: None
        return
    from rich.progress import Progress

    with Progress(console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda steps=1: bar.update(task, advance=steps)


@contextlib.contextmanager
def _status(label: str) -> Iterator[None]:
    if not _is_terminal(stderr=True):
        yield
        return
    with console(stderr=True).status(label):
        yield


def _is_terminal(stderr: bool) -> bool:
    stream = sys.stderr if stderr else sys.stdout
    return stream is not None and stream.isatty()


def _writes_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _plain(value: Any) -> Any:
    """`value` in JSON's own types."""
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, Path):
        return str(value)
    # Tensors and arrays; asked by name so that neither library is imported here.
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return value
