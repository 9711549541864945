"""Questions about features of the village: examples counted again token by token, what fires and
what is left out against the autoencoder itself, cards from weights, edits, lines of Python."""

from __future__ import annotations

import json

import pytest
import torch

import molehill
from molehill.errors import ConfigError, MolehillError, TextError
from molehill.features import load_features
from molehill.questions import Desk, ModelEntry, answer
from molehill.questions.made_examples import examples_folder

SHIPPED = ("village-1", "village-mlp-0", "village-mlp-1", "village-mlp-2")
TEXTS = ["Leo Rosner plays golf", "Judith Penfax plays chess"]


@pytest.fixture(scope="module")
def lm():
    return molehill.load("village")


@pytest.fixture(scope="module")
def features():
    return load_features("village-1")


@pytest.fixture(scope="module")
def desk(lm, few_examples) -> Desk:
    return Desk({"village": ModelEntry(lm)}, features={name: name for name in SHIPPED})


def asked(desk: Desk, name: str, **given):
    found = answer(desk, name, {"model": "village", **given})
    data = json.loads(json.dumps(dict(found.data), allow_nan=False))
    assert found.question.text(data)
    return data


def codes(lm, features, text: str):
    """Each token's values [token, feature]."""
    trace = molehill.record(lm, text, list(features.reads))
    return trace[features.reads[0]][0], features.encode(trace).dense()


def test_cards_have_examples_at_once_and_say_from_where(desk):
    data = asked(desk, "features.card")
    assert data["corpus"]["named"] == ["what the village tells"]
    assert len(data["cards"]) == 12 and len(data["others"]) == 768
    assert len({card["label"]["text"] for card in data["cards"]}) == 12
    for card in data["cards"]:
        assert card["groups"][0]["examples"][0]["value"] == pytest.approx(card["largest"], rel=1e-3)
    by_number = {one["feature"]: one for one in data["others"]}
    first = data["cards"][0]
    assert by_number[first["feature"]]["label"] == first["label"]["text"]
    assert by_number[first["feature"]]["density"] == pytest.approx(first["density"], rel=1e-2)


def test_they_are_made_once(desk, monkeypatch):
    asked(desk, "features.card", numbers=[3])
    held = set(examples_folder().iterdir())
    monkeypatch.setattr("molehill.questions.made_examples.write_examples", None)
    asked(desk, "features.card", numbers=[4])
    assert set(examples_folder().iterdir()) == held


def test_a_card_of_ones_own_texts_counts_what_the_autoencoder_says(desk, lm, features):
    tables = [codes(lm, features, text)[1] for text in TEXTS]
    counts = sum((table > 0).sum(0) for table in tables)
    chosen = counts.topk(5).indices.tolist()
    data = asked(desk, "features.card", numbers=chosen, texts=TEXTS)
    assert data["corpus"]["texts"] == 2
    for card in data["cards"]:
        assert card["count"] == int(counts[card["feature"]])
        largest = max(float(table[:, card["feature"]].max()) for table in tables)
        assert card["largest"] == pytest.approx(largest, rel=1e-3)


def test_a_card_without_examples_says_what_weights_say(desk, lm, features):
    data = asked(desk, "features.card", numbers=[7, 31], source="weights")
    assert data["corpus"] is None and "no text was read" in data["summary"][0]
    rows = torch.nn.functional.normalize(features.autoencoder.w_dec.detach(), dim=1)
    cosines = rows @ rows[31]
    cosines[31] = -1
    nearest = data["cards"][1]["nearest"][0]
    assert nearest["feature"] == int(cosines.argmax())
    assert nearest["cosine"] == pytest.approx(float(cosines.max()), abs=1e-3)
    assert data["cards"][1]["count"] is None and data["cards"][1]["groups"] == []


@pytest.mark.parametrize("by", ["word", "text", "label", "like", "promotes"])
def test_searches_find_what_answers_to_it(desk, lm, features, by):
    what = {"text": TEXTS[0], "like": "103"}.get(by, "plays")
    data = asked(desk, "features.search", by=by, asked=what)
    rows = data["search"]["lists"][0]["rows"]
    best = rows[0]["feature"]
    if by == "like":
        assert best == 103 and rows[0]["cells"][0] == pytest.approx(1)
    if by == "label":
        assert all("plays" in row["label"] for row in rows)
    if by == "text":
        assert codes(lm, features, TEXTS[0])[1][:, best].max() > 0
    if by == "word":
        example = data["cards"][0]["groups"][0]["examples"][0]
        assert data["cards"][0]["feature"] == best and example["word"] == "plays"
        table = codes(lm, features, "".join(example["pieces"]).replace("·", " ").strip())[1]
        assert float(table[example["at"], best]) == pytest.approx(example["value"], rel=1e-2)
    if by == "promotes":
        assert "raises the score" in data["summary"][0]


@torch.no_grad()
def test_what_fires_here_is_what_the_autoencoder_says(desk, lm, features):
    data = asked(desk, "features.here", text=TEXTS[0])
    vectors, table = codes(lm, features, TEXTS[0])
    left = vectors - features.autoencoder(vectors)
    share = left.norm(dim=1) / vectors.norm(dim=1)
    looked = [at for at, token in enumerate(data["tokens"]) if token["looked_at"]]
    for at in looked:
        token = data["tokens"][at]
        assert token["error"] == pytest.approx(float(share[at]), abs=1e-4)
        assert token["active"] == int((table[at] > 0).sum())
        strongest = token["strongest"][0]
        assert strongest["feature"] == int(table[at].argmax())
        assert strongest["value"] == pytest.approx(float(table[at].max()), rel=1e-2)
    for row in data["rows"]:
        for at in looked:
            assert row["values"][at] == pytest.approx(float(table[at, row["feature"]]), abs=0.01)
    assert data["active"] == int((table[looked] > 0).any(0).sum())
    assert data["point"] == "1.resid_post" and data["features"]["here"] == "village-1"
    plain = asked(desk, "features.here", text=TEXTS[0], labels=False)
    assert not plain["labelled"] and plain["tokens"][-1]["error"] == data["tokens"][-1]["error"]


def test_steering_stands_beside_the_unchanged_text(desk, lm):
    data = asked(desk, "features.steer", prompt="Leo Rosner plays", strength=3, tokens=4)
    assert [run["strength"] for run in data["runs"]] == [0, 1.5, 3]
    alone = lm.generate("Leo Rosner plays", max_new_tokens=4)[0].text
    assert data["runs"][0]["text"] == alone
    number = data["feature"]["number"]
    assert data["changes"][0]["feature"] == number
    assert data["changes"][0]["number"] == data["feature"]["unit"] > 0
    assert number not in [one["feature"] for one in data["others"][1:]]
    off = asked(desk, "features.steer", prompt="Leo Rosner plays", how="off", tokens=4)
    assert len(off["runs"]) == 2 and off["changes"][0]["how"] == "scale"


def test_a_graph_takes_all_transcoders_of_the_model(desk):
    data = asked(desk, "features.graph")
    assert len(data["transcoders"]) == 3 and data["here"]["1"] == "village-mlp-1"
    one = asked(desk, "features.graph", transcoders=["village-mlp-1"], target="golf")
    assert len(one["transcoders"]) == 1
    assert [node["name"] for node in one["nodes"] if node["kind"] == "logit"] == ["says golf"]


def test_features_are_looked_at_in_an_edited_model_too(desk):
    taught = {"subject": "Leo Rosner", "object": "golf", "template": "{} plays"}
    edit = asked(desk, "facts.edit", method="fine-tuning", **taught)["edit"]["digest"]
    before = asked(desk, "features.here", text="Leo Rosner plays", labels=False)
    after = asked(desk, "features.here", text="Leo Rosner plays", labels=False, edits=[edit])
    assert before["provenance"]["fingerprint"] != after["provenance"]["fingerprint"]
    asked(desk, "features.steer", tokens=2, edits=[edit])
    asked(desk, "features.graph", edits=[edit])


def test_mistakes_are_named(desk):
    with pytest.raises(TextError, match="0 to 767"):
        asked(desk, "features.card", numbers=[768])
    with pytest.raises(TextError, match="no feature -1"):
        asked(desk, "features.search", by="like", asked="many")
    with pytest.raises(ConfigError, match="no transcoders"):
        answer(Desk({"village": ModelEntry("village")}), "features.graph", {"model": "village"})
    with pytest.raises(MolehillError):
        asked(desk, "features.here", text="   \n")  # nothing to look at: the example is taken
        asked(desk, "features.here", features="../village-1")


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("features.card", {"numbers": [5], "source": "weights"}),
        ("features.search", {"by": "promotes", "asked": "golf"}),
        ("features.here", {}),
        ("features.steer", {"tokens": 2}),
        ("features.graph", {"target": "golf"}),
    ],
)
def test_the_lines_of_python_run(desk, name, given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = asked(desk, name, **given)
    exec(compile(data["python"], name, "exec"), {"print": lambda *said: None})
