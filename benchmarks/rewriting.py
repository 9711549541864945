"""How well each method rewrites facts of SmolLM2: one by one, and up to a hundred in a row.

python benchmarks/rewriting.py RELATIONS [--cases 200] [--stacked 100] [--methods rome memit ...]
    [--held-out FILE]

RELATIONS is a folder of relation files (subjects, objects, templates). Reported are what the
model knows of each relation, then for every method the scores by all definitions over the same
cases, seconds per edit, and, with --stacked, scores and bits per byte after 1, 3, 10, 30 and 100
edits made one after the other. Key statistics come from the model's own text; bits per byte are
measured on FILE, in windows of 256 tokens, or on own text of another seed, both the same each time.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

from _machine import machine, report

START = "<|endoftext|>"
PREFIXES = (
    "In the year after that,",
    "Many people say that",
    "It was reported yesterday that",
    "As we all know,",
)
LAYERS = (3, 4, 5)
MILESTONES = (1, 3, 10, 30, 100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("relations", type=Path)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--skip", type=int, default=0, help="cases left out at the beginning")
    parser.add_argument("--most", type=int, default=150, help="facts asked of each relation")
    parser.add_argument("--stacked", type=int, default=0, help="edits in a row")
    parser.add_argument("--methods", nargs="+")
    parser.add_argument("--free", type=int, default=30, help="cases with free generation")
    parser.add_argument("--kept", type=float, help="null-space: share of energy that it may meet")
    parser.add_argument("--held-out", type=Path, help="text on which bits per byte are measured")
    parser.add_argument("--texts", type=int, default=256, help="own texts of 128 tokens for keys")
    told = parser.parse_args()

    import molehill
    from molehill.facts.rewriting import METHODS

    report(machine=machine())
    lm = molehill.load("smollm2")
    methods = told.methods or METHODS
    cases = cases_of(lm, told.relations, told.most)
    cases = cases[told.skip :]
    statistics = keys_of(lm, told.texts)
    if told.cases:
        one_by_one(lm, cases[: told.cases], methods, statistics, told.free)
    held = held_text(lm, told.held_out)
    for method in methods if told.stacked else ():
        in_a_row(lm, cases[: told.stacked], method, statistics, held, told.kept)


def cases_of(lm, folder: Path, most: int):
    """Cases of all facts that the model knows, in an order of their own; what it knows is
    reported."""
    from molehill.facts.cases import known_facts, make_cases
    from molehill.facts.relations import read_relations

    cases = []
    for relation in read_relations(folder, start=START):
        found = known_facts(lm, relation, most=most)
        report(
            relation=relation.name,
            facts=len(relation.facts),
            asked=found.asked,
            known=len(found.known),
            by_template=found.by_template,
            in_every_template=found.everywhere,
        )
        cases += make_cases(found.known, relation)
    random.Random(0).shuffle(cases)
    return cases


def keys_of(lm, texts: int):
    """Key statistics from the model's own text, with how long they took."""
    from molehill.facts.keys import gather_keys
    from molehill.facts.own_text import own_text
    from molehill.text import Tokens

    begun = time.perf_counter()
    ids = own_text(lm, texts, 128, start=0).tolist()
    written = time.perf_counter()
    batches = [Tokens.of_ids(ids[at : at + 16]) for at in range(0, len(ids), 16)]
    found = gather_keys(lm, LAYERS, batches, f"own text, {texts} texts of 128 tokens, seed 0")
    report(
        keys=found[LAYERS[-1]].count,
        seconds_writing=written - begun,
        seconds_gathering=time.perf_counter() - written,
        curve={layer: one.curve for layer, one in found.items()},
    )
    return found


def held_text(lm, path: Path | None):
    """Windows of a file, or the model's own text of another seed than the keys'."""
    from molehill.facts.health import held_out
    from molehill.text import Tokens

    if path is None:
        return held_out(lm, None)
    ids = lm.tokenizer.ids([path.read_text(encoding="utf-8")], add_special=False)[0]
    return Tokens.of_ids([ids[at : at + 256] for at in range(0, len(ids) // 256 * 256, 256)])


def settings_of(method: str, kept: float | None = None):
    from molehill.facts.fine_tuning import Tuning
    from molehill.facts.rewriting import Settings

    layers = LAYERS if method in ("memit", "null-space") else LAYERS[-1:]
    more = {} if kept is None else {"kept": kept}
    return Settings(layers, prefixes=PREFIXES, tuning=Tuning(rate=5e-3, bound=1e-2), **more)


def one_by_one(lm, cases, methods, statistics, free: int) -> None:
    """Every case edited by itself on the original model, by every method; the slow part, free
    generation and fine-tuning, on the first so many alone."""
    from molehill.facts.edits import apply_edits
    from molehill.facts.evaluate import CaseScore, Evaluation, judge
    from molehill.facts.rewriting import rewrite
    from molehill.facts.values import learn_values

    scores = {method: [] for method in methods}
    seconds = dict.fromkeys((*methods, "value"), 0.0)
    values = {}
    for number, case in enumerate(cases, start=1):
        few = number <= free
        before = judge(lm, case, original=lm, free=few)
        fact = case.fact.with_object(case.new)
        if id(case) not in values:
            some = cases[number - 1 : number + 15]
            begun = time.perf_counter()
            wanted = [one.fact.with_object(one.new) for one in some]
            found = learn_values(lm, wanted, LAYERS[-1], PREFIXES)
            seconds["value"] += time.perf_counter() - begun
            values |= {id(one): value for one, value in zip(some, found, strict=True)}
        value = values[id(case)]
        for method in methods:
            begun = time.perf_counter()
            by_keys = method not in ("fine-tuning", "constrained")
            if not by_keys and not few:
                continue
            edit = rewrite(
                lm,
                [fact],
                method,
                statistics,
                settings_of(method),
                values=[value] if by_keys else None,
            )
            seconds[method] += time.perf_counter() - begun
            after = judge(apply_edits(lm, [edit]), case, original=lm, free=few)
            scores[method].append(CaseScore(case, before, after, edit.name))
        if number in (5, 20) or number % 50 == 0 or number == len(cases):
            for method in methods:
                found = Evaluation("smollm2", method, tuple(scores[method]))
                done = max(1, len(found.cases))
                tell(found, seconds[method] / done, seconds["value"] / number)


def tell(found, seconds: float, learning: float) -> None:
    from molehill.facts.evaluate import METRICS

    both = {}
    for name in METRICS:
        before, after = found.mean(name, after=False), found.mean(name)
        if after is not None:
            both[name] = [round(100 * (before or 0.0), 2), round(100 * after, 2)]
    report(
        method=found.method,
        cases=len(found.cases),
        seconds_of_an_edit=seconds,
        seconds_of_its_value=learning,
        **both,
    )


def in_a_row(lm, cases, method: str, statistics, held, kept: float | None) -> None:
    """Edits one after the other, each made on the model as the ones before have left it."""
    from molehill.facts.edits import apply_edits
    from molehill.facts.evaluate import harmonic_mean, judge
    from molehill.facts.health import bits_per_byte
    from molehill.facts.rewriting import rewrite

    edits, settings = [], settings_of(method, kept)
    report(method=method, edits=0, bits_per_byte=bits_per_byte(lm, held)[0])
    for number, case in enumerate(cases, start=1):
        fact = case.fact.with_object(case.new)
        edits.append(rewrite(lm, [fact], method, statistics, settings, edits=edits))
        if number not in MILESTONES:
            continue
        now = apply_edits(lm, edits)
        looked = random.Random(number).sample(cases[:number], min(number, 30))
        rows = [judge(now, one, original=lm, free=False) for one in looked]
        names = ("efficacy", "paraphrase", "neighbourhood", "efficacy_accuracy")
        means = {
            name: sum(row[name] for row in rows if name in row)
            / max(1, sum(name in row for row in rows))
            for name in names
        }
        report(
            method=method,
            edits=number,
            looked_at=len(rows),
            score=100 * (harmonic_mean([means[name] for name in names[:3]]) or 0.0),
            **{name: round(100 * mean, 2) for name, mean in means.items()},
            bits_per_byte=bits_per_byte(now, held)[0],
        )


if __name__ == "__main__":
    main()
