"""The search for neurons, against the whole product of words and neurons from the model's own
pass."""

from __future__ import annotations

import pytest
import torch
from tests.facts.linear import arrived_columns, asked_of_words, standardised
from tests.trace.small_families import FAMILIES, build

import molehill
from molehill.errors import FactError, TextError
from molehill.facts.neuron_index import NeuronIndex
from molehill.language_model import LanguageModel
from molehill.trace import record
from molehill.village import fact_prompts, make_world

each_family = pytest.mark.parametrize("family", sorted(FAMILIES))


def language(family: str, **changes) -> LanguageModel:
    return LanguageModel(build(family, **changes).requires_grad_(False), None, family)


def words_of(model) -> torch.Tensor:
    """The directions of words: what reads `final`, or else the tokens' own vectors."""
    if model.config.has_head and not model.config.head_transform:
        eye = torch.eye(model.config.d_model, dtype=model.dtype)
        return (model.to_head(eye) @ model.unembedding.T).T
    return model.embed(torch.arange(model.config.d_vocab)[:, None], torch.zeros(1, 1).long())[:, 0]


@each_family
@pytest.mark.parametrize("token", [0, 17])
def test_writing_is_the_whole_product(family, token):
    lm = language(family)
    if lm.model.w_pos is not None:
        lm.model.w_pos.zero_()  # a word's own vector has no position
    words = words_of(lm.model)
    z = torch.stack(
        [
            standardised(words @ arrived_columns(lm.model, layer).T)[token]
            for layer in range(lm.config.n_layers)
        ]
    )
    found = NeuronIndex.build(lm).writing(token, k=40)
    ranked = z.abs() if lm.config.gated else z
    assert found.both_signs == lm.config.gated and found.neurons == 40
    assert [hit.z for hit in found.hits] == pytest.approx(
        [float(z[hit.layer, hit.neuron]) for hit in found.hits], abs=1e-9
    )
    best = ranked.flatten().sort(descending=True).values.tolist()
    told = [abs(hit.z) if lm.config.gated else hit.z for hit in found.hits]
    assert told == pytest.approx(best, abs=1e-9)


@each_family
@pytest.mark.parametrize("row", ["gate", "up"])
def test_asking_is_the_whole_product(family, row):
    lm = language(family)
    index = NeuronIndex.build(lm)
    if row == "up" and not lm.config.gated:
        with pytest.raises(FactError, match="one row"):
            index.asking(3, row="up")
        return
    first = lm.config.d_mlp if row == "up" else 0
    asked = asked_of_words(lm.model)
    z = torch.stack([standardised(one)[3, first : first + lm.config.d_mlp] for one in asked])
    found = index.asking(3, k=9, row=row)
    best = z.flatten().sort(descending=True).values[:9].tolist()
    assert [hit.z for hit in found.hits] == pytest.approx(best, abs=1e-9)
    assert [float(z[hit.layer, hit.neuron]) for hit in found.hits] == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2"])
def test_a_neuron_made_by_hand_is_found(family):
    lm = language(family, d_model=64, d_head=16, d_vocab=300)
    model = lm.model
    block = model.blocks[1]
    stretched = model.final_norm.multiplier * (
        1 if block.norm2_post is None else block.norm2_post.multiplier
    )
    block.mlp.w_out[:, 7] = words_of(model)[44] / stretched
    watched = model.w_token[91] - model.w_token.mean(0)
    block.mlp.w_in[5] = watched / block.norm2.multiplier
    index = NeuronIndex.build(lm)
    written, asked = index.writing(44, k=1).hits[0], index.asking(91, k=1).hits[0]
    assert (written.layer, written.neuron, asked.layer, asked.neuron) == (1, 7, 1, 5)
    assert written.z > 5 and asked.z > 5


def test_scores_in_float32_are_those_of_the_whole_product():
    lm = molehill.load("village")
    index = NeuronIndex.build(lm)
    token = lm.tokenizer.ids([" Elmham"], add_special=False)[0][0]
    words = lm.model.unembedding.double()
    truth = torch.stack(
        [standardised(words @ arrived_columns(lm.model, at).double().T)[token] for at in range(3)]
    )
    for hit in index.writing(token, k=50).hits:
        assert hit.z == pytest.approx(float(truth[hit.layer, hit.neuron]), abs=1e-3)


def test_neurons_that_write_an_answer_fire_where_it_is_the_answer():
    """Of each object of the village, the first neuron that is found is more active where a fact
    about it is asked than where another of its kind is. By chance that is true of half of them."""
    lm = molehill.load("village")
    prompts = fact_prompts(make_world(0))
    trace = record(lm, [one.prompt for one in prompts], ["*.mlp.act"], positions="last")
    index = NeuronIndex.build(lm)
    right = []
    for relation, answer in sorted({(one.relation, one.answer) for one in prompts}):
        hit = index.writing(answer, k=1).hits[0]
        act = trace[f"{hit.layer}.mlp.act"][:, 0, hit.neuron]
        mine = torch.tensor([one.answer == answer for one in prompts])
        kind = torch.tensor([one.relation == relation for one in prompts])
        right.append(bool(act[mine & kind].mean() > act[~mine & kind].mean()))
    assert len(right) == 57 and sum(right) >= 48


def test_an_index_of_weights_that_were_changed_is_refused():
    lm = language("llama")
    index = NeuronIndex.build(lm)
    lm.model.blocks[0].mlp.w_out.mul_(2)
    with pytest.raises(FactError, match="build it again"):
        index.writing(3)


def test_a_word_must_be_a_token():
    index = NeuronIndex.build(language("gpt2"))
    with pytest.raises(TextError, match="no token 30"):
        index.writing(30)
    with pytest.raises(TextError, match="tokenizer"):
        index.asking("mole")
