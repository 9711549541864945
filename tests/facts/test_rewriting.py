"""Rewriting: keys, values and updates against whole runs and against the formulas worked out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.facts.wordy import CAUSAL, wordy

from molehill.errors import FactError
from molehill.facts.edits import Dense, LowRank, apply_edits
from molehill.facts.fact import Fact
from molehill.facts.fine_tuning import Tuning
from molehill.facts.keys import gather_keys
from molehill.facts.own_text import own_text
from molehill.facts.rewriting import METHODS, Settings, null_space, rewrite
from molehill.facts.values import Learning, contexts_of, keys_at, learn_value, learn_values
from molehill.text import Tokens
from molehill.trace import Add, record

FACT = Fact("Anna Bell", "tennis", "we say that {} plays")
OTHER = Fact("Carl Dorn", "golf rowing", "{} plays")
PREFIXES = ("long ago", "it was")


def statistics(lm, layers):
    ids = own_text(lm, 16, 16, seed=3, start=5).tolist()
    return gather_keys(lm, layers, [Tokens.of_ids(ids)], "own text")


@pytest.mark.parametrize("family", CAUSAL)
def test_a_value_does_in_whole_runs_what_it_was_learnt_to_do(family):
    lm = wordy(family)
    value = learn_value(lm, FACT, 0, PREFIXES, Learning(steps=6))
    assert value.losses[-1] < value.losses[0]
    site = f"0.mlp.{'raw' if lm.config.norm_place == 'sandwich' else 'out'}"
    logs, keys = [], []
    for context in contexts_of(lm, FACT, PREFIXES):
        edit = Add(site, value.difference, positions=[context.subject])
        ids = torch.tensor([context.ids])
        trace = record(lm, ids, ["0.mlp.act"], edits=[edit], logits="all")
        scores = trace.logits[0].log_softmax(-1)
        logs.append(sum(scores[at, t] for at, t in zip(context.at, context.answer, strict=True)))
        keys.append(trace["0.mlp.act"][0, context.subject])
    assert value.losses[-1] == pytest.approx(-float(torch.stack(logs).mean()), abs=1e-5)
    assert value.probability == pytest.approx(float(torch.stack(logs).exp().mean()), rel=1e-4)
    torch.testing.assert_close(value.key, torch.stack(keys).mean(0))


def test_the_subject_is_where_its_last_word_is():
    lm = wordy("gpt2")
    for context, prefix in zip(contexts_of(lm, FACT, PREFIXES), ("", *PREFIXES), strict=True):
        words = lm.decode(context.ids).split()
        assert words[context.subject] == "Bell"
        assert words[: len(prefix.split())] == prefix.split()


def test_facts_learnt_together_are_learnt_as_if_alone():
    lm = wordy("llama")
    how = Learning(steps=5)
    together = learn_values(lm, [FACT, OTHER], 0, PREFIXES, how)
    for fact, value in zip((FACT, OTHER), together, strict=True):
        alone = learn_value(lm, fact, 0, PREFIXES, how)
        torch.testing.assert_close(value.difference, alone.difference, rtol=1e-9, atol=1e-9)
        assert value.losses == pytest.approx(alone.losses)


def test_a_difference_is_never_longer_than_said():
    lm = wordy("opt")
    short = learn_value(lm, FACT, 0, (), Learning(steps=20, longest=0.01, likely=1.0))
    stream = record(lm, [FACT.prompt], ["0.resid_post"], logits="none")["0.resid_post"][0, 4]
    assert float(short.difference.norm()) <= 0.0101 * float(stream.norm())


@pytest.mark.parametrize("family", ["notes", "opt", "llama", "neox", "gemma2"])
def test_rome_answers_its_key_and_changes_others_the_least(family):
    lm = wordy(family)
    found = statistics(lm, [0])
    settings = Settings((0,), Learning(steps=4), prefixes=PREFIXES)
    value = learn_value(lm, FACT, 0, PREFIXES, settings.learning)
    edit = rewrite(lm, [FACT], "rome", found, settings, values=[value])
    (change,) = edit.changes
    assert isinstance(change, LowRank) and change.left.shape[1] == 1
    delta = change.delta()
    torch.testing.assert_close(delta @ value.key, value.difference, rtol=1e-4, atol=1e-5)
    # Of all changes that answer the key, none moves the answers to other keys less: a change along
    # anything that leaves the key's answer alone only adds.
    moment = found[0].moment + 1e-3 * found[0].moment.diagonal().mean() * torch.eye(20).double()

    def moved(one):
        return float(((one @ moment) * one).sum())

    for seed in range(5):
        other = torch.randn(
            delta.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
        )
        other -= torch.outer(other @ value.key, value.key) / value.key.square().sum()
        assert moved(delta + 0.1 * other) >= moved(delta) * (1 - 1e-5)
        assert moved(delta - 0.1 * other) >= moved(delta) * (1 - 1e-5)


def test_memit_is_the_ridge_solution_layer_by_layer():
    lm = wordy("opt", n_layers=3)
    found = statistics(lm, [1])
    settings = Settings((1,), Learning(steps=3), prefixes=PREFIXES, weight=5.0)
    values = learn_values(lm, [FACT, OTHER], 1, PREFIXES, settings.learning)
    edit = rewrite(lm, [FACT, OTHER], "memit", found, settings, values=values)
    keys = torch.stack(
        [keys_at(lm, contexts_of(lm, fact, PREFIXES), 1).mean(0) for fact in (FACT, OTHER)], 1
    )
    wanted = torch.stack([value.difference for value in values], 1)
    ridge = 1e-3 * found[1].moment.diagonal().mean() * torch.eye(20).double()
    inverse = torch.linalg.inv(5.0 * (found[1].moment + ridge) + keys @ keys.T)
    torch.testing.assert_close(
        edit.changes[0].delta(), wanted @ keys.T @ inverse, rtol=1e-4, atol=1e-5
    )


def test_memit_spreads_what_is_missing_over_its_layers():
    lm = wordy("gpt2", n_layers=3)
    found = statistics(lm, [0, 1])
    settings = Settings((0, 1), Learning(steps=3), prefixes=PREFIXES, weight=1e-3)
    (value,) = learn_values(lm, [FACT], 1, PREFIXES, settings.learning)
    edit = rewrite(lm, [FACT], "memit", found, settings, values=[value])
    assert [change.parameter for change in edit.changes] == [
        "blocks.0.mlp.w_out",
        "blocks.1.mlp.w_out",
    ]
    # With next to no weight on other texts the stream after the last layer ends at its goal.
    edited = apply_edits(lm, [edit])

    def stream(one):
        rows = [
            record(one, torch.tensor([c.ids[: c.subject + 1]]), ["1.resid_post"], logits="none")[
                "1.resid_post"
            ][0, -1]
            for c in contexts_of(lm, FACT, PREFIXES)
        ]
        return torch.stack(rows).mean(0)

    missing = stream(lm) + value.difference - stream(edited)
    assert float(missing.norm()) < 0.35 * float(value.difference.norm())


def test_the_null_space_is_what_other_keys_hardly_use():
    lm = wordy("gpt2")
    found = statistics(lm, [0])[0]
    inside = null_space(found, 0.1)
    torch.testing.assert_close(inside.T @ inside, torch.eye(inside.shape[1]).double())
    assert 0 < inside.shape[1] < 20
    projector = inside @ inside.T
    assert float((projector @ found.moment).trace()) <= 0.1 * float(found.moment.trace())
    settings = Settings((0,), Learning(steps=3), prefixes=PREFIXES, kept=0.1)
    edit = rewrite(lm, [FACT], "null-space", {0: found}, settings)
    delta = edit.changes[0].delta()
    torch.testing.assert_close(delta @ projector, delta, rtol=1e-4, atol=1e-6)


def test_later_null_space_edits_leave_the_keys_of_earlier_ones():
    lm = wordy("gpt2")
    found = statistics(lm, [0])
    settings = Settings((0,), Learning(steps=3), prefixes=PREFIXES, kept=0.9, ridge=1e-6)
    first = rewrite(lm, [FACT], "null-space", found, settings)
    second = rewrite(lm, [OTHER], "null-space", found, settings, edits=[first])
    heedless = rewrite(
        apply_edits(lm, [first]),
        [OTHER],
        "null-space",
        statistics(apply_edits(lm, [first]), [0]),
        settings,
    )
    assert second.after == (first.digest,) and second.fingerprint == lm.fingerprint
    key = keys_at(lm, contexts_of(lm, FACT, PREFIXES), 0).mean(0)
    kept = float((second.changes[0].delta() @ key).norm())
    assert kept < 0.01 * float((first.changes[0].delta() @ key).norm())
    assert kept < float((heedless.changes[0].delta() @ key).norm())


@pytest.mark.parametrize("method", METHODS)
def test_every_method_makes_the_object_likelier(method):
    lm = wordy("llama", n_layers=3)
    found = statistics(lm, [1])
    tuning = Tuning(rate=0.02, bound=0.05)
    settings = Settings((1,), Learning(steps=20), tuning, PREFIXES, weight=0.01, kept=0.9)
    edit = rewrite(lm, [FACT], method, found, settings)

    def probability(one):
        ids = lm.encode(FACT.prompt).ids
        wanted = lm.tokenizer.ids(["tennis"], add_special=False)[0][0]
        return float(one.model(ids).logits[0, -1].softmax(-1)[wanted])

    assert probability(apply_edits(lm, [edit])) > 1.5 * probability(lm)
    assert edit.method == method and edit.settings["method"] == method


def test_constrained_tuning_moves_no_weight_further_than_its_bound():
    lm = wordy("opt")
    settings = Settings((1,), tuning=Tuning(steps=5, rate=0.1, bound=0.003, likely=1.0))
    free = rewrite(lm, [FACT], "fine-tuning", {}, settings).changes[0]
    bound = rewrite(lm, [FACT], "constrained", {}, settings).changes[0]
    assert isinstance(free, Dense) and isinstance(bound, Dense)
    assert float(bound.difference.abs().max()) <= 0.003 < float(free.difference.abs().max())


def test_a_fact_can_be_written_at_the_prompts_last_token():
    lm = wordy("notes")
    found = statistics(lm, [1])
    settings = Settings((1,), Learning(token="last", steps=30, longest=4.0))
    edit = rewrite(lm, [FACT], "rome", found, settings)
    (context,) = contexts_of(lm, FACT, (), "last")
    assert lm.decode(context.ids).split()[context.subject] == "plays"
    edited = apply_edits(lm, [edit])
    assert edited.generate(FACT.prompt, max_new_tokens=1)[0].text.strip() == "tennis"


def test_what_cannot_be_rewritten_is_refused():
    lm = wordy("opt")
    found = statistics(lm, [0])
    settings = Settings((0,))
    with pytest.raises(FactError, match="rome takes one"):
        rewrite(lm, [FACT, OTHER], "rome", found, settings)
    with pytest.raises(FactError, match="no key statistics of layer 1"):
        rewrite(lm, [FACT], "rome", found, replace(settings, layers=(1,)))
    with pytest.raises(FactError, match="gather them anew"):
        rewrite(wordy("gpt2"), [FACT], "rome", found, settings)
    with pytest.raises(FactError, match="reads both ways"):
        contexts_of(wordy("bert"), FACT, ())


def test_statistics_of_too_few_keys_are_damped_and_the_damping_is_told():
    """C of three keys has rank three of twenty: it has no inverse of its own."""
    lm = wordy("opt")
    found = gather_keys(lm, [0], [Tokens.of_ids([[3, 4, 5, 6]])], "four words")
    assert int(torch.linalg.matrix_rank(found[0].moment, rtol=1e-5)) == 3
    settings = Settings((0,), Learning(steps=4), ridge=1e-2)
    value = learn_value(lm, FACT, 0, (), settings.learning)
    edit = rewrite(lm, [FACT], "rome", found, settings, values=[value])
    torch.testing.assert_close(
        edit.changes[0].delta() @ value.key, value.difference, rtol=1e-4, atol=1e-5
    )
    assert edit.settings["ridge"] == 1e-2 and edit.settings["keys"]["0"]["count"] == 3
