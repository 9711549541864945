"""Tokenizer: texts become Tokens, and ids become text again.

A thin and strict layer over the `tokenizers` library: what goes in is checked, what comes out
knows its characters, and nothing is cut, dropped or replaced unseen. It knows nothing of models;
how many tokens one can read is a limit that the caller states.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tokenizers
from torch import Tensor

from molehill.errors import TextError
from molehill.text.chat import render_chat
from molehill.text.deadline import within
from molehill.text.folder import vocabulary_of_file, vocabulary_of_folder
from molehill.text.gguf_vocab import vocabulary_of_gguf
from molehill.text.pieces import GLYPH_OF_BYTE, bytes_behind, shown
from molehill.text.save import save_vocabulary, vocabulary_digest
from molehill.text.stream import TextStream
from molehill.text.tokens import Tokens
from molehill.text.train import learned_vocabulary
from molehill.text.vocabulary import ROLES, Vocabulary, guarded
from molehill.text.word_list import word_list_vocabulary

__all__ = ["Tokenizer"]

_LONGEST_TEXT = 2**24
"""Characters in one text; a book has a million."""
_COUNTED_EXACTLY = 100_000


class Tokenizer:
    """A vocabulary with the rules that cut texts into its tokens.

    Made by `from_folder`, `from_file`, `from_gguf`, `train` or `of_words`. Equal inputs give equal
    tokens in every process. Not changed by use.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._backend = vocabulary.backend
        self._roles = dict(vocabulary.roles)
        self._added = self._backend.get_added_tokens_decoder()
        ids = self._backend.get_vocab(with_added_tokens=True).values()
        self._d_vocab = max(ids, default=-1) + 1
        self._special = self._special_ids()
        self._missing = self._missing_bytes()
        # Filled as tokens come up: a million tokens are a few thousand different ones.
        self._shown: dict[int, str] = {}
        self._bytes: dict[int, bytes] = {}

    # --- making one -------------------------------------------------------------------------------

    @classmethod
    def from_folder(cls, folder: str | os.PathLike[str]) -> Tokenizer:
        """The tokenizer of a folder in the layout of `transformers`.

        Raises:
            TextError: there is none, or its files are damaged, hostile or of an unknown kind.
        """
        return cls(vocabulary_of_folder(Path(folder)))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Tokenizer:
        """The tokenizer of one `tokenizer.json`; it then knows no roles such as `bos`.

        Raises:
            TextError: the file is damaged, hostile or of an unknown kind.
        """
        return cls(vocabulary_of_file(Path(path)))

    @classmethod
    def from_gguf(cls, metadata: Mapping[str, Any]) -> Tokenizer:
        """The tokenizer that a GGUF file's metadata describe.

        Args:
            metadata: The file's keys (`tokenizer.ggml.model` and its neighbours) and values.

        Raises:
            TextError: a kind that is not read here, or lists that do not fit together.
        """
        return cls(vocabulary_of_gguf(metadata))

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        *,
        d_vocab: int,
        split: str = "gpt-2",
        end_of_text: str = "<|endoftext|>",
        least_count: int = 2,
    ) -> Tokenizer:
        """A byte-level BPE vocabulary of `texts`: the pairs seen most often are merged first.

        Any text can be written with it and comes back exactly. The same texts give the same
        vocabulary. Token 0 is `end_of_text`, which is `bos`, `eos` and `pad`; bytes follow, then
        merges in the order in which they were learned (Sennrich et al. 2016; Radford et al. 2019).

        Args:
            texts: What to learn from; read once.
            d_vocab: The most tokens, at least 257. Texts with too few repeats give fewer.
            split: How texts are cut before pairs are counted; a name of `text.splits.SPLITS`.
            end_of_text: How the token that separates texts is written.
            least_count: A pair seen less often than this is not merged.

        Raises:
            TextError: `d_vocab` is too small, `split` unknown, or a text is no text.
        """
        checked = (_checked(text, index) for index, text in enumerate(texts))
        return cls(
            learned_vocabulary(
                checked,
                d_vocab=d_vocab,
                split=split,
                end_of_text=end_of_text,
                least_count=least_count,
            )
        )

    @classmethod
    def of_words(
        cls,
        words: Iterable[str],
        *,
        end_of_text: str = "<|endoftext|>",
        unknown: str = "<unk>",
    ) -> Tokenizer:
        """A vocabulary with one token for each word of a list.

        Token 0 is `end_of_text`, which is `bos`, `eos` and `pad`; token 1 is `unknown`, which any
        word that is not in the list becomes; token 2 is a space that belongs to no word; then come
        the words in their order. Signs of punctuation are tokens of their own wherever they stand.

        Args:
            words: Every word once, in the case in which texts have it; signs such as `.` too.
            end_of_text: How the token that separates texts is written.
            unknown: How the token for any other word is written.

        Raises:
            TextError: no words, one that is given twice, or one that is not a single word.
        """
        return cls(word_list_vocabulary(words, end_of_text=end_of_text, unknown=unknown))

    # --- what it is -------------------------------------------------------------------------------

    def __repr__(self) -> str:
        kind = type(self._backend.model).__name__
        return f"Tokenizer({kind}, d_vocab={self.d_vocab}, {self._vocabulary.spelling})"

    @property
    def d_vocab(self) -> int:
        """One more than the largest id."""
        return self._d_vocab

    @property
    def bos_id(self) -> int | None:
        """The token that begins a text, whether or not `encode` puts it there."""
        return self._roles.get("bos", self._roles.get("cls"))

    @property
    def eos_id(self) -> int | None:
        """The token that ends a text."""
        return self._roles.get("eos", self._roles.get("sep"))

    @property
    def pad_id(self) -> int | None:
        """The token that fills up shorter texts. Where there is none, `encode` fills with 0."""
        return self._roles.get("pad")

    @property
    def unk_id(self) -> int | None:
        """The token for what the vocabulary cannot write."""
        return self._roles.get("unk")

    @property
    def mask_id(self) -> int | None:
        """The token that hides a word from a bidirectional model."""
        return self._roles.get("mask")

    @property
    def special_ids(self) -> frozenset[int]:
        """Tokens that are not text."""
        return self._special

    @property
    def chat_template(self) -> str | None:
        """The model's own template for conversations, as source; `chat` renders it."""
        return self._vocabulary.chat_template

    @property
    def digest(self) -> str:
        """A hash of all that decides the ids, the special tokens' roles and the template."""
        return vocabulary_digest(self._vocabulary)

    @property
    def exact(self) -> bool:
        """Whether `decode(encode(text))` is `text`, of any text that `encode` accepts."""
        plain = self._backend.normalizer is None and self._vocabulary.spelling == "bytes"
        strips = any(token.lstrip or token.rstrip for token in self._added.values())
        before = self._backend.encode("a", add_special_tokens=False)
        return plain and not strips and self.decode(before.ids) == "a"

    def check_fits(self, d_vocab: int) -> None:
        """Hold the vocabulary to a model's token table of `d_vocab` rows.

        Raises:
            TextError: some token's id is not below `d_vocab`. Fewer tokens than rows are fine:
                tables are often rounded up.
        """
        if self.d_vocab > d_vocab:
            last = self.d_vocab - 1
            raise TextError(
                f"The tokenizer has the id {last} ({self.piece(last)!r}), but the model's table "
                f"has {d_vocab} rows: they do not belong together."
            )

    # --- text to tokens ---------------------------------------------------------------------------

    def encode(
        self,
        texts: str | Sequence[str],
        *,
        add_special: bool = True,
        limit: int | None = None,
        truncate: bool = False,
    ) -> Tokens:
        """Texts as tokens, padded on the right to the longest.

        Special tokens that are written out in a text (`<|im_start|>`) are recognised.

        Args:
            texts: One text or several.
            add_special: Whether to put around each text what the tokenizer itself defines: `[CLS]`
                and `[SEP]`, `<s>`; nothing for GPT-2 and SmolLM2.
            limit: The most tokens that a text may have, special ones included.
            truncate: What to do with longer texts: False refuses them; True drops tokens before
                the closing special ones and counts them in `Tokens.dropped`.

        Raises:
            TextError: something is no text or cannot be written in this vocabulary (lone
                surrogates; bytes that it lacks), a text passes the limit, or the tokenizer's own
                patterns take far too long on it.
        """
        texts = _listed(texts)
        if limit is not None and limit < 1:
            raise TextError(f"The limit is {limit} tokens; expected at least 1.")
        if limit is not None and not truncate:
            self._refuse_endless(texts, limit)
        encodings = self._encodings(texts, add_special, fast=False)
        if limit is not None and not truncate:
            _refuse_long([len(encoding.ids) for encoding in encodings], limit)
        parts = [
            self._parts(text, encoding, limit)
            for text, encoding in zip(texts, encodings, strict=True)
        ]
        columns = list(zip(*parts, strict=True)) or [()] * 5
        return Tokens.of_parts(
            columns[0],
            self.pad_id or 0,
            texts=texts,
            pieces=columns[1],
            spans=columns[2],
            special=columns[3],
            dropped=columns[4],
        )

    def ids(self, texts: Sequence[str], *, add_special: bool = True) -> list[list[int]]:
        """Only the ids of each text: what training reads, at about twice the speed of `encode`.

        Raises:
            TextError: as `encode`.
        """
        encodings = self._encodings(_listed(texts), add_special, fast=True)
        return [encoding.ids for encoding in encodings]

    def _encodings(
        self, texts: Sequence[str], add_special: bool, *, fast: bool
    ) -> list[tokenizers.Encoding]:
        self._refuse_missing(texts)
        batch = self._backend.encode_batch_fast if fast else self._backend.encode_batch

        def work() -> list[tokenizers.Encoding]:
            return guarded(
                "The text cannot be encoded",
                lambda: batch(list(texts), add_special_tokens=add_special),
            )

        if self._vocabulary.bounded:
            return work()
        # A stranger's pattern may be quadratic in the text; ten times what honest ones take.
        return within(30 + sum(map(len, texts)) * 2e-5, work)

    def _parts(
        self, text: str, encoding: tokenizers.Encoding, limit: int | None
    ) -> tuple[list[int], list[str], list[tuple[int, int]], list[bool], int]:
        """One text's ids, pieces, spans, special marks and the number of dropped tokens."""
        ids, around = encoding.ids, encoding.special_tokens_mask
        known = self._shown
        pieces = [known.get(number) or self.piece(number) for number in ids]
        spans = _spans(text, encoding.offsets, pieces, around)
        special = [
            bool(added) or number in self._special
            for added, number in zip(around, ids, strict=True)
        ]
        if limit is None or len(ids) <= limit:
            return ids, pieces, spans, special, 0
        kept = _kept(around, limit)
        columns = [[column[index] for index in kept] for column in (ids, pieces, spans, special)]
        return *columns, len(ids) - limit  # pyrefly: ignore[bad-return] (a column per field)

    def _refuse_endless(self, texts: Sequence[str], limit: int) -> None:
        """Refuse at once what must be too long: no token holds more than so many characters."""
        longest = max(map(len, texts), default=0)
        # Short texts are counted exactly; and where tokens may stand for any number of characters
        # (an unknown word, dropped controls), nothing is known before.
        if longest <= _COUNTED_EXACTLY or not self.exact:
            return
        widest = max(map(len, self._backend.get_vocab(with_added_tokens=True)))
        if (least := -(-longest // widest)) > limit:
            raise TextError(
                f"A text has {longest} characters, which are at least {least} tokens, and the "
                f"limit is {limit}: shorten it, or truncate it knowingly (truncate=True)."
            )

    def _refuse_missing(self, texts: Sequence[str]) -> None:
        """Characters for which the vocabulary has no token would vanish without a trace."""
        if not self._missing:
            return
        for index, text in enumerate(texts):
            raw = text.encode()
            if len(raw.translate(None, self._missing)) < len(raw):
                self._refuse_characters(index, text)

    def _refuse_characters(self, index: int, text: str) -> None:
        """Name the first such character, if there is one outside of added tokens."""
        missing = set(self._missing)
        added = "|".join(re.escape(token.content) for token in self._added.values())
        # Blanks of the same length in their place keep the others' places.
        rest = re.sub(added, lambda match: " " * len(match[0]), text) if added else text
        for place, character in enumerate(rest):
            if character != text[place]:
                continue
            if missing & set(character.encode()):
                raise TextError(
                    f"Text {index} has the character U+{ord(character):04X} at {place}, which "
                    "this vocabulary has no token for: take it out."
                )

    # --- tokens to text ---------------------------------------------------------------------------

    def decode(self, ids: Sequence[int] | Tensor, *, skip_special: bool = False) -> str:
        """The text of ids; bytes that make no character become U+FFFD.

        Args:
            ids: Token numbers of one text.
            skip_special: Whether to leave special tokens out.

        Raises:
            TextError: an id that is not in the vocabulary.
        """
        numbers = self._numbers(ids)
        if skip_special:
            numbers = [number for number in numbers if number not in self._special]
        if self._vocabulary.spelling == "bytes":
            known = self._bytes
            raw = [known[number] if number in known else self._behind(number) for number in numbers]
            return b"".join(raw).decode("utf-8", "replace")
        return self._backend.decode(numbers, skip_special_tokens=False)

    def piece(self, token: int) -> str:
        """The display form of one token: `·mole`, `⏎`, `<0xE2>`; `<id 50300>` where there is none.

        Models' tables are often rounded up, so that ids without a token can come up.
        """
        if token not in self._shown:
            known = 0 <= token < self.d_vocab and self._backend.id_to_token(token) is not None
            self._shown[token] = shown(self._behind(token)) if known else f"<id {token}>"
        return self._shown[token]

    def stream(self, *, skip_special: bool = True, after: Sequence[int] = ()) -> TextStream:
        """A decoder for tokens that arrive one by one.

        Args:
            skip_special: Whether special tokens give no text.
            after: The prompt's tokens, where the new ones go on from one. The text of the prompt's
                tokens and what the stream gives join to the text of all of them.
        """
        skipped = self._special if skip_special else frozenset()
        if self._vocabulary.spelling != "bytes":
            return TextStream(self.decode, None, skipped, after)
        return TextStream(
            self.decode, lambda token: self._behind(*self._numbers([token])), skipped, after
        )

    def _numbers(self, ids: Sequence[int] | Tensor) -> list[int]:
        numbers = ids.tolist() if isinstance(ids, Tensor) else list(ids)
        for number in numbers:
            if not isinstance(number, int) or not 0 <= number < self.d_vocab:
                raise TextError(
                    f"{number!r} is no id of this vocabulary; expected 0 to {self.d_vocab - 1}."
                )
        return numbers

    def _behind(self, token: int) -> bytes:
        """The UTF-8 that a token adds to a text."""
        if token not in self._bytes:
            added, spelled = self._added.get(token), self._backend.id_to_token(token)
            if added is not None:
                self._bytes[token] = added.content.encode()
            else:
                self._bytes[token] = bytes_behind(spelled or "", self._vocabulary.spelling)
        return self._bytes[token]

    # --- conversations ----------------------------------------------------------------------------

    def chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        add_generation_prompt: bool = True,
        **variables: Any,
    ) -> str:
        """The prompt that the model's template makes of a conversation.

        Encode it with `add_special=False`: templates write their special tokens themselves.

        Args:
            messages: Turns such as `{"role": "user", "content": "What is a mole?"}`.
            add_generation_prompt: Whether to end where the model's answer begins.
            variables: What else the template may read (`tools`, `date_string`).

        Raises:
            TextError: the model has no template, or it fails (see `text.chat`).
        """
        if self.chat_template is None:
            raise TextError("This model has no chat template: write the prompt as plain text.")
        names = {
            f"{role}_token": self._backend.id_to_token(self._roles[role])
            for role in ROLES
            if role in self._roles
        }
        given = {"tools": None, "documents": None, **names, **variables}
        given["add_generation_prompt"] = add_generation_prompt
        return render_chat(self.chat_template, messages, variables=given)

    # --- saving -----------------------------------------------------------------------------------

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the files of a folder that `from_folder` and `transformers` read.

        These are `tokenizer.json`, `tokenizer_config.json` and, where there is a template,
        `chat_template.jinja`. The folder is made if it is not there.
        """
        save_vocabulary(self._vocabulary, Path(folder))

    # --- what is known in advance -----------------------------------------------------------------

    def _special_ids(self) -> frozenset[int]:
        special = {number for number, token in self._added.items() if token.special}
        # An unknown word is still a word of the text, unless its token has other roles as well.
        others = {number for role, number in self._roles.items() if role != "unk"}
        if self._vocabulary.spelling != "bytes" and self.unk_id not in others:
            special -= {self.unk_id}
        return frozenset(special)

    def _missing_bytes(self) -> bytes:
        """Bytes of UTF-8 that a byte-level vocabulary has no token for."""
        if self._vocabulary.spelling != "bytes":
            return b""
        absent = [self._backend.token_to_id(glyph) is None for glyph in GLYPH_OF_BYTE]
        return bytes(byte for byte, gone in enumerate(absent) if gone)


# --- small parts ----------------------------------------------------------------------------------


def _listed(texts: str | Sequence[str]) -> list[str]:
    """Several texts from one or several, each of them checked."""
    several = [texts] if isinstance(texts, str) else list(texts)
    return [_checked(text, index) for index, text in enumerate(several)]


def _checked(text: Any, index: int) -> str:
    if not isinstance(text, str):
        raise TextError(f"Text {index} is of type {type(text).__name__}; expected str.")
    if len(text) > _LONGEST_TEXT:
        raise TextError(
            f"Text {index} has {len(text)} characters; the most is {_LONGEST_TEXT}: split it."
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise TextError(
            f"Text {index} has half a character, the lone surrogate "
            f"U+{ord(text[error.start]):04X}, at {error.start}: it was decoded wrongly."
        ) from None
    return text


def _refuse_long(lengths: Sequence[int], limit: int) -> None:
    longest = max(lengths, default=0)
    if longest <= limit:
        return
    over = sum(length > limit for length in lengths)
    which = f"Text {lengths.index(longest)}" if len(lengths) > 1 else "The text"
    others = f"; {over} of {len(lengths)} texts are too long" if over > 1 else ""
    raise TextError(
        f"{which} has {longest} tokens and the limit is {limit}{others}: shorten it by "
        f"{longest - limit}, or truncate it knowingly (truncate=True)."
    )


def _kept(around: Sequence[int], limit: int) -> list[int]:
    """Which tokens stay: the first ones, and the special ones that close the text."""
    closing = 0
    while closing < len(around) and around[len(around) - 1 - closing]:
        closing += 1
    opening = 0
    while opening < len(around) and around[opening]:
        opening += 1
    if opening + closing >= limit:
        raise TextError(
            f"The limit of {limit} tokens leaves no room beside {opening + closing} special ones."
        )
    return [*range(limit - closing), *range(len(around) - closing, len(around))]


def _spans(
    text: str, offsets: Sequence[tuple[int, int]], pieces: Sequence[str], around: Sequence[int]
) -> list[tuple[int, int]]:
    """Each token's characters without the white space before them."""
    spans = []
    for (start, end), piece, added in zip(offsets, pieces, around, strict=True):
        if added:
            start = end = 0
        elif start < end and text[start].isspace():
            rest = text[start:end].lstrip()
            start = end - len(rest) if rest else start
        elif not piece.strip("·"):
            end = start  # a blank that the tokenizer put in: the character is the next token's
        spans.append((start, end))
    return spans
