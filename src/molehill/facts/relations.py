"""Files of facts: one relation each, or CounterFact's records.

A relation's file holds its name, templates and pairs of subject and object:

    {"name": "plays pro sport", "prompt_templates": ["{} plays the sport of"],
     "samples": [{"subject": "Michael Jordan", "object": "basketball"}, ...]}

This module reads; it asks no model.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from molehill.errors import FactError
from molehill.facts.fact import Fact
from molehill.facts.showing import few

__all__ = ["Case", "Relation", "read_counterfact", "read_relation", "read_relations"]


@dataclass(frozen=True)
class Relation:
    """Facts of one kind."""

    name: str
    templates: tuple[str, ...]
    """In how many ways it is asked; the first is the prompt, the others are its paraphrases."""
    facts: tuple[Fact, ...]

    def __repr__(self) -> str:
        return few(
            f"Relation {self.name!r}: {len(self.facts):,} facts, {len(self.objects()):,} objects",
            self.templates,
        )

    def objects(self) -> tuple[str, ...]:
        """Every object once, in order."""
        return tuple(dict.fromkeys(fact.object for fact in self.facts))


@dataclass(frozen=True)
class Case:
    """One fact to be rewritten, with all that is asked to judge it."""

    fact: Fact
    """As the model has it: the prompt and the true object."""
    new: str
    """What is to be said instead."""
    paraphrases: tuple[str, ...]
    """Other prompts that ask the same."""
    neighbours: tuple[tuple[str, str], ...]
    """Prompts about other subjects, each with its own true object."""
    generation: tuple[str, ...] = ()
    """Prompts about the subject from which the model is let go on freely."""
    reference: tuple[str, ...] = ()
    """Texts about things for which the new object is true: what a consistent continuation is like
    (CounterFact brings none; ROME takes Wikipedia's)."""

    def __repr__(self) -> str:
        return (
            f"Case: {self.fact.prompt!r}, {self.new!r} for {self.fact.object!r}; "
            f"{len(self.paraphrases)} paraphrases, {len(self.neighbours)} neighbours"
        )


def read_relation(path: str | os.PathLike[str], *, start: str = "") -> Relation:
    """Read one relation's file.

    Args:
        start: what stands before every prompt; see `Fact.start`.

    Raises:
        FactError: it cannot be read, or holds no relation.
    """
    values = _json(path)
    try:
        zero_shot = list(values.get("prompt_templates_zs", ()))
        templates = tuple(dict.fromkeys([*values["prompt_templates"], *zero_shot]))
        pairs = [(str(one["subject"]), str(one["object"])) for one in values["samples"]]
        name = str(values["name"])
    except (KeyError, TypeError, AttributeError) as error:
        raise FactError(
            f"{path} is no relation: {error!r}; expected name, prompt_templates and samples with "
            "subject and object."
        ) from None
    if not templates or not pairs:
        raise FactError(f"{path} holds {len(templates)} templates and {len(pairs)} samples.")
    facts = tuple(
        Fact(subject, object_, templates[0], name, templates[1:], start)
        for subject, object_ in dict(pairs).items()
    )
    return Relation(name, templates, facts)


def read_relations(path: str | os.PathLike[str], *, start: str = "") -> tuple[Relation, ...]:
    """Read one file, or every JSON file below a folder, in order of their paths.

    Raises:
        FactError: there is none, or one of them is at fault.
    """
    path = Path(path)
    files = sorted(path.rglob("*.json")) if path.is_dir() else [path]
    if not files:
        raise FactError(f"There is no .json file below {path}.")
    return tuple(read_relation(file, start=start) for file in files)


def read_counterfact(path: str | os.PathLike[str]) -> tuple[Case, ...]:
    """Read records of CounterFact (Meng et al., 2022, section 3.4): a JSON list.

    Raises:
        FactError: it cannot be read, or a record lacks what it should have.
    """
    records = _json(path)
    if not isinstance(records, list):
        raise FactError(f"{path} holds no list of records.")
    cases = []
    for number, record in enumerate(records):
        try:
            cases.append(_case(record))
        except (KeyError, TypeError) as error:
            raise FactError(
                f"{path}, record {number}: {error!r}; expected requested_rewrite with prompt, "
                "subject, target_new and target_true, paraphrase_prompts, neighborhood_prompts."
            ) from None
    return tuple(cases)


def _case(record: Mapping[str, Any]) -> Case:
    asked = record["requested_rewrite"]
    true = asked["target_true"]["str"]
    fact = Fact(asked["subject"], true, asked["prompt"], asked.get("relation_id", ""))
    return Case(
        fact=fact,
        new=asked["target_new"]["str"],
        paraphrases=tuple(record["paraphrase_prompts"]),
        neighbours=tuple((prompt, true) for prompt in record["neighborhood_prompts"]),
        generation=tuple(record.get("generation_prompts", ())),
    )


def _json(path: str | os.PathLike[str]) -> Any:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise FactError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise FactError(f"{path} is no JSON: {str(error)[:120]}.") from None
