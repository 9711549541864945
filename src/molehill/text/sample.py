"""A bounded, seeded sample of a stream of documents: the vocabulary is learned from it.

Every document gets a number from a hash of its text; those with the smallest numbers are kept as
long as they fit. So one pass is enough, memory is bounded, and the sample depends on the texts and
the seed, not on their order. This module knows nothing of tokens.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable

from molehill.text.documents import Document

__all__ = ["sample_of"]


def sample_of(
    stream: Iterable[Document],
    size: int,
    *,
    seed: int = 0,
) -> list[str]:
    """Texts of at most `size` bytes in UTF-8 together; each document is as likely to be among them.

    A text that is longer than `size` by itself stands with its first `size` bytes.

    Args:
        stream: The documents; read once, to its end.
        size: The most bytes.
        seed: Another seed gives another sample.
    """
    # The largest number is taken out first: numbers are kept with their sign turned.
    heap: list[tuple[int, bytes]] = []
    held, below = 0, 2**64
    salt = seed.to_bytes(8, "little")
    for document in stream:
        raw = document.text.encode()
        digest = hashlib.blake2b(raw, digest_size=8, salt=salt, person=b"sample").digest()
        number = int.from_bytes(digest, "little")
        if number >= below or not raw.strip():
            continue
        heapq.heappush(heap, (-number, raw[:size]))
        held += len(raw[:size])
        while held > size:
            # What once had no room lets nothing behind it in: so the order does not matter.
            below, dropped = -heap[0][0], heapq.heappop(heap)[1]
            held -= len(dropped)
    return [raw.decode(errors="ignore") for _, raw in sorted(heap, reverse=True)]
