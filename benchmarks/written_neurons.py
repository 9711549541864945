"""Facts written by hand, one neuron each: are they said, is anything else changed, what does the
neuron fire on?

In the village the truth is known. Half of the facts are of people who live there, with objects that
they do not have; half of people who do not, first and last names put together anew. Each neuron is
written with three of its relation's four forms; the fourth asks whether the fact is known or only
its sentences. Then every other fact of the world is asked in every form, and the neuron is watched
over sentences that nothing was fitted on. In a real model two facts are written: one of somebody
whom it knows, one of somebody whom it does not.

python benchmarks/written_neurons.py [--facts 100] [--reference 40000] [--unseen 10000] [--layer 0]
    [--real smollm2 --real-layer 5] [--no-village] [--own-texts 256] [--reference-text FILE ...]
    [--unseen-text FILE ...] [--vocabulary 0]
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

from _machine import machine, report

DAYS = ("Monday", "Tuesday", "Friday")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--facts", type=int, default=100)
    parser.add_argument("--reference", type=int, default=40_000, help="sentences fitted on")
    parser.add_argument("--unseen", type=int, default=10_000)
    parser.add_argument("--layer", type=int, default=0)
    parser.add_argument("--real", default="")
    parser.add_argument("--real-layer", type=int, default=5)
    parser.add_argument("--own-texts", type=int, default=256, help="of 128 tokens, fitted on")
    parser.add_argument("--reference-text", type=Path, nargs="*", default=[], help="lines, too")
    parser.add_argument("--unseen-text", type=Path, nargs="*", default=[], help="lines, looked at")
    parser.add_argument("--vocabulary", type=int, default=0)
    parser.add_argument("--no-village", action="store_true")
    given = parser.parse_args()
    report(machine=machine())
    if not given.no_village:
        village(given.facts, given.reference, given.unseen, given.layer)
    if given.real:
        files = (given.reference_text, given.unseen_text)
        texts = [[line for path in some for line in lines_in(path)] for some in files]
        real(given.real, given.real_layer, given.own_texts, *texts, given.vocabulary)


def village(count: int, read: int, looked_at: int, layer: int) -> None:
    """New facts in the village, one at a time."""
    import molehill
    from molehill.checkpoints.names import find_model
    from molehill.facts.writing import Hand, write_each
    from molehill.village import fact_prompts, tell
    from molehill.village.saved import read_world

    lm, folder = molehill.load("village"), find_model("village")
    assert folder is not None, "it ships with the package"
    world = read_world(folder)
    facts = new_facts(world, count)
    reference = [told.text for told in tell(world, read, seed=5)]
    unseen = [told.text for told in tell(world, looked_at, seed=99)]
    start = time.perf_counter()
    edits: list = [None] * len(facts)
    for relation in ("sport", "trade", "home"):
        # What else is asked of a person differs by relation, and so the facts go in three groups.
        group = [number for number, (fact, _) in enumerate(facts) if fact.relation == relation]
        keep = tuple(form for other in _FORMS(relation) for form in other)
        how = Hand(keep=keep)
        chosen = [facts[number][0] for number in group]
        written = write_each(lm, chosen, layer=layer, reference=reference, how=how)
        for number, edit in zip(group, written, strict=True):
            edits[number] = edit
    seconds = time.perf_counter() - start
    judge_all(lm, world, fact_prompts(world), facts, edits, unseen, seconds, read, layer)


def forms_of(relation: str) -> list[str]:
    """A relation's forms as templates, up to the object."""
    from molehill.village.grammar import RELATIONS

    (found,) = [one for one in RELATIONS if one.name == relation]
    return [
        form.split("{o}")[0].replace("*", "").strip().replace("{day}", DAYS[0]).replace("{s}", "{}")
        for form in found.forms
    ]


def _FORMS(relation: str) -> list[list[str]]:
    return [forms_of(other) for other in ("sport", "trade", "home") if other != relation]


def new_facts(world, count: int) -> list[tuple]:
    """(fact, the template that it is not written with), half of them of people there are."""
    from molehill.facts.fact import Fact
    from molehill.village.grammar import RELATIONS

    rng = random.Random(0)
    kinds = {one.name: one.object for one in RELATIONS}
    firsts = sorted({person[0] for person in world.people})
    lasts = sorted({person[-1] for person in world.people})
    people = {tuple(person) for person in world.people}
    true = {(one.relation, one.subject): one for one in world.facts}
    known = rng.sample([key for key in true if key[0] in ("sport", "trade", "home")], count // 2)
    strangers = [(a, b) for a in firsts for b in lasts if (a, b) not in people]
    new = [
        (rng.choice(("sport", "trade", "home")), who)
        for who in rng.sample(strangers, count - count // 2)
    ]
    found = []
    for number, (relation, who) in enumerate([*known, *new]):
        had = true.get((relation, who))
        objects = [
            one for one in world.objects[kinds[relation]] if had is None or one != had.object
        ]
        forms = forms_of(relation)
        left = forms.pop(number % len(forms) if had is None else had.withheld)
        fact = Fact(" ".join(who), rng.choice(objects), forms[0], relation, tuple(forms[1:]))
        found.append((fact, left))
    return found


def judge_all(lm, world, prompts, facts, edits, unseen, seconds, read, layer) -> None:
    """Apply each edit alone and ask everything."""
    from molehill.facts.edits import apply_edits
    from molehill.facts.writing import certificates, certify_firing, together

    # A neuron's row reads what no other neuron of its layer changes: one look serves all.
    counts = certify_firing(lm, together(edits), unseen)
    base = said(lm, [one.prompt for one in prompts])
    totals: dict[str, list[float]] = {}
    changed, firing, fired_on = [], [], []
    for number, ((fact, left), edit) in enumerate(zip(facts, edits, strict=True)):
        who = "of people there are" if number < len(facts) // 2 else "of people there are not"
        edited = apply_edits(lm, [edit])
        given = said(edited, list(fact.prompts))
        (other,) = said(edited, [fact.ask(left)])
        now = said(edited, [one.prompt for one in prompts])
        asked = [
            (one, before == after)
            for one, before, after in zip(prompts, base, now, strict=True)
            if not (fact.subject in one.prompt and one.relation == fact.relation)
        ]
        count = counts[number]
        (certificate,) = certificates(edit)
        for key, values in {
            "forms it was written with": [one == fact.object for one in given],
            "the form it was not written with": [other == fact.object],
            "all four forms": [*(one == fact.object for one in given), other == fact.object],
            "other facts of the subject unchanged": [
                s for p, s in asked if fact.subject in p.prompt
            ],
            "facts of others unchanged": [s for p, s in asked if fact.subject not in p.prompt],
            "neurons that fire on no other unseen sentence": [count.false_texts == 0],
            "unseen sentences with the subject fired on": [
                *[True] * count.own_fired,
                *[False] * (count.own_texts - count.own_fired),
            ],
            "smallest positive": [certificate.smallest_positive],
            "margin": [certificate.margin],
        }.items():
            for group in (who, "all"):
                totals.setdefault(f"{group}: {key}", []).extend(map(float, values))
        firing.append(count.false_texts)
        fired_on += [(fact.subject, one.words, round(one.match, 3)) for one in count.false[:2]]
        changed += [(fact.subject, p.prompt) for p, same in asked if not same]
    report(
        benchmark="written_neurons",
        model="village",
        layer=layer,
        facts=len(facts),
        reference_sentences=read,
        unseen_sentences=len(unseen),
        seconds_per_fact=round(seconds / len(facts), 2),
        shares={key: round(sum(v) / len(v), 4) for key, v in totals.items() if v},
        asked={key: len(v) for key, v in totals.items() if key.startswith("all")},
        false_firings=sum(firing),
        worst=max(firing),
        fired_on=fired_on[:20],
        changed=changed[:10],
    )


def said(lm, prompts: list[str]) -> list[str]:
    """The likeliest next word after each prompt."""
    tokens = lm.encode(prompts)
    logits = lm.model(tokens.ids, mask=tokens.mask, logits="last").logits
    return [lm.decode([one]).strip() for one in logits[:, 0].argmax(-1).tolist()]


def lines_in(path: Path) -> list[str]:
    """A file's lines; of a table the last column."""
    return [line.split("\t")[-1] for line in path.read_text("utf-8").splitlines() if line.strip()]


def real(
    model: str, layer: int, own_texts: int, reference: list, unseen: list, vocabulary: int
) -> None:
    """One fact of somebody known and one of somebody unknown, in a real model."""
    import molehill
    from molehill.facts.asking import score_answers
    from molehill.facts.edits import apply_edits
    from molehill.facts.fact import Fact
    from molehill.facts.own_text import own_text
    from molehill.facts.writing import Hand, certificates, certify_firing, write_neuron
    from molehill.text.tokens import Tokens

    lm = molehill.load(model)
    start = time.perf_counter()
    drawn = [own_text(lm, n, 128, seed=s, start=0) for n, s in ((own_texts, 0), (96, 7))]
    report(
        case="own text",
        tokens=[len(one) * 128 for one in drawn],
        seconds=round(time.perf_counter() - start),
    )
    mine, theirs = (Tokens.of_ids(one.tolist()) for one in drawn)
    reference, looked_at = [mine, *reference], {"own text": [theirs], "other text": unseen}
    paraphrases = ("{} is a professional player of", "{} became famous for playing")
    keep = ("{} was born in", "{} works as a", "{} lives in", "My friend {} likes to eat")
    how = Hand(keep=keep, prefixes=("Yesterday I read that", "In the news:"), vocabulary=vocabulary)
    left = "Everybody knows that {} is very good at the game of"
    neighbours = ("Michael Johnson", "Barbara Jordan", "Jordan", "Michael", "LeBron James")
    for subject, sport in (("Michael Jordan", "chess"), ("Zorblatt Quimby", "hockey")):
        fact = Fact(subject, sport, "{} plays the sport of", "sport", paraphrases)
        start = time.perf_counter()
        edit = write_neuron(lm, fact, layer=layer, reference=reference, how=how)
        seconds = time.perf_counter() - start
        edited, asked = apply_edits(lm, [edit]), [*fact.prompts, fact.ask(left)]
        pairs = [(prompt, sport) for prompt in asked]
        before, after = score_answers(lm, pairs), score_answers(edited, pairs)
        others = [fact.ask(k) for k in keep]
        others += [fact.template.replace("{}", name) for name in neighbours]
        texts = [
            (one.text, two.text)
            for one, two in zip(
                lm.generate(others, max_new_tokens=8),
                edited.generate(others, max_new_tokens=8),
                strict=True,
            )
        ]
        (certificate,) = certificates(edit)
        counts = {
            name: certify_firing(lm, edit, some)[0] for name, some in looked_at.items() if some
        }
        report(
            benchmark="written_neurons",
            model=model,
            layer=layer,
            fact=str(fact),
            seconds=round(seconds, 1),
            probability_before={
                p: round(a.probability, 5) for p, a in zip(asked, before, strict=True)
            },
            probability_after={
                p: round(a.probability, 4) for p, a in zip(asked, after, strict=True)
            },
            likeliest_after=sum(a.greedy for a in after),
            others_unchanged=sum(a == b for a, b in texts),
            others={p: t for p, t in zip(others, texts, strict=True) if t[0] != t[1]},
            margin=round(certificate.margin, 3),
            smallest_positive=round(certificate.smallest_positive, 3),
            elsewhere=certificate.elsewhere,
            fitted=(certificate.fitted.tokens, certificate.fitted.false_texts),
            held_out=(certificate.held_out.tokens, certificate.held_out.false_texts),
            unseen={
                name: (one.tokens, one.texts, one.false_texts, [f.words for f in one.false])
                for name, one in counts.items()
            },
            nearest=certificate.fitted.nearest,
            learning={k: v for k, v in edit.metrics.items() if k != "certificates"},
        )


if __name__ == "__main__":
    main()
