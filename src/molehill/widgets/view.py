"""A view as a widget: the page's own module in a cell, with its data, its state and its questions.

    import molehill

    lm = molehill.load("lexicon")
    molehill.show(lm, "shift", word="mole")

The module is the one that the page and the exported files have. In a cell the view asks the running
kernel what the page asks its server. This module knows no question and no view by name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from molehill.errors import MissingExtraError, MolehillError
from molehill.files import write_atomically
from molehill.language_model import LanguageModel
from molehill.questions import Answer, Desk, ModelEntry, answer
from molehill.questions import question as named_question
from molehill.questions.offers import shipped_features
from molehill.views.html import SHARED, host_class, module, page, sheet

try:
    import anywidget
    import traitlets
except ImportError as error:  # pragma: no cover - in an environment of its own
    raise MissingExtraError(
        "Views in a notebook need anywidget: pip install 'molehill[notebook]'."
    ) from error

__all__ = ["ViewWidget", "draw", "show"]

_HOSTED = """export default {{
  render({{ model, el }}) {{
    el.classList.add(...{classes});
    return render({{ model, el }});
  }},
}};
"""


class ViewWidget(anywidget.AnyWidget):
    """A view in a cell.

    Attributes:
        data: what the view draws, as plain values; set it, and the view is drawn anew.
        state: what is chosen in the view, as the part of an address that the page would have:
            reading it in another cell tells what was clicked, setting it chooses.
        asks: whether the view may ask the kernel further questions.
    """

    data = traitlets.Dict().tag(sync=True)
    state = traitlets.Unicode("").tag(sync=True)
    asks = traitlets.Bool(False).tag(sync=True)
    edits = traitlets.List(traitlets.Unicode()).tag(sync=True)
    catalogue = traitlets.Dict().tag(sync=True)

    def __init__(self, given: Answer, desk: Desk | None, state: str = "") -> None:
        self.given, self.desk = given, desk
        view = given.question.view
        self._esm = _module(view)
        self._css = f"{sheet(SHARED)}\n{sheet(view)}"
        super().__init__(data=dict(given.data), state=state, asks=desk is not None)
        self.on_msg(self._heard)

    def text(self) -> str:
        """The view as text."""
        return self.given.question.text(dict(self.data))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the view as one HTML file that opens by itself, whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        question = self.given.question
        made = page(question.view, dict(self.data), title=question.title, text=self.text())
        write_atomically(Path(path), lambda file: file.write(made.encode("utf-8")))

    def _heard(self, _: Any, message: Any, __: Any) -> None:
        """A view's question, or its wish for other edits. The kernel does one thing at a time: a
        question that is no longer wanted is answered all the same, and nobody hears it."""
        if not isinstance(message, Mapping) or self.desk is None:
            return
        if message.get("kind") == "edits":
            self._edit([str(digest) for digest in message.get("edits", [])])
        elif message.get("kind") == "ask":
            self.send(self._answered(str(message.get("id")), message))

    def _answered(self, one: str, message: Mapping[str, Any]) -> dict[str, Any]:
        assert self.desk is not None, "only a widget with a desk is asked"
        desk = self.desk.telling(
            lambda done, whole, what: self.send(
                {"kind": "progress", "id": one, "done": done, "whole": whole, "what": what}
            )
        )
        try:
            inputs = self._filled(str(message.get("question")), message.get("inputs") or {})
            found = answer(desk, str(message.get("question")), inputs)
        except MolehillError as error:
            return {"kind": "error", "id": one, "message": str(error)}
        return {"kind": "answer", "id": one, "data": dict(found.data)}

    def _filled(self, name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Inputs with the model and the edits that this widget is about."""
        assert self.desk is not None, "only a widget with a desk is asked"
        own = self.given.inputs.model_dump(include={"model", "edits"})
        return own | {"edits": tuple(self.edits)} | dict(inputs) if own else dict(inputs)

    def _edit(self, edits: Sequence[str]) -> None:
        """The same question of the model with other edits."""
        assert self.desk is not None, "only a widget with a desk is asked"
        before = self.given.inputs.model_dump(exclude_unset=True)
        self.given = answer(self.desk, self.given.question.name, before | {"edits": tuple(edits)})
        self.edits, self.data = list(edits), dict(self.given.data)


def _module(view: str) -> str:
    """A view's module that dresses the element it is given."""
    plain, ending = module(view), "export default { render };\n"
    assert plain.count(ending) == 1, f"{view}.js ends in one line of exports"
    classes = host_class(view).split()
    return plain.replace(ending, _HOSTED.format(classes=classes))


def show(lm: LanguageModel, question: str, *, state: str = "", **inputs: Any) -> ViewWidget:
    """Ask a question about a model, and show the answer in this cell.

    Args:
        lm: the model.
        question: `shift`, `ledger`, `lens`, `attention`, `facts.card` ...: see
            `molehill.questions.QUESTIONS`.
        state: what is chosen in the view at first, as in the page's address.
        inputs: what the question asks for; what is left out takes its default.

    Raises:
        ConfigError: no such question, or inputs it does not take.
        MolehillError: what the answer raises.
    """
    desk = Desk({lm.name: ModelEntry(lm)}, features=shipped_features())
    given = {"model": lm.name, **inputs} if _takes_model(question) else inputs
    return ViewWidget(answer(desk, question, given), desk, state)


def draw(given: Answer, *, state: str = "") -> ViewWidget:
    """Show an answer that is there already; the view asks no more questions."""
    return ViewWidget(given, None, state)


def _takes_model(name: str) -> bool:
    return "model" in named_question(name).inputs.model_fields
