"""A neuron's card against the model's own pass, family by family, and over texts by counting."""

from __future__ import annotations

import pytest
import torch
from tests.facts.linear import arrived_columns, asked_of_words, standardised
from tests.facts.test_neuron_index import each_family, language, words_of

import molehill
from molehill.errors import FactError, TextError
from molehill.facts.memories import neuron_card, parse_neuron
from molehill.facts.neuron_index import NeuronIndex
from molehill.model.transformer import Transformer
from molehill.trace import record
from molehill.village import make_world, tell

LAYER, NEURON = 1, 6


@pytest.fixture(scope="module")
def village():
    return molehill.load("village")


def sentences(count: int) -> list[str]:
    return [told.text for told in tell(make_world(0), count, seed=9)]


@each_family
def test_words_are_those_of_the_models_own_pass(family):
    lm = language(family)
    if lm.model.w_pos is not None:
        lm.model.w_pos.zero_()
    card = neuron_card(lm, LAYER, NEURON, k=30)
    assert [row.name for row in card.rows] == (
        ["gate row", "up row"] if lm.config.gated else ["row"]
    )
    asked = asked_of_words(lm.model)[LAYER]
    for number, row in enumerate(card.rows):
        z = standardised(asked)[:, number * lm.config.d_mlp + NEURON]
        for words, sign in ((row.matched, 1), (row.opposed, -1)):
            assert [one.token for one in words] == z.argsort(descending=sign > 0).tolist()
            assert [one.z for one in words] == pytest.approx(z[[one.token for one in words]])
    written = standardised(words_of(lm.model) @ arrived_columns(lm.model, LAYER).T)[:, NEURON]
    for words, sign in ((card.column.promoted, 1), (card.column.demoted, -1)):
        assert [one.token for one in words] == written.argsort(descending=sign > 0).tolist()
        assert [one.z for one in words] == pytest.approx(written[[one.token for one in words]])
    assert card.column.through_head == (lm.config.has_head and not lm.config.head_transform)


@each_family
def test_a_rows_answer_is_its_score_and_its_bias(family):
    """For a token alone, with nothing added to it, the model's own pre-activation."""
    lm = language(family)
    if lm.model.w_pos is not None:
        lm.model.w_pos.zero_()
    card = neuron_card(lm, LAYER, NEURON, k=3)
    mlp = lm.model.blocks[LAYER].mlp
    asked = asked_of_words(lm.model)[LAYER] + (0 if mlp.b_in is None else mlp.b_in)
    for number, row in enumerate(card.rows):
        for word in row.matched:
            truth = float(asked[word.token, number * lm.config.d_mlp + NEURON])
            assert word.score + row.bias == pytest.approx(truth, abs=1e-9)


def read_back(model: Transformer, layer: int, row: torch.Tensor, point: str) -> torch.Tensor:
    """What reads at a point of the stream as the row reads after it, by the model's own gradient
    with every divisor one."""

    class Watch:
        def begin(self, positions, real): ...

        def wants(self, site):
            return True

        def __call__(self, site, x):
            if site == point:
                self.leaf = x.detach().requires_grad_()
                return self.leaf
            if site.endswith("scale"):
                return torch.ones_like(x)
            name = site.partition(".")[2]
            if name in ("attn.out", "mlp.out"):  # only the stream itself goes on
                return torch.zeros_like(x)
            if site == f"{layer}.mlp.in":
                self.read = x
            return x

    watch = Watch()
    with torch.enable_grad():
        model(torch.zeros(1, 1, dtype=torch.int64), watch=watch, logits="none")
        (gradient,) = torch.autograd.grad(watch.read[0, 0] @ row, watch.leaf)
    return gradient[0, 0]


@each_family
def test_sources_are_what_the_row_reads_through_the_norms_between(family):
    lm = language(family)
    model = lm.model
    card = neuron_card(lm, LAYER, NEURON, k=100)
    block = model.blocks[0]
    columns, outputs = block.mlp.w_out, block.attn.w_out
    if block.norm2_post is not None:
        columns = columns * block.norm2_post.multiplier[:, None]
        outputs = outputs * block.norm1_post.multiplier[:, None]
    for number, row in enumerate(card.rows):
        weights = model.blocks[LAYER].mlp.w_in[number * lm.config.d_mlp + NEURON]
        reader = read_back(model, LAYER, weights, "0.mlp.out")
        truth = torch.nn.functional.cosine_similarity(reader[None], columns.T)
        assert row.neurons_before == len(row.neurons) == lm.config.d_mlp
        z = (truth - truth.mean()) / truth.std(correction=0)
        assert [one.index for one in row.neurons] == z.abs().argsort(descending=True).tolist()
        for one in row.neurons:
            assert one.label == f"neuron 0.{one.index}"
            assert one.cosine == pytest.approx(float(truth[one.index]))
            assert one.z == pytest.approx(float(z[one.index]))
        assert len(row.heads) == lm.config.n_heads * (1 if lm.config.parallel else 2)
        reader = read_back(model, LAYER, weights, "0.attn.out")
        for head in (one for one in row.heads if one.layer == 0):
            writes = outputs.unflatten(1, (lm.config.n_heads, -1))[:, head.index]
            nearest = writes @ torch.linalg.lstsq(writes, reader[:, None]).solution[:, 0]
            cosine = float(nearest @ reader / (nearest.norm() * reader.norm()))
            assert head.cosine == pytest.approx(cosine, abs=1e-9)


@pytest.mark.parametrize("family", ["llama", "gpt2", "neox"])
def test_a_neuron_that_takes_out_what_it_finds_is_known_by_its_cosine(family):
    lm = language(family)
    block = lm.model.blocks[LAYER]
    read = block.mlp.w_in[NEURON] * block.norm2.multiplier
    block.mlp.w_out[:, NEURON] = -2 * (read if block.norm2.rms else read - read.mean())
    assert neuron_card(lm, LAYER, NEURON, k=1).rows[0].own_cosine == pytest.approx(-1)


def test_the_card_and_the_search_tell_the_same_numbers(village):
    card, index = neuron_card(village, 2, 190), NeuronIndex.build(village)
    word = card.column.promoted[0]
    hit = next(one for one in index.writing(word.token).hits if one.neuron == 190)
    assert hit.z == pytest.approx(word.z, abs=1e-3)


# --- over texts ---------------------------------------------------------------------------------


def test_counts_are_those_of_recorded_coefficients(village):
    texts = sentences(150)
    firing = neuron_card(village, 1, 127, texts=texts, k=5, batch_size=7).firing
    trace = record(village, texts, ["1.mlp.pre", "1.mlp.act"])
    real = trace.tokens.mask
    pre, act = (trace[f"1.mlp.{name}"][..., 127][real].double() for name in ("pre", "act"))
    assert (firing.texts, firing.tokens) == (150, len(pre))
    assert firing.fires == firing.without_bias == pytest.approx(float((pre > 0).double().mean()))
    assert firing.negative == 0 and firing.lowest == ()
    assert firing.mean == pytest.approx(float(pre.mean()), abs=1e-6)
    assert firing.deviation == pytest.approx(float(pre.std(correction=0)), abs=1e-5)
    edges = torch.linspace(-firing.reach, firing.reach, len(firing.counts) + 1).double()
    places = torch.bucketize(pre, edges)  # a number on an edge belongs below it
    counted = torch.bincount((places - 1).clamp(0), minlength=len(firing.counts))
    assert (torch.tensor(firing.counts) - counted).abs().sum() <= 4  # last bits at the edges
    assert sum(firing.counts) == len(pre)
    assert sum(firing.counts[32:]) == int((pre > 0).sum())
    first = firing.examples[0]
    assert first.coefficient == pytest.approx(float(act.max()), rel=1e-5)
    assert first.coefficients[first.at] == first.coefficient
    words = texts[first.text].replace(".", " .").split()
    assert [piece.removeprefix("·") for piece in first.pieces] == words[: len(first.pieces)]


def test_examples_are_the_best_of_each_text_and_no_text_reads_like_another(village):
    texts = sentences(60)
    act = record(village, texts, ["1.mlp.act"])["1.mlp.act"][..., 127]
    firing = neuron_card(village, 1, 127, texts=[*texts, *texts], k=6, batch_size=8).firing
    best = act.max(1).values
    read = [(one.text, one.pieces[: one.at + 1]) for one in firing.examples]
    assert len({text % 60 for text, _ in read}) == len({before for _, before in read}) == len(read)
    assert len(read) > 3
    for one in firing.examples:
        assert one.coefficient == pytest.approx(float(best[one.text % 60]), rel=1e-4)
    # Whatever is larger and left out reads up to its token as one that is there.
    texts_there = {text % 60 for text, _ in read}
    for text in (best > firing.examples[-1].coefficient * 1.0001).nonzero().flatten().tolist():
        at = int(act[text].argmax())
        words = tuple(village.encode(texts[text]).pieces[0][: at + 1])
        assert text in texts_there or words in {before for _, before in read}


def test_a_bias_is_told_with_what_it_changes():
    lm = molehill.load("lexicon")
    texts = ["A harbour is a place where ships are safe.", "The violin is a musical instrument."]
    card = neuron_card(lm, 3, 100, texts=texts)
    bias = float(lm.model.blocks[3].mlp.b_in[100])
    assert card.rows[0].bias == pytest.approx(bias) and bias != 0
    pre = record(lm, texts, ["3.mlp.pre"])
    values = pre["3.mlp.pre"][..., 100]
    real = pre.tokens.mask & ~torch.isin(pre.tokens.ids, torch.tensor([*lm.tokenizer.special_ids]))
    share = float((values[real] - bias > 0).double().mean())
    assert card.firing.without_bias == pytest.approx(share)


def test_the_histogram_grows_until_everything_is_in_it(village):
    from molehill.facts.firing import _Counting

    counting = _Counting(village, 0, 0, 0.0, 1)
    values = torch.tensor([0.01, -0.02, 0.3, 5.0, -77.0, 0.0, 1000.0]).double()
    for value in values:
        counting._bin(value[None])
    assert counting.reach == 1024 and int(counting.counts.sum()) == 7
    assert int(counting.counts[32:].sum()) == 4  # above nothing; nothing itself is below
    assert counting.counts[-1] == 1 and counting.counts[0] == 0
    assert counting.counts[32 - 3] == 1  # -77 lies in the third bin of 32 below nothing


def test_a_gated_neuron_has_both_signs(smollm2_gguf):
    lm = molehill.load(smollm2_gguf)
    texts = ["The capital of France is Paris.", "Michael Jordan plays basketball."] * 3
    card = neuron_card(lm, 2, 40, texts=texts, k=2)
    trace = record(lm, texts, ["2.mlp.gate", "2.mlp.act"])
    real = trace.tokens.mask
    gate, act = (trace[f"2.mlp.{name}"][..., 40][real] for name in ("gate", "act"))
    assert card.firing.fires == pytest.approx(float((gate > 0).double().mean()))
    assert card.firing.negative == pytest.approx(float((act < 0).double().mean()))
    assert card.firing.lowest[0].coefficient == pytest.approx(float(act.min()), rel=1e-3)


# --- what cannot be asked -------------------------------------------------------------------------


@pytest.mark.parametrize("place", [(3, 0), (-1, 0), (0, 384), (0, -1)])
def test_a_neuron_that_is_not_there_is_refused(village, place):
    with pytest.raises(FactError, match="layers are 0 to 2"):
        neuron_card(village, *place)


def test_texts_are_needed_where_they_are_given(village):
    with pytest.raises(TextError, match="no token"):
        neuron_card(village, 0, 0, texts=[])
    with pytest.raises(TextError, match="tokenizer"):
        neuron_card(language("llama"), 0, 0, texts=["a"])


def test_a_neurons_name_is_layer_and_number():
    assert parse_neuron("17.1203") == parse_neuron("neuron 17.1203") == (17, 1203)
    for wrong in ("17", "17.x", "", "1.2.3", "-1.2"):
        with pytest.raises(FactError, match=r"17\.1203"):
            parse_neuron(wrong)
