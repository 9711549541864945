"""A corpus against what plain Python makes of the same texts; damage and changes are named."""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from molehill.errors import TextError
from molehill.text import Corpus, Counts, Tokenizer, build_corpus
from molehill.text.corpus import SPLITS

WORDS = ["mole", "tunnel", "lawn", "dug", "spy", "sauce", "Hügel", "😀", "the", "a", "under", "of"]


def sentences(count: int, seed: int) -> list[str]:
    """Texts of 0 to 40 words; some are empty, some blank, some repeat."""
    chance = random.Random(seed)
    made = [" ".join(chance.choices(WORDS, k=chance.randint(1, 40))) for _ in range(count)]
    made[10:12] = ["", " \n\t"]
    made[20] = made[21] = made[0]
    return made


KINDS = {"moles": sentences(300, 1), "notes": sentences(200, 2)}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train([text for texts in KINDS.values() for text in texts], d_vocab=350)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """Each kind as a file of JSON lines."""
    folder = tmp_path_factory.mktemp("files")
    made = {}
    for kind, texts in KINDS.items():
        made[kind] = folder / f"{kind}.jsonl"
        rows = [json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts]
        made[kind].write_text("".join(rows), encoding="utf-8")
    return made


@pytest.fixture
def build(files, tokenizer, tmp_path):
    """Build into `tmp_path/corpus` with small shards; any argument can be changed."""

    def made(**how) -> Corpus:
        given = {"tokenizer": tokenizer, "held_out": 0.2, "shard_tokens": 1500, **how}
        sources = given.pop("sources", files)
        return build_corpus(sources, given.pop("folder", tmp_path / "corpus"), **given)

    return made


def in_order(corpus: Corpus, split: str, kind: str) -> list[str]:
    """The texts of a part, decoded from its tokens."""
    run = corpus.run(split, kind)
    return corpus.tokenizer.decode(run.read(0, len(run)).tolist()).split("<|endoftext|>")[:-1]


# --- what is in it --------------------------------------------------------------------------------


def test_each_text_is_there_once_in_order_on_one_side(build):
    corpus = build()
    assert corpus.kinds == ("moles", "notes") and len(corpus.shards) > 4
    for kind, texts in KINDS.items():
        wanted = [text for text in texts if text.strip()]
        parts = {split: in_order(corpus, split, kind) for split in SPLITS}
        assert sorted(parts["train"] + parts["held_out"]) == sorted(wanted)
        assert not set(parts["train"]) & set(parts["held_out"])
        for found in parts.values():
            assert found == [text for text in wanted if text in set(found)]
    assert corpus.empty_documents == 4


def test_tokens_are_what_the_tokenizer_gives_each_text(build, tokenizer):
    corpus = build()
    run = corpus.run("held_out", "moles")
    ids = [tokenizer.ids([text])[0] for text in in_order(corpus, "held_out", "moles")]
    assert run.read(0, len(run)).tolist() == [n for own in ids for n in [*own, tokenizer.eos_id]]
    ends = np.cumsum([len(own) + 1 for own in ids]).tolist()
    assert run.document_ends.tolist() == ends


def test_documents_tokens_and_bytes_are_counted_exactly(build):
    corpus = build()
    total = Counts()
    for split in SPLITS:
        for kind in KINDS:
            texts = in_order(corpus, split, kind)
            found = corpus.count(split, kind)
            assert found.documents == len(texts)
            assert found.bytes == sum(len(text.encode()) for text in texts)
            assert found.tokens == len(corpus.run(split, kind))
            assert corpus.run(split, kind).document_bytes.tolist() == [
                len(text.encode()) for text in texts
            ]
            total += found
    assert (corpus.count(), corpus.n_tokens, corpus.n_bytes) == (total, total.tokens, total.bytes)


def test_about_the_share_asked_for_is_held_out_of_each_kind(tmp_path):
    texts = {kind: [f"{kind} {n}" for n in range(2000)] for kind in ("a", "b")}
    sources = {kind: lambda kind=kind: texts[kind] for kind in texts}
    corpus = build_corpus(sources, tmp_path / "c", d_vocab=300, held_out=0.1)
    for kind in texts:  # five standard deviations are 67
        assert abs(corpus.count("held_out", kind).documents - 200) < 67
    other = build_corpus(sources, tmp_path / "d", d_vocab=300, held_out=0.1, seed=1)
    assert in_order(corpus, "held_out", "a") != in_order(other, "held_out", "a")


def test_any_stretch_of_a_run_is_that_stretch(build):
    run = build().run("train")
    whole = run.read(0, len(run))
    chance = random.Random(0)
    for _ in range(200):
        first = chance.randrange(len(run))
        count = chance.randint(0, min(4000, len(run) - first))
        assert np.array_equal(run.read(first, count), whole[first : first + count])


def test_the_result_does_not_depend_on_the_number_of_workers(build, tmp_path):
    made = [build(folder=tmp_path / str(workers), workers=workers) for workers in (1, 2, 5)]
    assert len({corpus.digest for corpus in made}) == 1
    for shard in made[0].shards:
        name = Path("shards", shard.tokens.name)
        contents = [(corpus.folder / name).read_bytes() for corpus in made]
        assert contents[0] == contents[1] == contents[2]


def test_tokens_and_counts_do_not_depend_on_the_size_of_shards(build, tmp_path):
    small, large = (build(folder=tmp_path / str(n), shard_tokens=n) for n in (700, 10**6))
    assert len(large.shards) == 1 < len(small.shards)
    for split in SPLITS:
        for kind in KINDS:
            assert in_order(small, split, kind) == in_order(large, split, kind)
            assert small.count(split, kind) == large.count(split, kind)
    assert small.empty_documents == large.empty_documents == 4


@pytest.mark.parametrize("d_vocab", [2**16, 2**16 + 1])
def test_ids_are_kept_in_two_bytes_where_they_fit(tmp_path, d_vocab):
    words = [f"w{n}" for n in range(d_vocab - 3)]  # with the end, the unknown and the blank
    texts = [" ".join(words[at : at + 500]) for at in range(0, len(words), 500)]
    tokenizer = Tokenizer.of_words(words)
    assert tokenizer.d_vocab == d_vocab
    corpus = build_corpus(lambda: texts, tmp_path / "c", tokenizer=tokenizer, held_out=0.0)
    run = corpus.run("train")
    wanted = [number for own in tokenizer.ids(texts) for number in [*own, tokenizer.eos_id]]
    assert run.read(0, len(run)).tolist() == wanted
    assert corpus.dtype.itemsize == (2 if d_vocab == 2**16 else 4)
    assert max(wanted) == d_vocab - 1


def test_a_vocabulary_is_learned_from_the_training_side_alone(tmp_path):
    texts = [f"common words of text {n}" for n in range(300)]
    first = build_corpus(lambda: texts, tmp_path / "a", d_vocab=300, held_out=0.3)
    held_out = set(in_order(first, "held_out", "text"))
    assert held_out
    # Held-out texts in which a new pair is most frequent of all do not change the vocabulary, if
    # they stay on their side; which side a text is on depends on that text alone.
    changed = [text for text in texts if text not in held_out]
    again = build_corpus(lambda: changed, tmp_path / "b", d_vocab=300, held_out=0.3)
    assert again.tokenizer.digest == first.tokenizer.digest
    assert first.tokenizer.d_vocab <= 300
    assert in_order(again, "train", "text") == in_order(first, "train", "text")


@pytest.mark.parametrize("name", ["smollm2", "minilm"])
def test_a_models_own_tokenizer_can_be_used(name, request, tmp_path):
    tokenizer = request.getfixturevalue(name)
    corpus = build_corpus(lambda: KINDS["moles"], tmp_path / "c", tokenizer=tokenizer, held_out=0.1)
    assert corpus.tokenizer.digest == tokenizer.digest
    run = corpus.run("train")
    first = run.read(0, int(run.document_ends[0])).tolist()
    # Bytes come back as they were; a vocabulary of lower-case words begins with the first text.
    text = tokenizer.decode(first[:-1]) if name == "smollm2" else KINDS["moles"][0]
    assert text in KINDS["moles"]
    assert first == [*tokenizer.ids([text], add_special=False)[0], tokenizer.eos_id]


# --- damage ---------------------------------------------------------------------------------------


def shard_files(corpus: Corpus) -> list[Path]:
    return [corpus.folder / "shards" / file.name for shard in corpus.shards for file in shard.files]


def test_a_shard_that_is_cut_off_or_missing_is_named_when_it_is_opened(build):
    corpus = build()
    for path in (shard_files(corpus)[2], shard_files(corpus)[-1]):
        whole = path.read_bytes()
        path.write_bytes(whole[:-1])
        with pytest.raises(TextError, match=f"{path.name} has {len(whole) - 1:,} bytes and had"):
            Corpus.open(corpus.folder)
        path.write_bytes(whole + b"\0")
        with pytest.raises(TextError, match=f"{path.name} has {len(whole) + 1:,} bytes and had"):
            Corpus.open(corpus.folder)
        path.unlink()
        with pytest.raises(TextError, match=f"{path.name} cannot be read: No such file"):
            Corpus.open(corpus.folder)
        path.write_bytes(whole)
    assert Corpus.open(corpus.folder).digest == corpus.digest


def test_one_changed_bit_is_named_when_it_is_verified_and_when_a_build_goes_on(build):
    corpus = build()
    read: list[int] = []
    corpus.verify(read.append)
    assert sum(read) == sum(path.stat().st_size for path in shard_files(corpus))
    for path in shard_files(corpus):
        whole = path.read_bytes()
        at = random.Random(path.name).randrange(len(whole))
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(TextError, match=f"{path.name} has changed since it was made"):
            Corpus.open(corpus.folder).verify()
        with pytest.raises(TextError, match=f"{path.name} has changed since it was made"):
            build()
        path.write_bytes(whole)
    Corpus.open(corpus.folder).verify()


def test_a_shard_that_is_cut_off_while_it_is_read_is_an_error_and_no_crash(build):
    corpus = build()
    run = corpus.run("train")
    run.read(0, 10)  # the first shard is open now
    with open(shard_files(corpus)[0], "r+b") as file:
        file.truncate(500)
    with pytest.raises(TextError, match=r"00000\.tokens\.npy was cut off while it was read"):
        run.read(1000, 10)
    os.truncate(shard_files(corpus)[-2], 100)
    with pytest.raises(TextError, match="has 100 bytes and had"):
        run.read(len(run) - 10, 10)


def test_a_manifest_that_does_not_fit_is_refused(build):
    corpus = build()
    path = corpus.folder / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))

    def refused(content: str, message: str) -> None:
        path.write_text(content, "utf-8")
        with pytest.raises(TextError, match=message):
            Corpus.open(corpus.folder)

    counted = json.loads(json.dumps(manifest))
    counted["shards"][1]["sections"][0]["bytes"] += 1
    refused(json.dumps(counted), "its digest does not fit its shards")
    refused(json.dumps(manifest | {"shards": manifest["shards"][:-1]}), "its digest does not fit")
    refused(json.dumps(manifest | {"tokenizer": "0" * 64}), "is not the one that made the corpus")
    refused(json.dumps(manifest | {"shards": [{}]}), "is damaged")
    refused(
        json.dumps(manifest | {"format": "molehill.corpus/9"}), "no manifest of a corpus of the"
    )
    refused('{"format": ', "is damaged")
    refused("[]", "no manifest")
    other = corpus.folder / "elsewhere"
    other.mkdir()
    with pytest.raises(TextError, match=r"no corpus in .*elsewhere"):
        Corpus.open(other)


def test_another_tokenizer_in_the_folder_is_refused(build):
    corpus = build()
    Tokenizer.train(["another one"] * 3, d_vocab=300).save(corpus.folder / "tokenizer")
    with pytest.raises(TextError, match="is not the one that made the corpus"):
        Corpus.open(corpus.folder)


# --- breaks ---------------------------------------------------------------------------------------


class Break(BaseException):
    """As KeyboardInterrupt: no error of the program's own."""


def test_a_build_that_is_interrupted_anywhere_goes_on_and_ends_the_same(
    build, monkeypatch, tmp_path
):
    # Texts are encoded and written in groups: small ones, so that some were when it stops.
    monkeypatch.setattr("molehill.text.building._BATCH_TEXTS", 8)
    whole = build(folder=tmp_path / "whole")
    for stop in (1, 150, 333, 480):

        def broken(texts=None, stop=stop):
            for number, text in enumerate(KINDS["moles"] + KINDS["notes"]):
                if number == stop:
                    raise Break
                yield text

        folder = tmp_path / f"stopped at {stop}"
        kinds = {"moles": lambda stop=stop, b=broken: b()}
        with pytest.raises(Break):
            build(sources=kinds, folder=folder)
        with pytest.raises(TextError, match="unfinished: give the command that makes it again"):
            Corpus.open(folder)
        assert not list(folder.rglob("*.tmp"))
        before = {path.name for path in folder.glob("shards/*.json")}
        assert bool(before) == (stop > 100), "some of it was written, and is used again"
        stamps = {name: (folder / "shards" / name).stat().st_mtime_ns for name in before}

        all_moles = {"moles": lambda: KINDS["moles"] + KINDS["notes"]}
        again = build(sources=all_moles, folder=folder)
        fresh = build(sources=all_moles, folder=tmp_path / f"fresh {stop}")
        assert again.digest == fresh.digest
        assert again.empty_documents == fresh.empty_documents
        for name, stamp in stamps.items():
            assert (folder / "shards" / name).stat().st_mtime_ns == stamp
    assert build(folder=tmp_path / "whole").digest == whole.digest


def test_a_disk_that_is_full_leaves_what_was_whole(build, monkeypatch, tmp_path):
    from molehill.text import shards

    real, calls = shards.write_atomically, []

    def full(path, write):
        calls.append(path.name)
        if len(calls) == 8:
            raise OSError(28, "No space left on device", str(path))
        real(path, write)

    monkeypatch.setattr(shards, "write_atomically", full)
    with pytest.raises(OSError, match="No space left"):
        build()
    monkeypatch.undo()
    again = build()
    assert again.digest == build(folder=tmp_path / "fresh").digest
    assert calls[7] == "00002.documents.npy"


def test_killed_at_any_moment_it_goes_on(files, tmp_path):
    """A process that dies without a word, some shards in; then the whole again."""
    script = """
import os, sys
from molehill.text import build_corpus, shards
real, left = shards.write_atomically, [int(sys.argv[3])]
def dying(path, write):
    if not left[0]:
        os._exit(9)
    left[0] -= 1
    real(path, write)
shards.write_atomically = dying
build_corpus({"moles": sys.argv[1]}, sys.argv[2], d_vocab=300, shard_tokens=800)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2] / "src")}

    def run(folder: Path, writes: int) -> int:
        command = [sys.executable, "-c", script, str(files["moles"]), str(folder), str(writes)]
        return subprocess.run(command, env=environment, check=False).returncode

    assert run(tmp_path / "whole", 10**6) == 0
    whole = Corpus.open(tmp_path / "whole")
    assert run(tmp_path / "killed", 4) == 9
    with pytest.raises(TextError, match="unfinished"):
        Corpus.open(tmp_path / "killed")
    assert run(tmp_path / "killed", 5) == 9
    assert run(tmp_path / "killed", 10**6) == 0
    assert Corpus.open(tmp_path / "killed").digest == whole.digest


def test_sources_that_have_changed_are_noticed(build, files, tmp_path):
    build()
    changed = shutil.copytree(files["moles"].parent, tmp_path / "changed")
    path = changed / "moles.jsonl"
    sources = {kind: changed / f"{kind}.jsonl" for kind in KINDS}
    build(sources=sources)  # the same texts elsewhere are the same texts
    rows = path.read_text("utf-8").splitlines(keepends=True)
    for rows_now in ([*rows[:5], rows[6], rows[5], *rows[7:]], rows[:-1], [*rows, rows[3]]):
        path.write_text("".join(rows_now), "utf-8")
        with pytest.raises(TextError, match="sources have changed: their first 500 documents"):
            build(sources=sources)
    path.write_text("", "utf-8")
    (changed / "notes.jsonl").write_text("", "utf-8")
    with pytest.raises(TextError, match="sources have changed"):
        build(sources=sources)


def test_other_settings_are_refused_once_there_are_shards(build, tokenizer, tmp_path):
    build()
    with pytest.raises(TextError, match=r"other settings \(held_out was 0\.2, now 0\.3\)"):
        build(held_out=0.3)
    other = Tokenizer.train(["something else"] * 3, d_vocab=300)
    with pytest.raises(TextError, match=r"other settings .*tokenizer was"):
        build(tokenizer=other)
    # Before the first shard nothing is lost: the settings may be mended.
    folder = tmp_path / "mended"
    with pytest.raises(TextError, match="d_vocab is 3"):
        build(folder=folder, tokenizer=None, d_vocab=3)
    assert build(folder=folder, tokenizer=None, d_vocab=290).tokenizer.d_vocab <= 290


def test_a_folder_with_other_files_is_left_alone(build, tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "diary.txt").write_text("mine")
    with pytest.raises(TextError, match="holds other files"):
        build()
    assert [path.name for path in folder.iterdir()] == ["diary.txt"]


# --- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"held_out": 1.0}, "held_out is 1.0; expected a share from 0 to below 1"),
        ({"held_out": math.nan}, "held_out is nan"),
        ({"shard_tokens": 0}, "shard_tokens is 0"),
        ({"shard_tokens": 2**31}, "expected at most 1,073,741,824"),
        ({"workers": 0}, "workers is 0"),
        ({"tokenizer_bytes": 0}, "tokenizer_bytes is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"split": "word"}, "split is 'word'"),
    ],
)
def test_settings_out_of_range_are_refused_before_anything_is_written(
    build, tmp_path, how, message
):
    with pytest.raises(TextError, match=message):
        build(**how)
    assert not (tmp_path / "corpus").exists()


def test_sources_without_text_are_refused(build):
    with pytest.raises(TextError, match="nothing to train on: of 3 documents 3 have no text"):
        build(sources=lambda: ["", " ", "\n"])
    with pytest.raises(TextError, match="no text to learn a vocabulary from"):
        build(sources=lambda: ["", " ", "\n"], tokenizer=None)
    with pytest.raises(TextError, match="others are held out"):
        build(sources=lambda: ["a text"], held_out=1 - 1e-12)


def test_a_tokenizer_without_an_end_is_refused(build, tokenizer, tmp_path):
    tokenizer.save(tmp_path / "saved")
    bare = Tokenizer.from_file(tmp_path / "saved" / "tokenizer.json")
    with pytest.raises(TextError, match="no end-of-text token"):
        build(tokenizer=bare)


def test_a_document_that_cannot_be_encoded_is_named(build, smollm2):
    texts = ["one", "two", "a bad \x0b character", "four"]  # SmolLM2 has no token for some controls
    bad = next(code for code in range(32) if not _encodes(smollm2, chr(code)))
    texts[2] = f"a bad {chr(bad)}"
    with pytest.raises(TextError, match=rf"tales, document 3: .*U\+{bad:04X}"):

        def tales():
            return texts

        build(sources=tales, tokenizer=smollm2)


def _encodes(tokenizer: Tokenizer, text: str) -> bool:
    try:
        tokenizer.ids([text])
    except TextError:
        return False
    return True


def test_names_that_are_not_there_are_refused(build):
    corpus = build()
    with pytest.raises(TextError, match="no split 'test'; expected train or held_out"):
        corpus.run("test")
    with pytest.raises(TextError, match="no text of kind 'mole'; there is moles, notes"):
        corpus.count("train", "mole")


# --- progress and memory --------------------------------------------------------------------------


def test_progress_counts_the_bytes_of_both_stages(build, files):
    told: dict[str, int] = {}

    def progress(stage: str, count: int) -> None:
        told[stage] = told.get(stage, 0) + count

    build(tokenizer=None, d_vocab=300, progress=progress)
    size = sum(len(text.encode()) for texts in KINDS.values() for text in texts)
    assert told == {"sample": size, "tokens": size}


def test_memory_does_not_grow_with_the_length_of_the_corpus(tokenizer, tmp_path):
    """10 MB of texts that are made as they are read take no more than 2 MB of them do."""
    line = " ".join(WORDS * 4)

    def peak(count: int) -> int:
        def tales():
            return (f"{number} {line}" for number in range(count))

        tracemalloc.start()
        corpus = build_corpus(
            tales, tmp_path / str(count), tokenizer=tokenizer, shard_tokens=2**17, workers=2
        )
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert corpus.count().documents == count
        return found

    few, many = peak(5_000), peak(25_000)
    assert many < 1.3 * few


def test_the_resident_memory_of_a_build_stays_flat(tmp_path):
    """The same from outside, with what the libraries hold: 40 MB of texts more, 20 MB at most."""
    script = """
import resource, sys
from molehill.text import Tokenizer, build_corpus
line = "The mole dug a tunnel under the lawn while the spy slept in his room. " * 14
tokenizer = Tokenizer.train([line] * 3, d_vocab=300)
def tales(count=int(sys.argv[2])):
    return (f"{number} {line}" for number in range(count))
build_corpus(tales, sys.argv[1], tokenizer=tokenizer, shard_tokens=2**20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2] / "src")}

    def peak(count: int) -> int:
        command = [sys.executable, "-c", script, str(tmp_path / str(count)), str(count)]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        return int(done.stdout) * (1 if sys.platform == "darwin" else 1024)

    assert peak(50_000) - peak(10_000) < 20e6
