"""Computations that are ended while they start threads, wait for them, or swallow the end."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.explorer.asgi import run

from molehill.explorer.line import Line, TooLate


@pytest.fixture
def line():
    made = Line(deadline=20.0)
    yield made
    made.close()
    made._thread.join(5)
    assert not made._thread.is_alive()


async def ended_after(line, work, seconds: float) -> None:
    async def listen() -> None:
        async for _ in line.ask(work):
            pass

    task = asyncio.create_task(listen())
    await asyncio.sleep(seconds)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def answer_of(line):
    events = [event async for event in line.ask(lambda tell: "there")]
    return events[-1].value


def test_an_end_never_goes_to_a_thread_that_is_being_started(line):
    """A new thread bears its maker's number until it runs: an end that it took killed it, and its
    maker waited for ever."""

    def work(tell):
        while True:
            thread = threading.Thread(target=str)
            thread.start()
            thread.join()

    async def many() -> None:
        drawn = random.Random(1)
        for _ in range(60):
            await ended_after(line, work, drawn.uniform(0.001, 0.02))
            assert await asyncio.wait_for(answer_of(line), 10) == "there"

    run(many())


def test_work_in_other_threads_ends_with_their_next_word(line):
    """Who waits for another thread hears nothing until that one is over."""
    over = threading.Event()

    def work(tell):
        def inner() -> None:
            while not over.wait(0.01):
                tell(0, 1, "inside")

        with ThreadPoolExecutor(1) as pool:
            pool.submit(inner).result()

    async def once() -> str:
        await ended_after(line, work, 0.3)
        return await asyncio.wait_for(answer_of(line), 5)

    try:
        assert run(once()) == "there"
    finally:
        over.set()


def test_a_deadline_is_kept_to_those_who_wait_even_where_the_work_cannot_be_ended():
    line = Line(deadline=0.2)
    gate = threading.Event()

    async def late() -> float:
        begun = time.monotonic()
        with pytest.raises(TooLate):
            async for _ in line.ask(lambda tell: gate.wait(15)):
                pass
        return time.monotonic() - begun

    try:
        assert run(late()) < 8
    finally:
        gate.set()
        line.close()
