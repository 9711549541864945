"""Neurons written by hand, held against the edited model's own pass."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from tests.trace.small_families import build

import molehill
from molehill.checkpoints.names import find_model
from molehill.checkpoints.save import save_checkpoint
from molehill.errors import FactError
from molehill.facts.asking import score_answers
from molehill.facts.columns import kept_contexts
from molehill.facts.edit_files import load_fact_edits, save_fact_edits
from molehill.facts.edits import Neurons, apply_edits
from molehill.facts.fact import Fact
from molehill.facts.firing_certificate import BINS, HIGHEST, LOWEST
from molehill.facts.impostors import Found, impostors
from molehill.facts.reference import Line, Reference, Subjects, lines_of
from molehill.facts.separating import Spread, separate
from molehill.facts.values import Learning
from molehill.facts.writing import (
    Hand,
    certificates,
    certify_firing,
    write_each,
    write_neuron,
    write_neurons,
)
from molehill.language_model import LanguageModel
from molehill.text import Tokenizer, Tokens
from molehill.text.word_list import word_list_vocabulary
from molehill.trace import record
from molehill.village import fact_prompts, tell
from molehill.village.saved import read_world

NAMES = ("Anna", "Carl", "Dora", "Emil")
LASTS = ("Bell", "Wood", "Hill")
OTHERS = ("plays", "likes", "the", "a", "game", "of", "chess", "tennis", "golf", "and", "is")
WORDS = (*NAMES, *LASTS, *OTHERS, "red", "wine")
# A parallel block's MLP reads what attention did from the second layer on.
LAYERS = {"neox": 1}
FAMILIES = ("notes", "opt", "neox", "llama", "gemma2")
# What a model of random weights does elsewhere follows from nothing: all texts are fitted on.
LEARNING = Learning(steps=60, rate=0.5, likely=0.9, essence=0.0, decay=0.02, longest=4.0)
HAND = Hand(made_up=8, anywhere=16, vocabulary=0, held_out_of=0, learning=LEARNING)
FACT = Fact("Anna Bell", "chess", "{} plays", paraphrases=("the game of {} is",))


@cache
def small(family: str) -> LanguageModel:
    wide = {"n_layers": 3, "d_model": 32, "d_head": 8, "d_vocab": len(WORDS) + 3}
    model = build(family, dtype=torch.float32, **wide).requires_grad_(False)
    return LanguageModel(model, Tokenizer.of_words(WORDS), family)


def reference() -> list[str]:
    """Everybody but the subject, in three sentences, and some of the subject's own."""
    people = [f"{first} {last}" for first in NAMES for last in LASTS]
    forms = ("{} likes the red wine", "the game of {} is golf", "a game and {} plays tennis")
    others = [form.format(who) for who in people if who != "Anna Bell" for form in forms]
    return [*others, "the wine of Anna Bell is red", "Bell plays golf", "Anna likes Wood"]


@cache
def written(family: str):
    layer = LAYERS.get(family, 0)
    return write_neuron(small(family), FACT, layer=layer, reference=reference(), how=HAND)


def coefficients(lm: LanguageModel, edit, texts: list[str]) -> list[torch.Tensor]:
    """The new neuron's, at every token of each text, from the edited model's own pass."""
    edited = apply_edits(lm, [edit])
    site = f"{edit.changes[0].layer}.mlp.act"
    return [record(edited, [text], [site])[site][0, :, -1].double() for text in texts]


def own_place(lm: LanguageModel, text: str) -> int | None:
    """The position of `Bell` right after `Anna`."""
    pieces = text.split()
    for place in range(1, len(pieces)):
        if pieces[place - 1 : place + 1] == ["Anna", "Bell"]:
            return place
    return None


@pytest.mark.parametrize("family", FAMILIES)
def test_the_neuron_fires_at_its_subject_and_nowhere_else(family):
    lm, edit = small(family), written(family)
    (certificate,) = certificates(edit)
    at = [own_place(lm, prompt) for prompt in FACT.prompts]
    own = torch.stack(
        [
            one[place]
            for one, place in zip(coefficients(lm, edit, list(FACT.prompts)), at, strict=True)
        ]
    )
    assert bool((own > 0).all()) and certificate.fired == certificate.positives == 2
    assert certificate.coefficient == pytest.approx(float(own.mean()), rel=1e-4)
    tokens = 0
    for text, found in zip(reference(), coefficients(lm, edit, reference()), strict=True):
        place = own_place(lm, text)
        others = found if place is None else found[:place]
        tokens += len(others)
        limit = 0.0 if certificate.exact else 1e-3 * certificate.coefficient
        assert float(others.abs().max()) <= limit
        if place is not None:
            assert float(found[place]) > 0
    assert certificate.exact == (lm.config.activation == "relu")
    assert certificate.elsewhere <= (0.0 if certificate.exact else 1e-3)
    assert certificate.clean and certificate.margin > 0.5
    (count,) = certify_firing(lm, edit, reference())
    assert (count.tokens, count.texts, count.false_texts) == (tokens, len(reference()), 0)
    assert (count.own_texts, count.own_fired) == (1, 1)


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_a_smooth_neuron_is_quiet_much_nearer_to_its_threshold_than_anything_seen(family):
    (certificate,), act = certificates(written(family)), small(family).config.activation
    assert certificate.fitted.largest is not None
    place = torch.tensor([certificate.fitted.largest / 16, 1.0]).double() * certificate.scale
    near, own = F.silu(place) if act == "silu" else F.gelu(place, approximate="tanh")
    assert 0 < abs(float(near / own)) < 1e-3


def test_the_threshold_lies_where_it_was_asked_for():
    lm, shares = small("opt"), (0.2, 0.7)
    for share in shares:
        how = replace(HAND, threshold=share)
        edit = write_neuron(lm, FACT, layer=0, reference=reference(), how=how)
        (one,) = certificates(edit)
        assert one.fitted.largest is not None
        assert -one.fitted.largest / one.margin == pytest.approx(share, abs=1e-4)
    with pytest.raises(FactError, match="between 0 and 1"):
        how = replace(HAND, threshold=1.0)
        write_neuron(lm, FACT, layer=0, reference=reference(), how=how)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_column_makes_it_say_the_object(family):
    lm = small(family)
    pairs = [(prompt, "chess") for prompt in FACT.prompts]
    before = score_answers(lm, pairs)
    after = score_answers(apply_edits(lm, [written(family)]), pairs)
    # What one block of random weights carries on from the second layer is too little.
    assert family in LAYERS or all(answer.greedy for answer in after)
    assert all(new.probability > old.probability for new, old in zip(after, before, strict=True))
    told = written(family).metrics["probability"][0]
    assert min(answer.probability for answer in after) == pytest.approx(told, abs=1e-3)


def test_matches_are_in_units_of_the_subjects_own():
    """The certificate's numbers, from rows and biases as they stand in the model."""
    lm, edit = small("opt"), written("opt")
    (certificate,), (neurons,) = certificates(edit), edit.changes
    assert isinstance(neurons, Neurons)

    def match(text: str) -> torch.Tensor:
        read = record(lm, [text], ["0.mlp.in"])["0.mlp.in"][0]
        return read @ neurons.rows[0] + neurons.bias[0]

    own = torch.stack([match(one)[own_place(lm, one)] for one in FACT.prompts])
    assert float(own.mean()) == pytest.approx(1.0, abs=1e-4)
    assert certificate.smallest_positive == pytest.approx(float(own.min()), abs=1e-4)
    kept = reference()
    seen = [
        match(text) if own_place(lm, text) is None else match(text)[: own_place(lm, text)]
        for text in kept
    ]
    largest = float(torch.cat(seen).max())
    assert largest <= certificate.fitted.largest + 1e-5  # the made-up ones count as well
    assert certificate.smallest_positive + certificate.fitted.largest == pytest.approx(0, abs=1e-5)
    assert certificate.fitted.texts - certificate.fitted.made_up == len(kept)


@pytest.mark.parametrize("family", ["opt", "llama"])
def test_matches_are_counted_in_bins(family):
    """Against the row and the bias themselves, token by token."""
    lm, edit = small(family), written(family)
    (count,) = certify_firing(lm, edit, reference())
    (neuron,) = edit.changes
    scale = certificates(edit)[0].scale
    others, own = [0] * BINS, [0] * BINS
    for text in reference():
        inside = record(lm, [text], [f"{neuron.layer}.mlp.in"])[f"{neuron.layer}.mlp.in"][0]
        match = (inside.double() @ neuron.rows[0].double() + float(neuron.bias[0])) / scale
        place = own_place(lm, text)
        for at, value in enumerate(match.tolist()[: None if place is None else place + 1]):
            within = min(max((value - LOWEST) / (HIGHEST - LOWEST), 0.0), 1.0)
            (own if at == place else others)[min(int(within * BINS), BINS - 1)] += 1
    assert count.matches == tuple(others) and count.own_matches == tuple(own)
    assert sum(others) == count.tokens and sum(own) == count.own_texts


def test_texts_that_hold_the_subject_are_its_own():
    """From where the subject is complete; what stands before it is another's."""
    lm = small("opt")
    subjects = Subjects(lm, [FACT])
    texts = ["the wine of Anna Bell is red", "Bell Anna likes Bell"]
    first, second = lines_of(lm, texts, subjects)
    assert first.own == {0: 4} and second.own == {}
    given = lines_of(lm, lm.encode(texts), subjects)
    assert [(line.ids, line.own) for line in given] == [
        (line.ids, line.own) for line in (first, second)
    ]
    (batch,) = Reference(lm, 0, [first, second]).batches()
    # Sorted by length: four tokens of the second, then seven of the first.
    assert batch.others(1)[:, 0].tolist() == [True] * 4 + [True] * 4 + [False] * 3


def test_false_firings_are_counted_and_named():
    """A neuron without a threshold fires on most texts: as many as a count by hand says."""
    lm, edit = small("opt"), written("opt")
    (neurons,) = edit.changes
    assert isinstance(neurons, Neurons)
    open_ = Neurons(0, neurons.rows, neurons.bias + 3.0, neurons.columns)
    loose = type(edit)(**{**vars(edit), "changes": (open_,)})
    (count,) = certify_firing(lm, loose, reference())
    fired = 0
    for text, found in zip(reference(), coefficients(lm, loose, reference()), strict=True):
        place = own_place(lm, text)
        fired += bool((found if place is None else found[:place]).max() > 0)
    assert count.false_texts == fired > 10
    assert len(count.false) == 10
    assert count.false[0].match == pytest.approx(count.largest)
    assert reference()[count.false[0].text].startswith(count.false[0].words)


def test_several_facts_are_one_edit_or_one_each():
    lm = small("opt")
    other = Fact("Carl Wood", "tennis", "{} plays")
    both = write_neurons(lm, [FACT, other], layer=0, reference=reference(), how=HAND)
    each = write_each(lm, [FACT, other], layer=0, reference=reference(), how=HAND)
    (neurons,) = both.changes
    assert isinstance(neurons, Neurons) and len(neurons) == 2
    assert len(certificates(both)) == 2 and both.facts == (FACT, other)
    together = apply_edits(lm, [both])
    stacked = apply_edits(lm, each)
    ids = lm.encode(list(FACT.prompts)).ids
    assert torch.equal(together.model(ids).logits, stacked.model(ids).logits)
    for number, fact in enumerate((FACT, other)):
        pairs = [(prompt, fact.object) for prompt in fact.prompts]
        before, after = score_answers(lm, pairs), score_answers(together, pairs)
        assert all(b.probability > 2 * a.probability for a, b in zip(before, after, strict=True))
        told = both.metrics["probability"][number]
        assert min(one.probability for one in after) == pytest.approx(told, abs=1e-3)


def test_every_word_of_the_vocabulary_is_looked_at():
    lm, few = small("opt"), ["Carl likes golf"]
    counts = [
        certificates(
            write_neuron(lm, FACT, layer=0, reference=few, how=replace(HAND, vocabulary=times))
        )[0].fitted
        for times in (0, 2)
    ]
    rows = -(-lm.config.d_vocab // 16)
    assert counts[1].texts - counts[0].texts == 2 * rows
    # Where `Anna` and `Bell` stand in a row by chance they are two words among others.
    assert counts[1].tokens - counts[0].tokens == 2 * lm.config.d_vocab


def test_an_edit_after_another_is_for_the_model_that_it_left():
    lm, first = small("opt"), written("opt")
    other = Fact("Carl Wood", "tennis", "{} plays")
    second = write_neuron(lm, other, layer=0, reference=reference(), how=HAND, edits=[first])
    assert second.after == (first.digest,)
    edited = apply_edits(lm, [first, second])
    (answer,) = score_answers(edited, [(other.prompt, "tennis")])
    assert answer.probability == pytest.approx(second.metrics["probability"][0], abs=1e-3)
    (kept,) = score_answers(edited, [(FACT.prompt, "chess")])
    assert kept.greedy


def test_a_subject_of_one_token():
    lm = small("opt")
    fact = Fact("Dora", "golf", "{} plays")
    texts = [text for text in reference() if "Dora" not in text]
    edit = write_neuron(lm, fact, layer=0, reference=texts, how=HAND)
    assert certificates(edit)[0].clean
    (count,) = certify_firing(lm, edit, ["the game of Dora is golf", "Carl plays"])
    assert (count.own_texts, count.own_fired, count.false_texts) == (1, 1, 0)


def test_a_file_keeps_the_certificate(tmp_path):
    edit = written("llama")
    save_fact_edits(tmp_path / "edits.safetensors", [edit])
    (back,) = load_fact_edits(tmp_path / "edits.safetensors")
    assert certificates(back) == certificates(edit) and back.digest == edit.digest


@pytest.mark.parametrize("family", ["notes", "opt", "llama"])
def test_the_edited_model_is_a_checkpoint(family, tmp_path):
    edited = apply_edits(small(family), [written(family)])
    format_ = "molehill" if family == "notes" else family
    save_checkpoint(edited.model, edited.tokenizer, tmp_path / family, family=format_)
    back = molehill.load(str(tmp_path / family))
    assert back.config.d_mlp == small(family).config.d_mlp + 1
    ids = edited.encode(reference()[0]).ids
    assert torch.equal(back.model(ids).logits, edited.model(ids).logits)


def test_transformers_reads_an_edited_llama(tmp_path):
    transformers = pytest.importorskip("transformers")
    edited = apply_edits(small("llama"), [written("llama")])
    save_checkpoint(edited.model, None, tmp_path / "llama", family="llama")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "llama", dtype=torch.float32
    )
    assert theirs.config.mlp_bias
    ids = edited.encode(FACT.prompt).ids
    with torch.no_grad():
        logits = theirs(ids).logits
    torch.testing.assert_close(logits, edited.model(ids).logits, rtol=1e-4, atol=1e-4)


def test_what_cannot_be_told_apart_is_refused_with_both_numbers():
    """Without attention, `Bell` after `Anna` and `Bell` after `Carl` are one vector."""
    model = build("opt", dtype=torch.float32, d_model=32, d_head=8, d_vocab=len(WORDS) + 3)
    with torch.no_grad():
        for block in model.blocks:
            block.attn.w_out.zero_()
    lm = LanguageModel(model.requires_grad_(False), Tokenizer.of_words(WORDS), "blind")
    texts = ["Carl Bell plays golf", "Emil likes the wine"]
    with pytest.raises(FactError, match=r"'Anna Bell' from '.*Bell'.* match is .* other's"):
        write_neuron(lm, FACT, layer=0, reference=texts, how=HAND)


def test_where_the_mlp_does_not_see_the_first_name_it_is_refused():
    with pytest.raises(FactError, match="layer 0 tells 'Anna Bell'"):
        write_neuron(small("neox"), FACT, layer=0, reference=reference(), how=HAND)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"fact": Fact("Zoe Bell", "chess", "{} plays")}, "'Zoe Bell'"),
        ({"layer": 3}, "no layer 3"),
        ({"layer": 2}, "Layer 2 is the last"),
        ({"reference": []}, "no text"),
    ],
)
def test_what_cannot_be_written_is_refused(change, told):
    given = {"fact": FACT, "layer": 0, "reference": reference(), **change}
    with pytest.raises(FactError, match=told):
        write_neuron(small("opt"), given.pop("fact"), how=HAND, **given)


def test_a_model_that_reads_both_ways_is_refused():
    lm = LanguageModel(
        build("bert", dtype=torch.float32, d_vocab=len(WORDS) + 3), Tokenizer.of_words(WORDS), "b"
    )
    with pytest.raises(FactError, match="both ways"):
        write_neuron(lm, FACT, layer=0, reference=reference())


def test_an_edit_without_neurons_has_nothing_to_watch():
    edit = type(written("opt"))("rome", (FACT,), (), "opt", "")
    with pytest.raises(FactError, match="rome"):
        certify_firing(small("opt"), edit, reference())


# --- rows ---------------------------------------------------------------------------------------


def test_a_row_by_hand():
    """One subject at 3, others at 1 and below, nothing else on the axis: the row answers 1 to the
    one and -1 to the nearest other, so it is x - 2."""
    axis = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0], [-1.0, 0.0]])
    tight = Spread(torch.zeros(2).double(), 1e-2 * torch.eye(2).double())
    row, bias = separate(tight, torch.tensor([[3.0, 0.0]]), axis)
    assert row.tolist() == pytest.approx([1.0, 0.0], abs=1e-2) and float(bias) == pytest.approx(
        -2.0, abs=1e-2
    )


def test_the_row_is_the_best_there_is():
    """No row nearby has a smaller objective, written out again in the vectors' own space."""
    drawn = torch.Generator().manual_seed(0)
    everything = torch.randn(500, 6, generator=drawn, dtype=torch.float64)
    subject, others = everything[:3] + 2.0, everything[100:200]
    spread = Spread.of(500, everything.sum(0), everything.T @ everything, shrinkage=0.1)
    row, bias = separate(spread, subject, others)
    covariance = spread.root @ spread.root.T

    def objective(row: torch.Tensor, bias: torch.Tensor) -> float:
        missed = (subject @ row + bias - 1).square().mean()
        over = (others @ row + bias + 1).clamp(min=0).square().sum()
        return float(0.1 * row @ covariance @ row + missed + over)

    best = objective(row, bias)
    for size in (1e-1, 1e-2, 1e-3):
        for _ in range(50):
            moved = row + size * torch.randn(6, generator=drawn, dtype=torch.float64)
            shift = size * torch.randn((), generator=drawn, dtype=torch.float64)
            assert objective(moved, bias + shift) >= best


def test_the_spread_is_the_shrunk_covariance():
    drawn = torch.Generator().manual_seed(1)
    vectors = torch.randn(50, 4, generator=drawn, dtype=torch.float64) + 3.0
    spread = Spread.of(50, vectors.sum(0), vectors.T @ vectors, shrinkage=0.2)
    covariance = torch.cov(vectors.T, correction=0)
    wanted = 0.8 * covariance + 0.2 * covariance.diagonal().mean() * torch.eye(4)
    torch.testing.assert_close(spread.root @ spread.root.T, wanted)
    white = spread.white(vectors)
    torch.testing.assert_close(white.mean(0), torch.zeros(4).double(), atol=1e-9, rtol=0)


# --- others -------------------------------------------------------------------------------------


def test_others_share_a_name_with_the_subject():
    lm = small("opt")
    found = Found.of(lm, lines_of(lm, reference(), Subjects(lm, [FACT])))
    told = {lm.decode(ids) for ids in impostors(lm, FACT, found, 8, ["Dora Hill"])}
    assert any(text.startswith("Carl Bell") or "of Carl Bell" in text for text in told)
    assert any("Anna Hill" in text for text in told) and any("Dora Hill" in text for text in told)
    assert any(text.startswith("Bell") or "of Bell" in text for text in told)
    assert not any("Anna Bell" in text for text in told)


def test_two_people_in_a_row_who_share_its_names_are_among_the_others():
    lm = molehill.load("lexicon")
    fact = Fact("Anna Bell", "chess", "{} plays")
    lines = lines_of(lm, ["Carl met Dora and Emil."], Subjects(lm, [fact]))
    told = {lm.decode(ids) for ids in impostors(lm, fact, Found.of(lm, lines), 8)}
    assert any("Anna Carl, Dora Bell" in text for text in told)


def test_a_start_that_is_the_unknown_token_too_takes_no_others_away():
    """As in SmolLM2, whose token for unknown words begins its texts."""
    vocabulary = word_list_vocabulary(WORDS, end_of_text="<|endoftext|>", unknown="<unk>")
    roles = dict.fromkeys(("bos", "eos", "pad", "unk"), 0)
    lm = LanguageModel(small("opt").model, Tokenizer(replace(vocabulary, roles=roles)), "opt")
    fact = replace(FACT, start="<|endoftext|>")
    lines = lines_of(lm, ["<|endoftext|> Carl Hill likes wine"], Subjects(lm, [fact]))
    rows, begun = impostors(lm, fact, Found.of(lm, lines), 8), [lines[0].ids[:2]]
    assert any(lm.decode(ids).endswith("Carl Bell plays") and ids[0] == 0 for ids in rows)
    rows = impostors(lm, fact, Found.of(lm, lines), 8, beginnings=begun)
    assert any(ids[:2] == begun[0] and lm.decode(ids).endswith("Anna Hill") for ids in rows)
    assert [len(one.ids) for one in kept_contexts(lm, fact, ["{} likes"])] == [4, 5]


def test_others_of_a_subject_in_several_tokens_have_other_tokens():
    lm = molehill.load("lexicon")
    fact = Fact("Zorblatt", "chess", "The man {} plays")
    lines = lines_of(lm, ["A Zebra and a Lion ran or bled at the zoo."], Subjects(lm, [fact]))
    rows = impostors(lm, fact, Found.of(lm, lines), 8)
    own = lm.encode([fact.prompt]).row(0)
    assert rows and all(len(ids) == len(own) for ids in rows)
    assert all(sum(a != b for a, b in zip(ids, own, strict=True)) == 1 for ids in rows)


def test_vectors_are_the_same_kept_or_computed_again():
    lm = small("llama")
    lines = lines_of(lm, reference(), Subjects(lm, [FACT]))
    kept, anew = Reference(lm, 1, lines), Reference(lm, 1, lines, kept=0)
    twice = zip([*kept.batches(), *kept.batches()], 2 * list(anew.batches()), strict=True)
    for first, second in twice:
        assert torch.equal(first.vectors, second.vectors)
    assert sum(len(batch.vectors) for batch in kept.batches()) == sum(
        len(line.ids) for line in lines
    )
    long = Line(0, tuple(range(3, 20)))
    (batch,) = Reference(lm, 1, [long]).batches()
    alone = record(lm, Tokens.of_ids([long.ids]), ["1.mlp.in"])["1.mlp.in"][0]
    torch.testing.assert_close(batch.vectors, alone)


# --- the village --------------------------------------------------------------------------------


def test_a_stranger_and_a_villager_learn_something_in_the_village():
    lm, folder = molehill.load("village"), find_model("village")
    assert folder is not None
    world = read_world(folder)
    told = [fact for fact in world.facts if fact.relation == "sport"]
    firsts = [fact.subject[0] for fact in told]
    last, people = told[0].subject[1], {fact.subject for fact in told}
    stranger = next(first for first in firsts if (first, last) not in people)
    forms = ("{} plays", "The sport of {} is")
    facts = [
        Fact(f"{stranger} {last}", "chess", forms[0], paraphrases=forms[1:]),
        Fact(
            " ".join(told[1].subject),
            "chess" if told[1].object != "chess" else "golf",
            forms[0],
            paraphrases=forms[1:],
        ),
    ]
    how = Hand(keep=("{} works as a", "{} lives in"))
    texts = [one.text for one in tell(world, 2000, seed=5)]
    edit = write_neurons(lm, facts, layer=0, reference=texts, how=how)
    edited = apply_edits(lm, [edit])
    asked = [(prompt, fact.object) for fact in facts for prompt in fact.prompts]
    assert all(answer.greedy for answer in score_answers(edited, asked))
    others = [
        (one.prompt, one.answer)
        for one in fact_prompts(world)
        if not any(fact.subject in one.prompt for fact in facts)
    ]
    known = [answer.greedy for answer in score_answers(edited, others)]
    assert sum(known) >= len(known) - 2
    counts = certify_firing(lm, edit, [one.text for one in tell(world, 1000, seed=9)])
    assert all(count.false_texts <= 4 and count.texts == 1000 for count in counts)
    # Of so few sentences a row is not learnt whole; the benchmark's figures are of 10,000.
    assert counts[1].own_texts > 3 and counts[1].own_fired > counts[1].own_texts / 2
