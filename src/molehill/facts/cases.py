"""Cases to be judged by, from relations: which facts a model knows, and what is asked beside each.

    known_facts(lm, relation)       the facts that it says by itself, each in a form that it knows
    make_cases(facts, relation)     a new object for each, its paraphrases and its neighbours

Paraphrases are the relation's other templates, neighbours its other subjects with their own
objects. This module scores answers and edits nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from molehill.facts.asking import score_answers
from molehill.facts.fact import Fact
from molehill.facts.relations import Case, Relation
from molehill.facts.showing import few
from molehill.language_model import LanguageModel

__all__ = ["Knowledge", "known_facts", "make_cases"]


@dataclass(frozen=True)
class Knowledge:
    """What a model knows of one relation.

    A fact counts as known in a template where the model, taking the likeliest token each time, goes
    on from the prompt with the whole object.
    """

    relation: Relation
    asked: int
    known: tuple[Fact, ...]
    """Those known in some template; that template comes first, the others are paraphrases."""
    by_template: tuple[int, ...]
    """How many are known in each."""
    everywhere: int
    """How many are known in every template."""

    def __repr__(self) -> str:
        return few(
            f"Knowledge of {self.relation.name!r}: {len(self.known)} of {self.asked} facts are "
            f"known, {self.everywhere} in every template",
            [
                f"{count} in {form!r}"
                for form, count in zip(self.relation.templates, self.by_template, strict=True)
            ],
        )


def known_facts(
    lm: LanguageModel,
    relation: Relation,
    *,
    most: int | None = None,
    seed: int = 0,
    progress: Callable[[int], object] | None = None,
) -> Knowledge:
    """Ask a model for every fact of a relation, in all its templates.

    Args:
        most: of so many facts, drawn with `seed`; None asks all.
        progress: called with the number of questions since the last call.
    """
    facts = list(relation.facts)
    if most is not None and len(facts) > most:
        facts = random.Random(seed).sample(facts, most)
    asked = [(fact.ask(form), fact.object) for fact in facts for form in relation.templates]
    answers = score_answers(lm, asked, progress=progress)
    forms = len(relation.templates)
    greedy = [
        [answer.greedy for answer in answers[number * forms : (number + 1) * forms]]
        for number in range(len(facts))
    ]
    # The template in which most facts are known is asked first where a fact is known in several.
    totals = tuple(sum(row[form] for row in greedy) for form in range(forms))
    order = sorted(range(forms), key=lambda form: -totals[form])
    known = []
    for fact, row in zip(facts, greedy, strict=True):
        best = next((form for form in order if row[form]), None)
        if best is not None:
            others = tuple(form for n, form in enumerate(relation.templates) if n != best)
            known.append(replace(fact, template=relation.templates[best], paraphrases=others))
    return Knowledge(relation, len(facts), tuple(known), totals, sum(map(all, greedy)))


def make_cases(
    facts: Sequence[Fact], relation: Relation, *, neighbours: int = 10, seed: int = 0
) -> tuple[Case, ...]:
    """A case for each fact: another object of the relation, and other subjects to be left alone.

    Facts of a relation with a single object have no other and are left out. Neighbours whose own
    object is the new one are no neighbours.
    """
    cases = []
    for fact in facts:
        draw = random.Random(f"{seed} {relation.name} {fact.subject}")
        others = [name for name in relation.objects() if name != fact.object]
        if not others:
            continue
        new = draw.choice(others)
        apart = [
            other
            for other in relation.facts
            if other.subject != fact.subject and other.object != new
        ]
        chosen = draw.sample(apart, min(neighbours, len(apart)))
        cases.append(
            Case(
                fact=fact,
                new=new,
                paraphrases=fact.prompts[1:],
                neighbours=tuple((other.ask(fact.template), other.object) for other in chosen),
                generation=fact.prompts[:2],
                reference=tuple(
                    str(replace(other, template=fact.template))
                    for other in relation.facts
                    if other.object == new
                )[:10],
            )
        )
    return tuple(cases)
