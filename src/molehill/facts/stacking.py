"""Edits one after another: what is left of all of them, and of the model, after 1, 3, 10, 30, 100.

Each edit is made on the model as those before have left it. At every milestone the cases that were
edited so far are judged on the model as it is then, and held-out text is read. Methods that look
well on one edit often break down here (Gupta et al., 2024, "Model Editing at Scale leads to Gradual
and Catastrophic Forgetting"). This module makes no edits of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from molehill.errors import FactError
from molehill.facts.edits import FactEdit, apply_edits
from molehill.facts.evaluate import CaseScore, Evaluation, judge
from molehill.facts.health import bits_per_byte, held_out
from molehill.facts.relations import Case
from molehill.language_model import LanguageModel
from molehill.text.tokens import Tokens

__all__ = ["MILESTONES", "Milestone", "stack_scores"]

MILESTONES = (1, 3, 10, 30, 100)


@dataclass(frozen=True)
class Milestone:
    """Where things stand after so many edits."""

    edits: int
    scores: Evaluation
    """The cases edited so far; `before` is of the model without any edit."""
    bits_before: float
    """Bits per byte of the held-out text without any edit."""
    bits: float
    """The same now; not finite where the model is broken."""

    def __repr__(self) -> str:
        score = self.scores.mean("score")
        told = "" if score is None else f"score {100 * score:.1f}, "
        return (
            f"Milestone of {self.scores.method}, {self.edits} "
            f"edit{'s' if self.edits != 1 else ''}: {told}{self.bits_before:.3f} -> "
            f"{self.bits:.3f} bits per byte"
        )


def stack_scores(
    lm: LanguageModel,
    cases: Sequence[Case],
    make_next: Callable[[Case, Sequence[FactEdit]], FactEdit],
    *,
    method: str,
    at: Sequence[int] = MILESTONES,
    texts: Tokens | Sequence[str] | None = None,
    words: int = 0,
    free: bool = True,
    progress: Callable[[int], object] | None = None,
) -> Iterator[Milestone]:
    """Make edits in a row; yields a milestone as soon as it is reached, so that what was measured
    is there if the rest is given up.

    Args:
        lm: the model without any edit.
        make_next: the edit of a case, after the edits so far.
        method: its name.
        at: after how many edits to judge; numbers beyond the cases are left out.
        texts: held-out text. None: the model's own.
        words, free: as for `judge`.
        progress: called with 1 after every edit.

    Raises:
        FactError: no number in `at` can be reached.
    """
    wanted = sorted({number for number in at if 1 <= number <= len(cases)})
    if not wanted:
        raise FactError(
            f"Of the numbers of edits {', '.join(map(str, at))} none lies between 1 and the "
            f"{len(cases)} cases."
        )
    held = held_out(lm, texts)
    start, _ = bits_per_byte(lm, held)
    before: list[dict[str, float]] = []
    edits: list[FactEdit] = []
    for case in cases[: wanted[-1]]:
        before.append(judge(lm, case, original=lm, words=words, free=free))
        edits.append(make_next(case, tuple(edits)))
        if progress is not None:
            progress(1)
        if len(edits) not in wanted:
            continue
        now = apply_edits(lm, edits)
        scores = tuple(
            CaseScore(one, old, judge(now, one, original=lm, words=words, free=free), edit.name)
            for one, old, edit in zip(cases, before, edits, strict=False)
        )
        bits, _ = bits_per_byte(now, held)
        yield Milestone(len(edits), Evaluation(lm.name, method, scores), start, bits)
