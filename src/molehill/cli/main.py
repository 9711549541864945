"""The `molehill` command: the list of verbs, and what happens when one of them fails.

A caller's mistake is one line on stderr and exit 2, whoever noticed it; Ctrl-C is one line and exit
130; a reader that went away (`molehill ... | head`) is silence. A traceback is only ever our own
fault.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from molehill.cli import (
    attention,
    check,
    corpus,
    explore,
    export,
    facts,
    features,
    generate,
    ledger,
    lens,
    models,
    move,
    params,
    record,
    runs,
    senses,
    shift,
    superposition,
    train,
    village,
    why,
)
from molehill.cli.common import print_error
from molehill.errors import MolehillError
from molehill.version import __version__

__all__ = ["app", "main"]

# What typer raises for a wrong argument. Some of its versions bring click with them, others ask for
# the library, so the class is reached from the one name that all have.
_Misuse = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")

app = typer.Typer(
    name="molehill",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Plain help: rich would take another 0.1 s before the first line.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _print_version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"molehill {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def _molehill(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Watch a word find its meaning: run language models and see what moves a word's vector.

    Example: molehill shift mole
    """


# In the order of the help: first what people come for.
for _family in (
    shift,
    explore,
    ledger,
    lens,
    why,
    attention,
    facts,
    features,
    superposition,
    senses,
    move,
    generate,
    check,
    params,
    record,
    corpus,
    train,
    runs,
    export,
    village,
    models,
):
    _family.register(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; `arguments` are those of the process."""
    _forgive_narrow_encodings()
    interrupted = False
    try:
        # Not standalone: click would print four lines about a file that is not there.
        code = app(args=arguments, prog_name="molehill", standalone_mode=False)
        interrupted = code == 130  # what typer makes of Ctrl-C
    except _Misuse as error:
        code = _misused(error)
    except (typer.Abort, KeyboardInterrupt):
        code, interrupted = 130, True
    except SystemExit as stop:
        code = stop.code
    except MolehillError as error:
        print_error(str(error))
        code = 2
    except BrokenPipeError:
        code = _reader_gone()
    except OSError as error:
        if error.filename is None:
            raise
        print_error(f"{error.filename}: {error.strerror}.")
        code = 2
    with contextlib.suppress(BrokenPipeError):
        # A verb that stopped in good order (SystemExit 130) has said so itself.
        if interrupted:
            print_error("interrupted")
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    return _reader_gone()


def _misused(error: Any) -> int:
    """Say in one line what is wrong with an argument, and which help tells more."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return error.exit_code
    message = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    print_error(f"{message}. See `{context.command_path} --help`." if context else f"{message}.")
    return error.exit_code


def _forgive_narrow_encodings() -> None:
    """A terminal that cannot show a character gets a question mark in its place, not a crash."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _reader_gone() -> int:
    """Send what is still buffered nowhere, so that the interpreter does not complain at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
