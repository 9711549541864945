"""Parts switched off, against `record` with the same edit, one run at a time."""

from __future__ import annotations

import pytest
import torch
from tests.trace.small_families import FAMILIES, build

from molehill.errors import FactError, SiteError
from molehill.facts.ablating import Part, ablate
from molehill.facts.asking import Question
from molehill.language_model import LanguageModel
from molehill.text.tokens import Tokens
from molehill.trace import record

IDS, PROMPT, ANSWER = (3, 1, 4, 1, 5, 9, 2), 6, (7, 8)
HEADED = pytest.mark.parametrize("family", [name for name in FAMILIES if name != "minilm"])


def language(family: str) -> LanguageModel:
    return LanguageModel(build(family).requires_grad_(False), None, family)


def question() -> Question:
    """Two answer tokens, predicted at the last two positions."""
    tokens = Tokens.of_ids([list(IDS[:PROMPT])])
    return Question("", tokens, IDS, (PROMPT - 1, PROMPT), ANSWER)


def logs_of(lm: LanguageModel, *parts: Part) -> float:
    trace = record(
        lm, Tokens.of_ids([list(IDS)]), edits=[part.off() for part in parts], logits="all"
    )
    logs = trace["logits"][0].double().log_softmax(-1)
    return float(sum(logs[at, token] for at, token in zip(question().at, ANSWER, strict=True)))


PARTS = [
    Part("head", 1, 2, PROMPT - 1),
    Part("head", 0, 1, PROMPT - 1),
    Part("neuron", 1, 6, PROMPT - 1),
    Part("neuron", 0, 11, 2),
]


@HEADED
def test_each_change_is_that_of_a_run_of_its_own(family):
    lm = language(family)
    groups = {"heads": [0, 1], "all": [0, 1, 2, 3]}
    found = ablate(lm, question(), PARTS, groups, controls=2)
    base = logs_of(lm)
    assert found.log_probability == pytest.approx(base, abs=1e-12)
    for part, (change, _) in zip(PARTS, found.alone, strict=True):
        after = logs_of(lm, part)
        assert change.log_probability == pytest.approx(after - base, abs=1e-12)
        expected = torch.tensor([after, base], dtype=torch.float64).exp()
        assert change.probability == pytest.approx(float(expected[0] - expected[1]), abs=1e-12)
    # ReLU neurons may be silent, and narrow windows keep the lower layers' tokens apart.
    assert sum(abs(change.log_probability) > 1e-6 for change, _ in found.alone) >= 2
    for name, numbers in groups.items():
        after = logs_of(lm, *(PARTS[number] for number in numbers))
        assert found.together[name][0].log_probability == pytest.approx(after - base, abs=1e-12)


def test_the_control_is_every_other_part_of_the_layer_where_there_are_few():
    lm = language("gpt2")
    found = ablate(lm, question(), PARTS, {}, controls=100)
    base = logs_of(lm)
    sizes = {"head": lm.config.n_heads, "neuron": lm.config.d_mlp}
    for part, (_, control) in zip(PARTS, found.alone, strict=True):
        others = [n for n in range(sizes[part.kind]) if n != part.index]
        truth = sorted(
            logs_of(lm, Part(part.kind, part.layer, one, part.position)) - base for one in others
        )
        assert control is not None and control.parts == 1
        assert sorted(one.log_probability for one in control.changes) == pytest.approx(truth)
        assert control.mean == pytest.approx(sum(truth) / len(truth))
        assert (control.low, control.high) == pytest.approx((truth[0], truth[-1]))


def test_a_group_is_compared_with_as_many_others_of_its_layers():
    """Three of four heads are chosen, so the others are one head, and two of twenty neurons."""
    lm = language("llama")
    heads = [Part("head", 1, index, 3) for index in (0, 1, 3)]
    found = ablate(lm, question(), heads, {"heads": [0, 1, 2]}, controls=5)
    control = found.together["heads"][1]
    truth = logs_of(lm, Part("head", 1, 2, 3)) - logs_of(lm)
    assert control is not None and control.parts == 1 and len(control.changes) == 5
    assert [one.log_probability for one in control.changes] == pytest.approx([truth] * 5)
    every = [Part("head", 1, index, 3) for index in range(4)]
    bare = ablate(lm, question(), every, {"heads": range(4)}, controls=5)
    assert bare.together["heads"][1] is None and bare.alone[0][1] is None


def test_draws_follow_their_seed():
    lm = language("gpt2")
    parts = [Part("neuron", 0, n, 2) for n in range(3)]

    def drawn(seed: int) -> list[float]:
        control = ablate(lm, question(), parts, {"all": range(3)}, controls=4, seed=seed).together[
            "all"
        ][1]
        assert control is not None and control.parts == 3
        return [one.log_probability for one in control.changes]

    assert drawn(0) == drawn(0) != drawn(1)


def test_what_cannot_be_switched_off_is_refused():
    lm = language("gpt2")
    with pytest.raises(FactError, match="controls is 0"):
        ablate(lm, question(), PARTS, {}, controls=0)
    with pytest.raises(SiteError):
        ablate(lm, question(), [Part("head", 1, 9, 0)], {})
