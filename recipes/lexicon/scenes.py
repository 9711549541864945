"""Nouns of several quite different senses, each sense told in a small scene of its own.

Made of WordNet alone: what the thing is, what stands beside it, what kinds of it there are, and a
frame in which such things occur (animals are seen, sauces are eaten, spies are suspected). The
scene comes first and the word after it, so that its context tells which sense is meant.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from lexicon.clean import sentence
from lexicon.records import Text, draw, pick
from lexicon.say import a, listing
from lexicon.scene_frames import ANYTHING, FRAMES
from lexicon.wordnet import Net, Synset, defined, halves, placed, read_net

__all__ = ["ambiguous", "scene", "scenes"]

VARIANTS = 2  # scenes of each sense
LONGEST = 9  # letters; longer words have few senses


def ambiguous(net: Net) -> dict[str, list[Synset]]:
    """Spellings with noun senses in more than one of WordNet's files (animal, food, ...)."""
    senses: dict[str, list[Synset]] = defaultdict(list)
    for synset in net.synsets.values():
        if synset.key[0] == "n":
            for word in synset.words:
                if word.isalpha() and word.islower() and len(word) <= LONGEST:
                    senses[word].append(synset)
    return {word: some for word, some in senses.items() if len({one.file for one in some}) > 1}


def scene(word: str, synset: Synset, net: Net, variant: int) -> str:
    """One sense of a word as a paragraph; another variant draws other sentences."""
    key = f"{word} {synset.key} {variant}"
    over = net.linked(synset, "@", "@i")
    above = over[0] if over else None
    said = []
    if above and draw(key + "above") < 0.5:
        said.append(defined(above, above.word, net))
    if above:
        said.append(beside(word, synset, above, net, key))
    said.append(framed(word, synset, above, net, key))
    if draw(key + "meaning") < 0.4:
        said.append(defined(synset, word, net, before=draw(key + "before") < 0.5))
    said.append(kinds(word, synset, net, key))
    said += [one for one in synset.examples if word in one.lower()]
    return " ".join(one for one in said if one)


def beside(word: str, synset: Synset, above: Synset, net: Net, key: str) -> str:
    """The things it is named with, before it."""
    near = [one.word for one in net.linked(above, "~") if one is not synset and one.counted]
    near = sorted((one for one in near if one != word), key=lambda one: draw(key + one))[:3]
    if not synset.counted or len(near) < 2 or not above.word[:1].islower():
        return ""
    shapes = [
        "{many} and {words} are {kinds}",
        "they spoke of {kinds}: of {many}, and of the {word}",
        "what {kinds} do you know? {Many}, and also the {word}",
        "there were {kinds} there, {many}, and one {word}",
        "not every {kind} is a {first}; the {word} is another {kind}",
    ]
    many = ", ".join(net.many(one) for one in near)
    return sentence(
        pick(shapes, key + "beside").format(
            many=many,
            Many=sentence(many).rstrip("."),
            words=net.many(word),
            word=word,
            kinds=net.many(above.word),
            kind=above.word,
            first=near[0],
        )
    )


def framed(word: str, synset: Synset, above: Synset | None, net: Net, key: str) -> str:
    """A sentence or two in which such a thing occurs, what it is before its name."""
    place, meaning = placed(synset.meaning)
    head, _ = halves(meaning)
    one = a(word) if synset.counted else word
    what = a(head) if synset.counted else head
    shapes = FRAMES.get(synset.file, ()) if synset.counted or synset.file in FRAMES else ()
    frame = pick([*shapes, *shapes, *ANYTHING], key + "frame")
    kind = above.word if above and above.word[:1].islower() else "thing"
    told = frame.format(what=what, one=one, word=word, words=net.many(word), kind=kind)
    return " ".join(sentence(part) for part in (place + told).split(" / "))


def kinds(word: str, synset: Synset, net: Net, key: str) -> str:
    """What there is of it, or where it belongs."""
    below = sorted(net.linked(synset, "~"), key=lambda one: draw(key + one.key))[:3]
    names = [one.word for one in below if one.word != word]
    if len(names) >= 2 and all(one.counted for one in below) and synset.counted:
        shapes = ["{names} are kinds of {word}", "kinds of {word} are {names}"]
        many = listing([net.many(name) for name in names])
        return sentence(pick(shapes, key + "kinds").format(names=many, word=word))
    if names and draw(key + "below") < 0.6:
        head, _ = halves(placed(below[0].meaning)[1])
        return sentence(f"one kind of {word} is {names[0]}: {head}")
    return ""


def scenes(root: Path) -> Iterator[Text]:
    """The senses' scenes, drawn in an order that keeps two senses of one word apart."""
    net = read_net(root)
    every = [
        (word, synset, variant)
        for word, senses in ambiguous(net).items()
        for synset in senses[:8]
        for variant in range(VARIANTS)
    ]
    every.sort(
        key=lambda one: (one[1].file, one[2], draw(f"{one[1].links.get('@', [''])[0]} {one[2]}"))
    )
    for word, synset, variant in every:
        yield Text(word, scene(word, synset, net, variant), f"{synset.file} {variant}")
