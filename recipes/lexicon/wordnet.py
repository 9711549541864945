"""WordNet: glosses, examples and relations become sentences.

Two kinds of documents. A *topic* tells what the kinds of one thing are, so that an animal's name
stands among animals; a *word* tells all the senses of one spelling, the definition often before the
word, because a model that reads from left to right knows only what came before.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lexicon.clean import sentence
from lexicon.debian import read_text
from lexicon.records import Text, draw, pick
from lexicon.say import a, listing, plural

__all__ = ["Net", "Synset", "defined", "halves", "placed", "read_net", "topics", "words"]

# Files of nouns whose members are counted, so that they have an article.
COUNTED = frozenset({4, 5, 6, 8, 14, 15, 17, 18, 20})
SAME = (
    "in this sense {w} is the same as {n}",
    "here {w} and {n} mean the same",
    "one could also say {n}",
    "this is {n}",
)
FILES = ("noun", "verb", "adj", "adv")


@dataclass(frozen=True)
class Synset:
    """Words that share one meaning. `links` goes from a pointer's sign to the keys of synsets."""

    key: str
    file: int
    words: tuple[str, ...]
    meaning: str
    examples: tuple[str, ...]
    links: dict[str, list[str]] = field(default_factory=dict)

    @property
    def word(self) -> str:
        """The name that it goes by; the full one, where it is a person or a place."""
        full = [word for word in self.words if word.endswith(" " + self.words[0])]
        return full[0] if full and "@i" in self.links else self.words[0]

    @property
    def counted(self) -> bool:
        """Whether `a` belongs before it: a thing that is counted, and no name of one."""
        return self.file in COUNTED and self.word[:1].islower() and "@i" not in self.links


@dataclass(frozen=True)
class Net:
    """All synsets in the order of their files, and the irregular plurals."""

    synsets: dict[str, Synset]
    plurals: dict[str, str]

    def linked(self, synset: Synset, *signs: str) -> list[Synset]:
        keys = [key for sign in signs for key in synset.links.get(sign, ())]
        return [self.synsets[key] for key in keys if key in self.synsets]

    def many(self, word: str) -> str:
        return plural(word, self.plurals)


def read_net(root: Path) -> Net:
    """The four data files and the list of irregular plurals."""
    folder = root / "usr/share/wordnet"
    lines = (line for one in FILES for line in read_text(folder / f"data.{one}").split("\n"))
    synsets = [parsed(line) for line in lines if line[:1].isdigit()]
    irregular: dict[str, str] = {}
    for line in read_text(folder / "noun.exc").split("\n"):
        many, _, one = line.partition(" ")
        if one and "_" not in line and not many.endswith("men"):
            irregular.setdefault(one.split(" ")[0], many)
    return Net({one.key: one for one in synsets}, irregular)


def parsed(line: str) -> Synset:
    """One line of a data file; its format is described in wndb(5WN)."""
    data, _, gloss = line.partition(" | ")
    fields = data.split(" ")
    part = "a" if fields[2] == "s" else fields[2]
    count = int(fields[3], 16)
    words = [
        re.sub(r"\(\w+\)$", "", word).replace("_", " ") for word in fields[4 : 4 + 2 * count : 2]
    ]
    at = 4 + 2 * count
    links: dict[str, list[str]] = defaultdict(list)
    for number in range(int(fields[at])):
        sign, offset, other, _ = fields[at + 1 + 4 * number : at + 5 + 4 * number]
        links[sign].append(("a" if other == "s" else other) + offset)
    meaning, examples = split_gloss(gloss.strip())
    return Synset(part + fields[0], int(fields[1]), tuple(words), meaning, examples, dict(links))


def split_gloss(gloss: str) -> tuple[str, tuple[str, ...]]:
    """A gloss is a definition, then examples within quotation marks."""
    at = re.search(r"[;:,]?\s*\"", gloss)
    meaning = (gloss[: at.start()] if at else gloss).strip(" ;")
    examples = re.findall(r"\"([^\"]{4,})\"(?!\s*-\s*\w)", gloss[at.start() :]) if at else []
    return meaning, tuple(sentence(one) for one in examples)


def placed(meaning: str) -> tuple[str, str]:
    """`(music) low in pitch` -> (`In music`, `low in pitch`)."""
    found = re.match(r"\(([a-zA-Z ]{3,40})\)\s*", meaning)
    if not found:
        return "", re.sub(r"^\(([^()]*)\)\s*", r"\1: ", meaning)
    inside, rest = found[1], meaning[found.end() :]
    return ("" if inside.startswith(("of ", "used ")) else f"in {inside}, "), rest


def defined(synset: Synset, word: str, net: Net, *, before: bool = False) -> str:
    """One sense as a sentence that has the word; `before` puts the meaning first where it can."""
    place, meaning = placed(synset.meaning)
    chance = draw(synset.key + word)
    kind = synset.key[0]
    if kind == "n":
        return noun(synset, word, place, meaning, net, before, chance)
    if kind == "v":
        head, tail = halves(meaning)
        if before or chance < 0.3:
            return sentence(f"{place}to {head} is to {word}{tail}")
        return sentence(f"{place}to {word} is to {meaning}")
    if before or chance < 0.3:
        head, tail = halves(meaning)
        shapes = [
            "{head}: that is what {word} means",
            "the word for {head} is {word}",
            "{head}, or {word}",
        ]
        shape = pick(shapes, word + synset.key)
        return sentence(place + shape.format(head=head, word=word) + tail)
    return sentence(f"{place}{word} means {meaning}")


def halves(meaning: str) -> tuple[str, str]:
    """A meaning up to its semicolon, and the rest as what may follow a sentence."""
    head, _, rest = meaning.partition(";")
    return head, f"; {rest.strip()}" if rest.strip() else ""


def noun(
    synset: Synset, word: str, place: str, meaning: str, net: Net, before: bool, chance: float
) -> str:
    """A noun's sense, in one of several shapes."""
    counted = synset.counted
    one = a(word) if counted else word
    name = "@i" in synset.links and synset.file in (15, 17, 18)
    many = re.match(r"(?:\w+ ){0,2}\w*s\b(?: that| who| of| in|$)", meaning) is not None
    meaning, tail = halves(meaning)
    what = a(meaning) if (counted or name) and not many else meaning
    over = net.linked(synset, "@", "@i")
    above = over[0].word if over else ""
    if before or chance < 0.3:
        shapes = [
            f"{place}{what} is called {one}",
            f"{place}{what}: that is {one}",
            f"{place}the name for {what} is {word}",
        ]
        if counted:
            shapes[2] = f"{what}, in other words {one}"
        if name:
            shapes = [f"{place}{what}: that is {one}", f"{what} is {one}"]
        if above and synset.counted and above[:1].islower():
            shapes.append(f"{place}among {net.many(above)}, {what} is {one}")
            shapes.append(f"one kind of {above}, {what}, is the {word}")
        return sentence(pick(shapes, word + synset.key) + tail)
    if chance < 0.7 and not many:
        return sentence(f"{place}{one} is {what}{tail}")
    label = f" ({above})" if above and above not in word and len(above) < 24 else ""
    return sentence(f"{word}{label}: {place}{meaning}{tail}")


def alike(synset: Synset, word: str, others: Sequence[Synset], above: Synset, net: Net) -> str:
    """What stands beside it: `Shrews, hedgehogs and moles are insectivores.`"""
    near = [one for one in others if one is not synset and one.counted]
    if len(near) < 2 or not synset.counted or not above.word[:1].islower():
        return ""
    first = int(draw(synset.key) * (len(near) - 1))
    names = [near[first].word, near[first + 1].word]
    shapes = [
        f"{listing([net.many(one) for one in [*names, word]])} are {net.many(above.word)}",
        f"like {a(names[0])}, {a(word)} is {a(above.word)}",
        f"{a(names[0])}, {a(names[1])} or another {above.word}, such as {a(word)}",
        f"of the {net.many(above.word)} there are {listing([net.many(n) for n in names])}, "
        f"and also the {word}",
        f"it was not {a(names[0])} but another {above.word}: {a(word)}",
    ]
    return sentence(pick(shapes, "alike" + synset.key))


def parts(synset: Synset, net: Net) -> str:
    """What it has, what it belongs to, and the field that speaks of it."""
    has = [one.word for one in net.linked(synset, "%p")][:4]
    of = [one.word for one in net.linked(synset, "#p", "#m")][:1]
    field_ = [one.word for one in net.linked(synset, ";c")][:1]
    one = f"the {synset.word}" if synset.counted else synset.word
    if has and synset.file not in (15,):
        return sentence(f"{one} has parts such as {listing([f'the {word}' for word in has])}")
    if of and synset.word[:1].islower():
        return sentence(f"{one} belongs to {of[0] if of[0][:1].isupper() else f'the {of[0]}'}")
    return sentence(f"in {field_[0]} one speaks of {synset.word}") if field_ else ""


def other_names(synset: Synset) -> str:
    """Synonyms as a sentence."""
    names = [word for word in synset.words[1:4] if word.lower() != synset.word.lower()]
    if not names:
        return ""
    shapes = [
        "{w} is also called {n}",
        "another name for {w} is {n}",
        "{n} is the same as {w}",
        "some call it {n}",
        "it also goes by the name of {n}",
    ]
    if synset.key[0] != "n":
        shapes = ["{n} and {w} mean the same", "instead of {w} one may say {n}", "or one says {n}"]
    return sentence(pick(shapes, synset.key).format(w=synset.word, n=listing(names, "or")))


def told(synset: Synset, others: Sequence[Synset], above: Synset | None, net: Net) -> str:
    """A synset within its topic: what it is, examples, and now and then its relations."""
    spelled = synset.word if draw("first" + synset.key) < 0.6 else pick(synset.words, synset.key)
    said = [defined(synset, spelled, net)]
    if draw("names" + synset.key) < 0.5:
        said.append(other_names(synset))
    said += synset.examples
    if above and draw("alike" + synset.key) < 0.45:
        said.append(alike(synset, spelled, others, above, net))
    if draw("parts" + synset.key) < 0.5:
        said.append(parts(synset, net))
    return " ".join(one for one in said if one)


def topics(root: Path) -> Iterator[Text]:
    """Every synset once, beside those that share its nearest general term."""
    net = read_net(root)
    under: dict[str, list[Synset]] = defaultdict(list)
    for synset in net.synsets.values():
        over = net.linked(synset, "@", "@i", "&", "\\")
        under[over[0].key if over else synset.key].append(synset)
    for key, members in under.items():
        above = net.synsets[key]
        members = sorted(members, key=lambda one: draw(one.key))
        for start in range(0, len(members), 8):
            some = members[start : start + 8]
            lead = opening(above, some, net)
            lines = [told(one, members, above if one is not above else None, net) for one in some]
            yield Text(above.word, "\n\n".join([lead, *lines] if lead else lines), above.key[0])


def opening(above: Synset, some: Sequence[Synset], net: Net) -> str:
    """What the members of a topic have in common."""
    names = [one.word for one in some if one is not above][:5]
    if len(names) < 2 or above.key[0] != "n" or not above.word[:1].islower():
        return ""
    if not all(one.counted for one in some):
        return sentence(f"{listing(names)}: each is a kind or an instance of {above.word}")
    shapes = [
        "{names} are {kinds}",
        "among {kinds} are {names}",
        "{kinds} such as {names}",
        "there are many {kinds}: {names}",
    ]
    every = listing([net.many(name) for name in names])
    return sentence(
        pick(shapes, above.key + names[0]).format(names=every, kinds=net.many(above.word))
    )


def words(root: Path) -> Iterator[Text]:
    """Every spelling that has several senses: all of them, mostly with the meaning first."""
    net = read_net(root)
    senses: dict[str, list[Synset]] = defaultdict(list)
    for synset in net.synsets.values():
        for word in synset.words:
            if word.islower():
                senses[word].append(synset)
    for word in sorted(senses, key=draw):
        if len(senses[word]) > 1:
            said = several(word, senses[word], net)
            yield Text(word, " ".join(one for one in said if one), "words")


def several(word: str, senses: Iterable[Synset], net: Net) -> Iterator[str]:
    """The senses of one spelling, each with its neighbours or an example where it has them."""
    for number, synset in enumerate(senses):
        if number == 12:
            return
        over = net.linked(synset, "@")
        if over and draw(word + synset.key + "alike") < 0.5:
            yield alike(synset, word, net.linked(over[0], "~"), over[0], net)
        yield defined(synset, word, net, before=draw(word + synset.key + "before") < 0.7)
        has = re.compile(rf"\b{re.escape(word[:-1])}", re.IGNORECASE)
        yield from (one for one in synset.examples if has.search(one))
        if word != synset.word and draw(word + synset.key) < 0.35:
            shape = pick(SAME, synset.key + word)
            yield sentence(shape.format(w=word, n=synset.word))
