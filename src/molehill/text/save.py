"""From a vocabulary to the files of a folder that `folder.py` and `transformers` read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from molehill.files import write_atomically
from molehill.text.vocabulary import Vocabulary

__all__ = ["save_vocabulary", "vocabulary_digest"]


def save_vocabulary(vocabulary: Vocabulary, folder: Path) -> None:
    """Write `tokenizer.json`, `tokenizer_config.json` and, where there is one, the template.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in _files(vocabulary).items():
        write_atomically(folder / name, lambda file, content=content: file.write(content))


def vocabulary_digest(vocabulary: Vocabulary) -> str:
    """The sha256 of the files that `save_vocabulary` writes: equal for equal vocabularies."""
    digest = hashlib.sha256()
    for name, content in sorted(_files(vocabulary).items()):
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _files(vocabulary: Vocabulary) -> dict[str, bytes]:
    """Each file's name and content."""
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
    files = {
        "tokenizer.json": _json(_settings(vocabulary)),
        "tokenizer_config.json": _json(config),
    }
    if vocabulary.chat_template is not None:
        files["chat_template.jinja"] = vocabulary.chat_template.encode()
    return files


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


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
