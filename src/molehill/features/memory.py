"""Memory that a step frees and the next one wants again, kept instead of given back.

The C library returns large pieces to the system at once, and new ones are filled with zeros page by
page: in a step of training that costs as much as a product. This asks it to keep them. It holds for
the whole process, and does nothing where the C library is another. This module knows no tensor.
"""

from __future__ import annotations

import ctypes

__all__ = ["keep_freed_memory"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def keep_freed_memory(largest: int = 1 << 30) -> bool:
    """Keep freed pieces of up to `largest` bytes; whether the C library was glibc and obeyed."""
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, largest)) and bool(
        mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
    )
