"""All kinds of text, with their packages, the share that is kept, and the reasons."""

from __future__ import annotations

from functools import partial

from lexicon import bible, descriptions, gcide, glossaries, manuals, scenes, stories, wordnet
from lexicon.records import Source

__all__ = ["SOURCES"]

_CAMPAIGNS = "data did dm dw ei httt l low nr sof sota sotbe thot trow tsg ttb utbs"
WESNOTH = tuple(f"wesnoth-1.16-{name}" for name in _CAMPAIGNS.split())

SOURCES = (
    Source(
        "gcide",
        ("dict-gcide",),
        gcide.gcide,
        note="Definitions, uses, notes, compounds and later quotations. Left out: obsolete senses, "
        "old poets, origins, pronunciations, and headwords that the dictionary uses nowhere.",
        license="GPL-2 or later",
    ),
    Source(
        "topics",
        ("wordnet-base",),
        wordnet.topics,
        keep=0.85,
        note="WordNet's synsets beside their neighbours: gloss, examples, relations. Templated, "
        "and thinned so that templates stay below four tenths of the text.",
        license="WordNet 3.0",
    ),
    Source(
        "senses",
        ("wordnet-base",),
        wordnet.words,
        keep=0.5,
        note="WordNet's spellings of several senses, meaning before word in most. Templated; half, "
        "since the scenes tell the nouns again.",
        license="WordNet 3.0",
    ),
    Source(
        "scenes",
        ("wordnet-base",),
        scenes.scenes,
        note="Nouns with senses of different sorts, each sense in a scene of its own. Templated.",
        license="WordNet 3.0",
    ),
    Source(
        "stories",
        (
            *WESNOTH,
            "endless-sky-data",
            "naev-data",
            "cataclysm-dda-data",
            "crawl-common",
            "freeciv-data",
            "widelands-data",
            "freedroidrpg-data",
        ),
        stories.stories,
        note="Dialogues, tales and descriptions in games. Left out: strings with gaps, lists.",
        license="GPL-2 or later, GPL-3 or later, CC-BY-SA-3.0, CC-BY-SA-4.0",
    ),
    Source(
        "descriptions",
        ("apt",),
        descriptions.descriptions,
        note="Descriptions of Debian's packages. Left out: lists, parts of packages, families of "
        "libraries. Free as Debian is; the version is that of the archive.",
        license="each package's own, free by Debian's guidelines",
    ),
    Source(
        "bible",
        ("sword-text-web",),
        bible.world_english,
        note="The World English Bible.",
        license="public domain",
    ),
    Source(
        "kingjames",
        ("bible-kjv-text", "bible-kjv"),
        bible.king_james,
        keep=0.25,
        note="A quarter: its English is old, and the World English Bible tells the same.",
        license="public domain",
    ),
    Source(
        "foldoc",
        ("dict-foldoc",),
        glossaries.foldoc,
        keep=0.6,
        note="Six tenths: computing is well told elsewhere in these texts.",
        license="GFDL",
    ),
    Source(
        "jargon",
        ("dict-jargon",),
        glossaries.jargon,
        note="Origins and pronunciations left out.",
        license="public domain",
    ),
    Source(
        "devil",
        ("dict-devil",),
        glossaries.devil,
        note="The verses left out.",
        license="public domain",
    ),
    Source(
        "music",
        ("lilypond-doc", "solfege-doc"),
        partial(manuals.manual, places=manuals.MUSIC),
        note="A glossary of music, how to write and how to hear it.",
        license="GFDL-1.3 or later, GPL-3 or later",
    ),
    Source(
        "money",
        ("gnucash-docs", "homebank-data", "kmymoney-common"),
        partial(manuals.manual, places=manuals.MONEY),
        note="Accounting at home, with banks.",
        license="GFDL-1.1 or later, GPL-2 or later",
    ),
    Source(
        "sky",
        ("stellarium-data", "kstars-data", "kalzium-data", "marble-data"),
        partial(manuals.manual, places=manuals.SKY),
        note="Stars, peoples' constellations, elements, maps.",
        license="GPL-2 or later, GFDL-1.2, LGPL-2.1 or later, CC0",
    ),
    Source(
        "pictures",
        ("gimp-help-en",),
        partial(manuals.manual, places=manuals.PICTURES),
        keep=0.5,
        note="Half: much of it says the same of many commands.",
        license="GFDL-1.2 or later",
    ),
    Source(
        "system",
        (
            "gnome-user-docs",
            "debian-handbook",
            "debian-reference-en",
            "installation-guide-amd64",
            "cfi-en",
            "developers-reference",
            "debian-faq",
            "libreoffice-help-en-us",
        ),
        partial(manuals.manual, places=manuals.SYSTEM),
        keep=0.6,
        note="Six tenths of books and help on using a computer; code and tables left out.",
        license="CC-BY-SA-3.0, GPL-2 or later, MPL-2.0, public domain",
    ),
)
