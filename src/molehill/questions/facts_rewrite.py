"""The question of a rewrite: a fact is taught, looked at before it is applied, and remembered.

Nothing here changes a model: an edit is a value that is kept by its digest. This module knows no
form.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from molehill.facts.defaults import default_settings
from molehill.facts.edits import FactEdit, apply_edits, sizes
from molehill.facts.fact import Fact
from molehill.facts.health import health
from molehill.facts.preparing import OWN, key_folder, key_work, prepare_keys
from molehill.facts.rewriting import rewrite
from molehill.language_model import LanguageModel
from molehill.questions.asking import OfModel, Question, asked_as
from molehill.questions.desk import Desk
from molehill.questions.facts_examples import example_for, offered
from molehill.questions.python import call, written
from molehill.questions.telling import telling
from molehill.version import __version__
from molehill.views.fact_edit import fact_edit_data
from molehill.views.fact_edit_text import fact_edit_text

__all__ = ["QUESTIONS", "AskEdit", "Taught", "fact_line", "loading_beside"]

_QUICK = (32, 64)
"""So many texts of so many tokens that the model writes itself, for key statistics in a hurry."""
_KEYS = {"quick": _QUICK, "thorough": OWN}
_READ = {"quick": (16, 32), "thorough": (16, 64)}
"""And for the health gate, of another seed."""
_NO_KEYS = ("fine-tuning", "constrained")
_WRITTEN = 12


class Taught(OfModel):
    """A fact that is to be taught."""

    subject: str = Field(
        "",
        max_length=200,
        title="Subject",
        description="What the fact is about. Empty: an example for this model.",
        json_schema_extra=asked_as("word", offers=offered(lambda one: one.subject)),
    )
    template: str = Field(
        "",
        max_length=1000,
        title="Asked as",
        description="With {} for the subject; ends where the object begins.",
        json_schema_extra=asked_as("text", offers=offered(lambda one: one.template)),
    )
    object: str = Field(
        "",
        max_length=200,
        title="New object",
        description="What is to be said instead.",
        json_schema_extra=asked_as("word", offers=offered(lambda one: one.new)),
    )
    paraphrases: tuple[str, ...] = Field(
        (),
        max_length=16,
        title="In other words",
        description="Other ways to ask, one a line, with {} in them. The example has its own.",
        json_schema_extra=asked_as(
            "sentences", optional=True, offers=offered(lambda one: "\n".join(one.paraphrases))
        ),
    )
    layer: int | None = Field(
        None,
        ge=0,
        le=10_000,
        title="Layer",
        description="Whose MLP is changed; default: a sixth up.",
        json_schema_extra=asked_as("layer", optional=True),
    )
    start: str | None = Field(
        None,
        max_length=200,
        title="Start",
        description="Stands before every prompt; default: what this model learnt to begin with.",
        json_schema_extra=asked_as("word", offers=offered(lambda one: one.start)),
    )

    @property
    def is_example(self) -> bool:
        """Whether what is asked is the example's question."""
        return not self.template.strip()

    def fact(self) -> Fact:
        """The fact; what was left empty is the example's.

        Raises:
            FactError: a template without one `{}`.
        """
        example = example_for(self.model)
        forms = tuple(one for one in self.paraphrases if one.strip())
        return Fact(
            self.subject.strip() or example.subject,
            self.object.strip() or example.new,
            self.template.rstrip() or example.template,
            paraphrases=forms or (example.paraphrases if self.is_example else ()),
            start=example.start if self.start is None else self.start,
        )


def fact_line(fact: Fact) -> str:
    named = {"paraphrases": fact.paraphrases or None, "start": fact.start or None}
    made = call("Fact", *map(repr, (fact.subject, fact.object, fact.template)), **named)
    return f"fact = {made}"


def loading_beside(asked: OfModel, *imports: str) -> list[str]:
    """The model without edits, and the edits beside it: what makes and undoes them needs both."""
    lines = ["import molehill", *imports, "", f"lm = molehill.load({asked.model!r})"]
    if not asked.edits:
        return [*lines, "edits = []"]
    told = ", ".join(digest[:12] for digest in asked.edits)
    return [
        *lines,
        f"# saved from the page's list of edits: {told}",
        'edits = molehill.load_fact_edits("edits.safetensors")',
    ]


class AskEdit(Taught):
    """A fact, and how it is rewritten."""

    method: Literal["rome", "memit", "null-space", "fine-tuning", "constrained"] = Field(
        "rome",
        title="Method",
        description="rome: one layer, the least change that keeps other keys' answers; memit: "
        "spread over layers; null-space: confined to keys that other texts hardly use; "
        "fine-tuning and constrained: gradient steps on one layer's columns.",
        json_schema_extra=asked_as("choice"),
    )
    token: Literal["subject", "last"] = Field(
        "subject",
        title="Written at",
        description="The subject's last token, or the last token of the prompt.",
        json_schema_extra=asked_as("choice"),
    )
    neighbours: tuple[str, ...] = Field(
        (),
        max_length=32,
        title="Neighbours",
        description="Other subjects, one a line, that are to be left alone: looked at, not taught. "
        "The example has its own.",
        json_schema_extra=asked_as(
            "sentences", optional=True, offers=offered(lambda one: "\n".join(one.neighbours))
        ),
    )
    keys: Literal["quick", "thorough"] = Field(
        "quick",
        title="Own text",
        description="Written by the model. Key statistics, gathered once and kept: quick, 32 texts "
        "of 64 tokens; thorough, 128 of 128. The health gate reads 16 of 32, or of 64.",
        json_schema_extra=asked_as("choice"),
    )

    def near(self, fact: Fact) -> list[tuple[str, str]]:
        """Prompts about the neighbours."""
        names = [one.strip() for one in self.neighbours if one.strip()]
        if not names and self.is_example:
            names = list(example_for(self.model).neighbours)
        return [(fact.start + fact.template.replace("{}", name).rstrip(), "") for name in names]


def _edit(asked: AskEdit, desk: Desk) -> dict[str, Any]:
    lm = desk.model(asked.model)
    stack = [desk.edit(digest) for digest in asked.edits]
    fact = asked.fact()
    place = _taught(stack, fact, asked)
    if place is None:
        before, edit = stack, _rewritten(lm, fact, asked, stack, desk)
    else:
        before, edit = stack[:place], stack[place]
    near = asked.near(fact)
    made_of = (lm.fingerprint, *(one.digest for one in before), edit.digest, *near, asked.keys)
    # Applied, the edit is shown again at once: what was measured of it is at hand then.
    return desk.kept(("facts.edit", made_of), lambda: _measured(lm, edit, before, asked, desk))


def _measured(
    lm: LanguageModel,
    edit: FactEdit,
    before: Sequence[FactEdit],
    asked: AskEdit,
    desk: Desk,
) -> dict[str, Any]:
    """What an edit does, held against the model as it came; it is remembered with its measures."""
    desk.tell(0, 0, "Measuring what it did")
    large = sizes(lm, [edit])
    edited = apply_edits(lm, [*before, edit])
    found = health(
        lm,
        edit,
        edits=before,
        edited=edited,
        own=_READ[asked.keys],
        neighbours=asked.near(edit.facts[0]),
    )
    edit = edit.measured(
        health=found.verdict,
        measures={one.name: one.value for one in found.measures},
        held_out=found.text,
        sizes={one.where: round(one.relative, 6) for one in large},
    )
    desk.remember(edit)
    return fact_edit_data(
        lm,
        edit,
        found,
        edits=before,
        sizes=large,
        written=_going_on(lm, edited, edit.facts[0]),
        version=__version__,
    )


def _taught(stack: Sequence[FactEdit], fact: Fact, asked: AskEdit) -> int | None:
    """Where the very edit that is asked for stands in the list already: it is shown as it is, and
    not made a second time on top of itself."""
    for place, edit in enumerate(stack):
        same = edit.method == asked.method and edit.facts == (fact,)
        layers = edit.settings.get("layers", ())
        learning = edit.settings.get("learning", {})
        if same and asked.layer in (None, *layers) and learning.get("token") == asked.token:
            return place
    return None


def _rewritten(
    lm: LanguageModel, fact: Fact, asked: AskEdit, stack: Sequence[FactEdit], desk: Desk
) -> FactEdit:
    layers = None if asked.layer is None else [asked.layer]
    settings = default_settings(lm, asked.method, layers, fact, asked.token)
    statistics = {}
    if asked.method not in _NO_KEYS:
        own = _KEYS[asked.keys]
        told = "Key statistics, gathered once for this model"
        statistics = prepare_keys(
            lm,
            settings.layers,
            own=own,
            folder=key_folder(),
            progress=telling(desk, told, key_work(lm, own=own) or 0),
        )
    desk.tell(0, 0, f"Learning what to write, in layer {settings.layers[-1]}")
    return rewrite(lm, fact, asked.method, statistics, settings, edits=stack)


def _going_on(lm: LanguageModel, edited: LanguageModel, fact: Fact) -> list[tuple[str, str, str]]:
    """What both models write after the prompts; nothing where the model does not write."""
    if not lm.config.causal:
        return []
    prompts = list(fact.prompts)
    old, new = (
        [one.text for one in model.generate(prompts, max_new_tokens=_WRITTEN)]
        for model in (lm, edited)
    )
    return list(zip(prompts, old, new, strict=True))


def _edit_python(asked: AskEdit) -> str:
    fact = asked.fact()
    lines = loading_beside(
        asked,
        "from molehill.facts import Fact, health, prepare_keys",
        "from molehill.facts.defaults import default_settings",
        "from molehill.facts.preparing import key_folder",
    )
    layers = None if asked.layer is None else [asked.layer]
    settings = call("default_settings", "lm", repr(asked.method), repr(layers), "fact",
                    repr(asked.token))  # fmt: skip
    lines += [fact_line(fact), f"settings = {settings}"]
    gate = call(
        "health", "lm", "edit", "edits=edits", own=_READ[asked.keys], neighbours=asked.near(fact)
    )
    keys = "{}"
    if asked.method not in _NO_KEYS:
        keys = f"prepare_keys(lm, settings.layers, own={_KEYS[asked.keys]}, folder=key_folder())"
    lines += [
        f"keys = {keys}",
        f"edit = molehill.rewrite(lm, fact, {asked.method!r}, keys, settings, edits=edits)",
        f"found = {gate}",
        "print(found)",
        "edited = molehill.apply_edits(lm, [*edits, edit])",
    ]
    return written(lines)


QUESTIONS = (
    Question(
        "facts.edit",
        "Rewrite",
        "A fact rewritten, looked at before it is applied: before and after, health, size.",
        "fact-edit",
        AskEdit,
        _edit,
        fact_edit_text,
        _edit_python,
    ),
)
