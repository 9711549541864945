"""How an edit is judged: by every definition in use side by side, against the original model.

Definitions follow Meng et al. (2022, section 3.4; ROME), Meng et al. (2023; MEMIT), Zhang et al.
(2018; n-gram entropy) and EasyEdit's accuracy and locality; `METRICS` says which is which. Success
compares two probabilities and flatters; accuracy asks for the likeliest token while the right ones
are fed in; generation lets the model go on by itself and looks for the object. This module judges
models and makes no edits.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

from molehill.facts.asking import Answer, score_answers
from molehill.facts.edits import FactEdit, apply_edits
from molehill.facts.relations import Case
from molehill.facts.showing import few
from molehill.language_model import LanguageModel

__all__ = [
    "METRICS",
    "CaseScore",
    "Evaluation",
    "Metric",
    "consistency",
    "evaluate",
    "harmonic_mean",
    "judge",
    "ngram_entropy",
]


@dataclass(frozen=True)
class Metric:
    """One column of the table."""

    name: str
    words: str
    """What it says, in one sentence."""
    source: str
    """Whose definition it is."""
    percent: bool = True


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("score", "Harmonic mean of the three successes.", "ROME, S"),
        Metric("efficacy", "The new object is likelier than the true one.", "ROME, ES"),
        Metric("paraphrase", "The same after the paraphrases.", "ROME, PS"),
        Metric(
            "neighbourhood",
            "After prompts about other subjects their true object is likelier than the new one.",
            "ROME, NS",
        ),
        Metric(
            "efficacy_magnitude", "Probability of the new object minus the true one's.", "ROME, EM"
        ),
        Metric("paraphrase_magnitude", "The same after the paraphrases.", "ROME, PM"),
        Metric(
            "neighbourhood_magnitude",
            "Probability of the neighbours' true object minus the new one's.",
            "ROME, NM",
        ),
        Metric(
            "efficacy_accuracy",
            "Share of the new object's tokens that are the likeliest, given those before.",
            "MEMIT, zsRE; EasyEdit, rewrite_acc",
        ),
        Metric(
            "paraphrase_accuracy",
            "The same after the paraphrases.",
            "MEMIT; EasyEdit, rephrase_acc",
        ),
        Metric(
            "neighbourhood_accuracy",
            "The same of the neighbours' true objects.",
            "MEMIT, neighbourhood accuracy",
        ),
        Metric(
            "locality",
            "Of the first four neighbours' prompts, those after which the first word written, "
            "taking the likeliest token each time, is the original model's.",
            "EasyEdit, locality, by words",
        ),
        Metric(
            "generation",
            "Going on freely from the prompt and its paraphrases, the model says the new object.",
            "free generation; ours",
        ),
        Metric(
            "neighbourhood_generation",
            "Going on freely from the first four neighbours' prompts, it writes what the original "
            "model does, ten tokens long.",
            "free generation; ours",
        ),
        Metric(
            "fluency",
            "Weighted entropy of two and three words in a row in free text, in bits.",
            "ROME, GE; Zhang et al., 2018",
            percent=False,
        ),
        Metric(
            "consistency",
            "Tf-idf cosine of free text with texts in which the new object is true.",
            "ROME, RS",
        ),
    )
}


@dataclass(frozen=True)
class CaseScore:
    """One case judged before and after."""

    case: Case
    before: Mapping[str, float]
    """By metric; what does not apply (no paraphrases, say) is left out."""
    after: Mapping[str, float]
    edit: str
    """The name of the edit."""


@dataclass(frozen=True)
class Evaluation:
    """Many cases judged."""

    model: str
    method: str
    cases: tuple[CaseScore, ...]

    def __repr__(self) -> str:
        known = [name for name in METRICS if self.mean(name) is not None]
        return few(
            f"Evaluation of {self.method} on {self.model}, {len(self.cases)} "
            f"case{'s' if len(self.cases) != 1 else ''}; before -> after",
            [
                f"{name} {self.mean(name, after=False):.3f} -> {self.mean(name):.3f}"
                for name in known
            ],
            most=len(METRICS),
        )

    def mean(self, metric: str, *, after: bool = True) -> float | None:
        """The mean over the cases that have it; the score is the harmonic mean of the means."""
        if metric == "score":
            parts = [
                self.mean(one, after=after) for one in ("efficacy", "paraphrase", "neighbourhood")
            ]
            return harmonic_mean([part for part in parts if part is not None])
        values = self._values(metric, after)
        return fmean(values) if values else None

    def deviation(self, metric: str, *, after: bool = True) -> float | None:
        """The standard deviation over cases; the score has none."""
        values = self._values(metric, after)
        return pstdev(values) if values and metric != "score" else None

    def _values(self, metric: str, after: bool) -> list[float]:
        sides = [case.after if after else case.before for case in self.cases]
        return [side[metric] for side in sides if metric in side]


def harmonic_mean(values: Sequence[float]) -> float | None:
    """0 where a value is 0; None of nothing."""
    if not values:
        return None
    return 0.0 if min(values) <= 0 else len(values) / sum(1 / value for value in values)


def evaluate(
    lm: LanguageModel,
    cases: Sequence[Case],
    make: Callable[[Case], FactEdit],
    *,
    method: str,
    words: int = 0,
    progress: Callable[[int], object] | None = None,
) -> Evaluation:
    """Make each case's edit on the original model by itself, and judge it.

    Args:
        make: the edit of a case.
        words: tokens of free text per prompt for fluency and consistency; 0 leaves both out.
        progress: called with 1 after every case.
    """
    scores = []
    for case in cases:
        before = judge(lm, case, original=lm, words=words)
        edit = make(case)
        after = judge(apply_edits(lm, [edit]), case, original=lm, words=words)
        scores.append(CaseScore(case, before, after, edit.name))
        if progress is not None:
            progress(1)
    return Evaluation(lm.name, method, tuple(scores))


def judge(
    lm: LanguageModel,
    case: Case,
    *,
    original: LanguageModel,
    words: int = 0,
    free: bool = True,
) -> dict[str, float]:
    """Every metric that applies to a case, as shares from 0 to 1 (entropy in bits).

    Args:
        original: the model before any edit, whose free text neighbours are held against.
        words: tokens of free text per prompt for fluency and consistency; 0 leaves both out.
        free: whether the model is let go on by itself at all, which takes most of the time.
    """
    found: dict[str, float] = {}
    _compare(found, lm, "efficacy", [case.fact.prompt], case)
    _compare(found, lm, "paraphrase", list(case.paraphrases), case)
    _neighbourhood(found, lm, case)
    if "efficacy" in found and "neighbourhood" in found:
        parts = [
            found[name] for name in ("efficacy", "paraphrase", "neighbourhood") if name in found
        ]
        found["score"] = harmonic_mean(parts) or 0.0
    if free:
        _generations(found, lm, case, original)
    if words and case.generation:
        texts = [one.text for one in lm.generate(list(case.generation), max_new_tokens=words)]
        found["fluency"] = fmean(ngram_entropy(text) for text in texts)
        if case.reference:
            found["consistency"] = consistency(" ".join(texts), case.reference)
    return found


def _compare(
    found: dict[str, float], lm: LanguageModel, name: str, prompts: list[str], case: Case
) -> None:
    """New object against true one after each prompt."""
    if not prompts:
        return
    answers = score_answers(
        lm, [(prompt, said) for prompt in prompts for said in (case.new, case.fact.object)]
    )
    new, true = answers[::2], answers[1::2]
    found[name] = fmean(float(n.nll < t.nll) for n, t in zip(new, true, strict=True))
    found[f"{name}_magnitude"] = fmean(
        _as_probability(n) - _as_probability(t) for n, t in zip(new, true, strict=True)
    )
    found[f"{name}_accuracy"] = fmean(answer.accuracy for answer in new)


def _as_probability(answer: Answer) -> float:
    """exp of the mean log probability per token, as the definition has it."""
    return math.exp(-answer.nll)


def _neighbourhood(found: dict[str, float], lm: LanguageModel, case: Case) -> None:
    if not case.neighbours:
        return
    pairs = [(prompt, said) for prompt, true in case.neighbours for said in (true, case.new)]
    answers = score_answers(lm, pairs)
    true, new = answers[::2], answers[1::2]
    found["neighbourhood"] = fmean(float(t.nll < n.nll) for t, n in zip(true, new, strict=True))
    found["neighbourhood_magnitude"] = fmean(
        _as_probability(t) - _as_probability(n) for t, n in zip(true, new, strict=True)
    )
    found["neighbourhood_accuracy"] = fmean(answer.accuracy for answer in true)


_FREE = 10
"""Tokens that are written to look for an object."""
_FREE_NEIGHBOURS = 4
"""Neighbours that are gone on from: `METRICS` says so."""


def _generations(
    found: dict[str, float], lm: LanguageModel, case: Case, original: LanguageModel
) -> None:
    asked = [case.fact.prompt, *case.paraphrases]
    near = [prompt for prompt, _ in case.neighbours[:_FREE_NEIGHBOURS]]
    said = [one.text for one in lm.generate([*asked, *near], max_new_tokens=_FREE)]
    found["generation"] = fmean(_says(text, case.new) for text in said[: len(asked)])
    if near:
        was = said[len(asked) :]
        if lm is not original:
            was = [one.text for one in original.generate(near, max_new_tokens=_FREE)]
        same = [a == b for a, b in zip(said[len(asked) :], was, strict=True)]
        found["neighbourhood_generation"] = fmean(same)
        first = [
            a.split()[:1] == b.split()[:1] for a, b in zip(said[len(asked) :], was, strict=True)
        ]
        found["locality"] = fmean(first)


def _says(text: str, what: str) -> float:
    """1 where the object stands in a text as words of its own, in any case."""
    pattern = rf"(?<!\w){re.escape(what.strip())}(?!\w)"
    return float(re.search(pattern, text, re.IGNORECASE) is not None)


# --- free text --------------------------------------------------------------------------------


def ngram_entropy(text: str) -> float:
    """2/3 of the entropy of pairs of words plus 4/3 of that of triples, over two, in bits: the
    mean that ROME calls fluency. Repetition lowers it."""
    words = re.findall(r"\w+|[^\w\s]", text.lower())
    pairs, triples = _entropy(words, 2), _entropy(words, 3)
    return (pairs * 2 / 3 + triples * 4 / 3) / 2


def _entropy(words: Sequence[str], n: int) -> float:
    counts = Counter(zip(*(words[start:] for start in range(n)), strict=False))
    total = sum(counts.values())
    return -sum(c / total * math.log2(c / total) for c in counts.values()) if total else 0.0


def consistency(text: str, references: Sequence[str]) -> float:
    """Cosine of the tf-idf vectors of a text and of the references taken together.

    A word's weight is its count times ln((1 + n) / (1 + texts that have it)) + 1, over the n
    texts at hand: this one and each reference.
    """
    texts = [text, *references]
    bags = [Counter(re.findall(r"\w+", one.lower())) for one in texts]
    spread = Counter(word for bag in bags for word in bag)
    weight = {word: math.log((1 + len(texts)) / (1 + seen)) + 1 for word, seen in spread.items()}
    whole: Counter[str] = Counter()
    for bag in bags[1:]:
        whole.update(bag)
    a = {word: count * weight[word] for word, count in bags[0].items()}
    b = {word: count * weight[word] for word, count in whole.items()}
    length = math.sqrt(sum(v * v for v in a.values()) * sum(v * v for v in b.values()))
    return sum(value * b.get(word, 0.0) for word, value in a.items()) / length if length else 0.0
