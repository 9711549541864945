"""A bounded, seeded sample of a stream of documents: the vocabulary is learned from it.

Every document gets a number from a hash of its text; those with the smallest numbers are kept as
long as they fit. So one pass is enough, memory is bounded, and the sample depends on the texts and
the seed, not on their order. This module knows nothing of tokens.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterable

from molehill.text.documents import Document

__all__ = ["sample_of"]


def sample_of(
    stream: Iterable[Document],
    size: int,
    *,
    seed: int = 0,
    progress: Callable[[str, int], None] | None = None,
) -> list[str]:
    """Texts of at most `size` bytes in UTF-8 together; each document is as likely to be among them.

    A text that is longer than `size` by itself stands with its first `size` bytes.

    Args:
        stream: The documents; read once, to its end.
        size: The most bytes.
        seed: Another seed gives another sample.
        progress: Told `"sample"` and the bytes of the documents as they pass.
    """
    # The largest number is taken out first: numbers are kept with their sign turned.
    heap: list[tuple[int, bytes]] = []
    held = passed = 0
    for document in stream:
        raw = document.text.encode()
        if not raw.strip():
            continue
        digest = hashlib.blake2b(
            raw, digest_size=8, salt=seed.to_bytes(8, "little"), person=b"sample"
        )
        raw = raw[:size]
        heapq.heappush(heap, (-int.from_bytes(digest.digest(), "little"), raw))
        held += len(raw)
        while held > size:
            held -= len(heapq.heappop(heap)[1])
        passed += len(raw)
        if progress is not None and passed >= 2**20:
            progress("sample", passed)
            passed = 0
    if progress is not None:
        progress("sample", passed)
    return [raw.decode(errors="ignore") for _, raw in sorted(heap, reverse=True)]
