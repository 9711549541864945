"""How byte-level vocabularies cut a text into words before they merge bytes.

Merges never cross such a cut, so a vocabulary read with another cut gives other tokens. GGUF files
name theirs (`tokenizer.ggml.pre`); the patterns are those of the models' own `tokenizer.json`
files. This module knows names and patterns, and nothing of vocabularies.
"""

from __future__ import annotations

from tokenizers import Regex, pre_tokenizers

from molehill.errors import TextError

__all__ = ["KNOWN_PATTERNS", "SPLITS", "byte_level_split"]

# A run of letters, of digits or of signs, with one space before it (GPT-2). What a pattern does
# not match is a piece of its own, and here that is the white space that is left.
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_CLITICS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_LLAMA3 = rf"{_CLITICS}|{_WORD}|\p{{N}}{{1,3}}|{_REST}"
_QWEN2 = rf"{_CLITICS}|{_WORD}|\p{{N}}|{_REST}"
# A capital letter may begin a new word, as in camelCase (GPT-4o, Tekken).
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CASED = [rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}{many}" for many in (f"*{_LOWER}+", f"+{_LOWER}*")]
_CASED_REST = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_TEKKEN = rf"{_CASED[0]}|{_CASED[1]}|\p{{N}}|{_CASED_REST}"
_GPT4O = rf"{_CASED[0]}{_CLITICS}?|{_CASED[1]}{_CLITICS}?|\p{{N}}{{1,3}}|{_CASED_REST}"
_FALCON_SIGNS = r"[\p{P}\$\+<=>\^~\|`]+"
_DEFAULT_SIGNS = r"[\p{P}\$\+<=>\^~\|]+"
_BLOOM = r" ?[^(\s|.,!?…。，、।۔،)]+"
_THREE_DIGITS = r"[0-9][0-9][0-9]"

SPLITS: dict[str, tuple[str, ...]] = {
    "gpt-2": (_GPT2,),
    "smollm": (r"\p{N}", _GPT2),
    "llama-bpe": (_LLAMA3,),
    "qwen2": (_QWEN2,),
    "tekken": (_TEKKEN,),
    "gpt-4o": (_GPT4O,),
    "falcon": (_FALCON_SIGNS, _GPT2, _THREE_DIGITS),
    "bloom": (_BLOOM,),
    "viking": (_BLOOM, r"\p{N}"),
    "default": (_DEFAULT_SIGNS, _GPT2, r"\p{N}+", _THREE_DIGITS),
}
"""The patterns of each kind; each cuts the pieces that the one before it has left."""

_SAME = {
    "gpt-2": "phi-2 jina-es jina-de jina-v1-en jina-v2-es jina-v2-de jina-v2-code roberta-bpe mpt "
    "olmo jais gigachat",
    "smollm": "starcoder refact command-r codeshell exaone minerva-7b",
    "llama-bpe": "llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 dbrx smaug-bpe "
    "chatglm-bpe",
    "qwen2": "deepseek-r1-qwen stablelm2 megrez kormo",
    "gpt-4o": "llama4 kanana2",
    "bloom": "poro-chat gpt3-finnish",
}
for _kind, _names in _SAME.items():
    SPLITS |= dict.fromkeys(_names.split(), SPLITS[_kind])

KNOWN_PATTERNS = frozenset(pattern for patterns in SPLITS.values() for pattern in patterns)
"""Patterns that are known to take a time proportional to the text."""


def byte_level_split(kind: str) -> pre_tokenizers.PreTokenizer:
    """The cut of this name, followed by the spelling of bytes as characters.

    Raises:
        TextError: a name that is not in `SPLITS`.
    """
    if kind not in SPLITS:
        known = ", ".join(sorted(SPLITS))
        raise TextError(
            f"The vocabulary's pre-tokenizer is {kind!r}, of which the cuts are not known here; "
            f"known: {known}. A folder with the model's tokenizer.json needs no such name."
        )
    cuts = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in SPLITS[kind]]
    spell = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    return pre_tokenizers.Sequence([*cuts, spell])
