"""A world beside the model that was trained on it: what it was drawn from, and proof that it is
that one.

Kept are the few numbers that `make_world` needs, not the world, with a digest of what they give: a
later version of the program that would draw another world from them says so.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from molehill.errors import MolehillError
from molehill.files import write_atomically
from molehill.village.grammar import Grammar
from molehill.village.tell import sense_sentences, tell
from molehill.village.world import World, make_world

__all__ = ["read_world", "save_world", "world_digest"]

_NAME = "world.json"
_LARGEST = 2**16
_SENTENCES = 200


def save_world(world: World, folder: str | os.PathLike[str]) -> None:
    """Write `world.json` into a model's folder.

    Raises:
        OSError: the folder cannot be written.
    """
    values = {"settings": world.settings(), "digest": world_digest(world)}
    text = json.dumps(values, indent=2) + "\n"
    write_atomically(Path(folder) / _NAME, lambda file: file.write(text.encode()))


def read_world(folder: str | os.PathLike[str]) -> World:
    """The world that the model in this folder was trained on.

    Raises:
        MolehillError: there is no `world.json`, it is damaged, or this version draws another world
            from it.
    """
    path = Path(folder) / _NAME
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError("far too long")
        values = json.loads(path.read_text("utf-8"))
        settings = dict(values["settings"])
        grammar = Grammar(**settings.pop("grammar"))
        world = make_world(**settings, grammar=grammar)
        digest = values["digest"]
    except OSError as error:
        raise MolehillError(
            f"{path} cannot be read ({error.strerror}): name a model that was trained on a village."
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MolehillError(f"{path} does not describe a world: {error}.") from None
    if (found := world_digest(world)) != digest:
        raise MolehillError(
            f"{path} was written for the world {str(digest)[:12]!r} and this version of Molehill "
            f"draws {found[:12]!r} from it: train the model again, or use the version it is from."
        )
    return world


def world_digest(world: World) -> str:
    """SHA-256 over the vocabulary, the facts and some of the sentences that a world tells."""
    digest = hashlib.sha256()
    facts = [[fact.name, fact.object, fact.withheld] for fact in world.facts]
    told = [one.text for one in (*tell(world, _SENTENCES), *sense_sentences(world, 1))]
    for part in (world.vocabulary, world.features, facts, told):
        digest.update(json.dumps(part).encode())
    return digest.hexdigest()
