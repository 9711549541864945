"""Labels: what a feature answers to, in a few words, from its own examples and with a score on
examples that were not used to choose it.

A label is a rule that anybody can check: the token ends one of these words, or is one of them, or
stands after one of them, or is of a kind (numbers, parts of words), or stands at a window's
beginning; failing that, words that stand near its examples, or the word that follows. Rules are
chosen on one half of a feature's examples and scored on the other. For rules about tokens precision
and recall are those of "is it active here?" over the whole corpus: how often a rule holds is
counted exactly (whole words: never too low), and of the feature's activations a sample drawn at
random says how many it covers. Where nothing holds, the label is "unclear". No language model is
asked here; `label_endpoint.py` does that. This module knows no files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from molehill.features.spelled import counts_of, spelled
from molehill.features.words import KINDS, Words, bare

__all__ = ["UNCLEAR", "Corpus", "Label", "Seen", "label_of"]

_Array = np.ndarray

UNCLEAR = "unclear"

_ENOUGH = 0.5
"""F1 from which a rule about tokens is a label."""
_STRONG, _RARE = 0.75, 0.2
"""Of the largest activations, the share that a rule must cover, and of all tokens the most."""
_NEAR, _BEYOND = 0.5, 0.3
"""Of held-out examples, the share with a word near them, and by how much that is over chance."""
_FOLLOWS, _TIMES = 0.3, 5.0
_MOST_WORDS = 5
_A_WORD = 0.02
"""What a rule has to gain by each word that it names."""
_PLACES = (1, 2, 4, 8)


@dataclass(frozen=True)
class Corpus:
    """Counts over all texts that were read."""

    words: Words
    tokens: _Array
    """How often each token was looked at [token]."""
    before: _Array
    """How often each token stood before one [token]."""
    positions: _Array
    """[position]."""
    spelled: _Array | None = None
    """Counters of whole words (`spelled.py`); None: words of several tokens get no rules."""

    @cached_property
    def rows(self) -> int:
        """Tokens that were looked at."""
        return int(self.tokens.sum())

    @cached_property
    def of_words(self) -> tuple[_Array, _Array]:
        """How often each word was looked at, and stood before [word]."""
        return self.words.counts(self.tokens), self.words.counts(self.before)

    @cached_property
    def of_kinds(self) -> tuple[_Array, _Array]:
        """How often each kind was looked at, and stood before [kind]."""
        kinds = self.words.kinds.astype(np.int64)
        return kinds @ self.tokens, kinds @ self.before


@dataclass(frozen=True)
class Seen:
    """A feature's examples as tokens [example, place]; -1 where there is none."""

    count: int
    """Tokens at which it is active."""
    top: _Array
    """Those with the largest values, the largest first."""
    sample: _Array
    """Drawn at random from all."""
    top_places: _Array
    """Positions in their windows [example]."""
    sample_places: _Array
    at: int
    """The place of the example's own token."""
    promoted: Sequence[int] = ()
    """Words that its direction promotes beyond chance."""


@dataclass(frozen=True)
class Label:
    """What a feature answers to."""

    text: str
    kind: str
    """`word`, `token`, `after`, `kind`, `position`; `strongest` in front where it is said of the
    largest activations alone; `near`, `follows`, `unclear`; or `endpoint`."""
    score: float
    """F1 of the rule for being active, on held-out examples; of the other kinds, the share of
    held-out examples for which it holds. 0 where unclear: see `tried`."""
    chance: float
    """The same for a rule that always says yes, or for tokens drawn at random."""
    evidence: tuple[str, ...]
    words: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {**vars(self), "evidence": list(self.evidence), "words": list(self.words)}


@dataclass(frozen=True)
class _Rule:
    """Says yes or no to a token by itself, the token before it or its place."""

    kind: str
    text: str
    frequency: float
    """How often it says yes in the corpus."""
    says: Callable[[_Array], _Array]
    """Tokens [n] -> yes or no [n]; of `position`, places; of `word`, all up to them [n, at + 1]."""
    words: tuple[str, ...] = ()

    def holds(self, ids: _Array, at: int, places: _Array) -> _Array:
        """For every example, whether it says yes."""
        if self.kind == "position":
            return self.says(places)
        if self.kind == "word":
            return self.says(ids[:, : at + 1])
        column = ids[:, at - 1] if self.kind.startswith("after") else ids[:, at]
        return self.says(column) & (column >= 0)


def label_of(seen: Seen, corpus: Corpus) -> Label:
    """The label of one feature."""
    if len(seen.sample) + len(seen.top) < 4:
        return Label(UNCLEAR, UNCLEAR, 0.0, 0.0, (f"Only {seen.count:,} activations.",))
    rules = list(_rules(seen, corpus))
    tried: list[str] = []
    for attempt in (_active, _strongest, _near, _follows):
        found, told = attempt(seen, corpus, rules)
        if found is not None:
            return found
        tried.append(told)
    return Label(UNCLEAR, UNCLEAR, 0.0, 0.0, tuple(told for told in tried if told))


# --- rules about tokens -------------------------------------------------------------------------


def _rules(seen: Seen, corpus: Corpus) -> Iterator[_Rule]:
    """Rules worth trying, from the half that is chosen on."""
    chosen = np.concatenate((seen.top[::2], _halves(seen.sample)[0]))
    # Before those of single tokens: of two that hold equally often a whole word says more.
    yield from _of_whole_words(chosen, seen.at, corpus)
    for before, lead in ((False, ""), (True, "after ")):
        if not before or seen.at:
            column = chosen[:, seen.at - before]
            yield from _of_column(column[column >= 0], corpus, before, lead)
    for most in _PLACES:
        yield _Rule(
            "position",
            f"the first {most + 1} tokens of a window",
            float(corpus.positions[: most + 1].sum()),
            lambda places, most=most: places <= most,
        )


def _of_whole_words(rows: _Array, at: int, corpus: Corpus) -> Iterator[_Rule]:
    """Words up to the token at `at` of rows, where some of them are of several tokens."""
    if corpus.spelled is None or not len(rows):
        return
    numbers, sizes = _ended(corpus.words, rows[:, : at + 1])
    own = Counter(numbers.tolist())
    common = [number for number, count in own.most_common(_MOST_WORDS) if count > 1]
    for size in range(1, len(common) + 1):
        some = np.array(common[:size], np.uint64)
        mine = [np.flatnonzero(numbers == number) for number in some]
        if not any(sizes[each[0]] > 1 for each in mine):
            continue
        names = tuple(_name(corpus.words, rows[each], at) for each in mine)
        yield _Rule(
            "word",
            ", ".join(f"“{name}”" for name in names),
            float(counts_of(corpus.spelled, some).sum()),
            lambda rows, some=some: np.isin(_ended(corpus.words, rows)[0], some),
            names,
        )


def _ended(words: Words, rows: _Array) -> tuple[_Array, _Array]:
    """The number of the whole word that ends each row [n, at + 1], and its tokens [n]."""
    first = np.zeros(rows.shape, dtype=bool)
    first[:, 0] = True
    numbers, sizes = spelled(words, rows.ravel(), first.ravel())
    return numbers.reshape(rows.shape)[:, -1], sizes.reshape(rows.shape)[:, -1]


def _name(words: Words, rows: _Array, at: int) -> str:
    """The word that some rows have in common up to here; with a hyphen where it mostly goes on."""
    cut = rows[0, : at + 1]
    ids = cut[cut >= 0].tolist()
    name = words.word_at(ids, len(ids) - 1)
    if at + 1 == rows.shape[1] or not name.isalpha():
        return name
    after = rows[:, at + 1]
    token = after.clip(min=0)
    goes_on = (after >= 0) & words.letters[token] & ~words.begins[token]
    return f"{name}-" if goes_on.mean() > 0.5 else name


def _of_column(column: _Array, corpus: Corpus, before: bool, lead: str) -> Iterator[_Rule]:
    """Words and kinds that are among some tokens."""
    words = corpus.words
    own = Counter(words.number[column].tolist())
    common = [word for word, number in own.most_common(_MOST_WORDS) if number > 1]
    for size in range(1, len(common) + 1):
        some = common[:size]
        names = tuple(words.words[word] for word in some)
        yield _Rule(
            "after" if before else "token",
            lead + ", ".join(f"“{name}”" for name in names),
            float(corpus.of_words[before][some].sum()),
            lambda tokens, some=some: np.isin(words.number[tokens], some),
            names,
        )
    for kind in np.flatnonzero(words.kinds[:, column].any(1)).tolist():
        yield _Rule(
            f"{lead}kind",
            lead + KINDS[kind],
            float(corpus.of_kinds[before][kind]),
            lambda tokens, kind=kind: words.kinds[kind, tokens],
        )


def _halves(rows: _Array) -> tuple[_Array, _Array]:
    """To choose on, and to score on."""
    return rows[: len(rows) // 2], rows[len(rows) // 2 :]


def _active(seen: Seen, corpus: Corpus, rules: Sequence[_Rule]) -> tuple[Label | None, str]:
    """A rule for where it is active at all."""
    ids, places = _halves(seen.sample), _halves(seen.sample_places)
    if not len(ids[0]) or not len(ids[1]) or not rules:
        return None, ""
    best = max(
        rules, key=lambda rule: _f1(rule, seen, ids[0], places[0])[0] - _A_WORD * len(rule.words)
    )
    f1, precision, recall = _f1(best, seen, ids[1], places[1])
    density = seen.count / max(1, corpus.rows)
    chance = 2 * density / (1 + density)
    told = (
        f"{_capital(best.text)}: F1 {f1:.2f} for being active (precision {precision:.2f}, recall "
        f"{recall:.2f} on {len(ids[1])} held-out activations; always yes: {chance:.2f})."
    )
    if f1 < max(_ENOUGH, chance + 0.1):
        return None, told
    return Label(best.text, best.kind, f1, chance, (told,), best.words), told


def _f1(rule: _Rule, seen: Seen, ids: _Array, places: _Array) -> tuple[float, float, float]:
    """F1, precision and recall of a rule for being active."""
    recall = float(rule.holds(ids, seen.at, places).mean())
    hits = min(recall * seen.count, rule.frequency)
    precision = hits / rule.frequency if rule.frequency else 0.0
    return 2 * hits / max(1.0, seen.count + rule.frequency), precision, recall


def _strongest(seen: Seen, corpus: Corpus, rules: Sequence[_Rule]) -> tuple[Label | None, str]:
    """A rule for its largest activations."""
    ids, places = seen.top[1::2], seen.top_places[1::2]
    if len(ids) < 3 or not rules:
        return None, ""

    def lift(rule: _Rule) -> float:
        share = rule.holds(seen.top[::2], seen.at, seen.top_places[::2]).mean()
        return float(share) - rule.frequency / max(1, corpus.rows) - _A_WORD * len(rule.words)

    best = max(rules, key=lift)
    share = float(best.holds(ids, seen.at, places).mean())
    common = best.frequency / max(1, corpus.rows)
    told = (
        f"{_capital(best.text)}: {share:.0%} of {len(ids)} held-out ones among its largest "
        f"activations, and {common:.1%} of all tokens."
    )
    if share < _STRONG or common > _RARE:
        return None, told
    text = f"strongest {'' if best.text.startswith('after') else 'at '}{best.text}"
    return Label(text, f"strongest {best.kind}", share, common, (told,), best.words), told


# --- words around -------------------------------------------------------------------------------


def _near(seen: Seen, corpus: Corpus, rules: Sequence[_Rule]) -> tuple[Label | None, str]:
    """Words that stand before its examples far more often than elsewhere."""
    del rules
    chosen, held = _contexts(seen, corpus.words)
    if len(held) < 4 or not chosen:
        return None, ""
    rates = corpus.of_words[0] / max(1, corpus.rows)
    length = max(1, seen.at + 1)
    found = Counter(word for words in chosen for word in words)
    expected = {word: 1 - (1 - rates[word]) ** length for word in found}
    scores = {
        word: (count / len(chosen) - expected[word])
        / np.sqrt(max(expected[word] * (1 - expected[word]), 1e-6) / len(chosen))
        for word, count in found.items()
        if count > 2 and _is_word(corpus.words.words[word])
    }
    best = sorted(scores, key=lambda word: -scores[word])[:_MOST_WORDS]
    best = [word for word in best if scores[word] > 4]
    if not best:
        return None, ""
    share = float(np.mean([bool(words & set(best)) for words in held]))
    chance = float(1 - np.prod([(1 - rates[word]) ** length for word in best]))
    names = tuple(corpus.words.words[word] for word in best)
    text = "near " + ", ".join(f"“{name}”" for name in names)
    told = (
        f"{_capital(text)}: one of them stands in {share:.0%} of {len(held)} held-out examples up "
        f"to their token; by chance {chance:.0%}."
    )
    if share < _NEAR or share < chance + _BEYOND:
        return None, told
    return Label(text, "near", share, chance, (told,), names), told


def _contexts(seen: Seen, words: Words) -> tuple[list[set[int]], list[set[int]]]:
    """The words up to and with each example's token: of those to choose on, and of the others."""
    halves = _halves(seen.sample)
    sides: list[list[set[int]]] = []
    for rows in ((seen.top[::2], halves[0]), (seen.top[1::2], halves[1])):
        ids = np.concatenate(rows)[:, : seen.at + 1]
        sides.append([set(words.number[row[row >= 0]].tolist()) for row in ids])
    return sides[0], sides[1]


def _is_word(word: str) -> bool:
    return len(word) > 2 and word.isalpha()


def _follows(seen: Seen, corpus: Corpus, rules: Sequence[_Rule]) -> tuple[Label | None, str]:
    """Whether a word comes next that its direction promotes."""
    del rules
    held = np.concatenate((seen.top[1::2], _halves(seen.sample)[1]))
    if not len(seen.promoted) or len(held) < 4 or held.shape[1] <= seen.at + 1:
        return None, ""
    words = corpus.words
    wanted = np.unique(words.number[list(seen.promoted)])
    after = held[:, seen.at + 1]
    after = after[after >= 0]
    if not len(after):
        return None, ""
    share = float(np.isin(words.number[after], wanted).mean())
    chance = float(corpus.of_words[0][wanted].sum() / max(1, corpus.rows))
    names = tuple(dict.fromkeys(bare(words.pieces[one]).casefold() for one in seen.promoted[:4]))
    text = "before " + ", ".join(f"“{name}”" for name in names)
    told = (
        f"A word that its direction promotes comes next in {share:.0%} of {len(after)} held-out "
        f"examples; by chance {chance:.1%}."
    )
    if share < _FOLLOWS or share < _TIMES * chance:
        return None, told
    return Label(text, "follows", share, chance, (told,), names), told


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
