"""A data set of the `datasets` library becomes numbered texts.

    hf:roneneldan/TinyStories                          its split `train`
    hf:wikimedia/wikipedia?config=20231101.simple&split=train
    hf:path/of/a/folder                                files, or what `save_to_disk` wrote

It is streamed: nothing is held but the row that is read. Naming such a source is the caller's word
that the hub may be asked. This module knows nothing of files and tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from molehill.errors import TextError
from molehill.text.reading import need_extra, text_in_row

__all__ = ["DATA_SET", "texts_of_data_set"]

DATA_SET = "hf:"
"""How the name of a data set begins."""

_SETTINGS = ("config", "split", "revision")


def texts_of_data_set(name: str, column: str) -> Iterator[tuple[int, str]]:
    """Each row's number, from 1, and its text.

    Args:
        name: `hf:` and the data set's name or folder; after a question mark `config`, `split`
            (default `train`) and `revision`, as in an address.
        column: The field that holds the text.

    Raises:
        MissingExtraError: the library is not installed.
        TextError: a setting that is not known, or the library cannot open or read the data set.
    """
    path, settings = _parsed(name)
    try:
        import datasets  # pyrefly: ignore[missing-import]
    except ImportError as error:
        raise need_extra(name, error) from None
    try:
        for number, row in enumerate(_rows(datasets, path, settings), start=1):
            yield number, text_in_row(row, column, f"{name}, row {number}")
    except TextError:
        raise
    except Exception as error:  # the library's own tree of errors, and those of its transport
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise TextError(f"{name} cannot be read: {first[:300]}") from None


def _parsed(name: str) -> tuple[str, dict[str, str]]:
    path, _, query = name.removeprefix(DATA_SET).partition("?")
    settings = dict(parse_qsl(query, keep_blank_values=True))
    unknown = sorted(settings.keys() - set(_SETTINGS))
    if unknown or not path:
        wrong = f"unknown: {', '.join(unknown)}" if unknown else "no name"
        raise TextError(
            f"{name} is no name of a data set ({wrong}); expected hf:NAME?config=...&split=..."
            "&revision=..., of which only the name is needed."
        )
    return path, settings


def _rows(datasets: Any, path: str, settings: dict[str, str]) -> Any:
    split = settings.get("split", "train")
    folder = Path(path)
    if (folder / "dataset_dict.json").exists():
        return datasets.load_from_disk(path)[split]
    if (folder / "state.json").exists():
        return datasets.load_from_disk(path)
    return datasets.load_dataset(
        path,
        name=settings.get("config"),
        split=split,
        revision=settings.get("revision"),
        streaming=True,
    )
