"""Tokenizers written as plainly as can be, from the published descriptions: the other side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import regex

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
# SmolLM's own order: every digit by itself, then GPT-2's words.
SMOLLM = (r"\p{N}", GPT2)


def cut(text: str, patterns: Sequence[str]) -> list[str]:
    """Cut at every match of the first pattern, then the pieces by the next, and so on."""
    pieces = [text]
    for pattern in patterns:
        pieces = [part for piece in pieces for part in _cut_once(piece, pattern)]
    return pieces


def _cut_once(text: str, pattern: str) -> list[str]:
    parts, end = [], 0
    for match in regex.finditer(pattern, text):
        parts += [text[end : match.start()], match[0]]
        end = match.end()
    return [part for part in [*parts, text[end:]] if part]


def glyphs() -> dict[int, str]:
    """GPT-2's character for each byte."""
    shown = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)]
    table = {byte: chr(byte) for byte in shown}
    for byte in range(256):
        if byte not in table:
            table[byte] = chr(256 + len(table) - len(shown))
    return table


class ByteLevelBpe:
    """Of all neighbours in a word, merge the pair that was learned first, until none is known."""

    def __init__(
        self, tokens: Sequence[str], merges: Sequence[str], patterns: Sequence[str]
    ) -> None:
        self.ids = {token: index for index, token in enumerate(tokens)}
        self.ranks = {tuple(merge.split(" ")): rank for rank, merge in enumerate(merges)}
        self.patterns = patterns
        self.glyphs = glyphs()
        self.seen: dict[str, list[int]] = {}

    def encode(self, text: str) -> list[int]:
        return [number for word in cut(text, self.patterns) for number in self._word(word)]

    def _word(self, word: str) -> list[int]:
        if word not in self.seen:
            parts = [self.glyphs[byte] for byte in word.encode()]
            while len(parts) > 1:
                pairs = list(pairwise(parts))
                best = min(pairs, key=lambda pair: self.ranks.get(pair, len(self.ranks)))
                if best not in self.ranks:
                    break
                parts = self._merged(parts, best)
            self.seen[word] = [self.ids[part] for part in parts]
        return self.seen[word]

    @staticmethod
    def _merged(parts: list[str], pair: tuple[str, str]) -> list[str]:
        merged, at = [], 0
        while at < len(parts):
            if tuple(parts[at : at + 2]) == pair:
                merged.append(parts[at] + parts[at + 1])
                at += 2
            else:
                merged.append(parts[at])
                at += 1
        return merged


def sentencepiece(text: str, scores: Mapping[str, float]) -> list[str]:
    """Of all neighbours that make a token, merge those of the best score, the left one first."""
    parts = list("▁" + text.replace(" ", "▁")) if text else []
    while True:
        joined = [(scores.get(a + b), at) for at, (a, b) in enumerate(pairwise(parts))]
        known = [(-score, at) for score, at in joined if score is not None]
        if not known:
            return parts
        _, at = min(known)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
