"""The words that worlds are drawn from: topics, ambiguous words, names, and what facts are about.

A topic has cues: people, places and things that are met there and nowhere else. Every sense of an
ambiguous word belongs to one topic, and has verbs that say what it does. All lists of one kind have
one length, so that no sense has more ways of being told than another. This module holds words and
no rule.
"""

# ruff: noqa: SIM905 (lists of words read better as words)

from __future__ import annotations

__all__ = [
    "ADJECTIVES",
    "ADVERBS",
    "AMBIGUOUS",
    "DAYS",
    "FIRST_NAMES",
    "LAST_NAME_PARTS",
    "RIVER_PARTS",
    "SPORTS",
    "TOPICS",
    "TOWN_PARTS",
    "TRADES",
    "WARES",
]

TOPICS: dict[str, tuple[str, str, str]] = {
    "garden": ("gardener florist digger", "garden lawn meadow", "spade flower hedge soil"),
    "secrets": ("spy minister diplomat", "embassy ministry bunker", "code secret cipher dossier"),
    "kitchen": ("cook waiter guest", "kitchen larder tavern", "pepper butter oven spoon"),
    "body": ("doctor nurse patient", "clinic hospital ward", "fever bandage pill wound"),
    "sea": ("sailor captain fisher", "harbour beach lagoon", "sail wave anchor net"),
    "money": ("banker broker cashier", "vault treasury exchange", "coin loan debt credit"),
    "music": ("singer drummer composer", "concert opera ballroom", "melody rhythm violin choir"),
    "school": ("teacher student tutor", "school classroom library", "lesson chalk exam essay"),
    "building": ("mason architect foreman", "site tower workshop", "cement brick girder hammer"),
    "forest": ("hunter forester ranger", "forest glade thicket", "moss fern acorn oak"),
    "game": ("referee coach striker", "stadium arena court", "goal trophy helmet whistle"),
    "lab": ("chemist physicist scientist", "laboratory institute hall", "acid atom flask crystal"),
    "law": ("judge lawyer clerk", "courtroom prison archive", "verdict contract trial oath"),
    "season": ("farmer shepherd reaper", "barn orchard valley", "snow thaw harvest frost"),
    "travel": ("traveller porter guide", "station hotel airport", "ticket map train suitcase"),
    "dress": ("jeweller bride dancer", "palace boutique salon", "velvet pearl silk veil"),
}
"""Topic -> its people, its places and its things."""

AMBIGUOUS: dict[str, dict[str, str]] = {
    "mole": {
        "garden": "digs burrows sleeps",
        "secrets": "betrays listens escapes",
        "kitchen": "simmers thickens cools",
        "body": "itches darkens swells",
        "sea": "shelters crumbles sinks",
        "lab": "reacts dissolves weighs",
    },
    "bank": {"money": "lends invests pays", "sea": "erodes slopes floods"},
    "spring": {
        "season": "arrives warms returns",
        "building": "bounces uncoils snaps",
        "forest": "bubbles trickles gushes",
    },
    "seal": {"sea": "swims dives barks", "law": "binds certifies melts"},
    "crane": {"sea": "wades nests migrates", "building": "lifts swings hoists"},
    "scale": {
        "music": "rises falls repeats",
        "sea": "glitters flakes shines",
        "lab": "measures tips balances",
    },
    "bat": {"forest": "flutters squeaks hangs", "game": "strikes splinters cracks"},
    "mint": {"garden": "sprouts wilts spreads", "money": "prints issues earns"},
    "key": {
        "music": "changes shifts modulates",
        "travel": "unlocks turns fits",
        "school": "explains corrects reveals",
    },
    "organ": {"music": "booms hums resounds", "body": "bleeds fails heals"},
    "plant": {
        "garden": "blooms wilts grows",
        "building": "smokes runs produces",
        "secrets": "deceives spreads misleads",
    },
    "pupil": {"school": "learns writes answers", "body": "widens narrows shrinks"},
    "ring": {
        "dress": "sparkles gleams glitters",
        "game": "fills empties cheers",
        "secrets": "plots smuggles hides",
    },
    "bark": {"forest": "peels splits rots", "sea": "drifts founders turns"},
    "trunk": {"forest": "leans rots grows", "travel": "opens closes rattles"},
    "note": {
        "music": "sounds fades echoes",
        "school": "reminds explains warns",
        "money": "circulates tears pays",
    },
    "match": {"game": "starts ends thrills", "kitchen": "lights burns flares"},
    "nail": {"body": "grows chips tears", "building": "rusts bends holds"},
    "bass": {"music": "throbs hums echoes", "sea": "bites swims leaps"},
    "file": {"law": "lists names proves", "building": "grinds smooths scrapes"},
    "palm": {"garden": "sways grows ripens", "body": "sweats itches tingles"},
    "pitcher": {"kitchen": "pours spills leaks", "game": "throws aims waits"},
    "port": {"sea": "bustles floods welcomes", "kitchen": "matures sweetens stains"},
    "pen": {"school": "scribbles leaks scratches", "season": "encloses shelters empties"},
}
"""Word -> topic of each sense -> that sense's verbs. Different words may share a verb; two senses
of one word never do."""

ADJECTIVES = "old small big grey strange new plain dark".split()
ADVERBS = "slowly again today often quietly always here now".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()

FIRST_NAMES = (
    "Anna Ben Clara David Emma Felix Grace Henry Ida Jacob Karen Louis Martha Noah Olga Peter "
    "Rosa Simon Tessa Victor Wanda Arthur Bella Conrad Dora Edgar Flora Gustav Helen Ivan Judith "
    "Leo Mabel Oscar Paula Ralph Stella Thomas Ursula Walter"
).split()

# Beginnings and endings of names that no list would be long enough for.
LAST_NAME_PARTS = (
    "Bel Car Dun Fen Gar Hol Ker Lam Mor Nor Pen Ros Sel Tor Ver Wil".split(),
    "combe den ding fax gate lock mont ner son ton wick wright".split(),
)
TOWN_PARTS = (
    "Ash Birch Clay Elm Fox Green Hazel King Lark Mill Oak Raven Stone Swan Thorn West".split(),
    "bury chester cott field ford ham ley mere stow worth".split(),
)
RIVER_PARTS = (
    "Al Br Cald D Er Is K Lu Or Th W Y".split(),
    "ane aver ell enna ien ist ole ude".split(),
)

SPORTS = "tennis chess hockey cricket golf rugby football polo darts squash croquet bowls".split()
TRADES = (
    "baker weaver potter cobbler miller smith carter joiner thatcher tinker roofer dyer"
).split()
WARES = "honey salt wool glass cheese cider leather linen candles barley pottery paper".split()
