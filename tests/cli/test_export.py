"""`molehill export`: what a person gets who takes a model to transformers, or is told why not.

That families are equal to transformers' is the matter of `tests/checkpoints`; here it is what our
own presets and runs become.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tests.checkpoints.peers import PEERS, honest_doubles
from tests.training.small import make_corpus, small_recipe

import molehill
from molehill import files
from molehill.checkpoints import load_checkpoint, save_checkpoint
from molehill.cli import main
from molehill.facts import Fact, FactEdit, LowRank, apply_edits, save_fact_edits
from molehill.model import Transformer
from molehill.text import Tokenizer
from molehill.training import train
from molehill.training.presets import preset_config

PRESETS = {
    "gpt2": ("GPT2LMHeadModel", {"activation": "relu"}),
    "llama": ("LlamaForCausalLM", {}),
}
WORDS = ["the", "mole", "dug", "saw", "a", "spy", "."]
ODD_TEXTS = [
    "",
    " ",
    "  two  spaces  ",
    "\ttab\r\n\n\nlines",
    "don't we'll 3.14 1234567",
    "naïve cafe\u0301 ﬁ \u00a0\u200b",
    "鼹鼠 mole 👩‍👩‍👧",
    "\x00\x07",
    "<|endoftext|>the mole<|endoftext|> <|endoftext|>",
    "the mole saw a spy.",
    "the mole  saw . a spy",
]


def run(capsys, *arguments) -> tuple[int, str, str]:
    capsys.readouterr()  # what transformers drew before
    code = main([str(argument) for argument in arguments])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def exported(capsys, *arguments) -> dict[str, Any]:
    """What the verb says as JSON, where it succeeds."""
    code, out, err = run(capsys, "export", *arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def weights(folder: str | Path) -> dict[str, torch.Tensor]:
    return dict(load_checkpoint(folder).model.named_parameters())


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def close(folder: Path, ids: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    """Our logits, computed in the dtype of those expected, within a share of the largest."""
    ours = load_checkpoint(folder, dtype=expected.dtype).model(ids).logits
    assert ours.dtype == expected.dtype
    largest = max(1.0, float(expected.abs().max()))
    assert float((ours - expected).abs().max()) / largest < tolerance


def random_model(preset: str, **changes: Any) -> Transformer:
    """A preset's model with every number random: a gain of one or a bias of zero hides mistakes."""
    config = preset_config(preset, "tiny", d_vocab=300, n_ctx=16, changes=changes)
    model = Transformer(config).requires_grad_(False)
    generator = torch.Generator().manual_seed(3)
    for name, weight in model.named_parameters():
        noise = torch.randn(weight.shape, generator=generator)
        weight.copy_(noise * (0.2 if weight.ndim > 1 else 0.4) + name.endswith("gain"))
    return model


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory) -> Path:
    """A gpt2 with ReLU in our own format, with a tokenizer."""
    folder = tmp_path_factory.mktemp("models") / "gpt2"
    tokenizer = Tokenizer.train(["the mole dug a tunnel"] * 3, d_vocab=290)
    save_checkpoint(random_model("gpt2", activation="relu"), tokenizer, folder, family="molehill")
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A run of two steps with `preset = "gpt2"` and `activation = "relu"`, with a snapshot."""
    folder = tmp_path_factory.mktemp("runs")
    form = {"model__preset": "gpt2", "model__activation": "relu", "model__n_ctx": 64}
    recipe = small_recipe(make_corpus(folder), **form, training__steps=2, snapshots__at=[1])
    assert train(recipe, folder / "mole").finished
    return folder / "mole"


# --- the same model there ---------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_the_same_model_there_and_comes_back_bit_for_bit(preset, tmp_path, capsys):
    class_name, changes = PRESETS[preset]
    model = random_model(preset, **changes)
    save_checkpoint(model, None, tmp_path / "ours", family="molehill")
    facts = exported(capsys, tmp_path / "ours", tmp_path / "theirs")
    assert (facts["family"], facts["architecture"]) == (preset, class_name)
    theirs, told = getattr(transformers, class_name).from_pretrained(
        tmp_path / "theirs", attn_implementation="eager", output_loading_info=True
    )
    assert not any(told[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    with honest_doubles():
        exact = type(theirs)(theirs.config).double().eval()
    exact.load_state_dict(theirs.state_dict())
    ids = torch.randint(0, 300, (3, 16), generator=torch.Generator().manual_seed(1))
    close(tmp_path / "ours", ids, theirs(ids).logits.detach(), 1e-5)
    with honest_doubles():
        expected = exact(ids).logits.detach()
    close(tmp_path / "ours", ids, expected, 1e-9)
    assert same(weights(tmp_path / "theirs"), dict(model.named_parameters()))


def test_a_run_and_a_step_of_it_are_exported(trained, tmp_path, capsys):
    last = exported(capsys, trained, tmp_path / "last")
    first = exported(capsys, f"{trained}@1", tmp_path / "first")
    assert last["family"] == first["family"] == "gpt2" and last["tokenizer"] and first["tokenizer"]
    assert same(weights(tmp_path / "last"), weights(trained / "final"))
    assert same(weights(tmp_path / "first"), weights(f"{trained}@1"))
    assert not same(weights(tmp_path / "first"), weights(tmp_path / "last"))
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "last")
    assert type(theirs) is transformers.GPT2LMHeadModel
    assert theirs.config.activation_function == "relu"
    lm = molehill.load(trained)
    ids = lm.encode("By the lawn the mole").ids
    with torch.no_grad():
        assert torch.allclose(theirs(ids).logits, lm.model(ids).logits, atol=1e-5)


def test_it_goes_on_writing_there_as_it_does_here(trained, tmp_path, capsys):
    scope: dict[str, Any] = {}
    exec(exported(capsys, trained, tmp_path / "there")["load"], scope)
    prompt = "By the lawn the mole"
    given = scope["tokenizer"](prompt, return_tensors="pt")
    written = scope["model"].generate(**given, max_new_tokens=6, do_sample=False)
    there = scope["tokenizer"].decode(written[0], skip_special_tokens=True)
    (here,) = molehill.load(trained).generate(prompt, max_new_tokens=6)
    assert there == prompt + here.text


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("kind", ["bytes", "words"])
def test_its_tokenizer_gives_the_same_ids_for_odd_texts(preset, kind, tmp_path, capsys):
    words = Tokenizer.of_words(WORDS)
    ours = words if kind == "words" else Tokenizer.train(ODD_TEXTS * 3, d_vocab=290)
    model = random_model(preset, **PRESETS[preset][1])
    save_checkpoint(model, ours, tmp_path / "ours", family="molehill")
    exported(capsys, tmp_path / "ours", tmp_path / "theirs")
    again = load_checkpoint(tmp_path / "theirs").tokenizer
    assert again is not None and again.digest == ours.digest
    read = transformers.AutoTokenizer.from_pretrained(tmp_path / "theirs")
    file = str(tmp_path / "theirs" / "tokenizer.json")
    plain = transformers.PreTrainedTokenizerFast(tokenizer_file=file)
    assert (read.bos_token_id, read.eos_token_id, read.pad_token_id) == (0, 0, 0)
    for text in ODD_TEXTS:
        (ids,) = ours.ids([text])
        assert read(text)["input_ids"] == plain(text)["input_ids"] == ids
        assert read.decode(ids) == ours.decode(ids)
        if kind == "bytes":
            assert read.decode(ids) == text


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gpt2-headless", "import AutoModel; "),
        ("bert", "import AutoModelForMaskedLM; "),
        ("opt", "import AutoModelForCausalLM; "),
    ],
)
def test_the_line_that_loads_it_names_the_right_class(name, said, tmp_path, capsys):
    PEERS[name].build(torch.float32).save_pretrained(tmp_path / "theirs")
    facts = exported(capsys, tmp_path / "theirs", tmp_path / "again")
    assert said in facts["load"] and not facts["tokenizer"]
    scope: dict[str, Any] = {}
    exec(facts["load"], scope)
    assert type(scope["model"]).__name__ == facts["architecture"] == PEERS[name].head


# --- what it says -----------------------------------------------------------------------------


def test_it_says_what_was_saved_and_how_to_load_it(gpt2, tmp_path, capsys):
    code, out, err = run(capsys, "export", gpt2, tmp_path / "a")
    facts = exported(capsys, gpt2, tmp_path / "b")
    size = (tmp_path / "a" / "model.safetensors").stat().st_size
    count = sum(weight.numel() for weight in weights(gpt2).values())
    assert (code, err) == (0, "")
    assert facts["bytes"] == size and facts["parameters"] == count
    assert (facts["dtype"], facts["rounded_from"]) == ("float32", [])
    first, second, line = out.splitlines()
    assert first == (
        f"Saved as gpt2 (GPT2LMHeadModel) in float32: {count:,} parameters, {size:,} bytes, "
        "with its tokenizer."
    )
    assert second == "transformers loads it:"
    assert line.strip() == facts["load"].replace(f"{tmp_path / 'b'}", f"{tmp_path / 'a'}")


def test_numbers_are_stored_as_they_were_unless_asked(gpt2, tmp_path, capsys):
    narrow, wide = tmp_path / "narrow", tmp_path / "wide"
    _, out, _ = run(capsys, "export", gpt2, narrow, "--dtype", "bfloat16")
    assert "in bfloat16 (rounded from F32):" in out
    rounded = {name: weight.bfloat16().float() for name, weight in weights(gpt2).items()}
    assert same(weights(narrow), rounded)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(narrow)
    assert theirs.dtype == torch.bfloat16
    # Nothing is lost on the way back, and by itself it stays what it is.
    facts = exported(capsys, narrow, wide, "--dtype", "float32")
    assert (facts["dtype"], facts["rounded_from"]) == ("float32", [])
    assert same(weights(wide), rounded)
    assert exported(capsys, narrow, tmp_path / "kept")["dtype"] == "bfloat16"
    assert same(weights(tmp_path / "kept"), rounded)


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["notes", "village"])
def test_the_notes_block_has_no_form_there_and_the_reason_is_told(which, tmp_path, capsys):
    model = "village"
    if which == "notes":
        model = tmp_path / "notes"
        save_checkpoint(random_model("notes"), None, model, family="molehill")
    code, out, err = run(capsys, "export", model, tmp_path / "out")
    assert (code, out) == (2, "") and len(err.splitlines()) == 1
    assert "No architecture of transformers has norm_place 'block_end'." in err
    assert "--family molehill" in err and 'preset = "gpt2", activation = "relu"' in err
    assert not (tmp_path / "out").exists()


def test_molehills_own_format_keeps_the_notes_block(tmp_path, capsys):
    facts = exported(capsys, "village", tmp_path / "out", "--family", "molehill")
    assert (facts["family"], facts["dtype"]) == ("molehill", "bfloat16")
    before = molehill.load("village", dtype="bfloat16")
    assert molehill.load(tmp_path / "out", dtype="bfloat16").fingerprint == before.fingerprint
    scope: dict[str, Any] = {}
    exec(facts["load"], scope)
    assert scope["lm"].tokenizer.digest == before.tokenizer.digest
    _, out, _ = run(capsys, "export", "village", tmp_path / "more", "--family", "molehill")
    assert "Only Molehill reads it:" in out and "transformers" not in out


def test_a_family_that_was_asked_for_is_taken_or_refused(gpt2, tmp_path, capsys):
    code, out, err = run(capsys, "export", gpt2, tmp_path / "a", "--family", "llama")
    assert (code, out) == (2, "") and len(err.splitlines()) == 1
    assert "llama does not have this model's form; it lacks: gated False, norm 'layer'" in err
    assert "leave --family out" in err
    code, _, err = run(capsys, "export", gpt2, tmp_path / "a", "--family", "nonsense")
    assert code == 2 and "no family 'nonsense'; known are gpt2, opt," in err
    assert not (tmp_path / "a").exists()
    save_checkpoint(random_model("llama"), None, tmp_path / "llama", family="molehill")
    facts = exported(capsys, tmp_path / "llama", tmp_path / "b", "--family", "mistral")
    assert facts["architecture"] == "MistralForCausalLM"


def test_a_folder_with_files_is_refused_unless_told(gpt2, tmp_path, capsys):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    # Before the model is even looked for.
    code, out, err = run(capsys, "export", "no-such-model", folder)
    assert (code, out) == (2, "") and f"{folder} has files in it" in err and "--overwrite" in err
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    exported(capsys, gpt2, folder, "--overwrite")
    assert same(weights(folder), weights(gpt2)) and (folder / "notes.txt").read_text() == "mine"
    code, _, err = run(capsys, "export", gpt2, folder / "notes.txt", "--overwrite")
    assert code == 2 and "is a file: name a folder" in err


def test_a_full_disk_is_one_line_and_leaves_nothing(gpt2, tmp_path, capsys, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    code, out, err = run(capsys, "export", gpt2, tmp_path / "out")
    assert (code, out) == (2, "") and len(err.splitlines()) == 1
    assert "could not be written: No space left on device" in err
    assert list(tmp_path.iterdir()) == []


def test_an_edited_model_is_exported_without_rounding_its_edit(tmp_path):
    """The stored format would round what an edit changes, and the fingerprint with it."""
    lm = molehill.load("village")
    left, right = torch.full((96, 1), 1e-3), torch.full((1, 384), 1e-3)
    change = LowRank("blocks.1.mlp.w_out", left, right)
    fact = Fact("Leo Rosner", "golf", "{} plays")
    edit = FactEdit("by hand", (fact,), (change,), lm.name, lm.fingerprint)
    save_fact_edits(tmp_path / "edits.safetensors", [edit])
    arguments = ["--family", "molehill", "--edits", str(tmp_path / "edits.safetensors")]
    assert main(["export", "village", str(tmp_path / "edited"), *arguments]) == 0
    back = molehill.load(tmp_path / "edited")
    assert back.fingerprint == apply_edits(lm, [edit]).fingerprint
