"""Where a feature is put to use, against sentences read word by word."""

from __future__ import annotations

import torch

from molehill.village import feature_table, make_world, sense_sentences, tell
from molehill.village.uses import use_table


def test_every_use_is_where_its_kind_says():
    world = make_world(words=3, people=6, towns=4)
    sentences = tell(world, 300, seed=3)
    used, aside = use_table(world, sentences)
    column = {name: number for number, name in enumerate(world.features)}
    active = feature_table(world, sentences)
    assert torch.equal(used | aside, active)
    assert not bool((used & aside).any())
    row = 0
    for told in sentences:
        seen: set[str] = set()
        for place, token in enumerate(told.tokens):
            names = {name for name, number in column.items() if used[row, number]}
            for name in token.features:
                kind = name.partition(":")[0]
                following = told.tokens[place + 1].features if place + 1 < len(told.tokens) else ()
                wanted = {
                    "kind": True,
                    "sense": token.kind == "ambiguous",
                    "fact": name not in following,
                }.get(kind, name not in seen)
                assert (name in names) == wanted, (told.text, token.word, name)
            seen |= set(token.features)
            row += 1
    assert row == len(used)


def test_a_sense_whose_cues_come_after_is_not_used_at_its_word():
    world = make_world(words=1)
    senses = [number for number, name in enumerate(world.features) if name.startswith("sense:")]
    before, _ = use_table(world, sense_sentences(world, 3, cues="before"))
    after, _ = use_table(world, sense_sentences(world, 3, cues="after"))
    assert before[:, senses].sum() == 3 * len(senses)
    assert after[:, senses].sum() == 0
