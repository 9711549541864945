"""Tracing and rewriting facts of the village, whose truth is known.

python benchmarks/village_facts.py [--facts 200] [--method rome]

Every fact is traced in its first form: whether the state that matters most lies at the subject's
last word, the first at which the fact is told. Then facts are rewritten one at a time: whether the
model gives the new object in all four forms, and whether every other fact keeps its answer.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter, defaultdict

from _machine import report

LAYERS = {"rome": (2,), "memit": (2,), "null-space": (2,)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--facts", type=int, default=200)
    parser.add_argument("--method", nargs="+", default=["rome"])
    parser.add_argument("--layers", type=int, nargs="+")
    parser.add_argument("--token", default="last", choices=["subject", "last"])
    parser.add_argument("--weight", type=float, default=50.0)
    parser.add_argument("--no-trace", action="store_true")
    told = parser.parse_args()

    import molehill
    from molehill.village import fact_prompts, make_world

    lm = molehill.load("village")
    world = make_world()
    prompts = fact_prompts(world)
    if not told.no_trace:
        trace_all(lm, prompts)
    for method in told.method:
        layers = tuple(told.layers or LAYERS[method])
        rewrite_all(lm, world, prompts, told.facts, method, layers, told.token, told.weight)


def fact_of(prompt):
    """A prompt of the village as a fact: its template has the subject's place open."""
    from molehill.facts import Fact

    first, last = prompt.subject
    text = prompt.prompt
    template = f"{text[:first]}{{}}{text[last:]}"
    return Fact(text[first:last], prompt.answer, template, prompt.relation)


def trace_all(lm, prompts) -> None:
    """Each prompt's peaks against the words at which the fact is in play: those that, with the ones
    before them, tell subject and relation."""
    from molehill.facts.locate import trace_fact

    told, peaks, total = defaultdict(Counter), defaultdict(Counter), 0.0
    for prompt in prompts:
        found = trace_fact(lm, fact_of(prompt), draws=10, window=1)
        total += found.total_effect
        truth = [n for n, one in enumerate(prompt.told.tokens) if prompt.fact in one.facts]
        for kind in found.effects:
            peak = found.peak(kind)
            told[kind]["in play" if peak.position in truth else "not in play"] += 1
            peaks[kind][f"layer {peak.layer}, {found.roles()[peak.position]}"] += 1
    count = len(prompts)
    report(
        traced=count,
        total_effect=total / count,
        peaks_where_the_fact_is={
            kind: {place: number / count for place, number in found.items()}
            for kind, found in told.items()
        },
        peaks={kind: dict(found.most_common(4)) for kind, found in peaks.items()},
    )


def rewrite_all(lm, world, prompts, facts: int, method: str, layers, token, weight) -> None:
    """Each fact rewritten by itself; then every prompt of the world is asked again."""
    from molehill.facts.edits import apply_edits
    from molehill.facts.keys import gather_keys
    from molehill.facts.rewriting import Settings, rewrite
    from molehill.facts.values import Learning
    from molehill.village import tell

    sentences = [told.text for told in tell(world, 4000, seed=11)]
    texts = [lm.encode(sentences[at : at + 200]) for at in range(0, len(sentences), 200)]
    statistics = gather_keys(lm, layers, texts, "4,000 sentences of the village, seed 11")
    settings = Settings(
        layers,
        Learning(token=token, longest=3.0, steps=60, likely=0.98),
        prefixes=tuple(sentences[:2]),
        ridge=1e-4,
        weight=weight,
    )
    groups = defaultdict(list)
    for prompt in prompts:
        groups[prompt.fact].append(prompt)
    draw = random.Random(0)
    chosen = draw.sample(sorted(groups), min(facts, len(groups)))
    objects = defaultdict(set)
    for prompt in prompts:
        objects[prompt.relation].add(prompt.answer)
    before = answers(lm, prompts)
    hits, forms, kept, clean, seconds = 0, 0.0, 0.0, 0, 0.0
    for name in chosen:
        own = groups[name]
        new = draw.choice(sorted(objects[own[0].relation] - {own[0].answer}))
        # All forms are taught where the method takes several facts; one, where it takes one.
        asked = own[:1] if method == "rome" else own
        begun = time.perf_counter()
        wanted = [fact_of(prompt).with_object(new) for prompt in asked]
        edit = rewrite(lm, wanted, method, statistics, settings)
        seconds += time.perf_counter() - begun
        after = answers(apply_edits(lm, [edit]), prompts)
        said = [after[n] == new for n, prompt in enumerate(prompts) if prompt.fact == name]
        others = [after[n] == before[n] for n, one in enumerate(prompts) if one.fact != name]
        hits += said[0]
        forms += sum(said) / len(said)
        kept += sum(others) / len(others)
        clean += all(others)
    count = len(chosen)
    report(
        method=method,
        layers=layers,
        rewritten=count,
        efficacy=hits / count,
        all_forms=forms / count,
        other_facts_kept=kept / count,
        edits_that_keep_all_others=clean / count,
        seconds_of_an_edit=seconds / count,
    )


def answers(lm, prompts) -> list[str]:
    """The likeliest next word after every prompt."""
    import torch

    tokens = lm.encode([prompt.prompt for prompt in prompts])
    with torch.no_grad():
        logits = lm.model(tokens.ids, mask=tokens.mask, logits="last").logits
    return [lm.decode([token]).strip() for token in logits[:, 0].argmax(-1).tolist()]


if __name__ == "__main__":
    main()
