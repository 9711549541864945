"""From a list of whole words to a vocabulary with one token for each of them.

For languages whose words are all known beforehand, such as that of an invented world. A text comes
back from its tokens exactly; what is not in the list becomes the token for unknown words. This
module knows nothing of where the words come from.
"""

from __future__ import annotations

from collections.abc import Iterable

import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from molehill.errors import TextError
from molehill.text.vocabulary import Vocabulary, add_specials

__all__ = ["word_list_vocabulary"]

_SPACE = "▁"


def word_list_vocabulary(words: Iterable[str], *, end_of_text: str, unknown: str) -> Vocabulary:
    """A vocabulary of these words; `Tokenizer.of_words` describes the arguments.

    Raises:
        TextError: no words, one that is given twice, or one that the rules would cut in pieces.
    """
    listed = list(words)
    if not listed:
        raise TextError("The list of words is empty: give at least one.")
    # The space before a word is part of its token; a sign of punctuation has none.
    spelled = [_spelled(word) for word in listed]
    # The bare space is for a sign that stands apart from the word before it.
    tokens = [end_of_text, unknown, _SPACE, *spelled]
    if "" in listed:
        raise TextError("'' is no single word: leave it out of the list.")
    if len(set(tokens)) < len(tokens):
        twice = next(token for token in tokens if tokens.count(token) > 1)
        raise TextError(f"The word {twice.lstrip(_SPACE)!r} is given twice: give every word once.")
    numbers = {token: number for number, token in enumerate(tokens)}
    backend = tokenizers.Tokenizer(models.WordLevel(numbers, unk_token=unknown))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(replacement=_SPACE, prepend_scheme="always", split=True),
            pre_tokenizers.Punctuation("isolated"),
        ]
    )
    backend.decoder = decoders.Metaspace(replacement=_SPACE, prepend_scheme="always")
    for word, token in zip(listed, spelled, strict=True):
        cut = [piece for piece, _ in backend.pre_tokenizer.pre_tokenize_str(word)]
        if cut[-1:] != [token] or cut[:-1] not in ([], [_SPACE]):
            raise TextError(f"{word!r} is no single word: the rules cut it into {cut}.")
    add_specials(backend, [end_of_text, unknown])
    roles = {"bos": 0, "eos": 0, "pad": 0, "unk": 1}
    return Vocabulary(backend, roles, "spaces")


def _spelled(word: str) -> str:
    is_sign = word != "" and not any(character.isalnum() for character in word)
    return word if is_sign else f"{_SPACE}{word}"
