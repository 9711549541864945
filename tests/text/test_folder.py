"""Folders in the layouts of `transformers`; the other side is `transformers` itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from molehill.errors import TextError
from molehill.text import Tokenizer

SENTENCES = [
    "The mole's tunnels; MOLES dig  two\tmolehills.",
    " leading and trailing ",
    "café cafe\u0301 😀👩‍👩‍👧 漢字 Ⅷ ½ 42",
    "def f(x):\n    return x + 1\n",
    "",
]


def merges_folder(
    trained: Tokenizer, folder: Path, names: dict[str, int] | None = None, **config: object
) -> Path:
    """A small vocabulary as `vocab.json` and `merges.txt`, its special tokens renamed or added."""
    trained.save(folder / "whole")
    model = json.loads((folder / "whole" / "tokenizer.json").read_text())["model"]
    names = names or {"<|endoftext|>": 0}
    shift = len(names) - 1
    vocab = names | {token: number + shift for token, number in model["vocab"].items() if number}
    merges = [" ".join(merge) for merge in model["merges"]]
    shutil.rmtree(folder / "whole")
    (folder / "vocab.json").write_text(json.dumps(vocab))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]))
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def an_object(content: str, **flags: bool) -> dict[str, object]:
    """How older configs write a special token."""
    return {"__type": "AddedToken", "content": content, "normalized": False, **flags}


def assert_equals_transformers(folder: Path, **options: object) -> tuple[Tokenizer, object]:
    from transformers import AutoTokenizer

    ours = Tokenizer.from_folder(folder)
    theirs = AutoTokenizer.from_pretrained(folder, **options)
    for text in SENTENCES:
        for wrapped in (True, False):
            expected = theirs(text, add_special_tokens=wrapped)["input_ids"]
            assert ours.encode(text, add_special=wrapped).row(0) == expected
    for role in ("bos", "eos", "pad", "unk", "mask"):
        if (number := getattr(theirs, f"{role}_token_id")) is not None:
            assert getattr(ours, f"{role}_id") in (number, None)
    return ours, theirs


# --- the older layouts ---------------------------------------------------------------------------


def test_gpt2s_layout(trained, tmp_path):
    folder = merges_folder(trained, tmp_path, tokenizer_class="GPT2Tokenizer")
    ours, _ = assert_equals_transformers(folder)
    assert ours.exact
    assert ours.bos_id == ours.eos_id == ours.unk_id == 0
    assert ours.encode("a<|endoftext|>").special[0][-1]


def test_opts_layout_puts_a_token_in_front(trained, tmp_path):
    folder = merges_folder(
        trained, tmp_path, {"<s>": 0, "<pad>": 1, "</s>": 2},
        tokenizer_class="GPT2Tokenizer", add_bos_token=True, pad_token=an_object("<pad>"),
        bos_token=an_object("</s>"), eos_token="</s>", unk_token="</s>",
    )  # fmt: skip
    ours, _ = assert_equals_transformers(folder)
    assert ours.encode("mole").row(0)[0] == ours.bos_id == 2
    assert ours.encode("mole", add_special=False).row(0)[0] != 2


@pytest.mark.parametrize("named_by", ["tokenizer_class", "model_type"])
def test_robertas_layout_wraps_a_text(trained, tmp_path, named_by):
    names = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": 4}
    folder = merges_folder(
        trained, tmp_path, names,
        mask_token=an_object("<mask>", lstrip=True),
        **({"tokenizer_class": "RobertaTokenizer"} if named_by == "tokenizer_class" else {}),
    )  # fmt: skip
    (folder / "config.json").write_text(json.dumps({"model_type": "roberta"}))
    ours, theirs = assert_equals_transformers(folder)
    tokens = ours.encode("a <mask> digs")
    assert tokens.row(0) == theirs("a <mask> digs")["input_ids"]
    assert tokens.special[0] == (True, False, True, *[False] * (len(tokens.row(0)) - 4), True)
    assert (ours.bos_id, ours.eos_id, ours.pad_id, ours.mask_id) == (0, 2, 1, 4)


def test_berts_layout(minilm, minilm_folder, tmp_path, real_lines):
    shutil.copy(minilm_folder / "vocab.txt", tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    ours, _ = assert_equals_transformers(tmp_path)
    assert ours.ids(real_lines[::4]) == minilm.ids(real_lines[::4])
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    assert Tokenizer.from_folder(tmp_path).encode("Mole", add_special=False).row(0) == [100]


def test_tokens_appended_to_an_older_layout(trained, tmp_path):
    folder = merges_folder(trained, tmp_path)
    (folder / "added_tokens.json").write_text(json.dumps({"<user>": 601, "<tool>": 600}))
    tokens = Tokenizer.from_folder(folder).encode("a<tool><user>b")
    assert tokens.pieces[0] == ("a", "<tool>", "<user>", "b")
    assert tokens.row(0)[1:3] == [600, 601]
    (folder / "added_tokens.json").write_text(json.dumps({"<user>": 700}))
    with pytest.raises(TextError, match="'<user>' the id 700, but it would be 600"):
        Tokenizer.from_folder(folder)


def test_a_vocabulary_with_ends_of_words_is_refused(tmp_path):
    (tmp_path / "vocab.json").write_text(json.dumps({"a": 0, "mole</w>": 1}))
    (tmp_path / "merges.txt").write_text("")
    with pytest.raises(TextError, match="spells the ends of words"):
        Tokenizer.from_folder(tmp_path)


# --- tokenizer.json and the files beside it ------------------------------------------------------


def test_minilm_equals_transformers(minilm, minilm_folder, real_lines):
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(minilm_folder)
    lines = real_lines[::5]
    assert minilm.ids(lines) == theirs(lines, truncation=False, padding=False)["input_ids"]


@pytest.mark.parametrize("stated", [{}, {"add_bos_token": True}, {"add_eos_token": True}])
def test_what_wraps_a_text_is_what_tokenizer_json_says(trained, tmp_path, stated):
    """As in transformers: where there is a tokenizer.json, the config has no say in it."""
    trained.save(tmp_path)
    path = tmp_path / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | stated))
    ours, _ = assert_equals_transformers(tmp_path)
    assert ours.encode("").row(0) == []


def test_tokens_that_only_the_config_lists_are_added(trained, tmp_path):
    trained.save(tmp_path)
    path = tmp_path / "tokenizer_config.json"
    config = json.loads(path.read_text())
    token = {"content": "<think>", "lstrip": False, "rstrip": False, "normalized": False,
             "single_word": False, "special": False}  # fmt: skip
    path.write_text(json.dumps(config | {"added_tokens_decoder": {"600": token}}))
    ours, theirs = assert_equals_transformers(tmp_path)
    assert ours.encode("a<think>b").row(0) == theirs("a<think>b")["input_ids"]
    assert ours.d_vocab == 601
    path.write_text(json.dumps(config | {"added_tokens_decoder": {"700": token}}))
    with pytest.raises(TextError, match="'<think>' the id 700, but it would be 600"):
        Tokenizer.from_folder(tmp_path)


def test_roles_come_from_either_file(trained, tmp_path):
    trained.save(tmp_path)
    (tmp_path / "tokenizer_config.json").unlink()
    assert Tokenizer.from_folder(tmp_path).eos_id is None
    (tmp_path / "special_tokens_map.json").write_text('{"eos_token": {"content": "!"}}')
    tokenizer = Tokenizer.from_folder(tmp_path)
    assert tokenizer.piece(tokenizer.eos_id) == "!"
    assert tokenizer.encode("a!").special[0] == (False, True)
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "<|endoftext|>"}')
    assert Tokenizer.from_folder(tmp_path).eos_id == 0


def test_the_template_is_found_in_each_of_its_places(trained, tmp_path):
    trained.save(tmp_path)
    assert Tokenizer.from_folder(tmp_path).chat_template is None
    path = tmp_path / "tokenizer_config.json"
    for stated in ("one", [{"name": "tool_use", "template": "x"},
                           {"name": "default", "template": "one"}]):  # fmt: skip
        path.write_text(json.dumps({"chat_template": stated}))
        assert Tokenizer.from_folder(tmp_path).chat_template == "one"
    (tmp_path / "chat_template.jinja").write_text("two")
    assert Tokenizer.from_folder(tmp_path).chat_template == "two"


def test_one_file_is_enough(trained, tmp_path):
    trained.save(tmp_path)
    tokenizer = Tokenizer.from_file(tmp_path / "tokenizer.json")
    assert tokenizer.ids(SENTENCES) == trained.ids(SENTENCES)


def test_a_folder_without_a_tokenizer_says_what_is_missing(tmp_path):
    with pytest.raises(TextError, match=r"expected tokenizer.json, .*; found nothing"):
        Tokenizer.from_folder(tmp_path)
    (tmp_path / "tokenizer.model").write_bytes(b"")
    with pytest.raises(TextError, match=r"SentencePiece file, which is not read: convert it"):
        Tokenizer.from_folder(tmp_path)
    with pytest.raises(TextError, match="There is no folder"):
        Tokenizer.from_folder(tmp_path / "nowhere")
    with pytest.raises(TextError, match="cannot be read: No such file"):
        Tokenizer.from_file(tmp_path / "tokenizer.json")


# --- saving --------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["trained", "smollm2", "minilm"])
def test_a_saved_folder_is_the_same_tokenizer_here_and_in_transformers(
    source, request, tmp_path, stdlib_lines
):
    tokenizer = request.getfixturevalue(source)
    tokenizer.save(tmp_path / "new" / "folder")
    again, theirs = assert_equals_transformers(tmp_path / "new" / "folder")
    lines = stdlib_lines[:500]
    assert again.ids(lines) == tokenizer.ids(lines) == theirs(lines, truncation=False)["input_ids"]
    assert again.special_ids == tokenizer.special_ids
    assert again.chat_template == tokenizer.chat_template
    assert again.d_vocab == tokenizer.d_vocab
    for role in ("bos", "eos", "pad", "unk", "mask"):
        assert getattr(again, f"{role}_id") == getattr(tokenizer, f"{role}_id")
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_saved_file_differs_only_in_what_loading_switched_off(minilm, minilm_folder, tmp_path):
    minilm.save(tmp_path)
    before, after = (
        json.loads((folder / "tokenizer.json").read_text()) for folder in (minilm_folder, tmp_path)
    )
    off = {"truncation": None, "padding": None}
    assert {**before, **off} == {**after, **off}
    assert after["truncation"] is after["padding"] is None


def test_offsets_that_a_file_trims_are_trimmed_again_when_it_is_saved(trained, tmp_path):
    trained.save(tmp_path)
    path = tmp_path / "tokenizer.json"
    text = path.read_text().replace('"trim_offsets": false', '"trim_offsets": true')
    assert text != path.read_text()
    path.write_text(text)
    tokenizer = Tokenizer.from_folder(tmp_path)
    assert tokenizer.encode(" a  b").spans == trained.encode(" a  b").spans
    tokenizer.save(tmp_path)
    assert json.loads(path.read_text()) == json.loads(text)


def test_code_that_a_config_names_is_not_passed_on(trained, tmp_path):
    trained.save(tmp_path)
    path = tmp_path / "tokenizer_config.json"
    config = json.loads(path.read_text()) | {"auto_map": {"AutoTokenizer": "evil.Tokenizer"}}
    path.write_text(json.dumps(config | {"model_max_length": 77}))
    Tokenizer.from_folder(tmp_path).save(tmp_path / "saved")
    saved = json.loads((tmp_path / "saved" / "tokenizer_config.json").read_text())
    assert "auto_map" not in saved
    assert saved["model_max_length"] == 77
