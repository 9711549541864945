"""Text becomes tokens, and tokens lead back to characters and words. Knows nothing of models."""

from molehill.text.next_word import next_token
from molehill.text.stream import TextStream
from molehill.text.tokenizer import Tokenizer
from molehill.text.tokens import Occurrence, Tokens

__all__ = ["Occurrence", "TextStream", "Tokenizer", "Tokens", "next_token"]
