"""Store: a corpus's values on disk, the same however often the work was broken off."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tokenizers
import torch
from tests.trace.small_families import build

from molehill.errors import CheckpointError, ConfigError, SiteError, TextError
from molehill.language_model import LanguageModel
from molehill.text import Tokenizer
from molehill.trace import Store, record, store

WORDS = ["mole", "spy", "sauce", "dug", "tunnel", "the", "a", "in", "of", "pier"]


def corpus(number: int, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(0, 25))) for _ in range(number)]


def word_tokenizer(folder: Path) -> Tokenizer:
    """A word is a token, [CLS] and [SEP] stand around a text."""
    ids = {"[PAD]": 0, "[CLS]": 1, "[SEP]": 2, "[UNK]": 3}
    ids |= {word: 4 + number for number, word in enumerate(WORDS)}
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(ids, unk_token="[UNK]"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    backend.add_special_tokens(["[PAD]", "[CLS]", "[SEP]", "[UNK]"])
    backend.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    backend.save(str(folder / "tokenizer.json"))
    roles = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(roles))
    return Tokenizer.from_folder(folder)


@pytest.fixture(scope="module")
def lm(tmp_path_factory) -> LanguageModel:
    tokenizer = word_tokenizer(tmp_path_factory.mktemp("tokenizer"))
    return LanguageModel(build("llama", torch.float32), tokenizer, "tiny")


ASKED = {"context": 12, "batch_size": 3, "shard_tokens": 40}


def made(folder, lm, texts, **changes):
    return Store.create(folder, lm, ["0.resid_post", "1.attn.mix"], texts, **{**ASKED, **changes})


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


# --- what is in it --------------------------------------------------------------------------------


def test_rows_are_those_of_each_text_by_itself(lm, tmp_path):
    texts = [*corpus(9), "", "mole tower"]
    found = made(tmp_path / "s", lm, texts)
    rows = next(found.batches(10**6))
    at = 0
    for number, text in enumerate(texts):
        ids = lm.tokenizer.ids([text], add_special=False)[0]
        for window, first in enumerate(range(0, len(ids), 10)):
            own = ids[first : first + 10]
            trace = record(lm, torch.tensor([[1, *own, 2]]), ["resid_post", "attn.mix"])
            here = rows[at : at + len(own)]
            assert here.token.tolist() == own
            assert set(here.text.tolist()) == {number} and set(here.window.tolist()) == {window}
            assert here.position.tolist() == list(range(1, len(own) + 1))
            for site in found.sites:
                torch.testing.assert_close(here.values[site], trace[site][0, 1:-1])
            at += len(own)
    assert at == len(rows) == len(found) == sum(len(text.split()) for text in texts)
    assert 3 in rows.token  # an unknown word is a word
    assert all(shard.tokens <= 40 for shard in found.shards)
    assert found.nbytes == sum((tmp_path / "s" / s.file).stat().st_size for s in found.shards)
    assert found.settings["sites"] == {"0.resid_post": [12], "1.attn.mix": [4, 4]}
    assert found.complete and "tiny, 0.resid_post [12]" in repr(found)


def test_special_tokens_can_be_kept(lm, tmp_path):
    found = made(tmp_path / "s", lm, ["mole spy", "pier"], skip_special=False)
    rows = found.read(0)
    assert rows.token.tolist() == [1, 4, 5, 2, 1, 13, 2]
    assert rows.position.tolist() == [0, 1, 2, 3, 0, 1, 2]


def test_it_stops_at_the_number_of_tokens_asked_for(lm, tmp_path):
    whole = made(tmp_path / "whole", lm, corpus(20))
    some = made(tmp_path / "some", lm, corpus(20), max_tokens=65)
    assert len(some) == 65 < len(whole) and some.complete
    a, b = (next(s.batches(65)) for s in (whole, some))
    torch.testing.assert_close(a.values["0.resid_post"], b.values["0.resid_post"])
    assert made(tmp_path / "some", lm, corpus(20), max_tokens=65) == some


def test_values_can_be_kept_in_bfloat16_and_logits_too(lm, tmp_path):
    found = Store.create(
        tmp_path / "s", lm, "logits", ["mole spy"], context=12, dtype=torch.bfloat16
    )
    logits = found.read(0).values["logits"]
    expected = record(lm, torch.tensor([[1, 4, 5, 2]]), logits="all").logits[0, 1:-1]
    assert torch.equal(logits, expected.bfloat16())


def test_a_corpus_without_words_is_an_empty_store(lm, tmp_path):
    found = made(tmp_path / "s", lm, ["", " "])
    assert len(found) == 0 and found.complete and list(found.batches(4)) == []


# --- breaking off ---------------------------------------------------------------------------------


class Interrupt(BaseException):
    """Raised by the test where a person might press Ctrl-C."""


@pytest.mark.parametrize("after", [0, 1, 2, 5, 9, 14])
def test_broken_off_anywhere_it_ends_up_the_same(lm, tmp_path, after):
    texts = corpus(30)
    whole = made(tmp_path / "whole", lm, texts)
    assert len(whole.shards) > 5
    calls = []

    def progress(tokens):
        calls.append(tokens)
        if len(calls) > after:
            raise Interrupt

    with pytest.raises(Interrupt):
        made(tmp_path / "s", lm, texts, progress=progress)
    begun = Store.open(tmp_path / "s")
    assert not begun.complete and "not complete" in repr(begun)
    assert sum(calls) >= len(begun)
    resumed = []
    made(tmp_path / "s", lm, iter(texts), progress=resumed.append)
    assert sum(resumed) == len(whole)
    assert contents(tmp_path / "s") == contents(tmp_path / "whole")


def test_broken_off_between_a_shard_and_the_manifest(lm, tmp_path, monkeypatch):
    texts = corpus(12)
    made(tmp_path / "whole", lm, texts)
    writes = []
    real = store.write_atomically

    def stop(path, write):
        writes.append(path)
        if len(writes) == 3:
            raise Interrupt
        real(path, write)

    monkeypatch.setattr(store, "write_atomically", stop)
    with pytest.raises(Interrupt):
        made(tmp_path / "s", lm, texts)
    monkeypatch.undo()
    # Left behind by a process that was killed while it wrote.
    (tmp_path / "s" / ".000001.safetensors.0123456789abcdef.tmp").write_bytes(b"half")
    made(tmp_path / "s", lm, texts)
    assert contents(tmp_path / "s") == contents(tmp_path / "whole")


CHILD = """
import sys, torch
sys.path.insert(0, {root!r})
torch.set_num_threads(1)
from pathlib import Path
from tests.trace.small_families import build
from tests.trace.test_store import corpus, made, word_tokenizer
from molehill.language_model import LanguageModel
import time
folder = Path(sys.argv[1])
lm = LanguageModel(build("llama", torch.float32), word_tokenizer(folder), "tiny")
print("ready", flush=True)
made(folder / "s", lm, corpus(60), progress=lambda tokens: time.sleep(0.01))
print("done", flush=True)
"""


def test_killed_without_warning_it_ends_up_the_same(lm, tmp_path):
    made(tmp_path / "whole", lm, corpus(60))
    root = str(Path(__file__).resolve().parents[2])
    code = CHILD.format(root=root)
    environment = {**os.environ, "PYTHONPATH": os.path.join(root, "src")}
    draw = random.Random(0)
    for _ in range(1):
        child = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        assert child.stdout.readline() == "ready\n"
        while not (tmp_path / "s" / "manifest.json").exists() and child.poll() is None:
            time.sleep(0.001)
        time.sleep(draw.uniform(0.05, 0.3))
        child.kill()
        child.wait()
        child.stdout.close()
        Store.open(tmp_path / "s")
    made(tmp_path / "s", lm, corpus(60))
    assert contents(tmp_path / "s") == contents(tmp_path / "whole")


def test_a_full_disk_leaves_what_is_whole(lm, tmp_path, monkeypatch):
    texts = corpus(20)
    made(tmp_path / "whole", lm, texts)
    syncs = []
    real = os.fsync

    def full(descriptor):
        syncs.append(descriptor)
        if len(syncs) > 12:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match="No space left on device"):
        made(tmp_path / "s", lm, texts)
    monkeypatch.undo()
    begun = Store.open(tmp_path / "s")
    assert 0 < len(begun.shards) < len(Store.open(tmp_path / "whole").shards)
    assert not [name for name in contents(tmp_path / "s") if name.endswith(".tmp")]
    made(tmp_path / "s", lm, texts)
    assert contents(tmp_path / "s") == contents(tmp_path / "whole")


def test_a_folder_that_cannot_be_made_is_named(lm, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(CheckpointError, match="cannot be made"):
        made(tmp_path / "file" / "s", lm, ["mole"])


# --- what has changed since -----------------------------------------------------------------------


def test_a_store_that_is_done_is_given_back_and_other_texts_are_refused(lm, tmp_path):
    texts = corpus(10)
    first = made(tmp_path / "s", lm, texts)
    before = contents(tmp_path / "s")
    assert made(tmp_path / "s", lm, texts) == first
    for other in ([*texts, "mole"], [*texts[:-1], "mole"], texts[:-1], ["mole", *texts[1:]]):
        with pytest.raises(CheckpointError, match=r"The texts have changed|now there are more"):
            made(tmp_path / "s", lm, other)
    assert contents(tmp_path / "s") == before


def test_other_texts_are_refused_in_the_middle(lm, tmp_path):
    def stop_after(number):
        def progress(tokens, calls=[]):  # noqa: B006
            calls.append(tokens)
            if len(calls) > number:
                raise Interrupt

        return progress

    texts = corpus(30)
    with pytest.raises(Interrupt):
        made(tmp_path / "s", lm, texts, progress=stop_after(8))
    before = contents(tmp_path / "s")
    with pytest.raises(CheckpointError, match="The texts have changed: the first"):
        made(tmp_path / "s", lm, ["mole", *texts[1:]])
    with pytest.raises(CheckpointError, match=r"there were at least \d+ and now there are 2"):
        made(tmp_path / "s", lm, texts[:2])
    assert contents(tmp_path / "s") == before


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"context": 10}, "context was 12 and is 10"),
        ({"batch_size": 4}, "batch_size was 3 and is 4"),
        ({"dtype": torch.float16}, "dtype was 'float32' and is 'float16'"),
        ({"max_tokens": 7}, "max_tokens was None and is 7"),
    ],
)
def test_another_recording_is_refused_in_the_same_folder(lm, tmp_path, changes, said):
    made(tmp_path / "s", lm, corpus(3))
    with pytest.raises(CheckpointError, match=said):
        made(tmp_path / "s", lm, corpus(3), **changes)


def test_another_model_is_refused_in_the_same_folder(lm, tmp_path):
    made(tmp_path / "s", lm, corpus(3))
    model = build("llama", torch.float32)
    with torch.no_grad():
        model.w_token[0, 0] += 1
    with pytest.raises(CheckpointError, match="fingerprint was"):
        made(tmp_path / "s", LanguageModel(model, lm.tokenizer, "tiny"), corpus(3))


def test_the_same_weights_by_another_name_go_on(lm, tmp_path):
    first = made(tmp_path / "s", lm, corpus(3))
    again = LanguageModel(build("llama", torch.float32), lm.tokenizer, "elsewhere/tiny")
    assert made(tmp_path / "s", again, corpus(3)) == first


def test_shards_that_are_missing_cut_or_changed_are_all_named(lm, tmp_path):
    texts = corpus(20)
    made(tmp_path / "s", lm, texts)
    folder = tmp_path / "s"
    (folder / "000001.safetensors").unlink()
    cut = folder / "000002.safetensors"
    cut.write_bytes(cut.read_bytes()[:-1])
    changed = folder / "000003.safetensors"
    content = bytearray(changed.read_bytes())
    content[-5] ^= 1
    changed.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        Store.open(folder)
    said = str(caught.value)
    assert "shard 000001.safetensors is missing" in said
    assert "shard 000002.safetensors has" in said and "expected" in said
    assert "shard 000003.safetensors has changed" in said
    assert "000000" not in said
    with pytest.raises(CheckpointError, match="000003"):
        made(folder, lm, texts)
    with pytest.raises(CheckpointError) as caught:
        Store.open(folder, verify=False)
    assert "000003" not in str(caught.value)


def test_damaged_manifests_are_refused(lm, tmp_path):
    folder = tmp_path / "s"
    with pytest.raises(CheckpointError, match="holds no store"):
        Store.open(folder)
    made(folder, lm, corpus(3))
    manifest = json.loads((folder / "manifest.json").read_text())
    for damage in (
        b"{",
        b"[]",
        b'{"kind": "other"}',
        json.dumps({**manifest, "tokens": 1}).encode(),
        json.dumps({**manifest, "shards": [{"file": "x"}]}).encode(),
    ):
        (folder / "manifest.json").write_bytes(damage)
        with pytest.raises(CheckpointError, match="damaged"):
            Store.open(folder)
    shard = {**manifest["shards"][0], "file": "../outside.safetensors"}
    (tmp_path / "outside.safetensors").write_bytes(b"")
    lone = {**manifest, "shards": [shard], "tokens": shard["tokens"]}
    (folder / "manifest.json").write_text(json.dumps(lone))
    with pytest.raises(CheckpointError, match="missing"):
        Store.open(folder)


def test_a_folder_with_other_things_in_it_is_left_alone(lm, tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "thesis.tex").write_text("years of work")
    with pytest.raises(CheckpointError, match=r"thesis\.tex"):
        made(tmp_path / "s", lm, corpus(3))
    assert contents(tmp_path / "s") == {"thesis.tex": b"years of work"}


# --- what cannot be asked -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sites", "changes", "error", "said"),
    [
        (["0.attn.pattern"], {}, SiteError, "one number per pair of tokens"),
        (["0.resid_pots"], {}, SiteError, "Did you mean"),
        ([], {}, SiteError, "name at least one"),
        (["embed"], {"context": 2}, ConfigError, "make it larger"),
        (["embed"], {"context": 64}, ConfigError, "reads at most 32"),
        (["embed"], {"shard_tokens": 5}, ConfigError, "make shards larger"),
        (["embed"], {"batch_size": 0}, ConfigError, "batch_size is 0"),
        (["embed"], {"dtype": torch.int8}, ConfigError, "int8"),
    ],
)
def test_what_cannot_be_recorded_is_said_before_anything_is_made(
    lm, tmp_path, sites, changes, error, said
):
    with pytest.raises(error, match=said):
        Store.create(tmp_path / "s", lm, sites, ["mole"], **{**ASKED, **changes})
    assert not (tmp_path / "s" / "manifest.json").exists()


def test_a_model_without_a_tokenizer_reads_no_corpus(lm, tmp_path):
    bare = LanguageModel(lm.model, None, "bare")
    with pytest.raises(TextError, match="no tokenizer"):
        Store.create(tmp_path / "s", bare, ["embed"], ["mole"])


# --- reading --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, 40, 1000])
def test_batches_give_every_row_once(lm, tmp_path, size):
    found = made(tmp_path / "s", lm, corpus(20))
    rows = [found.read(shard) for shard in range(len(found.shards))]
    expected = torch.cat([row.values["0.resid_post"] for row in rows])
    ordered = list(found.batches(size))
    assert all(len(batch) == size for batch in ordered[:-1]) and len(ordered[-1]) <= size
    assert torch.equal(torch.cat([b.values["0.resid_post"] for b in ordered]), expected)
    assert torch.equal(torch.cat([b.text for b in ordered]), torch.cat([r.text for r in rows]))
    for mix in (1, 3):
        shuffled = list(found.batches(size, seed=1, mix=mix))
        again = list(found.batches(size, seed=1, mix=mix))
        assert all(torch.equal(a.token, b.token) for a, b in zip(shuffled, again, strict=True))
        keys = [torch.stack([b.text, b.window.long(), b.position.long()]) for b in shuffled]
        values = torch.cat([b.values["0.resid_post"] for b in shuffled])
        places = torch.cat(keys, 1).T.tolist()
        order = [number for _, number in sorted(zip(places, range(len(places)), strict=True))]
        assert torch.equal(values[order], expected)
        assert not torch.equal(values, expected)
    other = list(found.batches(size, seed=2))
    assert not torch.equal(
        torch.cat([b.token for b in other]), torch.cat([b.token for b in shuffled])
    )


def test_only_the_sites_asked_for_are_read(lm, tmp_path):
    found = made(tmp_path / "s", lm, corpus(3))
    (batch,) = found.batches(1000, sites=["1.attn.mix"])
    assert list(batch.values) == ["1.attn.mix"]
    with pytest.raises(SiteError, match="embed was not recorded"):
        found.read(0, sites=["embed"])
    with pytest.raises(ConfigError, match="no shard"):
        found.read(len(found.shards))
    with pytest.raises(ConfigError, match="size is 0"):
        next(found.batches(0))


def test_memory_holds_one_shard_however_long_the_corpus(lm, tmp_path, monkeypatch):
    alive = []
    real = store.write_tensors

    def counted(path, tensors, description):
        alive.append(sum(t.numel() * t.element_size() for t in tensors.values()))
        return real(path, tensors, description)

    monkeypatch.setattr(store, "write_tensors", counted)
    taken = []

    def endless():
        for number, text in enumerate(corpus(200)):
            taken.append((number, len(alive)))
            yield text

    made(tmp_path / "s", lm, endless())
    # What is held is bounded by the shard, and texts are taken as shards are written.
    row = (12 + 16) * 4 + 4 + 8 + 4 + 4
    assert max(alive) <= 40 * row
    assert len(alive) > 20
    written_when_taken = dict(taken)
    assert written_when_taken[199] > written_when_taken[130] > written_when_taken[64] > 0


def test_the_first_tokens_of_each_window_can_be_left_out(tmp_path, lm):
    texts = corpus(30)
    whole = next(made(tmp_path / "whole", lm, texts).batches(10_000))
    store = made(tmp_path / "later", lm, texts, skip_first=3)
    later = next(store.batches(10_000))
    kept = whole.position >= 3
    assert 0 < kept.sum() < len(kept)
    torch.testing.assert_close(later.position, whole.position[kept], rtol=0, atol=0)
    site = "0.resid_post"
    torch.testing.assert_close(later.values[site], whole.values[site][kept])
    assert store.settings["skip_first"] == 3
    with pytest.raises(ConfigError, match=r"skip_first is 12, expected 0 to 11"):
        made(tmp_path / "none", lm, texts, skip_first=12)
