"""From a vocabulary to the files of a folder that `folder.py` and `transformers` read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from molehill.files import write_atomically
from molehill.text.vocabulary import Vocabulary

__all__ = ["save_vocabulary"]


def save_vocabulary(vocabulary: Vocabulary, folder: Path) -> None:
    """Write `tokenizer.json`, `tokenizer_config.json` and, where there is one, the template.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = {
        f"{role}_token": vocabulary.backend.id_to_token(number)
        for role, number in vocabulary.roles.items()
    }
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        **vocabulary.config,
        **names,
    }
    _write(folder / "tokenizer.json", _settings(vocabulary))
    _write(folder / "tokenizer_config.json", config)
    if vocabulary.chat_template is not None:
        _write(folder / "chat_template.jinja", vocabulary.chat_template)


def _settings(vocabulary: Vocabulary) -> dict[str, Any]:
    """The backend's own form, with `trim_offsets` as it was in the file it came from."""
    settings = json.loads(vocabulary.backend.to_str())
    places = [part for part in _objects(settings) if "trim_offsets" in part]
    if len(places) == len(vocabulary.trimmed):
        for part, value in zip(places, vocabulary.trimmed, strict=True):
            part["trim_offsets"] = value
    return settings


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object of a JSON value, in the order of the text."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _objects(inner)


def _write(path: Path, content: str | dict[str, Any]) -> None:
    if isinstance(content, dict):
        content = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    raw = content.encode()

    def write(file: BinaryIO) -> None:
        file.write(raw)

    write_atomically(path, write)
