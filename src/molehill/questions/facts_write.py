"""The question of a fact written by hand: one new neuron, with its certificate.

The edit is remembered by its digest and applied to nothing. This module knows no form.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from molehill.facts.before_after import Asked, compare
from molehill.facts.edits import FactEdit, apply_edits
from molehill.facts.fact import Fact
from molehill.facts.own_text import own_text
from molehill.facts.preparing import default_layers, default_prefixes
from molehill.facts.writing import Hand, write_neuron
from molehill.language_model import LanguageModel
from molehill.questions.asking import Question, asked_as
from molehill.questions.desk import Desk
from molehill.questions.facts_examples import example_for, offered
from molehill.questions.facts_rewrite import Taught, fact_line, loading_beside
from molehill.questions.python import written
from molehill.questions.telling import telling
from molehill.text.tokens import Tokens
from molehill.version import __version__
from molehill.views.written_neuron import written_neuron_data, written_neuron_text

__all__ = ["QUESTIONS", "AskWrite"]

_WIDE = 256
"""From this width on every token of the vocabulary is looked at as well."""


class AskWrite(Taught):
    """A fact, and what its neuron is told apart from."""

    keep: tuple[str, ...] = Field(
        (),
        max_length=16,
        title="Keep",
        description="Other questions about the subject, one a line with {}, whose answers are to "
        "stay.",
        json_schema_extra=asked_as(
            "sentences", optional=True, offers=offered(lambda one: "\n".join(one.keep))
        ),
    )
    texts: int = Field(
        64,
        ge=8,
        le=512,
        title="Other texts",
        description="How many texts of 64 tokens, written by the model itself, it is not to fire "
        "on; one in five is held out.",
        json_schema_extra=asked_as("slider", step=8),
    )

    def kept(self) -> tuple[str, ...]:
        """Questions whose answers are to stay."""
        given = tuple(one for one in self.keep if one.strip())
        return given or (example_for(self.model).keep if self.is_example else ())


def _long(lm: LanguageModel) -> int:
    return min(64, lm.config.n_ctx)


def _write(asked: AskWrite, desk: Desk) -> dict[str, Any]:
    lm = desk.model(asked.model)
    stack = [desk.edit(digest) for digest in asked.edits]
    fact = asked.fact()
    there = [edit for edit in stack if edit.facts == (fact,) and edit.metrics.get("certificates")]
    if there:
        edit, before = there[0], stack[: stack.index(there[0])]
    else:
        before, edit = stack, _by_hand(lm, fact, asked, stack, desk)
        desk.remember(edit)
    old, new = apply_edits(lm, before), apply_edits(lm, [*before, edit])
    compared = compare(old, new, [Asked(prompt, fact.object) for prompt in fact.prompts])
    return written_neuron_data(lm, edit, compared, version=__version__)


def _by_hand(
    lm: LanguageModel, fact: Fact, asked: AskWrite, stack: Sequence[FactEdit], desk: Desk
) -> FactEdit:
    advance = telling(desk, "Other texts, by the model itself", asked.texts * _long(lm))
    reference = own_text(lm, asked.texts, _long(lm), progress=advance)
    desk.tell(0, 0, "Fitting the row, then the column")
    return write_neuron(
        lm,
        fact,
        layer=default_layers(lm.config)[0] if asked.layer is None else asked.layer,
        reference=Tokens.of_ids(reference.tolist()),
        how=Hand(
            prefixes=default_prefixes(lm),
            keep=asked.kept(),
            vocabulary=int(lm.config.d_model >= _WIDE),
        ),
        edits=stack,
    )


def _write_python(asked: AskWrite) -> str:
    lines = loading_beside(
        asked,
        "from molehill.facts import Fact, default_layers, default_prefixes",
        "from molehill.facts.own_text import own_text",
        "from molehill.facts.writing import Hand, certificates",
        "from molehill.text.tokens import Tokens",
    )
    layer = "default_layers(lm.config)[0]" if asked.layer is None else asked.layer
    return written(
        [
            *lines,
            fact_line(asked.fact()),
            f"texts = own_text(lm, {asked.texts}, min(64, lm.config.n_ctx))",
            "how = Hand(",
            "    prefixes=default_prefixes(lm),",
            f"    keep={asked.kept()!r},",
            f"    vocabulary=int(lm.config.d_model >= {_WIDE}),",
            ")",
            "edit = molehill.write_neuron(",
            f"    lm, fact, layer={layer}, reference=Tokens.of_ids(texts.tolist()), how=how, "
            "edits=edits",
            ")",
            "print(certificates(edit)[0])",
            "edited = molehill.apply_edits(lm, [*edits, edit])",
        ]
    )


QUESTIONS = (
    Question(
        "facts.write",
        "Write by hand",
        "One fact as one new neuron: its row asks for the subject, its column answers.",
        "written-neuron",
        AskWrite,
        _write,
        written_neuron_text,
        _write_python,
        eager=False,
    ),
)
