"""Questions about the edits that are applied: what the model says with them, the list, another list
beside it, and one of them taken off.

No list is kept here: every question names the edits that it is asked with. This module knows no
form.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import Field

from molehill.errors import FactError
from molehill.facts.before_after import Asked, Compared, compare
from molehill.facts.edit_files import save_fact_edits
from molehill.facts.edits import FactEdit, apply_edits
from molehill.questions.asking import OfModel, Question, asked_as
from molehill.questions.desk import Desk
from molehill.questions.facts_examples import example_for, offered
from molehill.questions.facts_rewrite import loading_beside
from molehill.questions.python import written
from molehill.version import __version__
from molehill.views.fact_edits import difference_data, stack_data, undo_data
from molehill.views.fact_edits_text import fact_edits_text
from molehill.views.fact_say import fact_say_data, fact_say_text, said

__all__ = ["LARGEST_FILE", "QUESTIONS", "AskDifference", "AskSay", "AskStack", "AskUndo"]

LARGEST_FILE = 1_500_000
"""Bytes of a file of edits that an answer carries with it."""
_LIST = "the list of edits"


class AskSay(OfModel):
    """Prompts that the model goes on from, without and with the edits."""

    prompts: tuple[str, ...] = Field(
        (),
        max_length=16,
        title="Prompts",
        description="One a line. Empty: what the edits teach, or an example for this model.",
        json_schema_extra=asked_as("sentences", offers=offered(lambda one: one.start + one.prompt)),
    )
    tokens: int = Field(
        20, ge=1, le=200, title="Tokens", json_schema_extra=asked_as("slider", step=1)
    )

    def asked(self, stack: Sequence[FactEdit]) -> list[str]:
        """The prompts; those of the edits' facts, or the example's, where there are none."""
        given = [one for one in self.prompts if one.strip()]
        taught = [fact.prompt for edit in stack for fact in edit.facts]
        example = example_for(self.model)
        return given or list(dict.fromkeys(taught))[:8] or [example.start + example.prompt]


def _say(asked: AskSay, desk: Desk) -> dict[str, Any]:
    lm = desk.model(asked.model)
    stack = [desk.edit(digest) for digest in asked.edits]
    prompts = asked.asked(stack)
    desk.tell(0, 2, "The model as it came goes on")
    before = said(lm, prompts, asked.tokens)
    after = None
    if stack:
        desk.tell(1, 2, "The edited model goes on")
        after = said(apply_edits(lm, stack), prompts, asked.tokens)
    return fact_say_data(lm, prompts, before, after, stack, version=__version__)


def _say_python(asked: AskSay) -> str:
    prompts = [one for one in asked.prompts if one.strip()]
    if not prompts:
        taught = "[fact.prompt for edit in edits for fact in edit.facts]"
        told = taught if asked.edits else repr(asked.asked(()))
    else:
        told = repr(prompts)
    return written(
        [
            *loading_beside(asked),
            f"prompts = {told}",
            "for model in (lm, molehill.apply_edits(lm, edits)):",
            f"    for one in model.generate(prompts, max_new_tokens={asked.tokens}):",
            "        print(model.name, one.text)",
        ]
    )


class AskStack(OfModel):
    """The edits that are applied."""


class AskUndo(OfModel):
    """One of them."""

    gone: str = Field(
        "",
        max_length=64,
        title="Taken off",
        description="The edit's digest, or how it begins; empty: the last one.",
        json_schema_extra=asked_as("edits", optional=True),
    )


class AskDifference(OfModel):
    """Another list, to be held against the one that is applied."""

    others: tuple[str, ...] = Field(
        (),
        max_length=64,
        title="Against",
        description="Digests of the edits of another list, in its order; none: the model as it "
        "came.",
        json_schema_extra=asked_as("words", optional=True),
    )


def _stack(asked: AskStack, desk: Desk) -> dict[str, Any]:
    stack = [desk.edit(digest) for digest in asked.edits]
    compared: tuple[Compared, ...] = ()
    if stack:
        lm = desk.model(asked.model)
        compared = compare(lm, apply_edits(lm, stack), _questions(stack))
    data = stack_data(stack, file=_LIST.capitalize(), compared=compared, version=__version__)
    return {**data, "file": _file(stack) if stack else None}


def _questions(stack: Sequence[FactEdit]) -> list[Asked]:
    """What the edits teach; of a fact that is taught twice, what is taught last."""
    latest = {(fact.prompt): fact for edit in stack for fact in edit.facts}
    return [Asked(prompt, fact.object) for prompt, fact in latest.items()]


def _file(stack: Sequence[FactEdit]) -> dict[str, Any]:
    """The list as the bytes of a safetensors file, for the page to save; none where it is large."""
    with TemporaryDirectory(prefix="molehill-") as folder:
        path = Path(folder) / "edits.safetensors"
        save_fact_edits(path, stack)
        content = path.read_bytes()
    small = len(content) <= LARGEST_FILE
    return {
        "name": "edits.safetensors",
        "bytes": len(content),
        "base64": base64.b64encode(content).decode("ascii") if small else None,
    }


def _stack_python(asked: AskStack) -> str:
    return written([*loading_beside(asked), "for edit in edits:", "    print(edit)"])


def _undo(asked: AskUndo, desk: Desk) -> dict[str, Any]:
    stack = [desk.edit(digest) for digest in asked.edits]
    place = _place(stack, asked.gone)
    lm = desk.model(asked.model)
    kept = [*stack[:place], *stack[place + 1 :]]
    compared = compare(apply_edits(lm, stack), apply_edits(lm, kept), _questions(stack))
    return undo_data(stack, stack[place], file=_LIST, compared=compared, version=__version__)


def _place(stack: Sequence[FactEdit], gone: str) -> int:
    """Where the edit stands that is meant; of one that is there twice, the last.

    Raises:
        FactError: there is none, or it could be several.
    """
    if not stack:
        raise FactError("No edit is applied, so that none can be taken off: apply one first.")
    places = [at for at, edit in enumerate(stack) if edit.digest.startswith(gone.lower())]
    if not gone or len({stack[at].digest for at in places}) == 1:
        return (places or [len(stack) - 1])[-1]
    there = ", ".join(edit.name for edit in stack)
    what = "several edits" if places else "no edit"
    raise FactError(f"The list has {what} {gone[:12]!r}; its edits are: {there}.")


def _undo_python(asked: AskUndo) -> str:
    kept = "edits[:-1]"
    if asked.gone:
        kept = f"[edit for edit in edits if not edit.digest.startswith({asked.gone!r})]"
    return written(
        [*loading_beside(asked), f"without = molehill.apply_edits(lm, {kept})", "print(without)"]
    )


def _difference(asked: AskDifference, desk: Desk) -> dict[str, Any]:
    first, second = ([desk.edit(one) for one in some] for some in (asked.others, asked.edits))
    names = ("the other list" if first else "the model as it came", _LIST)
    return difference_data(first, second, files=names, version=__version__)


def _difference_python(asked: AskDifference) -> str:
    others = 'molehill.load_fact_edits("others.safetensors")' if asked.others else "[]"
    return written(
        [
            *loading_beside(asked, "from molehill.facts.edit_difference import edits_difference"),
            f"others = {others}",
            "print(edits_difference(others, edits))",
        ]
    )


QUESTIONS = (
    Question(
        "facts.say",
        "What it says now",
        "Your own prompts, gone on with by the model as it came and by the edited one.",
        "fact-say",
        AskSay,
        _say,
        fact_say_text,
        _say_python,
    ),
    Question(
        "facts.stack",
        "Edits",
        "The edits that are applied, in order: what they teach, what they change, how to undo.",
        "fact-edits",
        AskStack,
        _stack,
        fact_edits_text,
        _stack_python,
    ),
    Question(
        "facts.difference",
        "Two lists",
        "How far the weights are apart that two lists of edits lead to.",
        "fact-edits",
        AskDifference,
        _difference,
        fact_edits_text,
        _difference_python,
    ),
    Question(
        "facts.undo",
        "Undo",
        "What goes and what stays when one edit is taken off.",
        "fact-edits",
        AskUndo,
        _undo,
        fact_edits_text,
        _undo_python,
    ),
)
