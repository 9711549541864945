"""From texts to a vocabulary of the pieces that they repeat most.

Byte-level BPE: bytes first, then the pair of neighbours seen most often becomes a token, again and
again. This module knows nothing of where texts come from.
"""

from __future__ import annotations

from collections.abc import Iterable

import tokenizers
from tokenizers import decoders, models, trainers

from molehill.errors import TextError
from molehill.text.pieces import GLYPH_OF_BYTE
from molehill.text.splits import byte_level_split
from molehill.text.vocabulary import Vocabulary, add_specials

__all__ = ["learned_vocabulary"]


def learned_vocabulary(
    texts: Iterable[str], *, d_vocab: int, split: str, end_of_text: str, least_count: int
) -> Vocabulary:
    """A vocabulary of at most `d_vocab` tokens; `Tokenizer.train` describes the arguments.

    Raises:
        TextError: `d_vocab` cannot hold the bytes, or `split` is unknown.
    """
    smallest = len(GLYPH_OF_BYTE) + 1
    if d_vocab < smallest:
        raise TextError(
            f"d_vocab is {d_vocab}; the 256 bytes and {end_of_text} alone need {smallest}."
        )
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = byte_level_split(split)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=d_vocab,
        min_frequency=least_count,
        special_tokens=[end_of_text],
        initial_alphabet=list(GLYPH_OF_BYTE),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    add_specials(backend, [end_of_text])
    number = backend.token_to_id(end_of_text)
    assert number is not None, "the trainer was told to make this token"
    roles = dict.fromkeys(("bos", "eos", "pad"), number)
    return Vocabulary(backend, roles, "bytes")
