"""An edit on the command line: made, looked at, kept, listed, undone, compared, and used."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

import molehill
from molehill.checkpoints import save_checkpoint
from molehill.cli import facts_edit, generate, ledger
from molehill.errors import CheckpointError, FactError, MolehillError
from molehill.facts.edit_files import load_fact_edits, save_fact_edits
from molehill.facts.edits import apply_edits

app = typer.Typer()
facts_edit.register(app)
ledger.register(app)
generate.register(app)

LEO = ("Leo Rosner", "golf", "--template", "{} plays", "-m", "village")
HELEN = ("Helen Fenden", "golf", "--template", "{} plays", "-m", "village")


@pytest.fixture(scope="module", autouse=True)
def keys(tmp_path_factory):
    """Key statistics of the village, gathered once for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOLEHILL_KEYS", str(tmp_path_factory.mktemp("keys")))
        yield


@pytest.fixture(scope="module")
def stack(tmp_path_factory, keys):
    """A file with two edits, and the names of both."""
    path = tmp_path_factory.mktemp("edits") / "edits.safetensors"
    for fact in (LEO, HELEN):
        result = run("edit", *fact, "--out", str(path))
        assert result.exit_code == 0, result.output
    return path, [edit.name for edit in load_fact_edits(path)]


def run(*arguments: str):
    result = CliRunner().invoke(app, list(arguments))
    if isinstance(result.exception, MolehillError):
        raise result.exception
    return result


def test_an_edit_is_made_looked_at_and_kept(tmp_path):
    out = tmp_path / "edits.safetensors"
    near = ("--neighbour", "Judith Penfax", "--neighbour", "Helen Fenden")
    words = ("--paraphrase", "The sport of {} is")
    result = run("edit", *LEO, *near, *words, "--out", str(out), "--json")
    data = json.loads(result.stdout)
    assert data["schema"] == "molehill.fact-edit/1" and data["health"]["verdict"] == "healthy"
    kinds = [(row["kind"], row["prompt"], row["was"]) for row in data["rows"]]
    assert kinds == [
        ("prompt", "Leo Rosner plays", "polo"),
        ("paraphrase", "The sport of Leo Rosner is", "polo"),
        ("neighbour", "Judith Penfax plays", "cricket"),
        ("neighbour", "Helen Fenden plays", "rugby"),
    ]
    assert data["rows"][0]["said"] and data["rows"][0]["rank_after"] == 1
    assert data["written"][0]["before"].startswith("polo")
    assert data["written"][0]["after"].startswith("golf")
    (edit,) = load_fact_edits(out)
    assert edit.name == data["edit"]["name"] and edit.metrics["health"] == "healthy"
    assert "of its size" in result.stderr and f"Written: {out} (1 edit)" in result.stderr
    # What is kept does to the model what was shown.
    lm = molehill.load("village")
    (written,) = apply_edits(lm, [edit]).generate("Leo Rosner plays", max_new_tokens=12)
    assert written.text.strip() == data["written"][0]["after"]


def test_the_second_edit_goes_on_from_the_first(stack):
    path, names = stack
    first, second = load_fact_edits(path)
    assert first.after == () and second.after == (first.digest,)
    assert [edit.facts[0].subject for edit in (first, second)] == ["Leo Rosner", "Helen Fenden"]
    assert names == [first.name, second.name]


@pytest.mark.parametrize("method", ["memit", "null-space", "fine-tuning", "constrained"])
def test_every_method_makes_an_edit(method, tmp_path):
    out = tmp_path / "edits.safetensors"
    result = run("edit", *LEO, "--method", method, "--out", str(out), "--force")
    assert result.exit_code == 0, result.output
    assert load_fact_edits(out)[0].method == method


def test_what_the_gate_refuses_is_not_written(stack, tmp_path):
    """In so small a model teaching Helen darts makes Leo forget golf."""
    one, out = tmp_path / "one.safetensors", tmp_path / "edits.safetensors"
    save_fact_edits(one, load_fact_edits(stack[0])[:1])
    given = ("edit", "Helen Fenden", "darts", "--template", "{} plays", "-m", "village")
    stacked = ("--edits", str(one), "--out", str(out))
    told = r"was not written: 0 of 1 facts of earlier edits .* refused below 50%.* --force"
    with pytest.raises(FactError, match=told):
        run(*given, *stacked)
    assert not out.exists()
    assert run(*given, *stacked, "--force").exit_code == 0
    edits = load_fact_edits(out)
    assert len(edits) == 2 and edits[1].metrics["health"] == "refuses"
    assert edits[1].after == (edits[0].digest,)


def test_no_edit_is_lost_by_writing(stack, tmp_path):
    path, _ = stack
    other = tmp_path / "other.safetensors"
    save_fact_edits(other, load_fact_edits(path)[1:])
    before = other.read_bytes()
    with pytest.raises(FactError, match="would be lost"):
        run("edit", *LEO, "--edits", str(path), "--out", str(other))
    assert other.read_bytes() == before
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"not edits")
    with pytest.raises(CheckpointError):
        run("edit", *LEO, "--out", str(damaged))
    assert damaged.read_bytes() == b"not edits"


def test_texts_give_statistics_and_held_out_lines(tmp_path):
    lines = [f"{name} plays polo." for name in ("Leo Rosner", "Grace Torlock")] * 15
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(lines), encoding="utf-8")
    out = tmp_path / "edits.safetensors"
    run("edit", *LEO, "--texts", str(texts), "--out", str(out), "--force")
    (edit,) = load_fact_edits(out)
    assert edit.metrics["held_out"] == "every 10th line of texts.txt"
    assert edit.settings["keys"]["0"]["data"].endswith(" texts.txt")
    texts.write_text("\n".join(lines[:5]), encoding="utf-8")
    run("edit", *LEO, "--texts", str(texts), "--out", str(tmp_path / "few"), "--force")
    told = load_fact_edits(tmp_path / "few")[0].metrics["held_out"]
    assert told == "texts.txt, from which the key statistics are too"


def test_a_layer_that_is_not_there_is_told(tmp_path):
    with pytest.raises(FactError, match=r"no layer 7: village has 3"):
        run("edit", *LEO, "--layer", "7", "--out", str(tmp_path / "edits.safetensors"))


# --- list, undo, diff ----------------------------------------------------------------------------


def test_a_list_names_every_edit(stack):
    path, names = stack
    told = run("list", str(path)).output
    for name, words in zip(names, ("Leo Rosner plays", "Helen Fenden plays"), strict=True):
        assert name in told and words in told
    assert "blocks.0.mlp.w_out (rank 1, " in told and "% of its size)" in told
    assert "no other edit" in told and told.count(names[0]) == 2  # itself, and before the second
    data = json.loads(run("list", str(path), "--json").stdout)
    assert data["schema"] == "molehill.fact-edits/1"
    assert [one["name"] for one in data["edits"]] == names
    assert data["edits"][1]["after"] == [names[0]]


def test_undoing_takes_one_out_and_says_what_came_after(stack, tmp_path):
    path, names = stack
    before = path.read_bytes()
    out = tmp_path / "fewer.safetensors"
    result = run("undo", str(path), names[0][:5], "--out", str(out))
    assert [edit.name for edit in load_fact_edits(out)] == [names[1]]
    told = " ".join(result.stdout.split())
    assert f"Without {names[0]} (Leo Rosner plays golf) 1 edit stays, in fewer.safet" in told
    assert f"{names[1]} was made for a model that had {names[0]}" in told
    assert path.read_bytes() == before
    last = run("undo", str(path), names[1], "--out", str(out), "--json")
    data = json.loads(last.stdout)
    assert data["schema"] == "molehill.fact-undo/1" and data["gone"] == names[1]
    assert [one["state"] for one in data["edits"]] == ["stays", "gone"]
    assert len(data["summary"]) == 1  # nothing was made after it
    run("undo", str(out), names[0])
    assert load_fact_edits(out) == ()
    assert "No edits." in run("list", str(out)).output
    for wrong in ("zzz", ""):
        with pytest.raises(FactError, match=f"no edit '{wrong}'; its edits are: {names[0]}"):
            run("undo", str(path), wrong)


def test_a_difference_names_edits_and_weights(stack, tmp_path):
    path, names = stack
    one = tmp_path / "one.safetensors"
    save_fact_edits(one, load_fact_edits(path)[:1])
    told = run("diff", str(path), str(one)).output
    flat = " ".join(told.split())
    assert "A and B share 1 edit; A has 1 besides and B has none besides." in flat
    assert f"2 {names[1]} rome, for village" in flat and "only in A" in flat
    data = json.loads(run("diff", str(path), str(one), "--json").stdout)
    assert data["both"] == 1 and data["only_second"] == []
    assert data["norms"] == pytest.approx(
        {"blocks.0.mlp.w_out": float(load_fact_edits(path)[1].changes[0].delta().norm())}, rel=1e-5
    )


def test_files_of_edits_have_pages(stack, tmp_path):
    path, names = stack
    page = tmp_path / "page.html"
    verbs = {
        "list": ("list", str(path)),
        "undo": ("undo", str(path), names[0], "--out", str(tmp_path / "fewer.safetensors")),
        "diff": ("diff", str(path), str(path)),
    }
    for kind, given in verbs.items():
        result = run(*given, "--html", str(page))
        assert result.exit_code == 0 and f"Written: {page}" in result.stderr
        held = page.read_text("utf-8").partition('id="data">')[2].partition("</script>")[0]
        data = json.loads(held)
        assert data["kind"] == kind and [one["name"] for one in data["edits"]] == names
    assert "hold the same 2 edits" in data["summary"][0]
    with pytest.raises(MolehillError, match="no folder"):
        run("list", str(path), "--html", str(tmp_path / "absent" / "page.html"))


def test_an_object_that_is_said_already_is_told(stack, tmp_path):
    given = ("Leo Rosner", "golf", "--template", "{} plays", "-m", "village", "--force")
    out = str(tmp_path / "edits.safetensors")
    result = run("edit", *given, "--edits", str(stack[0]), "--out", out, "--method", "constrained")
    assert "as it was edited so far says 'golf' after 'Leo Rosner plays' already" in result.stderr
    said = ("Leo Rosner", "polo", *given[2:], "--method", "constrained", "--keys", str(tmp_path))
    result = run("edit", *said, "--out", str(tmp_path / "one"))
    assert "without any edit says 'polo'" in result.stderr
    assert "constrained needs no key statistics; --keys is not used" in result.stderr
    assert "and said so before" in " ".join(result.stdout.split())


def test_at_the_last_token_a_fact_of_the_village_is_taught(tmp_path):
    """The village keeps its facts there, and what was learnt for a subject is too short for it."""
    out = tmp_path / "edits.safetensors"
    result = run("edit", *LEO, "--layer", "2", "--token", "last", "--out", str(out), "--json")
    row = json.loads(result.stdout)["rows"][0]
    assert row["said"] and row["wanted_after"] > 0.9
    assert load_fact_edits(out)[0].metrics["health"] == "healthy"


# --- every verb that loads a model ---------------------------------------------------------------


def test_a_verb_uses_the_edited_model_and_names_it(stack):
    path, _ = stack
    given = ("ledger", "Leo Rosner plays", "-m", "village", "--json")
    plain = json.loads(run(*given).stdout)["provenance"]
    edited = json.loads(run(*given, "--edits", str(path)).stdout)["provenance"]
    lm = apply_edits(molehill.load("village"), load_fact_edits(path))
    assert plain["model"] == "village" and edited["model"] == "village + 2 edits"
    assert edited["fingerprint"] == lm.fingerprint != plain["fingerprint"]
    assert edited["checked"]["told"] == "not checked: molehill check village --edits FILE"
    assert (
        "golf" in run("generate", "Leo Rosner plays", "-m", "village", "--edits", str(path)).output
    )
    again = json.loads(run(*given).stdout)["provenance"]
    assert again == plain  # for one run only


def test_edits_are_applied_before_the_number_format_is_changed(stack):
    given = ("ledger", "Leo Rosner plays", "-m", "village", "--edits", str(stack[0]), "--json")
    for dtype in ("float64", "bfloat16"):
        made = json.loads(run(*given, "--dtype", dtype).stdout)["provenance"]
        assert (made["dtype"], made["model"]) == (dtype, "village + 2 edits")


def test_edits_of_another_model_are_refused(stack, tmp_path):
    lm = molehill.load("village")
    lm.model.blocks[0].mlp.w_out[0, 0] += 1
    save_checkpoint(lm.model, lm.tokenizer, tmp_path / "other", family="molehill")
    with pytest.raises(FactError, match="was made for 'village'"):
        run("ledger", "Leo", "-m", str(tmp_path / "other"), "--edits", str(stack[0]))
