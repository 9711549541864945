"""Text becomes tokens, and tokens lead back to characters and words. Knows nothing of models."""

from molehill.text.batches import PADDING, HeldOut, TokenStream
from molehill.text.building import build_corpus
from molehill.text.corpus import Corpus, Counts, Passage
from molehill.text.documents import Document, documents
from molehill.text.next_word import next_token
from molehill.text.stream import TextStream
from molehill.text.tokenizer import Tokenizer
from molehill.text.tokens import Occurrence, Tokens

__all__ = [
    "PADDING",
    "Corpus",
    "Counts",
    "Document",
    "HeldOut",
    "Occurrence",
    "Passage",
    "TextStream",
    "TokenStream",
    "Tokenizer",
    "Tokens",
    "build_corpus",
    "documents",
    "next_token",
]
