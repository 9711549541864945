"""One computation at a time, in the order in which they were asked for, each of which can be ended.

Two computations side by side on the same cores take longer than one after the other, and one model
in use is one in memory. Whoever waits is told the position. An answer that nobody waits for any
more is ended as Ctrl-C ends it, from inside its thread, between two steps of Python; the library
leaves things whole then. This module knows no question.
"""

from __future__ import annotations

import asyncio
import ctypes
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Ended", "Event", "Full", "Line", "TooLate"]

_Tell = Callable[[int, int, str], None]

_TELLING = 0.1
"""Seconds between two words about how far an answer is."""

_AGAIN = 0.01
"""Seconds until an end is tried again that could not be given."""

_STILL = 2.0
"""Seconds until it is given again: Python drops an error that is raised while it forgets an object
(in a finalizer, in the callback of a weak reference)."""


class Ended(KeyboardInterrupt):
    """Raised inside a computation that nobody waits for."""


class TooLate(Exception):
    """It took longer than it may."""


class Full(Exception):
    """More wait than the line holds."""


@dataclass(frozen=True)
class Event:
    """What happens to one computation: `waiting` (its position, 0: at work), `progress`, `answer`
    (its value), `failed` (the error, and in `what` where it came from)."""

    kind: str
    position: int = 0
    done: int = 0
    whole: int = 0
    what: str = ""
    value: Any = None


@dataclass(eq=False)
class _Job:
    work: Callable[[_Tell], Any]
    loop: asyncio.AbstractEventLoop
    events: asyncio.Queue[Event] = field(default_factory=asyncio.Queue)
    ended: bool = False
    told: float = 0.0
    late: bool = False

    def put(self, event: Event) -> None:
        try:
            self.loop.call_soon_threadsafe(self.events.put_nowait, event)
        except RuntimeError:
            self.ended = True  # the server's loop is closed: nobody listens

    def tell(self, done: int, whole: int, what: str) -> None:
        if self.ended:
            raise Ended  # a thread that works for this one is reached in no other way
        now = time.monotonic()
        if now - self.told >= _TELLING or done == whole:
            self.told = now
            self.put(Event("progress", done=done, whole=whole, what=what))


class Line:
    """A thread that computes, and those who wait for it.

    Args:
        most: how many may wait.
        deadline: seconds that one computation may take once it is its turn.
    """

    def __init__(self, *, most: int = 32, deadline: float = 300.0) -> None:
        self.most, self.deadline = most, deadline
        self._waiting: deque[_Job] = deque()
        self._running: _Job | None = None
        # An end reaches Python wherever a function begins, in a condition's own `__exit__` too,
        # which would then keep the lock for ever. Where one may be on its way the bare lock is
        # held, whose code is C.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._closed = True
        self._thread = threading.Thread()

    async def ask(self, work: Callable[[_Tell], Any]) -> AsyncIterator[Event]:
        """What happens to a computation, its answer last. Whoever stops listening ends it.

        Raises:
            Full: too many wait already.
            TooLate: it took longer than the deadline.
        """
        job = _Job(work, asyncio.get_running_loop())
        with self._changed:
            if len(self._waiting) >= self.most:
                raise Full(f"{self.most} questions wait already: ask again in a moment.")
            self._waiting.append(job)
            self._open()
            self._tell_positions()
            self._changed.notify_all()
        timer: asyncio.TimerHandle | None = None
        try:
            while True:
                event = await job.events.get()
                if event.kind == "waiting" and event.position == 0:
                    timer = job.loop.call_later(self.deadline, self._too_late, job)
                if event.kind == "failed" and job.late:
                    raise TooLate(f"This took longer than {self.deadline:g} s and was ended.")
                yield event
                if event.kind in ("answer", "failed"):
                    return
        finally:
            if timer is not None:
                timer.cancel()
            self.end(job)

    def end(self, job: _Job) -> None:
        """End a computation, or take it out of the line; nothing if it is over."""
        with self._changed:
            if job in self._waiting:
                self._waiting.remove(job)
                self._tell_positions()
            job.ended = True
            self._strike(job)

    def _strike(self, job: _Job) -> None:
        with self._changed:
            if self._running is not job:
                return
            wait = _AGAIN
            if not _starts_a_thread(self._thread):
                _raise_in(self._thread, Ended)
                wait = _STILL
        again = threading.Timer(wait, self._strike, (job,))
        again.daemon = True
        again.start()

    def _open(self) -> None:
        """Begin to work: at the first question, and at the first after a close."""
        if self._closed:
            self._closed = False
            self._thread = threading.Thread(target=self._work, name="molehill-line", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End everything, and tell those who wait; the thread goes, and comes back with the next
        question."""
        with self._changed:
            self._closed = True
            running = [] if self._running is None else [self._running]
            for job in [*running, *self._waiting]:
                job.ended = True
                job.put(Event("failed", value=Ended()))
            self._waiting.clear()
            for job in running:
                self._strike(job)
            self._changed.notify_all()

    def _too_late(self, job: _Job) -> None:
        job.late = True
        self.end(job)
        # Who waits is told now, whenever the computation can be ended.
        job.put(Event("failed", value=Ended()))

    def _tell_positions(self) -> None:
        ahead = 0 if self._running is None else 1
        for position, job in enumerate(self._waiting):
            job.put(Event("waiting", position=position + ahead))

    def _work(self) -> None:
        while True:
            try:
                self._rest()
                job = self._next()
                if job is None:
                    return
                self._run(job)
            except Ended:
                # It came after the computation that it was meant for was over: the next one, if it
                # was taken up already, takes its place again.
                with self._lock:
                    if self._running is not None and not self._running.ended:
                        self._waiting.appendleft(self._running)

    def _rest(self) -> None:
        """Nothing is at work from here on, so no end is given any more; one that is on its way
        arrives in the loop."""
        with self._lock:
            self._running = None
        for _ in range(100):
            pass

    def _next(self) -> _Job | None:
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            if self._closed:
                return None
            job = self._running = self._waiting.popleft()
            self._tell_positions()
        job.put(Event("waiting", position=0))
        return job

    def _run(self, job: _Job) -> None:
        try:
            done = Event("answer", value=job.work(job.tell))
        except Ended:
            if not job.ended:
                raise
            done = Event("failed", value=Ended())
        except BaseException as error:
            # The frames hold models and vectors; the words are enough.
            told = "".join(traceback.format_exception(error))
            done = Event("failed", what=told, value=error.with_traceback(None))
        with self._lock:
            self._running = None
        job.put(done)


def _starts_a_thread(thread: threading.Thread) -> bool:
    """Whether a thread is about to make another: until that one runs it bears the number of its
    maker, and would take what is meant for it; the maker then waits for it without an end."""
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None:
        if frame.f_code is threading.Thread.start.__code__:
            return frame.f_locals["self"].ident is None
        frame = frame.f_back
    return False


def _raise_in(thread: threading.Thread, error: type[BaseException]) -> None:
    """Raise an error inside another thread, between two of its steps (CPython)."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident or 0), ctypes.py_object(error)
    )
