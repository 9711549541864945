"""The text of `lexicon`: every source's mark-up becomes plain sentences.

The samples are invented, in the mark-up of each source, so that no package is needed.
"""

# ruff: noqa: E402, E501 (recipes are found first; samples stand as their sources write them)

from __future__ import annotations

import json
import struct
import sys
import zlib
from pathlib import Path

import pytest

RECIPES = str(Path(__file__).resolve().parents[2] / "recipes")
sys.path.insert(0, RECIPES)

import lexicon_text
from lexicon import (
    bible,
    clean,
    debian,
    descriptions,
    gcide,
    glossaries,
    manuals,
    say,
    scene_frames,
    scenes,
    stories,
    wordnet,
)
from lexicon.records import Source, Text, draw, pick
from lexicon.sources import SOURCES

GCIDE = r"""
Burrowl \Bur"rowl\ (b[u^]r"[-o]l; 277), n. [OE. burowle; cf. {Owl},
   and F. hibou.] (Zool.)
   1. A small owl ({Strix fodiens}) of the plains, which lives
      in holes in the ground; as, a burrowl at its door. See
      {Owl}.
      [1913 Webster]

            The burrowl looked out of its door at noon.
                                                  --Longfellow.
      [1913 Webster]

            O burrowl, thou that in the depe erth
            Thy lodging hast.                     --Chaucer.
      [1913 Webster]

   2. (Mus.) A low pipe. [Obs.]
      [1913 Webster]

   Note: The burrowl is often seen by day.
         [1913 Webster]

   Syn: Ground owl; cunicular owl.
        [WordNet 1.5]

   {Burrowl hawk} (Zool.), a hawk that preys on burrowls, and
      is itself preyed upon. --Baird.
      [1913 Webster] Burrowlet

Burrowl \Bur"rowl\, v. i. [imp. & p. p. {Burrowled}.]
   To look out of a hole. --Thoreau.
   [1913 Webster]

Larvae \Lar"v[ae]\, n.
   See {Larva}.
   [1913 Webster]
"""


def told_of(text: str) -> list[list[str]]:
    counts = gcide.spellings("a burrowl, a burrowl, an owl")
    return [gcide.tell(entry, counts) for entry in gcide.entries(text)]


def test_an_entry_of_gcide_is_parsed_into_word_part_and_blocks() -> None:
    first, second, third = gcide.entries(GCIDE)
    assert (first.word, first.part, first.domain) == ("Burrowl", "noun", "zoology")
    assert (second.part, third.word) == ("verb", "Larvae")
    assert [indent for indent, _ in first.blocks] == [3, 12, 3, 3, 3, 3]  # the verse is gone
    assert not any("Webster" in block or "Burrowlet" in block for _, block in first.blocks)


def test_gcide_senses_become_sentences_and_what_is_old_is_left_out() -> None:
    first, second, third = told_of(GCIDE)
    text = " ".join(first)
    assert "small owl of the plains, which lives in holes in the ground" in text
    assert "burrowl at its door" in text
    assert "The burrowl looked out of its door at noon." in first
    assert "The burrowl is often seen by day." in first
    assert "Ground owl, cunicular owl." in text
    assert "hawk that preys on burrowls, and is itself preyed upon" in text
    assert not any(
        gone in text for gone in ("Strix", "pipe", "thou", "See", "--", "Baird", "{", "[")
    )
    assert second == ["To look out of a hole is to burrowl."] or second == [
        "To burrowl is to look out of a hole."
    ]
    assert third == []  # a pointer says nothing


def test_gcide_accents_and_abbreviations() -> None:
    assert gcide.plain("lamin[ae] of a caf['e], esp. in summer; i. e., out of doors") == (
        "laminae of a café, especially in summer; that is, out of doors"
    )


def test_lettered_senses_of_gcide_are_told_apart() -> None:
    entry = gcide.Entry(
        "Pone", "noun", "", ((3, "1. (a) A kind of bread. (b) A writ of old courts."),)
    )
    told = gcide.tell(entry, gcide.spellings("no pone"))
    assert len(told) == 2
    assert "bread" in told[0] and "writ" in told[1]


def synset_line(
    offset: str, file: str, part: str, words: list[str], links: list[str], gloss: str
) -> str:
    named = " ".join(f"{word} 0" for word in words)
    return f"{offset} {file} {part} {len(words):02x} {named} {len(links):03d} {' '.join(links)} | {gloss}  "


@pytest.fixture
def net_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "usr/share/wordnet"
    folder.mkdir(parents=True)
    lines = [
        synset_line("00000001", "05", "n", ["digger"], ["~ 00000002 n 0000", "~ 00000003 n 0000",
                    "~ 00000004 n 0000"], "an animal that digs"),
        synset_line("00000002", "05", "n", ["wombin", "pouch_wombin"], ["@ 00000001 n 0000"],
                    'stout digging animal; found in hills; "the wombin slept all day"'),
        synset_line("00000003", "05", "n", ["goffer"], ["@ 00000001 n 0000"], "striped digging animal"),
        synset_line("00000004", "05", "n", ["fossor"], ["@ 00000001 n 0000"], "blind digging animal"),
        synset_line("00000005", "18", "n", ["wombin"], [], "a secret agent who waits for years"),
    ]  # fmt: skip
    (folder / "data.noun").write_text("  1 a licence\n" + "\n".join(lines) + "\n")
    (folder / "data.verb").write_text(
        synset_line("00000006", "35", "v", ["undig"], [], "fill a hole again").replace(
            " | ", " 01 + 08 00 | "
        )
    )
    (folder / "data.adj").write_text(
        synset_line("00000007", "00", "s", ["fossal(a)"], [], "(geology) living in holes")
    )
    (folder / "data.adv").write_text("")
    (folder / "noun.exc").write_text("fossores fossor\n")
    return tmp_path


def test_a_synset_is_read_with_its_words_links_and_examples(net_folder: Path) -> None:
    net = wordnet.read_net(net_folder)
    wombin = net.synsets["n00000002"]
    assert wombin.words == ("wombin", "pouch wombin")
    assert wombin.meaning == "stout digging animal; found in hills"
    assert wombin.examples == ("The wombin slept all day.",)
    assert [one.word for one in net.linked(wombin, "@")] == ["digger"]
    assert net.synsets["a00000007"].words == ("fossal",)
    assert net.many("fossor") == "fossores"


def test_topics_put_each_animal_among_its_like(net_folder: Path) -> None:
    told = " ".join(text.text for text in wordnet.topics(net_folder))
    for part in (
        "stout digging animal",
        "blind digging animal",
        "The wombin slept all day.",
        "ill a hole again",
    ):
        assert part in told
    assert "in geology, " in told.lower()
    assert not clean.leftovers(told)


def test_senses_put_the_meaning_before_the_word(net_folder: Path) -> None:
    (both,) = wordnet.words(net_folder)
    assert both.name == "wombin"
    assert "stout digging animal" in both.text and "secret agent" in both.text
    net = wordnet.read_net(net_folder)
    said = wordnet.defined(net.synsets["n00000005"], "wombin", net, before=True)
    assert said.index("secret agent") < said.index("wombin")


def test_scenes_are_of_words_with_senses_of_different_sorts(net_folder: Path) -> None:
    net = wordnet.read_net(net_folder)
    assert {word: len(some) for word, some in scenes.ambiguous(net).items()} == {"wombin": 2}
    agent = scenes.scene("wombin", net.synsets["n00000005"], net, 0)
    assert agent.index("secret agent who waits") < agent.index("wombin")
    animal = [scenes.scene("wombin", net.synsets["n00000002"], net, one) for one in range(20)]
    assert len(set(animal)) > 10
    assert all("wombin" in one and "The wombin slept all day." in one for one in animal)
    assert any("diggers" in one and "goffers" in one and "fossores" in one for one in animal)
    told = " ".join(text.text for text in scenes.scenes(net_folder))
    assert not clean.leftovers(told)


def test_every_frame_can_be_filled() -> None:
    filled = {"what": "W", "one": "O", "word": "w", "words": "ws", "kind": "k"}
    for shape in (
        *scene_frames.ANYTHING,
        *(one for some in scene_frames.FRAMES.values() for one in some),
    ):
        told = shape.format(**filled)
        assert "W" in told and ("w" in told or "O" in told) and not clean.leftovers(told)


@pytest.mark.parametrize(
    ("phrase", "wanted"),
    [("mole", "a mole"), ("owl", "an owl"), ("hour", "an hour"), ("unicorn", "a unicorn"),
     ("umbrella", "an umbrella"), ("European", "a European"), ("the sea", "the sea"),
     ("FBI agent", "an FBI agent"), ("one-eyed cat", "a one-eyed cat")],
)  # fmt: skip
def test_articles(phrase: str, wanted: str) -> None:
    assert say.a(phrase) == wanted


def test_plurals_and_lists() -> None:
    irregular = {"mouse": "mice"}
    many = [
        say.plural(one, irregular)
        for one in ("mole", "field mouse", "fox", "fly", "bank of snow", "watchman", "human")
    ]
    assert many == ["moles", "field mice", "foxes", "flies", "banks of snow", "watchmen", "humans"]
    assert say.listing(["a", "b", "c"]) == "a, b and c"
    assert say.lower_first("The mole") == "the mole"
    assert say.lower_first("DNA is") == "DNA is"


def test_foldoc() -> None:
    text = """
shovelware

   <jargon> (SW) Extra software that fills the rest of a {disk}
   and that was put there by nobody who had thought of it.  See
   also {bundle}.

    | a | table |

   (1998-06-04)

"""
    (one,) = glossaries.foldoc_entries(text)
    assert one == Text(
        "shovelware",
        "Shovelware, in jargon: extra software that fills the rest of a disk and that was put there by "
        "nobody who had thought of it.",
    )


def test_jargon() -> None:
    text = """
burrow
 /bu´roh/, v.

    [from the animals] To look for the cause of a fault from {
    below}, where nobody else has looked for a long time. See {dig}.
"""
    (one,) = glossaries.jargon_entries(text)
    assert one.text == (
        "Burrow: to look for the cause of a fault from below, where nobody else has looked for a long time."
    )


def test_devil() -> None:
    text = """
MOLEHILL, n.  The only mountain that is made by one who cannot see
it, and by far the most of those that are.

    A mole once said unto a hill:
        "I made thee, and I have thee still."

MOLE, n.  [from {MOLEHILL}]   A gardener who has never been asked for
his opinion of the lawn by anyone.
"""
    hill, mole = glossaries.devil_entries(text)
    assert hill.text.startswith(
        "Molehill: the only mountain that is made by one who cannot see it, and"
    )
    assert "thee" not in hill.text
    assert (
        mole.text
        == "Mole: a gardener who has never been asked for his opinion of the lawn by anyone."
    )


def test_a_sword_text_is_unpacked(tmp_path: Path) -> None:
    verses = [
        b"<title>One</title>In the hill<note>or: mound</note> was a mole.",
        b"",
        b"It <w>dug</w>.",
    ]
    packed = zlib.compress(b"".join(verses))
    (tmp_path / "ot.bzz").write_bytes(packed)
    (tmp_path / "ot.bzs").write_bytes(struct.pack("<III", 0, len(packed), sum(map(len, verses))))
    starts = [0, len(verses[0]), len(verses[0])]
    rows = [
        struct.pack("<IIH", 0, start, len(one)) for start, one in zip(starts, verses, strict=True)
    ]
    (tmp_path / "ot.bzv").write_bytes(b"".join(rows))
    told = [bible.plain_verse(verse) for verse in bible.sword_verses(tmp_path, "ot")]
    assert told == ["In the hill was a mole.", "It dug."]


def test_descriptions_keep_prose_and_drop_lists_and_parts() -> None:
    text = """Package: molehunt
Description-md5: 0
Description-en: Find who is not who they are
 Molehunt is a game in which one of the players is a spy and the
 others must find out who it is before the lights go out.
 .
 Features are:
  * fast
  * small
 .
 This package contains the data files.

Package: librust-mole-dev
Description-en: Mole
 The mole is a library that nobody but a program would ever read about.
"""
    ((name, told),) = descriptions.stanzas(text)
    one = descriptions.parsed(name, told)
    assert one is not None
    assert one.text == (
        "molehunt: Find who is not who they are.\n\nMolehunt is a game in which one of the players is a spy "
        "and the others must find out who it is before the lights go out."
    )


def test_pages_give_their_paragraphs_alone() -> None:
    page = """<?xml version="1.0"?><html><head><title>Bank</title></head><body><nav><p>The first and the next
    of these pages are here.</p></nav><p>The <b>bank</b> keeps your money for you,<br/>and you may have it back at
    any time.</p><pre>x = the bank of it and so on.</pre><table><tr><td>1</td></tr></table></body></html>"""
    assert list(manuals.page_paragraphs(page)) == [
        "The bank keeps your money for you, and you may have it back at any time."
    ]


def test_info_gives_its_paragraphs_alone() -> None:
    text = (
        "\x1f\nFile: a.info,  Node: Bass,  Next: B,  Up: Top\n\n1.1 Bass\n========\n\nES: bajo, D: Bass.\n\n"
        "   The lowest of the voices that sing in a choir, and the\npart that is written for it (*note Voice::).\n"
    )
    assert list(manuals.info_paragraphs(text)) == [
        "The lowest of the voices that sing in a choir, and the part that is written for it (Voice)."
    ]


def test_games_strings() -> None:
    wml = '# _ "no"\nmessage= _ "He said ""dig"" to the moles."\nname="x"'
    assert list(stories.wml_strings(wml)) == ['He said "dig" to the moles.']
    space = '\tdescription "The people of this world live in the hills, <first>, and dig."\n\t\t`"Dig!" say all of them.`'
    assert list(stories.space_strings(space)) == [
        "The people of this world live in the hills, Morgan, and dig.",
        '"Dig!" say all of them.',
    ]
    assert list(stories.lua_strings('text = _("Dig \\"here\\"") x = [[And there.]]')) == [
        'Dig "here"',
        "And there.",
    ]
    data = json.dumps(
        [{"id": "mole_burrow_of_the_hills_at_night", "//": "x" * 50, "text": ["y" * 40]}]
    )
    assert "y" * 40 in list(stories.json_strings(data))
    assert "x" * 50 not in list(stories.json_strings(data))
    assert list(stories.json_strings("{not json")) == []
    assert list(stories.crawl("%%%%\nMole\n\nIt digs.\n%%%%\n# x\n\nno\n%%%%\nOwl\n\n:lua\n")) == [
        "It digs."
    ]
    assert list(stories.quoted('help = _("Dig\\\n here.")')) == ["Dig here."]


def test_tidy_sentence_and_prose() -> None:
    assert clean.tidy("“ﬁne” — the\u00a0mole’s\u200b hill …") == '"fine" - the mole\'s hill ...'
    assert clean.sentence('  "a mole , it seems ;') == '"A mole, it seems.'
    assert clean.prose("The mole is in the hill and it digs.")
    assert not clean.prose("Maulwurf gräbt einen langen Gang unter dem Rasen.")
    assert not clean.prose("The mole[1] is in the hill and it digs.")
    assert not clean.prose("The mole is in the hill and it digs")


def test_documents_join_cut_and_drop_what_was_said() -> None:
    line = "The mole number {} is one of those that dig in the hill at night and that are not seen by day."
    names = [
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "elf",
        "dozen",
    ]
    texts = [Text(name, line.format(name), "a") for name in [*names, "one"]]
    found = list(clean.documents([*texts, Text("b", line.format("other"), "b")]))
    assert [one.name for one in found] == ["one", "b"]  # another group, another document
    assert found[0].text.count("number one is") == 1
    long = Text("long", "\n\n".join(line.format(f"{a} {b}") for a in names for b in names))
    sizes = [len(one.text.split()) for one in clean.documents([long])]
    assert max(sizes) <= clean.MANY and sum(sizes) == 144 * 23
    assert list(clean.documents([Text("x", "The {mole} is in the hill. " * 9)])) == []


def test_draws_are_the_same_everywhere() -> None:
    assert draw("mole") == pytest.approx(DRAWN, abs=0)
    assert pick(["a", "b"], "mole") == ("a" if DRAWN < 0.5 else "b")


DRAWN = 0.47697398119313306


def test_licences_are_read_in_the_packages_own_words(tmp_path: Path) -> None:
    folder = tmp_path / "usr/share/doc/mole"
    folder.mkdir(parents=True)
    (folder / "copyright").write_text(
        "License: GPL-2+\n\nLicense: CC-BY-4.0\n\nLicense: CC-BY-4.0\n"
    )
    assert debian.licence("mole", tmp_path) == ["CC-BY-4.0", "GPL-2+"]
    (folder / "copyright").write_text("see /usr/share/common-licenses/GPL-2 for it")
    assert debian.licence("mole", tmp_path) == ["GPL-2"]
    assert debian.licence("hill", tmp_path) == []


def test_files_and_manifest_are_written_and_repeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(root: Path) -> list[Text]:
        return [
            Text(
                "mole", "The mole is in the hill, and it has dug there since the first of May. " * 2
            )
        ]

    monkeypatch.setattr(lexicon_text, "SOURCES", (Source("tale", (), read, note="n"),))
    row = lexicon_text.write_kind(tmp_path, "tale")
    again = lexicon_text.write_kind(tmp_path, "tale")
    assert row == again
    line = json.loads((tmp_path / "tale.jsonl").read_text())
    assert line["kind"] == "tale" and line["name"] == "mole"
    assert row["documents"] == 1 and row["bytes"] == len(line["text"].encode())
    told = lexicon_text.manifest(tmp_path, {"tale": row})
    assert told["bytes"] == row["bytes"] and told["kinds"] == [row]


def test_missing_packages_are_told_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lexicon_text, "missing", lambda packages: ["dict-gcide"])
    assert lexicon_text.main(tmp_path / "out", []) == 2
    assert "apt-get install --no-install-recommends dict-gcide" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
    assert lexicon_text.main(tmp_path / "out", ["nothing"]) == 2


def test_kinds_are_named_once_and_say_what_was_left_out() -> None:
    kinds = [source.kind for source in SOURCES]
    assert len(set(kinds)) == len(kinds)
    assert all(source.packages and source.note and 0 < source.keep <= 1 for source in SOURCES)
