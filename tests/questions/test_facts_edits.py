"""Facts that are changed, on the village: previews, the list, isolation, undoing to the bit."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

import molehill
from molehill.errors import FactError
from molehill.facts import apply_edits, load_fact_edits
from molehill.questions import Desk, ModelEntry, answer
from molehill.questions import facts_stack as stack_module

PLAYS = "Leo Rosner plays"


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> str:
    return str(tmp_path_factory.mktemp("keys"))


@pytest.fixture(autouse=True)
def kept_elsewhere(keys, monkeypatch):
    monkeypatch.setenv("MOLEHILL_KEYS", keys)


@pytest.fixture(scope="module")
def desk() -> Desk:
    return Desk({"village": ModelEntry("village")})


def ask(desk: Desk, name: str, **given):
    return json.loads(json.dumps(dict(answer(desk, name, {"model": "village", **given}).data)))


def taught(desk: Desk, subject: str, new: str, *edits: str) -> str:
    """An edit by gradient steps, which needs no statistics: its digest."""
    given = {"subject": subject, "object": new, "template": "{} plays", "method": "fine-tuning"}
    return ask(desk, "facts.edit", edits=edits, **given)["edit"]["digest"]


@pytest.fixture(scope="module")
def two(desk) -> tuple[str, str]:
    first = taught(desk, "Leo Rosner", "golf")
    return first, taught(desk, "Judith Penfax", "chess", first)


def test_a_preview_changes_nothing_and_says_what_it_would_do(desk):
    before = desk.model("village").fingerprint
    data = ask(desk, "facts.edit")
    assert data["rows"][0]["prompt"] == PLAYS
    assert data["rows"][0]["said"] and not data["rows"][0]["said_before"]
    assert [row["kind"] for row in data["rows"]].count("neighbour") == 2
    assert data["edit"]["settings"]["keys"]["0"]["data"] == "own text 32x64"
    assert desk.model("village").fingerprint == before == data["edit"]["fingerprint"]
    after = ask(desk, "facts.say", prompts=[PLAYS], edits=[data["edit"]["digest"]])
    assert after["rows"][0]["after"]["text"].split()[0].startswith("golf")


def test_an_edit_that_is_in_the_list_is_shown_and_not_made_on_top_of_itself(desk, two):
    first, second = two
    given = {"subject": "Leo Rosner", "object": "golf", "template": "{} plays"}
    again = ask(desk, "facts.edit", edits=[first, second], method="fine-tuning", **given)
    assert (again["edit"]["digest"], again["stack_digests"]) == (first, [])


def test_the_lines_of_python_make_the_same_edit(desk, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("facts.edit", "facts.write"):
        given = {"texts": 16} if name == "facts.write" else {}
        data = ask(desk, name, **given)
        kept: dict = {}
        exec(compile(data["python"], name, "exec"), kept)
        # Not to the bit: which of several products is fastest, and so rounds, differs by model.
        shown = desk.edit(data["edit"]["digest"])
        for made, ours in zip(kept["edit"].changes, shown.changes, strict=True):
            for name, value in vars(ours).items():
                if isinstance(value, torch.Tensor):
                    apart = float((getattr(made, name) - value).norm() / value.norm())
                    assert apart < 0.02, name
    assert capsys.readouterr().out


def test_a_neuron_by_hand_says_the_fact_and_has_its_certificate(desk):
    data = ask(desk, "facts.write", texts=16)
    assert data["rows"][0]["said"]
    assert data["certificate"]["fitted"]["texts"] > 16
    assert ask(desk, "facts.say", edits=[data["edit"]["digest"]])["rows"][0]["prompt"] == PLAYS


def test_what_both_models_say_next_is_what_they_say_when_asked_alone(desk, two):
    data = ask(desk, "facts.say", prompts=["Helen Fenden plays"], edits=two, tokens=6)
    (row,) = data["rows"]
    plain, edited = desk.model("village"), desk.model("village", two)
    logs = []
    for lm, side in ((plain, "before"), (edited, "after")):
        ids = lm.encode(["Helen Fenden plays"]).ids
        logs.append(lm.model(ids).logits[0, -1].double().log_softmax(-1))
        best = int(logs[-1].argmax())
        assert row[side]["next"][0]["piece"] == lm.tokenizer.piece(best)
        assert row[side]["text"] == lm.generate("Helen Fenden plays", max_new_tokens=6)[0].text
    apart = float((logs[1].exp() * (logs[1] - logs[0])).sum())
    assert row["nats"] == pytest.approx(apart, rel=1e-5, abs=1e-9)


def test_the_list_is_in_order_and_goes_into_a_file_and_back(desk, two, tmp_path, monkeypatch):
    data = ask(desk, "facts.stack", edits=two)
    assert tuple(edit["digest"] for edit in data["edits"]) == two
    assert [row["prompt"] for row in data["said"]] == [PLAYS, "Judith Penfax plays"]
    file = tmp_path / "edits.safetensors"
    file.write_bytes(base64.b64decode(data["file"]["base64"]))
    assert file.stat().st_size == data["file"]["bytes"]
    assert tuple(edit.digest for edit in load_fact_edits(file)) == two
    monkeypatch.setattr(stack_module, "LARGEST_FILE", 1000)
    assert ask(desk, "facts.stack", edits=two)["file"]["base64"] is None
    monkeypatch.chdir(tmp_path)
    for name in ("facts.stack", "facts.undo", "facts.difference", "facts.say"):
        exec(compile(ask(desk, name, edits=two)["python"], name, "exec"), {})


def test_the_last_one_goes_unless_another_is_named(desk, two):
    assert ask(desk, "facts.undo", edits=two)["gone"] == two[1][:8]
    named = ask(desk, "facts.undo", edits=two, gone=two[0][:10])
    assert [edit["state"] for edit in named["edits"]] == ["gone", "later"]
    row = named["said"][0]
    assert row["wanted_before"] > 0.5 > row["wanted_after"]
    with pytest.raises(FactError, match="no edit 'ffff'"):
        ask(desk, "facts.undo", edits=two, gone="ffff")


def test_undoing_restores_every_bit(desk, two):
    plain = {name: one.clone() for name, one in desk.model("village").model.named_parameters()}
    both, one = desk.model("village", two), desk.model("village", two[:1])
    assert both.fingerprint != one.fingerprint
    for kept, model in ((two[:1], one), ((), desk.model("village", ()))):
        fresh = apply_edits(molehill.load("village"), [desk.edit(digest) for digest in kept])
        alone = dict(fresh.model.named_parameters())
        assert all(torch.equal(w, alone[name]) for name, w in model.model.named_parameters())
    again = dict(desk.model("village").model.named_parameters())
    assert all(torch.equal(weight, again[name]) for name, weight in plain.items())


def test_threads_with_other_edits_get_what_each_alone_gets(desk, two):
    lists = ((), two[:1], two[1:], two, two[::-1])
    asked = [
        (name, {"edits": edits, **more})
        for edits in lists
        for name, more in (
            ("facts.say", {"prompts": [PLAYS, "Judith Penfax plays"]}),
            ("ledger", {"text": PLAYS}),
            ("lens", {"text": PLAYS}),
        )
    ]
    alone = [ask(desk, name, **given) for name, given in asked]
    with ThreadPoolExecutor(5) as pool:
        work = [pool.submit(ask, desk, name, **given) for name, given in 2 * asked]
        together = [one.result() for one in work]
    assert together == 2 * alone
    texts = [found["rows"][0]["after"]["text"] for found in alone[3::3]]
    assert len(set(texts)) > 1, "the lists do say different things"
