"""The health gate on the village, whose facts are known, and on tiny models by brute force."""

from __future__ import annotations

import math

import pytest
import torch
from tests.facts.test_edits import noise

import molehill
from molehill.errors import FactError
from molehill.facts.before_after import Asked, compare
from molehill.facts.edits import Dense, FactEdit, apply_edits
from molehill.facts.fact import Fact
from molehill.facts.health import Health, Limits, Measure, bits_per_byte, health
from molehill.facts.keys import gather_keys
from molehill.facts.own_text import own_text
from molehill.facts.rewriting import Settings, rewrite
from molehill.facts.values import Learning
from molehill.text.tokens import Tokens
from molehill.village import fact_prompts, make_world

DOWN = "blocks.0.mlp.w_out"


@pytest.fixture(scope="module")
def village():
    return molehill.load("village")


@pytest.fixture(scope="module")
def sports() -> list[tuple[str, str]]:
    """Who plays what, in one form: pairs of subject and sport."""
    found = [p for p in fact_prompts(make_world()) if p.form == "{s} *plays {o} ."]
    return [(p.prompt.removesuffix(" plays"), p.answer) for p in found]


@pytest.fixture(scope="module")
def texts() -> list[str]:
    found = [p for p in fact_prompts(make_world()) if p.relation == "ware"]
    return [f"{p.prompt} {p.answer}." for p in found[:24]]


def dense(lm, scale: float, fact: Fact, seed: int = 0) -> FactEdit:
    weight = lm.model.get_parameter(DOWN)
    change = scale * noise(*weight.shape, seed=seed).float() * float(weight.std())
    return FactEdit("by hand", (fact,), (Dense(DOWN, change),), lm.name, lm.fingerprint)


@pytest.fixture(scope="module")
def teach(village):
    """An edit of one fact, by ROME on statistics of the village's own text."""
    rows = own_text(village, 64, 48)
    statistics = gather_keys(village, [2], [Tokens.of_ids(rows.tolist())], "its own text")
    # The village keeps its facts at the end of the prompt, in the last layer.
    how = Settings((2,), Learning(token="last", longest=3.0, steps=60, likely=0.98))

    def made(subject: str, sport: str, edits=()) -> FactEdit:
        fact = Fact(subject, sport, "{} plays", paraphrases=("The sport of {} is",))
        return rewrite(village, [fact], "rome", statistics, how, edits=edits)

    return made


# --- bits per byte -------------------------------------------------------------------------------


def test_bits_per_byte_is_the_sum_over_single_texts(village, texts):
    """Each text by itself, token by token, from logits; bytes are of the text without its first
    token."""
    texts = [*texts[:5], "Conrad"]
    nats, size = 0.0, 0
    for text in texts:
        ids = village.encode([text]).row(0)
        scores = village.model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
        nats -= sum(float(scores[at, token]) for at, token in enumerate(ids[1:]))
        size += len(village.decode(ids[1:]).encode())
    found, count = bits_per_byte(village, village.encode(texts))
    assert count == size and found == pytest.approx(nats / math.log(2) / size, rel=1e-5)


def test_nothing_to_read_is_told(village):
    with pytest.raises(FactError, match="no word after its first"):
        bits_per_byte(village, Tokens.of_ids([[5], [7]]))


# --- before and after ----------------------------------------------------------------------------


def test_comparing_asks_both_models_the_same(village, sports):
    fact = Fact(sports[0][0], "tennis", "{} plays")
    edited = apply_edits(village, [dense(village, 3.0, fact)])
    asked = [Asked(f"{subject} plays", "tennis", true) for subject, true in sports[:3]]
    asked.append(Asked("The carts from Thornfield bring", "tennis"))
    found = compare(village, edited, asked)
    for one, what in zip(found, asked, strict=True):
        ids = torch.tensor([village.encode([what.prompt]).row(0)])
        both = [lm.model(ids).logits[0, -1].softmax(-1) for lm in (village, edited)]
        tennis = village.tokenizer.ids([" tennis"], add_special=False)[0][0]
        first = int(both[0].argmax())
        assert one.wanted_before.probability == pytest.approx(float(both[0][tennis]), rel=1e-4)
        assert one.wanted_after.probability == pytest.approx(float(both[1][tennis]), rel=1e-4)
        # The village knows its facts: the true object is its likeliest token.
        assert one.was == (what.true or "barley") == village.decode([first]).strip()
        assert one.was_before == pytest.approx(float(both[0][first]), rel=1e-4)
        assert one.was_after == pytest.approx(float(both[1][first]), rel=1e-4)
        assert one.first_after == village.decode([int(both[1].argmax())]).strip()
        assert one.unchanged == (first == int(both[1].argmax()))
        assert one.said == (int(both[1].argmax()) == tennis)
    assert not all(one.unchanged for one in found)
    assert compare(village, edited, []) == ()


# --- the gate ------------------------------------------------------------------------------------


def measures(found: Health) -> dict[str, Measure]:
    return {one.name: one for one in found.measures}


def test_an_edit_that_does_nothing_is_healthy_but_teaches_nothing(village, sports, texts):
    fact = Fact(sports[0][0], "tennis", "{} plays")
    near = [(f"{subject} plays", sport) for subject, sport in sports[1:11]]
    found = health(village, dense(village, 0.0, fact), texts=texts, neighbours=near)
    told = measures(found)
    assert told["bits per byte"].value == 0 and told["neighbours"].value == 1
    assert found.bits_before == bits_per_byte(village, village.encode(texts))[0]
    assert told["new facts"].value == 0 and found.verdict == "warns"
    assert found.reasons == ("0 of 1 new facts are said (0%); at least 100% is healthy.",)
    assert found.notes == () and found.text == "the given text"


def test_an_edit_that_holds_is_healthy(village, sports, texts, teach):
    (subject, true), near = sports[0], sports[1:21]
    edit = teach(subject, "tennis")
    found = health(
        village, edit, texts=texts, neighbours=[(f"{other} plays", sport) for other, sport in near]
    )
    assert found.verdict == "healthy" and found.reasons == ()
    assert found.new[0].said and found.new[0].was == true and found.new_facts == 1
    assert len(found.new) == 2  # the paraphrase
    assert found.new[1].asked.prompt == f"The sport of {subject} is"


def test_a_ruinous_edit_is_refused_with_values_and_limits(village, sports, texts):
    near = [(f"{subject} plays", sport) for subject, sport in sports[1:11]]
    edit = dense(village, 3.0, Fact(sports[0][0], "tennis", "{} plays"))
    found = health(village, edit, texts=texts, neighbours=near)
    assert found.verdict == "refuses"
    assert found.bits_after > 1.05 * found.bits_before
    rise = found.bits_after / found.bits_before - 1
    assert (
        f"{found.bits_after:.3f} bits per byte instead of {found.bits_before:.3f}"
        in (found.reasons[0])
    )
    assert f"(+{100 * rise:.0f}%)" in found.reasons[0] and "refused above +5%" in found.reasons[0]
    kept = sum(one.unchanged for one in found.neighbours)
    assert any(f"{kept} of 10 neighbours" in reason for reason in found.reasons)


def test_numbers_that_are_not_finite_are_refused(village, sports, texts):
    edit = dense(village, math.nan, Fact(sports[0][0], "tennis", "{} plays"))
    found = health(village, edit, texts=texts)
    assert found.verdict == "refuses" and "not finite" in found.reasons[0]


def test_what_earlier_edits_taught_is_asked_again(village, sports, texts, teach):
    """Of three earlier facts one is taught anew on purpose and one was never said: neither counts
    against the edit that destroys the third."""
    names = [subject for subject, _ in sports]
    first = teach(names[3], "golf")
    second = teach(names[1], "golf", [first])
    never = dense(village, 0.0, Fact(names[2], "chess", "{} plays"))
    before = [first, second, never]
    anew = teach(names[1], "darts", before)
    found = health(village, anew, edits=before, texts=texts)
    assert [one.asked.prompt for one in found.earlier] == [f"{names[3]} plays"]
    earlier = measures(found)["earlier edits"]
    assert earlier.value == 1 and earlier.verdict == "healthy"
    # Taking the first one back is an edit that makes it unsaid.
    undone = FactEdit(
        "undo",
        (Fact(names[1], "golf", "{} plays"),),
        tuple(Dense(change.parameter, -change.delta()) for change in first.changes),
        village.name,
        village.fingerprint,
    )
    lost = health(village, undone, edits=before, texts=texts)
    assert measures(lost)["earlier edits"].value == 0 and lost.verdict == "refuses"
    assert "0 of 1 facts of earlier edits are still said (0%); it is refused below 50%." in (
        lost.reasons
    )


def test_small_harms_add_up(village, sports, texts):
    """Each edit is held against the model without any, not against its predecessor."""
    fact = Fact(sports[0][0], "tennis", "{} plays")
    edits = [dense(village, 0.4, fact, seed) for seed in range(4)]
    alone = health(village, edits[3], texts=texts)
    stacked = health(village, edits[3], edits=edits[:3], texts=texts)
    assert stacked.bits_before == alone.bits_before
    assert measures(stacked)["bits per byte"].value > measures(alone)["bits per byte"].value


def test_without_text_the_model_writes_its_own(village, sports):
    edit = dense(village, 0.0, Fact(sports[0][0], "tennis", "{} plays"))
    found = health(village, edit)
    assert found.text == "text that the model wrote itself" and found.text_bytes > 500
    assert "no held-out text was given" in found.notes[0] and "No neighbours" in found.notes[1]
    assert found.bits_before == found.bits_after == health(village, edit).bits_before


@pytest.mark.parametrize(
    "value, more, verdict",
    [
        (0.011, True, "warns"),
        (0.01, True, "healthy"),
        (0.051, True, "refuses"),
        (-0.2, True, "healthy"),
        (0.9, False, "healthy"),
        (0.89, False, "warns"),
        (0.5, False, "warns"),
        (0.49, False, "refuses"),
    ],
)
def test_limits_are_where_they_are_stated(value, more, verdict):
    limits = Limits()
    ends = (limits.bits_warn, limits.bits_refuse)
    if not more:
        ends = (limits.neighbours_warn, limits.neighbours_refuse)
    assert Measure("x", value, 100, *ends, "It is", more).verdict == verdict
