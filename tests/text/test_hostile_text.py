"""Files from strangers and texts from anywhere: refused in one sentence, or read exactly."""

from __future__ import annotations

import json
import resource
import threading
from pathlib import Path

import pytest

from molehill.errors import TextError
from molehill.text import Tokenizer
from molehill.text.deadline import within


@pytest.fixture
def folder(trained, tmp_path) -> Path:
    trained.save(tmp_path)
    return tmp_path


def changed(folder: Path, change: object) -> Path:
    """The folder, with its tokenizer.json changed by a function."""
    path = folder / "tokenizer.json"
    settings = json.loads(path.read_text())
    change(settings)
    path.write_text(json.dumps(settings))
    return folder


def refused(folder: Path, message: str) -> None:
    with pytest.raises(TextError, match=message) as caught:
        Tokenizer.from_folder(folder)
    assert "\n" not in str(caught.value)


# --- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"])
def test_a_file_larger_than_any_honest_one_is_refused_unread(folder, name):
    with (folder / name).open("wb") as file:
        file.truncate(2**40)  # a terabyte that takes no room
    refused(folder, f"{name} has {2**40} bytes; the most for such a file is")


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"])
def test_bytes_that_are_no_utf8_are_refused(folder, name):
    (folder / name).write_bytes(b'{"a": "\xff"}')
    refused(folder, f"{name} is not UTF-8: byte 7 is 0xFF")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is no JSON"),
        ('{"a": ', "is no JSON"),
        ("[1]", "holds a list; expected an object"),
        ("[" * 10**6, "nested too deeply"),
        ('{"a":' * 10**5, "nested too deeply"),
        ("{}", "holds no vocabulary"),
        ('{"model": {"vocab": 3}}', "holds no vocabulary"),
        ('{"model": {"type": "BPE", "vocab": {"a": 0}}}', "is no tokenizer that"),
        ('{"model": {"type": "Mystery", "vocab": {"a": 0}}}', "is no tokenizer that"),
    ],
)
def test_what_is_no_tokenizer_is_refused(folder, content, message):
    (folder / "tokenizer.json").write_text(content)
    refused(folder, message)


def test_truncated_files_are_refused(folder):
    raw = (folder / "tokenizer.json").read_bytes()
    for end in range(0, len(raw) - 2, max(1, len(raw) // 60)):
        (folder / "tokenizer.json").write_bytes(raw[:end])
        refused(folder, "is no JSON|is not UTF-8")


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (-1, "-1 is no id"),
        (2**24, "has the id 16777216; the most is 16777215"),
        (10**30, "the most is 16777215"),
        (1.5, "1.5 is no id"),
        ("7", "'7' is no id"),
        (None, "None is no id"),
        (5, "gives the id 5 to more than one token"),
    ],
)
def test_ids_that_cannot_be_are_refused(folder, number, message):
    refused(changed(folder, lambda all: all["model"]["vocab"].update(mole=number)), message)


def added(number: object, content: object) -> dict[str, object]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    return {"id": number, "content": content, **flags}


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([added(5, "<x>")], "gives the id 5 to more than one token"),
        ([added(900, "<x>")], "the added token '<x>' the id 900, but its place .* is 600"),
        ([added(-1, "<x>")], "-1 is no id"),
        ([added(600, "")], "not all objects with an id and a content"),
        ([added("x", "<x>")], "not all objects with an id and a content"),
        (["<x>"], "not all objects with an id and a content"),
        ({"a": 1}, "not all objects with an id and a content"),
        ([added(600 + n, f"<{n}>") for n in range(100_001)], "has 100001 added tokens"),
        ([added(600 + n, f"{n}" * 999) for n in range(2000)], "over 4000000 characters"),
    ],
)
def test_added_tokens_that_cannot_be_are_refused(folder, tokens, message):
    refused(changed(folder, lambda all: all.update(added_tokens=tokens)), message)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"type": "Prepend", "prepend": "x" * 100}, "'prepend' has 100 characters; the most is 64"),
        ({"type": "Replace", "pattern": {"String": "a"}, "content": "b" * 10**6}, "'content' has"),
        ({"type": "Replace", "pattern": {"Regex": "a" * 20_000}, "content": ""}, "'Regex' has"),
        ({"type": "Replace", "pattern": {"Regex": "((a{99}){99}){99}"}, "content": ""}, "too many"),
        ({"type": "Replace", "pattern": {"Regex": "a{999999999}"}, "content": ""}, "too many"),
        ({"type": "Replace", "pattern": {"Regex": "(((("}, "content": ""}, "is no tokenizer that"),
        ({"type": "Sequence", "normalizers": [{"type": "NFC"}] * 30_000}, "far larger"),
        ({"type": "Sequence", "normalizers": [[[[[[[[[[1]]]]]]]]]]}, "is no tokenizer that"),
    ],
)
def test_settings_that_multiply_a_text_are_refused(folder, part, message):
    refused(changed(folder, lambda all: all.update(normalizer=part)), message)


def test_settings_nested_beyond_reason_are_refused(folder):
    nested: dict[str, object] = {"type": "NFC"}
    for _ in range(60):
        nested = {"type": "Sequence", "normalizers": [nested]}
    refused(changed(folder, lambda all: all.update(normalizer=nested)), "far larger")


def test_a_catastrophic_pattern_gives_up_in_a_sentence(folder, capfd):
    """(a+)+$ takes 2^n steps on n letters; the pattern library counts them and stops."""
    split = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated",
             "invert": False}  # fmt: skip
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False,
                  "use_regex": False}  # fmt: skip
    parts = {"type": "Sequence", "pretokenizers": [split, byte_level]}
    tokenizer = Tokenizer.from_folder(changed(folder, lambda all: all.update(pre_tokenizer=parts)))
    assert tokenizer.decode(tokenizer.encode("banana").row(0)) == "banana"
    with pytest.raises(TextError, match=r"cannot be encoded: the tokenizer gave up .*retry-limit"):
        tokenizer.encode("a" * 40 + "b")
    assert tokenizer.decode(tokenizer.encode("still works").row(0)) == "still works"
    capfd.readouterr()  # the library reports its failure on standard error as well


def test_only_patterns_of_strangers_are_watched(folder):
    assert Tokenizer.from_folder(folder)._vocabulary.bounded
    pattern = {"type": "Split", "pattern": {"Regex": r"\s*$"}, "behavior": "Isolated",
               "invert": False}  # fmt: skip
    changed(folder, lambda all: all["pre_tokenizer"]["pretokenizers"].insert(0, pattern))
    assert not Tokenizer.from_folder(folder)._vocabulary.bounded


def test_work_beyond_its_deadline_is_left_and_keeps_nobody_waiting():
    end, before = threading.Event(), set(threading.enumerate())
    with pytest.raises(TextError, match=r"Encoding took longer than 0\.05 s"):
        within(0.05, end.wait)
    [left] = set(threading.enumerate()) - before
    assert left.daemon  # the process may end without it
    end.set()
    left.join()


def test_work_within_its_deadline_passes_on_what_it_gives_or_raises():
    assert within(60.0, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        within(60.0, lambda: 1 // 0)


def test_random_cuts_left_on_from_training_are_off(folder):
    tokenizer = Tokenizer.from_folder(changed(folder, lambda all: all["model"].update(dropout=0.9)))
    assert len({tuple(ids) for ids in tokenizer.ids(["the moles dig tunnels"] * 20)}) == 1


def test_hostile_files_take_little_memory(folder):
    """Eight gigabytes are refused; the peak of this process moves by less than 64 MB."""
    with (folder / "tokenizer.json").open("wb") as file:
        file.truncate(2**33)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(20):
        refused(folder, "the most for such a file")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


# --- texts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ab\ud83dc", r"Text 0 has half a character, the lone surrogate U\+D83D, at 2"),
        (["a", "\udfff"], r"Text 1 has .* U\+DFFF, at 0"),
        ("x" * (2**24 + 1), "Text 0 has 16777217 characters; the most is 16777216: split it"),
    ],
)
def test_texts_that_are_none_are_refused(trained, text, message):
    with pytest.raises(TextError, match=message):
        trained.encode(text)
    with pytest.raises(TextError, match=message):
        trained.ids([text] if isinstance(text, str) else text)


def test_a_long_text_comes_back_exactly(trained, stdlib_lines):
    text = "\n".join(stdlib_lines)[: 2**16]
    [ids] = trained.ids([text])
    assert trained.decode(ids) == text
    tokens = trained.encode(text, limit=1_000, truncate=True)
    assert tokens.row(0) == ids[:1_000]
    assert tokens.dropped == (len(ids) - 1_000,)


@pytest.mark.parametrize("text", ["a" * 200_000, " " * 200_000, "\n" * 200_000, "😀" * 10_000])
def test_one_endless_word_comes_back_exactly(smollm2, text):
    assert smollm2.decode(smollm2.ids([text])[0]) == text


@pytest.mark.parametrize("source", ["trained", "smollm2", "minilm"])
def test_nothing_but_special_tokens_is_a_text_too(source, request):
    tokenizer = request.getfixturevalue(source)
    specials = [tokenizer.piece(number) for number in sorted(tokenizer.special_ids)[:3]]
    tokens = tokenizer.encode("".join(specials), add_special=False)
    assert tokens.pieces[0] == tuple(specials)
    assert all(tokens.special[0])
    with pytest.raises(TextError, match="is not in the text"):
        tokens.find(specials[0])
