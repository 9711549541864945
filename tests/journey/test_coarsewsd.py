"""The reader of CoarseWSD-20's folders, on small folders written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from molehill.errors import TextError
from molehill.journey.coarsewsd import read_sense_word, read_sense_words

MAP = '{"0": "mole_mole_(animal)", "1": "mole_mole_sauce"}'


def write_word(folder: Path, **changes: str) -> Path:
    """A folder of two train lines and one test line; `changes` replaces files by stem."""
    files = {
        "classes_map": MAP,
        "train_data": "1\tthe mole digs .\n2\teat the mole !\n",
        "train_gold": "0\n1\n",
        "test_data": "0\tmole is served\n",
        "test_gold": "1\n",
    } | changes
    folder.mkdir(parents=True, exist_ok=True)
    for stem, text in files.items():
        (folder / f"{stem.replace('_', '.', 1) if 'map' not in stem else stem}.txt").write_bytes(
            text.encode()
        )
    return folder


def test_a_folder_becomes_a_word_with_senses_and_uses(tmp_path):
    word = read_sense_word(write_word(tmp_path / "mole"))
    assert word.word == "mole"
    assert word.senses == ("mole_mole_(animal)", "mole_mole_sauce")
    assert word.titles == ("mole (animal)", "mole sauce")
    assert [(use.sentence, use.index, use.start, use.end, use.label) for use in word.train] == [
        ("the mole digs .", 1, 4, 8, 0),
        ("eat the mole !", 2, 8, 12, 1),
    ]
    assert [use.surface for use in word.test] == ["mole"]
    assert word.test[0].label == 1


def test_the_index_counts_words_parted_by_any_white_space(tmp_path):
    # A no-break space and a doubled space, as lines of the published files have them.
    folder = write_word(
        tmp_path / "mole", test_data="2\t3\u00a0feet mole\n2\tmath :  mole\n", test_gold="0\n0\n"
    )
    first, second = read_sense_word(folder).test
    assert (first.start, first.end, first.surface) == (7, 11, "mole")
    assert (second.start, second.end, second.surface) == (8, 12, "mole")


def test_only_a_line_feed_ends_a_line(tmp_path):
    folder = write_word(
        tmp_path / "mole", test_data="1\ta\u2028b mole\r\n".replace("1", "2"), test_gold="0\r\n"
    )
    (use,) = read_sense_word(folder).test
    assert use.surface == "mole"
    assert use.sentence == "a\u2028b mole"


def test_the_map_may_end_with_a_full_stop_a_mark_or_bear_the_other_name(tmp_path):
    assert read_sense_word(write_word(tmp_path / "mole", classes_map=MAP + ".\n")).senses[1]
    assert read_sense_word(write_word(tmp_path / "mole", classes_map="\ufeff" + MAP)).senses[1]
    folder = write_word(tmp_path / "mole")
    (folder / "classes_map.txt").rename(folder / "class_map.txt")
    assert len(read_sense_word(folder).senses) == 2


def test_a_last_line_without_its_line_feed_counts(tmp_path):
    folder = write_word(tmp_path / "mole", test_data="0\tmole\n0\tmole", test_gold="0\n1")
    assert [use.label for use in read_sense_word(folder).test] == [0, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_data": "the mole\n1\tthe mole\n"}, r"train\.data\.txt line 1 is 'the mole'"),
        ({"train_data": "1\tthe mole\n-1\tthe mole\n"}, r"line 2 is '-1"),
        ({"train_data": "1\tthe mole\n٣\tthe mole\n"}, r"line 2"),
        ({"train_data": "1\tthe mole\n1" + "0" * 5000 + "\ta mole\n"}, r"line 2"),
        ({"train_data": "1\tthe mole\n2\tthe mole\n"}, r"index 2, but its sentence has 2 words"),
        ({"train_data": "1\tthe mole\n0\tthe mole\n"}, r"word 0 is 'the', not 'mole'"),
        ({"train_data": "1\tthe mole\n"}, r"has 1 lines and .* has 2"),
        ({"train_gold": "0\n2\n"}, r"train\.gold\.txt line 2 is '2'.*from 0 to 1"),
        ({"train_gold": "0\nanimal\n"}, r"line 2 is 'animal'"),
        ({"train_gold": "0\n\n"}, r"line 2 is ''"),
        ({"classes_map": "{"}, r"classes_map\.txt is not JSON"),
        ({"classes_map": "[" * 100_000}, r"classes_map\.txt is not JSON"),
        ({"classes_map": '["a", "b"]'}, r"must map sense numbers to names"),
        ({"classes_map": '{"0": 1, "1": 2}'}, r"must map sense numbers to names"),
        ({"classes_map": '{"0": "a", "2": "b"}'}, r"run from 0 without a gap"),
        ({"classes_map": '{"0": "a"}'}, r"two or more"),
    ],
)
def test_a_malformed_line_is_named_with_its_remedy(tmp_path, changes, message):
    with pytest.raises(TextError, match=message):
        read_sense_word(write_word(tmp_path / "mole", **changes))


def test_a_missing_file_and_a_wrong_encoding_are_named(tmp_path):
    folder = write_word(tmp_path / "mole")
    (folder / "test.gold.txt").write_bytes(b"\xff\n")
    with pytest.raises(TextError, match=r"test\.gold\.txt is not UTF-8 \(byte 0\)"):
        read_sense_word(folder)
    (folder / "test.gold.txt").unlink()
    with pytest.raises(TextError, match=r"test\.gold\.txt cannot be read"):
        read_sense_word(folder)


def test_all_words_of_a_folder_are_read_in_order(tmp_path):
    write_word(tmp_path / "mole")
    write_word(
        tmp_path / "bank",
        train_data="0\tbank\n0\tbank\n",
        test_data="0\tBank\n",
    )
    (tmp_path / "LICENSE").write_text("free")
    assert [word.word for word in read_sense_words(tmp_path)] == ["bank", "mole"]
    with pytest.raises(TextError, match="holds no word"):
        read_sense_words(tmp_path / "mole")


@pytest.mark.parametrize("read", [read_sense_word, read_sense_words])
def test_a_path_that_leads_nowhere_is_named_with_where_the_data_come_from(tmp_path, read):
    for path, what in ((tmp_path / "mole", "does not exist"), (tmp_path / "file", "is a file")):
        (tmp_path / "file").write_text("x")
        with pytest.raises(TextError, match=f"{path.name} {what}: give one word's folder") as found:
            read(path)
        assert "danlou/bert-disambiguation" in str(found.value)
