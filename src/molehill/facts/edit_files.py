"""Edits in one small safetensors file, and back: a stack that can be passed on.

Each edit keeps its facts, its settings and measures, which weights it is for, and the numbers of
its changes as they are (every method of ours makes float32). What comes back has the same digest,
or it is refused. This module applies nothing and knows no model.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from torch import Tensor

from molehill.checkpoints.tensorfile import open_tensors, read_description, write_tensors
from molehill.errors import CheckpointError, FactError
from molehill.facts.edits import Change, Dense, FactEdit, LowRank, Neurons
from molehill.facts.fact import Fact

__all__ = ["load_fact_edits", "save_fact_edits"]

_KIND = "molehill.edits/1"
_KINDS: Mapping[str, type] = {"LowRank": LowRank, "Dense": Dense, "Neurons": Neurons}
_RANKS = {"left": 2, "right": 2, "difference": 2, "rows": 2, "bias": 1, "columns": 2}


def save_fact_edits(path: str | os.PathLike[str], edits: Sequence[FactEdit]) -> None:
    """Write edits in their order, whole or not at all.

    Settings and metrics become plain JSON: tuples come back as lists, and what is not a finite
    number as None.

    Raises:
        CheckpointError: the file cannot be written.
        FactError: settings or metrics that JSON has no form for.
    """
    tensors: dict[str, Tensor] = {}
    described = []
    for number, edit in enumerate(edits):
        changes = []
        for place, change in enumerate(edit.changes):
            entry: dict[str, Any] = {"kind": type(change).__name__}
            for name, value in vars(change).items():
                if isinstance(value, Tensor):
                    tensors[f"{number}.{place}.{name}"] = value
                else:
                    entry[name] = value
            changes.append(entry)
        described.append(_described(edit, changes))
    write_tensors(path, tensors, {"kind": _KIND, "edits": described})


def _described(edit: FactEdit, changes: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "digest": edit.digest,
        "method": edit.method,
        "facts": [asdict(fact) for fact in edit.facts],
        "changes": changes,
        "model": edit.model,
        "fingerprint": edit.fingerprint,
        "after": list(edit.after),
        "settings": _plain(edit.settings),
        "metrics": _plain(edit.metrics),
        "molehill": edit.molehill,
    }


def _plain(value: Any) -> Any:
    """In JSON's own types."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    raise FactError(
        f"A setting or metric of an edit is {type(value).__name__}: {value!r:.60}; a file keeps "
        "numbers, texts, lists and mappings."
    )


def load_fact_edits(path: str | os.PathLike[str]) -> tuple[FactEdit, ...]:
    """Read what `save_fact_edits` wrote.

    Raises:
        CheckpointError: no such file, a damaged one, one of another kind, or one whose edits are
            not what their digests say.
    """
    try:
        described = read_description(path, _KIND)["edits"]
        with open_tensors(path) as file:
            names = set(file.keys())
            edits = tuple(
                _edit(number, one, file, names) for number, one in enumerate(_list(described))
            )
    except (KeyError, TypeError, ValueError, RecursionError, FactError) as error:
        told = str(error) if isinstance(error, FactError) else f"{type(error).__name__}: {error}"
        raise CheckpointError(
            f"{os.fspath(path)} is no file of edits that Molehill wrote, or is damaged: {told:.160}"
        ) from None
    if names:
        raise CheckpointError(f"{os.fspath(path)} holds {min(names)!r}, which no edit names.")
    return edits


def _edit(number: int, entry: Any, file: Any, names: set[str]) -> FactEdit:
    """One edit from its description; the names of the tensors that it takes leave `names`."""
    changes = []
    for place, one in enumerate(_list(entry["changes"])):
        changes.append(_change(f"{number}.{place}.", dict(one), file, names))
    edit = FactEdit(
        method=_text(entry["method"]),
        facts=tuple(_fact(one) for one in _list(entry["facts"])),
        changes=tuple(changes),
        model=_text(entry["model"]),
        fingerprint=_text(entry["fingerprint"]),
        after=tuple(_text(one) for one in _list(entry["after"])),
        settings=_mapping(entry["settings"]),
        metrics=_mapping(entry["metrics"]),
        molehill=_text(entry["molehill"]),
    )
    if edit.digest != entry["digest"]:
        raise ValueError(f"edit {number} is {edit.name}, expected {str(entry['digest'])[:8]}")
    return edit


def _change(prefix: str, entry: dict[str, Any], file: Any, names: set[str]) -> Change:
    kind = _KINDS[entry.pop("kind")]
    tensors = {}
    for name in kind.__annotations__:
        if name in ("parameter", "layer"):
            value = entry.pop(name)
            right = isinstance(value, str if name == "parameter" else int)
            if not right or isinstance(value, bool):
                raise TypeError(f"{name} is {value!r:.60}")
            tensors[name] = value
            continue
        key = prefix + name
        names.remove(key)
        tensor = file.get_tensor(key)
        if tensor.ndim != _RANKS[name] or not tensor.is_floating_point():
            raise ValueError(f"{key} is {tensor.dtype} of shape {tuple(tensor.shape)}")
        if not bool(tensor.isfinite().all()):
            raise ValueError(f"{key} holds numbers that are not finite")
        tensors[name] = tensor
    if entry:
        raise ValueError(f"a change says {', '.join(map(str, entry))} besides")
    change = kind(**tensors)
    if isinstance(change, LowRank) and change.left.shape[1] != change.right.shape[0]:
        raise ValueError(f"the factors of {change.parameter} do not fit each other")
    return change


def _fact(entry: Any) -> Fact:
    given = dict(_mapping(entry))
    paraphrases = tuple(_text(one) for one in _list(given.pop("paraphrases")))
    return Fact(**{name: _text(value) for name, value in given.items()}, paraphrases=paraphrases)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, not {value!r:.60}")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, not {value!r:.60}")
    return value


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"expected a mapping, not {value!r:.60}")
    return value
