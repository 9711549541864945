"""Prompts gone on with by a model without and with edits, beside one another: data and text.

What both say next, how far apart the two distributions are, and how each goes on freely. This
module knows nothing of pages or files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import Group, RenderableType
from rich.text import Text
from torch import Tensor

from molehill.facts.edits import FactEdit
from molehill.language_model import LanguageModel
from molehill.views.provenance import digits_of, provenance
from molehill.views.terminal import as_text
from molehill.views.words import percent, significant, visible

__all__ = ["SCHEMA", "Said", "fact_say_data", "fact_say_text", "said"]

SCHEMA = "molehill.fact-say/1"

_NEXT = 5
"""Next tokens that are named."""


@dataclass(frozen=True, eq=False)
class Said:
    """How one model goes on from a prompt."""

    text: str
    scores: Tensor
    """Log probabilities of the next token [d_vocab], float64."""


@torch.no_grad()
def said(lm: LanguageModel, prompts: Sequence[str], most: int) -> list[Said]:
    """How a model goes on from prompts, taking the likeliest token each time.

    Args:
        most: tokens at most.

    Raises:
        TextError: a prompt is empty or too long.
        ConfigError: the model does not write.
    """
    found = []
    texts = [one.text for one in lm.generate(list(prompts), max_new_tokens=most)]
    for prompt, text in zip(prompts, texts, strict=True):
        tokens = lm.encode([prompt])
        device = lm.model.device
        out = lm.model(tokens.ids.to(device), mask=tokens.mask.to(device), logits="none")
        assert out.final is not None, "the pass went to the end"
        scores = lm.model.unembed(out.final[0, -1:])[0].double().log_softmax(-1)
        found.append(Said(text, scores.cpu()))
    return found


def fact_say_data(
    lm: LanguageModel,
    prompts: Sequence[str],
    before: Sequence[Said],
    after: Sequence[Said] | None,
    edits: Sequence[FactEdit],
    *,
    version: str,
) -> dict[str, Any]:
    """What two models say as plain values.

    Args:
        lm: the model without any edit.
        before: how it goes on.
        after: how the edited model does; None where there are no edits.
        version: of Molehill, for the provenance.
    """
    both = after or [None] * len(prompts)
    rows = [
        _row(lm, prompt, old, new) for prompt, old, new in zip(prompts, before, both, strict=True)
    ]
    return {
        "schema": SCHEMA,
        "summary": _summary(rows, edits),
        "edits": [
            {
                "name": one.name,
                "digest": one.digest,
                "method": one.method,
                "facts": [str(fact) for fact in one.facts],
            }
            for one in edits
        ],
        "rows": rows,
        "notes": list(_NOTES),
        "provenance": provenance(lm, version),
    }


def _row(lm: LanguageModel, prompt: str, old: Said, new: Said | None) -> dict[str, Any]:
    digits = digits_of(lm)
    row: dict[str, Any] = {"prompt": prompt, "before": _one(lm, old, digits), "after": None}
    if new is None:
        return row
    apart = (new.scores.exp() * (new.scores - old.scores)).nan_to_num(0.0).sum()
    return {
        **row,
        "after": _one(lm, new, digits),
        "same_next": int(old.scores.argmax()) == int(new.scores.argmax()),
        "same_text": old.text == new.text,
        "nats": significant(max(0.0, float(apart)), digits),
    }


def _one(lm: LanguageModel, one: Said, digits: int) -> dict[str, Any]:
    top = one.scores.topk(min(_NEXT, len(one.scores)))
    pairs = zip(top.indices.tolist(), top.values.exp().tolist(), strict=True)
    return {
        "text": one.text,
        "next": [
            {"piece": _piece(lm, token), "probability": significant(value, digits)}
            for token, value in pairs
        ],
    }


def _piece(lm: LanguageModel, token: int) -> str:
    return str(token) if lm.tokenizer is None else lm.tokenizer.piece(token)


def _summary(rows: Sequence[dict[str, Any]], edits: Sequence[FactEdit]) -> list[str]:
    if not edits:
        return [
            "No edit is applied: this is the model as it came.",
            "Apply one (a rewritten fact, a neuron written by hand), and both stand here.",
        ]
    count = "1 edit" if len(edits) == 1 else f"{len(edits)} edits"
    most = max(rows, key=lambda row: row["nats"] or 0.0)
    return [
        f"With {count}, {_moved(rows)}",
        f"The next token's distribution moves most after “{visible(most['prompt'].strip())}”: by "
        f"{most['nats']:.3g} nats.",
    ]


def _moved(rows: Sequence[dict[str, Any]]) -> str:
    moved = sum(not row["same_text"] for row in rows)
    first = sum(not row["same_next"] for row in rows)
    if not moved:
        which = "the prompt goes" if len(rows) == 1 else f"all {len(rows)} prompts go"
        return f"{which} on in the same words."
    if len(rows) == 1:
        where = "from the next token on" if first else "though the next token is the same"
        return f"the prompt goes on in other words, {where}."
    return (
        f"{moved} of {len(rows)} prompts go on in other words, {first} of them from the next "
        "token on."
    )


_NOTES = [
    "Both models go on by taking the likeliest token each time, so that nothing is left to chance.",
    "Nats: the divergence of the edited model's next token from the unedited one's (Kullback and "
    "Leibler), over the whole vocabulary.",
]


def fact_say_text(data: dict[str, Any], *, width: int = 80, ascii_only: bool = False) -> str:
    """The whole view as plain text."""
    made: RenderableType = Group(*_lines(data))
    return as_text(made, width, ascii_only=ascii_only)


def _lines(data: dict[str, Any]) -> Iterator[RenderableType]:
    for sentence in data["summary"]:
        yield Text(sentence)
    for row in data["rows"]:
        yield Text(f"\n{visible(row['prompt'])}", style="bold")
        for name in ("before", "after"):
            one = row[name]
            if one is not None:
                likely = one["next"][0]
                yield Text(
                    f"  {name:<6}  {visible(one['text'].strip())}  "
                    f"({visible(likely['piece'])} {percent(likely['probability'])})"
                )
    where = data["provenance"]
    yield Text(f"\n{where['model']} {where['fingerprint'][:12]}, {where['dtype']}", style="dim")
