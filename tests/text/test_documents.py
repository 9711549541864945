"""Documents out of files that this test writes, with every kind of damage named where it is."""

from __future__ import annotations

import builtins
import gzip
import json
import random
import tracemalloc
from importlib import import_module
from pathlib import Path

import pytest

from molehill.errors import MissingExtraError, TextError
from molehill.text import Document, documents
from molehill.text.documents import named_sources
from molehill.text.reading import FILE_ENDINGS
from molehill.text.sample import sample_of

TEXTS = ["The mole dug.", "Grüße aus dem Hügel 😀", "", "a\nb\n\nc", "  ", "Der Maulwurf"]


def written(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def lines(texts: list[str], column: str = "text") -> str:
    return "".join(json.dumps({"id": n, column: text}) + "\n" for n, text in enumerate(texts))


def texts(*sources, **how) -> list[str]:
    return [document.text for document in documents(list(sources), **how)]


# --- forms ----------------------------------------------------------------------------------------


def test_a_text_file_is_one_document_or_its_paragraphs_or_its_lines(tmp_path):
    content = "One mole\ndigs.\n\n \t\nTwo moles\r\ndig.\r\n\r\nThree.\n"
    path = written(tmp_path / "a.txt", content)
    assert list(documents(path)) == [Document(content, "text", str(path), 1)]
    found = list(documents({"moles": path}, split="paragraph"))
    assert [(each.number, each.text) for each in found] == [
        (1, "One mole\ndigs."),
        (5, "Two moles\r\ndig."),
        (8, "Three."),
    ]
    assert {each.kind for each in found} == {"moles"}
    found = list(documents(path, split="line"))
    assert [each.text for each in found] == content.replace("\r", "").split("\n")[:-1]
    assert [each.number for each in found] == list(range(1, 9))


def test_a_file_without_a_last_line_end_is_read_to_its_end(tmp_path):
    path = written(tmp_path / "a.txt", "one\n\ntwo")
    assert texts(path, split="line") == ["one", "", "two"]
    assert texts(path, split="paragraph") == ["one", "two"]
    assert texts(written(tmp_path / "b.jsonl", '{"text": "a"}\n\n{"text": "b"}')) == ["a", "b"]


def test_only_line_feeds_end_a_line(tmp_path):
    path = written(tmp_path / "a.txt", "one\u2028still one\x0bstill\x85still\ntwo")
    assert texts(path, split="line") == ["one\u2028still one\x0bstill\x85still", "two"]


def test_json_lines_give_back_every_text(tmp_path):
    path = written(tmp_path / "a.jsonl", lines(TEXTS))
    found = list(documents(path))
    assert [each.text for each in found] == TEXTS
    assert [each.number for each in found] == [1, 2, 3, 4, 5, 6]
    assert texts(written(tmp_path / "b.ndjson", lines(TEXTS, "body")), column="body") == TEXTS


def test_a_mark_of_byte_order_is_no_text(tmp_path):
    assert texts(written(tmp_path / "a.txt", "\ufeffmole")) == ["mole"]
    assert texts(written(tmp_path / "a.jsonl", "\ufeff" + lines(["mole"]))) == ["mole"]


@pytest.mark.parametrize("ending", ["gz", "zst"])
def test_compressed_files_are_read_as_they_are_unpacked(tmp_path, ending):
    # Two members or frames, one after the other, are one file.
    first, second = lines(TEXTS).encode(), lines(["last"]).encode()
    path = written(tmp_path / f"a.jsonl.{ending}", packed(first, ending) + packed(second, ending))
    assert texts(path) == [*TEXTS, "last"]
    path = written(tmp_path / f"b.txt.{ending}", packed("Grüße\n\nHügel".encode(), ending))
    assert texts(path) == ["Grüße\n\nHügel"]
    assert texts(path, split="paragraph") == ["Grüße", "Hügel"]


def packed(content: bytes, ending: str) -> bytes:
    if ending == "gz":
        return gzip.compress(content)
    pyarrow = pytest.importorskip("pyarrow")
    buffer = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(buffer, "zstd") as file:
        file.write(content)
    return buffer.getvalue().to_pybytes()


@pytest.mark.parametrize("ending", ["gz", "zst"])
def test_a_compressed_file_that_is_cut_off_or_changed_is_named(tmp_path, ending):
    whole = packed(lines([str(random.Random(0).random()) for _ in range(500)]).encode(), ending)
    path = written(tmp_path / f"a.jsonl.{ending}", whole[: len(whole) // 2])
    with pytest.raises(TextError, match=rf"a\.jsonl\.{ending} (is damaged|cannot be read)"):
        texts(path)
    path = written(tmp_path / f"b.jsonl.{ending}", b"plain text")
    with pytest.raises(TextError, match=rf"b\.jsonl\.{ending} (is damaged|cannot be read)"):
        texts(path)


def test_parquet_gives_back_every_text(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    for kind in (pyarrow.string(), pyarrow.large_string()):
        table = pyarrow.table({"id": range(6), "text": pyarrow.array(TEXTS, kind)})
        parquet.write_table(table, tmp_path / "a.parquet", row_group_size=2)
        found = list(documents(tmp_path / "a.parquet"))
        assert [each.text for each in found] == TEXTS
        assert [each.number for each in found] == [1, 2, 3, 4, 5, 6]
    with pytest.raises(
        TextError, match=r"no field 'txt'; it has 'id', 'text'. Did you mean 'text'"
    ):
        texts(tmp_path / "a.parquet", column="txt")
    with pytest.raises(TextError, match=r"a\.parquet, row 1: the field 'id' holds int"):
        texts(tmp_path / "a.parquet", column="id")
    table = pyarrow.table({"text": ["one", None]})
    parquet.write_table(table, tmp_path / "b.parquet")
    with pytest.raises(TextError, match=r"b\.parquet, row 2: the field 'text' holds NoneType"):
        texts(tmp_path / "b.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    path = written(tmp_path / "c.parquet", whole[:-20])
    with pytest.raises(TextError, match=r"c\.parquet is damaged or no Parquet"):
        texts(path)


def test_data_sets_are_streamed_from_a_folder_or_what_was_saved(tmp_path):
    datasets = pytest.importorskip("datasets")
    folder = tmp_path / "files"
    written(folder / "train.jsonl", lines(TEXTS))
    written(folder / "test.jsonl", lines(["for the test"]))
    found = list(documents(f"hf:{folder}"))
    assert [each.text for each in found] == TEXTS
    assert (found[1].source, found[1].number) == (f"hf:{folder}", 2)
    assert texts(f"hf:{folder}?split=test") == ["for the test"]
    saved = datasets.Dataset.from_dict({"text": TEXTS})
    saved.save_to_disk(tmp_path / "saved")
    assert texts(f"hf:{tmp_path / 'saved'}") == TEXTS
    datasets.DatasetDict({"train": saved}).save_to_disk(tmp_path / "both")
    assert texts(f"hf:{tmp_path / 'both'}?split=train") == TEXTS
    for name, message in {
        f"hf:{tmp_path / 'both'}?split=dev": "cannot be read: .*dev",
        f"hf:{tmp_path / 'nowhere'}": "cannot be read",
        f"hf:{folder}?spilt=test": "unknown: spilt",
        "hf:": "no name",
    }.items():
        with pytest.raises(TextError, match=message):
            texts(name)
    with pytest.raises(TextError, match="row 1 has no field 'body'"):
        texts(f"hf:{folder}", column="body")


def test_a_missing_library_is_named_with_the_command_that_installs_it(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **more):
        if name.partition(".")[0] in ("pyarrow", "datasets"):
            raise ImportError(f"No module named {name!r}")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    files = [written(tmp_path / name, b"") for name in ("a.parquet", "a.jsonl.zst")]
    for source in [*map(str, files), "hf:somebody/something"]:
        with pytest.raises(MissingExtraError, match=r"pip install 'molehill\[data\]'"):
            texts(source)


def test_a_function_gives_its_texts_anew(tmp_path):
    def tales():
        return iter(TEXTS)

    found = list(documents({"a": tales, "b": [tales, tales]}))
    assert [each.text for each in found] == TEXTS * 3
    assert [(each.kind, each.source, each.number) for each in found[5:7]] == [
        ("a", "tales", 6),
        ("b", "tales", 1),
    ]


# --- folders and names ----------------------------------------------------------------------------


def test_a_folder_is_all_of_its_readable_files_in_one_order(tmp_path):
    names = ["b.txt", "a/z.md", "a/y.jsonl", "a.txt", "c.txt.gz"]
    for name in random.Random(1).sample(names, len(names)):
        text = lines([name]) if name.endswith("jsonl") else name
        written(tmp_path / name, gzip.compress(b"c.txt.gz") if name.endswith("gz") else text)
    for name in ("picture.png", ".hidden/a.txt", ".hidden.txt", "LICENSE"):
        written(tmp_path / name, "not to be read")
    found = list(documents(tmp_path))
    assert [each.text for each in found] == ["a/y.jsonl", "a/z.md", "a.txt", "b.txt", "c.txt.gz"]
    assert [each.source for each in found] == [str(tmp_path / each.text) for each in found]


def test_sources_that_are_not_there_are_named(tmp_path):
    with pytest.raises(TextError, match=r"no file or folder .*nowhere\.txt"):
        texts(tmp_path / "nowhere.txt")
    written(tmp_path / "folder" / "a.png", b"")
    with pytest.raises(TextError, match=r"folder holds no file that is read \(1 others\)"):
        texts(tmp_path / "folder")
    with pytest.raises(TextError, match=r"a\.png has an ending that is not read; known are \.txt"):
        texts(tmp_path / "folder" / "a.png")
    with pytest.raises(TextError, match="no sources"):
        texts()
    with pytest.raises(TextError, match="split is 'word'; expected one of file, paragraph, line"):
        texts(tmp_path, split="word")
    with pytest.raises(TextError, match="no name for a kind"):
        named_sources({"": tmp_path})


def test_one_source_or_several_or_several_by_kind():
    assert named_sources("a.txt") == [("text", "a.txt")]
    assert named_sources(["a", Path("b")]) == [("text", "a"), ("text", Path("b"))]
    assert named_sources({"x": "a", "y": ["b", "c"]}) == [("x", "a"), ("y", "b"), ("y", "c")]
    assert ".parquet" in FILE_ENDINGS


# --- damage ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "a"', r"line 3 is not JSON: Expecting ',' delimiter at column 13"),
        ("mole", "line 3 is not JSON"),
        ('["a"]', "line 3 holds list, expected an object"),
        (
            '{"txt": "a", "id": 1}',
            "line 3 has no field 'text'; it has 'txt', 'id'. Did you mean 'txt'",
        ),
        ("{}", "line 3 has no field 'text'; it has none"),
        ('{"text": null}', "line 3: the field 'text' holds NoneType, expected a string"),
        ('{"text": ["a"]}', "line 3: the field 'text' holds list"),
        ("[" * 100_000, "line 3 (is not read: its brackets|is not JSON)"),
        ('{"text": "a\\ud83d"}', r"document 3 holds half a character .*U\+D83D\) at 1"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    path = written(tmp_path / "a.jsonl", '{"text": "one"}\n\n' + line + '\n{"text": "two"}\n')
    with pytest.raises(TextError, match=message) as caught:
        texts(path)
    assert str(path) in str(caught.value)


def test_a_pair_of_surrogates_is_a_character(tmp_path):
    assert texts(written(tmp_path / "a.jsonl", '{"text": "\\ud83d\\ude00"}')) == ["😀"]


@pytest.mark.parametrize("split", ["file", "paragraph", "line"])
def test_a_byte_that_is_no_utf_8_is_named(tmp_path, split):
    path = written(tmp_path / "a.txt", "Grüße\n".encode() + "Grüße\n".encode("latin-1"))
    with pytest.raises(TextError, match=r"a\.txt is not UTF-8: byte 10 \(0xFC\)"):
        texts(path, split=split)
    path = written(tmp_path / "b.txt", "mole\n" * 1000 + "Hügel"[:1])
    with path.open("ab") as file:
        file.write("ü".encode()[:1])
    with pytest.raises(TextError, match=r"b\.txt is not UTF-8: byte 5001 \(0xC3\)"):
        texts(path, split=split)


def test_a_surrogate_written_as_bytes_is_no_utf_8(tmp_path):
    path = written(tmp_path / "a.txt", b"mole \xed\xa0\x80")
    with pytest.raises(TextError, match=r"byte 5 \(0xED\)"):
        texts(path)


def test_what_a_function_gives_is_checked():
    with pytest.raises(TextError, match="document 2 is int, expected a string"):
        texts(lambda: ["a", 3])
    with pytest.raises(TextError, match=r"document 1 holds half a character"):
        texts(lambda: ["\udc80"])


def test_documents_longer_than_the_most_are_refused_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr("molehill.text.reading.LONGEST_DOCUMENT", 100)
    # The room gives a function the name of its module.
    monkeypatch.setattr(import_module("molehill.text.documents"), "LONGEST_DOCUMENT", 100)
    monkeypatch.setattr("molehill.text.reading._LONGEST_FILE", 400)
    monkeypatch.setattr("molehill.text.reading._LONGEST_LINE", 1200)
    path = written(tmp_path / "a.txt", ("mole " * 15 + "\n") * 6)
    with pytest.raises(TextError, match=r"longer than 100 characters.*split='paragraph'"):
        texts(path)
    with pytest.raises(TextError, match=r"line 1: a paragraph is longer.*split='line'"):
        texts(path, split="paragraph")
    assert len(texts(path, split="line")) == 6
    with pytest.raises(TextError, match="document 1 has 105 characters"):
        texts(lambda: ["m" * 105])
    path = written(tmp_path / "b.jsonl", lines(["a", "m" * 2000]))
    with pytest.raises(TextError, match="line 2 is longer than 1,200 bytes"):
        texts(path)


# --- memory ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".txt", ".jsonl", ".jsonl.gz"])
def test_a_file_is_never_held_whole(tmp_path, ending):
    """20 MB of lines pass through less than 2 MB."""
    text = "The mole dug a tunnel under the lawn. " * 26
    line = (text if ending == ".txt" else json.dumps({"text": text})) + "\n"
    content = (line * 20_000).encode()
    path = written(
        tmp_path / f"a{ending}", gzip.compress(content, 1) if "gz" in ending else content
    )
    del content
    tracemalloc.start()
    assert sum(1 for _ in documents(path, split="line")) == 20_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e6


# --- the sample that a vocabulary is learned from -------------------------------------------------


def some(count: int, start: int = 0) -> list[Document]:
    return [
        Document(f"text number {n} " * (n % 5 + 1), "text", "made", n)
        for n in range(start, start + count)
    ]


def test_the_sample_is_bounded_and_does_not_depend_on_the_order():
    stream = some(2000)
    sample = sample_of(stream, 5000, seed=3)
    size = sum(len(text.encode()) for text in sample)
    assert 5000 - 80 < size <= 5000
    assert set(sample) <= {document.text for document in stream}
    shuffled = random.Random(0).sample(stream, len(stream))
    assert sample_of(shuffled, 5000, seed=3) == sample
    assert sample_of(stream, 5000, seed=4) != sample
    assert sorted(sample_of(stream, 10**9)) == sorted(document.text for document in stream)


def test_every_part_of_the_stream_is_in_the_sample():
    stream = some(5000)
    places = {document.text: number for number, document in enumerate(stream)}
    found = [places[text] for text in sample_of(stream, 40_000)]
    # Of each fifth of the stream about a fifth of the sample: 5 standard deviations are 0.05.
    shares = [sum(n // 1000 == part for n in found) / len(found) for part in range(5)]
    assert all(abs(share - 0.2) < 0.05 for share in shares)


def test_a_text_longer_than_the_sample_stands_with_its_beginning():
    long = Document("ü" * 1000, "text", "made", 1)
    assert sample_of([long], 101) == ["ü" * 50]
    assert sample_of([Document(" \n", "text", "made", 1)], 100) == []
