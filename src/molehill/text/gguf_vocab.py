"""From the metadata of a GGUF file to a vocabulary.

GGUF keeps lists (tokens, kinds, merges or scores) and names instead of a `tokenizer.json`; what to
do with them is llama.cpp's convention. Three of its kinds are read, `gpt2` (byte-level BPE),
`llama` (SentencePiece BPE) and `bert` (WordPiece); the others are refused. This module knows
nothing of GGUF's bytes: it is handed a mapping of keys to values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

from molehill.errors import TextError
from molehill.text.pieces import Spelling
from molehill.text.splits import byte_level_split
from molehill.text.vocabulary import (
    LARGEST_VOCABULARY,
    Vocabulary,
    add_specials,
    guarded,
    wrap_in,
)

__all__ = ["vocabulary_of_gguf"]


class _Kind(IntEnum):
    """`tokenizer.ggml.token_type`: what a token is."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True)
class _Listed:
    """The lists of a file, checked for their sizes, and its other keys."""

    tokens: list[str]
    kinds: list[int]
    metadata: Mapping[str, Any]

    def of_kind(self, *kinds: _Kind) -> list[str]:
        """The tokens of these kinds."""
        return [token for token, kind in zip(self.tokens, self.kinds, strict=True) if kind in kinds]

    def flag(self, key: str, default: bool) -> bool:
        """A switch such as `add_bos_token`."""
        value = self.metadata.get(f"tokenizer.ggml.{key}", default)
        if value not in (True, False):
            raise TextError(f"tokenizer.ggml.{key} is {value!r}; expected true or false.")
        return bool(value)


def vocabulary_of_gguf(metadata: Mapping[str, Any]) -> Vocabulary:
    """The vocabulary that a GGUF file's metadata describe.

    Args:
        metadata: The file's keys and values; lists of texts as lists of `str`, lists of numbers as
            any sequence.

    Raises:
        TextError: a kind of tokenizer or pre-tokenizer that is not read here, lists that are
            missing or do not fit together, or an id outside the vocabulary.
    """
    model = metadata.get("tokenizer.ggml.model")
    if model not in _READERS:
        raise TextError(
            f"The file's tokenizer is {model!r} (tokenizer.ggml.model); read here are "
            f"{', '.join(_READERS)}. A folder with the model's tokenizer.json works for any."
        )
    tokens = _strings(metadata, "tokens")
    if len(tokens) > LARGEST_VOCABULARY:
        raise TextError(f"The file lists {len(tokens)} tokens; the most is {LARGEST_VOCABULARY}.")
    # llama.cpp's own name for a token without letters, so that ids stay as they are.
    tokens = [token or f"[EMPTY_{index}]" for index, token in enumerate(tokens)]
    if twice := [token for token, count in Counter(tokens).items() if count > 1]:
        raise TextError(f"The file lists the token {twice[0]!r} twice; a token has one id.")
    kinds = metadata.get("tokenizer.ggml.token_type")
    kinds = [int(_Kind.NORMAL)] * len(tokens) if kinds is None else [int(kind) for kind in kinds]
    if len(kinds) != len(tokens):
        raise TextError(f"The file lists {len(tokens)} tokens and {len(kinds)} of their kinds.")
    return _READERS[model](_Listed(tokens, kinds, metadata))


def _byte_level(listed: _Listed) -> Vocabulary:
    """Byte-level BPE: the file has the merges and names the cut into words."""
    kind = listed.metadata.get("tokenizer.ggml.pre", "default")
    # A word that is a token is taken whole by these, whatever the merges say (llama.cpp).
    whole = kind in ("llama3", "llama-v3", "llama-bpe", "falcon3", "tekken")
    ids = _ids(listed)
    backend = tokenizers.Tokenizer(
        guarded(
            "The file's merges do not fit its tokens",
            lambda: models.BPE(ids, _merges(listed, ids), ignore_merges=whole),
        )
    )
    backend.pre_tokenizer = byte_level_split(kind)
    backend.decoder = decoders.ByteLevel()
    return _finished(listed, backend, "bytes", add_bos=whole)


# All ways to cut a token in two are tried; this keeps them countable.
_MOST_CHARACTERS = 2**24


def _sentencepiece(listed: _Listed) -> Vocabulary:
    """SentencePiece BPE: of all neighbours that make a token, those of the best score are merged.

    The `tokenizers` library merges by rank. Ranks in the order of scores give the same tokens,
    unless one token can be made from two pairs that overlap in the text; then SentencePiece takes
    the left one, and we the pair that is listed first, as the models' `tokenizer.json` files do.
    """
    scores = listed.metadata.get("tokenizer.ggml.scores")
    if scores is None or len(scores) != len(listed.tokens):
        count = "no" if scores is None else len(scores)
        raise TextError(
            f"The file lists {len(listed.tokens)} tokens and {count} scores; a 'llama' vocabulary "
            "needs one for each (tokenizer.ggml.scores)."
        )
    if sum(map(len, listed.tokens)) > _MOST_CHARACTERS or max(map(len, listed.tokens)) > 1024:
        raise TextError("The file's tokens are far longer than those of any known vocabulary.")
    ids = _ids(listed)
    unknown = listed.of_kind(_Kind.UNKNOWN)
    if not unknown and not all(f"<0x{byte:02X}>" in ids for byte in range(256)):
        raise TextError("The file's vocabulary has no unknown token and not all bytes either.")
    backend = tokenizers.Tokenizer(
        models.BPE(
            ids,
            _merges_of_scores(listed, ids, [float(score) for score in scores]),
            unk_token=unknown[0] if unknown else None,
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    prefixed = listed.flag("add_space_prefix", True)
    spaces = normalizers.Replace(" ", "▁")
    steps = [normalizers.Prepend("▁"), spaces] if prefixed else [spaces]
    backend.normalizer = normalizers.Sequence(steps)
    undo = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    backend.decoder = decoders.Sequence([*undo, *[decoders.Strip(" ", 1, 0)] * prefixed])
    return _finished(listed, backend, "spaces", add_bos=True)


def _wordpiece(listed: _Listed) -> Vocabulary:
    """BERT's WordPiece. The file writes `▁mole` for a word's beginning and `s` for its `##s`."""
    tokens = [
        token
        if kind in (_Kind.CONTROL, _Kind.UNKNOWN, _Kind.USER_DEFINED)
        else token[1:]
        if token.startswith("▁")
        else "##" + token
        for token, kind in zip(listed.tokens, listed.kinds, strict=True)
    ]
    # Files differ in whether special tokens are marked, so they are known by their names too.
    named = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    tokens = [token[2:] if token[2:] in named else token for token in tokens]
    respelled = _Listed(tokens, listed.kinds, listed.metadata)
    ids = _ids(respelled)
    if "[UNK]" not in ids or len(ids) != len(tokens):
        raise TextError("The file's 'bert' vocabulary has no [UNK], or spells two tokens alike.")
    backend = tokenizers.Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    # Nothing in the file says whether case counts; a vocabulary without capitals answers that.
    words = set(respelled.of_kind(_Kind.NORMAL)).difference(named)
    cased = any(word.lower() != word for word in words)
    backend.normalizer = normalizers.BertNormalizer(lowercase=not cased)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    roles = _roles(respelled)
    for role, name in {"cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]", "pad": "[PAD]"}.items():
        if name in ids:
            roles.setdefault(role, ids[name])
    roles["unk"] = ids["[UNK]"]
    specials = [tokens[index] for index in roles.values()]
    add_specials(backend, [*respelled.of_kind(_Kind.CONTROL), *specials])
    ends = [[tokens[roles[role]]] if role in roles else [] for role in ("cls", "sep")]
    wrap_in(backend, *ends)
    return Vocabulary(backend, roles, "plain", {}, _template(listed))


_READERS: dict[str, Callable[[_Listed], Vocabulary]] = {
    "gpt2": _byte_level,
    "llama": _sentencepiece,
    "bert": _wordpiece,
}


def _finished(
    listed: _Listed, backend: tokenizers.Tokenizer, spelling: Spelling, *, add_bos: bool
) -> Vocabulary:
    """Special tokens and what is put around a text; `add_bos` where the file does not say."""
    add_specials(backend, listed.of_kind(_Kind.CONTROL, _Kind.UNKNOWN))
    add_specials(backend, listed.of_kind(_Kind.USER_DEFINED), special=False)
    roles = _roles(listed)
    ends = {
        "bos": listed.flag("add_bos_token", add_bos),
        "eos": listed.flag("add_eos_token", False),
    }
    around = [[listed.tokens[roles[role]]] if ends[role] and role in roles else [] for role in ends]
    if any(around):
        wrap_in(backend, *around)
    return Vocabulary(backend, roles, spelling, {}, _template(listed))


def _ids(listed: _Listed) -> dict[str, int]:
    return {token: index for index, token in enumerate(listed.tokens)}


def _merges(listed: _Listed, ids: Mapping[str, int]) -> list[tuple[str, str]]:
    """The file's merges as pairs, each of known tokens that make a known token."""
    pairs = []
    for merge in _strings(listed.metadata, "merges"):
        left, space, right = merge.partition(" ")
        if not (space and left in ids and right in ids and left + right in ids):
            raise TextError(f"The merge {merge!r} is not of two tokens that make a third.")
        pairs.append((left, right))
    return pairs


def _merges_of_scores(
    listed: _Listed, ids: Mapping[str, int], scores: Sequence[float]
) -> list[tuple[str, str]]:
    """Every pair of tokens that makes a token, best score first."""
    ranked = []
    rows = zip(listed.tokens, listed.kinds, scores, strict=True)
    for index, (token, kind, score) in enumerate(rows):
        if kind not in (_Kind.NORMAL, _Kind.UNUSED):
            continue
        for cut in range(1, len(token)):
            left, right = token[:cut], token[cut:]
            if left in ids and right in ids:
                ranked.append((-score, index, ids[left], ids[right], left, right))
    ranked.sort(key=lambda merge: merge[:4])
    return [merge[4:] for merge in ranked]


_ROLE_KEYS = {
    "bos": ("bos_token_id",),
    "eos": ("eos_token_id",),
    "unk": ("unknown_token_id",),
    "sep": ("seperator_token_id", "separator_token_id"),  # the first is how the format spells it
    "pad": ("padding_token_id",),
    "cls": ("cls_token_id",),
    "mask": ("mask_token_id",),
}


def _roles(listed: _Listed) -> dict[str, int]:
    roles = {}
    for role, keys in _ROLE_KEYS.items():
        for key in keys:
            value = listed.metadata.get(f"tokenizer.ggml.{key}")
            if value is None:
                continue
            if not 0 <= int(value) < len(listed.tokens):
                raise TextError(
                    f"tokenizer.ggml.{key} is {value}; the vocabulary has {len(listed.tokens)}."
                )
            roles.setdefault(role, int(value))
    return roles


def _template(listed: _Listed) -> str | None:
    template = listed.metadata.get("tokenizer.chat_template")
    if template is not None and not isinstance(template, str):
        raise TextError(f"tokenizer.chat_template is of type {type(template).__name__}, not text.")
    return template


def _strings(metadata: Mapping[str, Any], key: str) -> list[str]:
    values = metadata.get(f"tokenizer.ggml.{key}")
    if values is None:
        raise TextError(f"The file has no tokenizer.ggml.{key}, which its tokenizer needs.")
    values = list(values)
    if wrong := next((value for value in values if not isinstance(value, str)), None):
        raise TextError(f"tokenizer.ggml.{key} holds {wrong!r}; expected only text.")
    return values
