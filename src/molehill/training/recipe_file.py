"""What recipes share: TOML files, keys replaced on the command line, what was wrong in words.

This module knows no recipe.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from molehill.errors import ConfigError

__all__ = ["Part", "pairs", "parse_toml", "told"]


class Part(BaseModel):
    """A table of a recipe: frozen, with no keys but its own."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def parse_toml(path: Path) -> dict[str, Any]:
    """The file's tables.

    Raises:
        ConfigError: no such file, or no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"There is no recipe {path}: name a TOML file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The recipe {path} cannot be read: {error}.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}.") from None


def pairs(overrides: Sequence[str] | Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Keys such as `training.steps` with the values that replace them.

    Raises:
        ConfigError: a text that is no `PART.KEY=VALUE`.
    """
    if isinstance(overrides, Mapping):
        yield from overrides.items()
        return
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or "." not in key:
            raise ConfigError(f"{text!r} changes nothing: expected PART.KEY=VALUE.")
        yield key.strip(), _value(value.strip())


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def told(error: Any) -> str:
    """One of pydantic's findings in a few words."""
    where = ".".join(str(part) for part in error["loc"] if isinstance(part, str | int))
    if error["type"] == "missing":
        return f"{where} is missing"
    reason = error["msg"][0].lower() + error["msg"][1:]
    if error["type"] == "literal_error":
        names = re.findall(r"'([^']*)'", error["ctx"]["expected"])
        if near := difflib.get_close_matches(str(error["input"]), names, 1, 0.5):
            reason += f": did you mean {near[0]}?"
    return f"{where} is {error['input']!r:.60}: {reason}"
