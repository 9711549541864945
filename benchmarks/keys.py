"""Key statistics: how fast they are gathered, and how many keys are enough.

python benchmarks/keys.py [--texts 256] [--layer 5]

The model writes texts of 128 tokens; their keys are summed. After every doubling of their number
two things are reported: how far C is from its end (Frobenius), and, what an edit depends on, the
cosine between C^-1 k and what it is in the end, for the keys k of twenty facts. At the end, how
long one edit takes with the statistics at hand.
"""

from __future__ import annotations

import argparse
import time

from _machine import machine, report

SUBJECTS = (
    "France", "Japan", "Canada", "Brazil", "Egypt", "Norway", "Michael Jordan", "Roger Federer",
    "Babe Ruth", "Tiger Woods", "The Eiffel Tower", "Mount Everest", "Pizza", "Sushi", "iPhone",
    "Windows 95", "a tiger", "an eagle", "a tulip", "a carrot",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=256)
    parser.add_argument("--layer", type=int, default=5)
    told = parser.parse_args()
    import torch

    import molehill
    from molehill.facts import Fact, gather_keys
    from molehill.facts.own_text import own_text
    from molehill.facts.values import contexts_of, keys_at
    from molehill.text import Tokens

    report(machine=machine())
    lm = molehill.load("smollm2")
    begun = time.perf_counter()
    ids = own_text(lm, told.texts, 128, start=0).tolist()
    written = time.perf_counter() - begun
    batches = [Tokens.of_ids(ids[at : at + 16]) for at in range(0, len(ids), 16)]
    begun = time.perf_counter()
    whole = gather_keys(lm, [told.layer], batches, "own text")[told.layer]
    seconds = time.perf_counter() - begun
    report(
        keys=whole.count,
        layer=told.layer,
        seconds_writing=written,
        seconds_gathering=seconds,
        keys_per_second=whole.count / seconds,
        of_44_million=whole.count / 44e6,
    )
    facts = [
        Fact(subject, "x", "It is said of {} that", start="<|endoftext|>") for subject in SUBJECTS
    ]
    keys = torch.stack([keys_at(lm, contexts_of(lm, fact, ()), told.layer)[0] for fact in facts], 1)
    end = whole.inverse_times(keys)
    size = 8
    while size <= len(ids):
        part = gather_keys(
            lm, [told.layer], batches[: max(1, size // 16)], "own text", most=size * 127
        )[told.layer]
        found = part.inverse_times(keys)
        cosines = torch.cosine_similarity(found, end, dim=0)
        far = float((part.moment - whole.moment).norm() / whole.moment.norm())
        report(
            keys=part.count,
            distance_of_moment=far,
            cosine_of_directions=float(cosines.mean()),
            least_cosine=float(cosines.min()),
        )
        size *= 2
    one_edit(lm, whole)


def one_edit(lm, statistics) -> None:
    """Seconds of edits by ROME: learning the value, and all of it."""
    from molehill.facts import Fact, Settings, apply_edits, default_prefixes, rewrite

    settings = Settings((statistics.layer,), prefixes=default_prefixes(lm))
    wanted = [
        Fact("Michael Jordan", "baseball", "The sport that {} plays is", start="<|endoftext|>"),
        Fact("France", "Rome", "The capital of {} is", start="<|endoftext|>"),
        Fact("Japan", "French", "The language used in {} is", start="<|endoftext|>"),
        Fact("iPhone", "Sony", "{} is a product of", start="<|endoftext|>"),
    ]
    rewrite(lm, wanted[:1], "rome", {statistics.layer: statistics}, settings)
    for fact in wanted:
        begun = time.perf_counter()
        edit = rewrite(lm, [fact], "rome", {statistics.layer: statistics}, settings)
        made = time.perf_counter() - begun
        begun = time.perf_counter()
        apply_edits(lm, [edit])
        report(
            fact=str(fact),
            seconds_of_an_edit=made,
            seconds_of_applying=time.perf_counter() - begun,
            steps=edit.metrics["steps"][0],
            probability=edit.metrics["probability"][0],
        )


if __name__ == "__main__":
    main()
