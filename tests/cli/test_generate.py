"""`molehill generate` on a tiny model of its own, as a person and as a program would run it."""

from __future__ import annotations

import json

import pytest

from molehill.checkpoints import save_checkpoint
from molehill.cli import main
from molehill.model import ModelConfig, Transformer
from molehill.text import Tokenizer

WORDS = "the mole dug a tunnel under the garden and the spy was a mole in the ministry "


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    tokenizer = Tokenizer.train([WORDS * 20], d_vocab=300)
    config = ModelConfig(
        n_layers=2,
        d_model=32,
        n_heads=4,
        d_head=8,
        d_mlp=48,
        d_vocab=tokenizer.d_vocab,
        n_ctx=40,
        positions="rotary",
        norm="rms",
        activation="silu",
        gated=True,
    )
    model = Transformer(config).initialise(3)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data.mul_(8.0)
    path = tmp_path_factory.mktemp("models") / "tiny"
    save_checkpoint(model, tokenizer, path)
    return str(path)


@pytest.fixture
def run(folder, capsys):
    def run(*arguments):
        code = main(["generate", *arguments, "-m", folder])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


def as_json(run, *arguments):
    code, out, _ = run(*arguments, "--json")
    assert code == 0
    return json.loads(out)


def test_json_holds_what_is_printed_and_how_it_came_about(run):
    data = as_json(run, "the mole", "-n", "8")
    (text,) = data["texts"]
    assert text["prompt"] == "the mole"
    assert len(text["ids"]) == len(text["logprobs"]) == 8
    assert text["ending"] == "length"
    assert len(data["fingerprint"]) == 64
    assert data["sampling"]["temperature"] == 0
    code, out, err = run("the mole", "-n", "8")
    assert (code, out, err) == (0, f"the mole{text['text']}\n", "")


def test_several_prompts_are_written_one_after_another_as_they_would_be_alone(run):
    alone = [run(prompt, "-n", "6")[1] for prompt in ("the mole", "a spy was a")]
    assert run("the mole", "a spy was a", "-n", "6")[1] == "\n".join(alone)


def test_seeds_count_on_over_the_prompts(run):
    how = ["-n", "8", "-t", "1.5", "--top-k", "50", "--top-p", "0.99", "--min-p", "0.001"]
    both = as_json(run, "the mole", "the mole", *how, "--seed", "4")["texts"]
    assert both[0]["ids"] != both[1]["ids"]
    second = as_json(run, "the mole", *how, "--seed", "5")["texts"][0]
    assert second["ids"] == both[1]["ids"]


def test_a_stop_string_ends_a_text_and_is_no_part_of_it(run):
    whole = as_json(run, "the mole", "-n", "12")["texts"][0]["text"]
    stop = whole[len(whole) // 2 :][:2]
    text = as_json(run, "the mole", "-n", "12", "--stop", stop)["texts"][0]
    assert text["ending"] == "stop"
    assert text["text"] == whole[: whole.index(stop)]


def test_the_longest_text_that_the_model_reads_is_an_ending_of_its_own(run):
    text = as_json(run, "the mole", "-n", "500")["texts"][0]
    assert text["ending"] == "context"
    assert 30 < len(text["ids"]) < 40


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x", "-n", "0"], "max_new_tokens is 0"),
        (["x", "-t", "-1"], "temperature is -1.0"),
        (["x", "--stop", ""], "stop string is empty"),
        (["x", "--chat"], "no chat template"),
        ([""], "no tokens"),
        ([WORDS * 20], "the limit is 40"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(run, arguments, message):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_ctrl_c_leaves_what_was_written(run, monkeypatch):
    from molehill.language_model import LanguageModel

    def stream(self, *_, **__):
        yield (" dug",)
        yield (" a",)
        raise KeyboardInterrupt

    monkeypatch.setattr(LanguageModel, "stream", stream)
    code, out, err = run("the mole")
    assert (code, out) == (130, "the mole dug a\n")
    assert err.strip() == "molehill: interrupted"
