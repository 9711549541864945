"""The process in which a chat template is rendered; `chat.py` starts it and reads its answer.

Run as a script: a request as JSON comes in, `{"text": ...}` or `{"error": ...}` goes out. A
process of its own is what makes the limits hold, because a template can ask for gigabytes within
one operation, which no check between operations would see. It imports nothing of Molehill, so it
starts in under a tenth of a second, and nothing that a template could reach.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, cast

from jinja2 import nodes
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

__all__ = ["main", "render"]


class _Generation(Extension):
    """`{% generation %}` marks what the model wrote, for training; here it changes nothing."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _json(value: Any, ensure_ascii: bool = False, indent: int | None = None, **others: Any) -> str:
    """`tojson` without the escapes for HTML that Jinja's own filter makes."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **others)


def _refuse(message: str) -> None:
    """What templates call to reject a conversation."""
    raise TemplateError(message)


def _namespace(*parts: Any, **values: Any) -> Namespace:
    """Jinja's mutable bag, without names that reach for Python's insides."""
    given = dict(*parts, **values)
    if hidden := [name for name in given if str(name).startswith("_")]:
        raise SecurityError(f"a namespace may not hold {hidden[0]!r}")
    return Namespace(given)


def _environment() -> ImmutableSandboxedEnvironment:
    """Set up as `transformers` does it, because templates are written against that."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _Generation]
    )
    environment.filters["tojson"] = _json
    names = cast("dict[str, Any]", environment.globals)
    names["raise_exception"] = _refuse
    names["strftime_now"] = lambda form: datetime.now().strftime(form)
    names["namespace"] = _namespace
    return environment


def render(template: str, variables: dict[str, Any], most_characters: int) -> str:
    """The text of a template, or TemplateError once it grows beyond `most_characters`."""
    return _joined(_environment().from_string(template).generate(variables), most_characters)


def _joined(parts: Iterable[str], most_characters: int) -> str:
    kept, length = [], 0
    for part in parts:
        length += len(part)
        if length > most_characters:
            raise TemplateError(f"it writes more than {most_characters} characters")
        kept.append(part)
    return "".join(kept)


def _confine(seconds: float, memory: int) -> None:
    """Limits that the system keeps: memory and processor time. The parent watches the clock."""
    try:
        import resource
    except ImportError:  # not a POSIX system
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _answer(work: Callable[[], str]) -> dict[str, str]:
    try:
        return {"text": work()}
    except MemoryError:
        return {"error": "it needs too much memory"}
    except RecursionError:
        return {"error": "it is nested too deeply"}
    except Exception as error:
        return {"error": f"{error}" or type(error).__name__}


def main() -> None:
    """Answer one request on standard input."""
    request = json.load(sys.stdin)
    _confine(request["seconds"], request["memory"])
    arguments = (request["template"], request["variables"], request["most_characters"])
    json.dump(_answer(lambda: render(*arguments)), sys.stdout)


if __name__ == "__main__":
    main()
