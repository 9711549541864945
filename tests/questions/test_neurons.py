"""Questions about neurons and parameters: what the library says, as a view and as Python."""

from __future__ import annotations

import contextlib
import io
import json

import pytest
import torch

import molehill
from molehill.errors import FactError, TextError
from molehill.questions import Desk, ModelEntry, answer
from molehill.views.html import page


@pytest.fixture(scope="module")
def lexicon():
    return molehill.load("lexicon")


@pytest.fixture(scope="module")
def desk(lexicon):
    return Desk({"lexicon": ModelEntry(lexicon), "village": ModelEntry("village")})


def printed(python: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(python, {})
    return out.getvalue()


def test_a_neurons_coefficient_is_its_rows_answer(desk, lexicon):
    text = "The mole dug a tunnel under the lawn."
    data = answer(desk, "neuron", {"layer": 5, "neuron": 532, "texts": [text]}).data
    assert (data["neuron"]["layer"], data["neuron"]["index"]) == (5, 532)
    held = molehill.record(lexicon, [text], ["5.mlp.act"], logits="none")["5.mlp.act"]
    values = held.reshape(-1, held.shape[-1])[:, 532]
    assert data["firing"]["tokens"] == len(values)
    assert data["firing"]["fires"] == pytest.approx(float((values > 0).float().mean()), rel=1e-3)
    best = data["firing"]["examples"]
    if float(values.max()) > 0:
        assert best[0]["coefficient"] == pytest.approx(float(values.max()), rel=1e-3)


def test_a_neuron_is_watched_over_texts_that_are_at_hand_and_says_so(desk):
    own = answer(desk, "neuron", {}).data
    assert own["neuron"]["layer"] == 5 and own["firing"]["texts"] == 6
    assert any("six built-in sentences" in note for note in own["notes"])
    told = answer(desk, "neuron", {"model": "village", "layer": 1, "neuron": 3}).data
    assert told["firing"]["texts"] == 500
    assert any("village's own" in note for note in told["notes"])


def test_the_neurons_that_write_a_word_raise_its_score_most(desk, lexicon):
    data = answer(desk, "neurons", {"writes": "animal", "count": 5}).data
    word = lexicon.next_token("animal")
    assert data["token"] == word and len(data["hits"]) == 5
    # By brute force in the last layer: columns through its norm's gain, in z over the words.
    model = lexicon.model
    rows = model.unembedding.double() * model.blocks[5].norm2.multiplier.double()
    rows = rows - rows.mean(1, keepdim=True)
    scores = rows @ model.blocks[5].mlp.w_out.double()
    z = (scores[word] - scores.mean(0)) / scores.std(0, correction=0)
    [best] = [one for one in data["layers"] if one["layer"] == 5]
    assert best["best"] == pytest.approx(float(z.max()), rel=1e-3)


def test_a_search_asks_rows_where_it_is_told_to_and_refuses_what_is_no_token(desk):
    found = answer(desk, "neurons", {"asks": "mole", "count": 3}).data
    assert found["kind"] == "asks" and len(found["hits"]) == 3
    with pytest.raises(TextError):
        answer(desk, "neurons", {"writes": "counterrevolutionary"})
    with pytest.raises(FactError):
        answer(desk, "neuron", {"layer": 5, "neuron": 1_000_000})


def test_every_model_has_neurons_to_begin_with(desk):
    assert answer(desk, "neurons", {"model": "village"}).data["piece"].strip("·") == "tennis"


def test_parameters_are_those_that_the_model_holds(desk, lexicon):
    data = answer(desk, "params", {}).data
    held = sum(weight.numel() for weight in lexicon.model.parameters())
    assert data["total"] == held == sum(part["total"] for part in data["parts"])
    rest = [part["share_non_embedding"] for part in data["parts"]]
    assert sum(share for share in rest if share is not None) == pytest.approx(1)
    mlp = sum(weight.numel() for block in lexicon.model.blocks for weight in block.mlp.parameters())
    assert data["groups"]["mlp"] == mlp
    assert "two thirds of the notes: 67%" in data["summary"][1]


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("neuron", {"layer": 2, "neuron": 3, "texts": ["Leo Rosner plays polo"]}),
        ("neurons", {"writes": "polo"}),
        ("neurons", {"asks": "polo"}),
        ("params", {}),
    ],
)
def test_an_answer_is_data_text_a_page_and_lines_of_python(desk, name, inputs):
    made = answer(desk, name, {"model": "village", **inputs})
    assert json.loads(json.dumps(made.data, allow_nan=False)) == made.data
    assert made.data["asked"]["question"] == name
    text = made.question.text(dict(made.data))
    assert text.strip()
    assert page(made.question.view, dict(made.data), title=name, text=text)
    with torch.no_grad():
        assert printed(made.data["python"]).strip()
