"""Ctrl-C and SIGTERM become a wish to stop, which the loop grants when its step is whole.

The first signal is noted and nothing else happens; a second Ctrl-C is for who cannot wait, and
raises KeyboardInterrupt at once. This module knows nothing of what is interrupted.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Interrupts"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Signals caught while it is entered: `with Interrupts() as interrupts`.

    Attributes:
        wanted: The signal that asked to stop, or None.
    """

    def __init__(self) -> None:
        self.wanted: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        # Only the main thread may set handlers; in another one signals go where they went before.
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.wanted is signal.SIGINT and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.wanted = signal.Signals(number)
