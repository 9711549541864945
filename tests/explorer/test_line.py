"""One computation at a time: order, positions, ends from outside, deadlines; its thread stays."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from tests.explorer.asgi import run

from molehill.explorer.line import Ended, Full, Line, TooLate


@pytest.fixture
def line():
    made = Line(most=2, deadline=20.0)
    yield made
    made.close()
    made._thread.join(5)
    assert not made._thread.is_alive()


async def all_of(line, work):
    return [event async for event in line.ask(work)]


def answer_of(line, work):
    return run(all_of(line, work))[-1]


def test_an_answer_comes_after_its_progress(line):
    def work(tell):
        tell(1, 2, "half")
        tell(2, 2, "whole")
        return "there"

    events = run(all_of(line, work))
    assert [event.kind for event in events] == [
        "waiting",
        "waiting",
        "progress",
        "progress",
        "answer",
    ]
    assert events[0].position == events[1].position == 0
    assert events[2].what == "half" and events[-1].value == "there"


def test_one_at_a_time_in_their_order_with_their_positions(line):
    order, open_gate, running = [], threading.Event(), []

    def work(name):
        def act(tell):
            running.append(name)
            assert len(running) == 1, "two at once"
            open_gate.wait(10)
            running.remove(name)
            order.append(name)
            return name

        return act

    async def all_three():
        first = asyncio.create_task(all_of(line, work("a")))
        while not running:
            await asyncio.sleep(0.01)
        second = asyncio.create_task(all_of(line, work("b")))
        await asyncio.sleep(0.01)
        third = asyncio.create_task(all_of(line, work("c")))
        await asyncio.sleep(0.05)
        with pytest.raises(Full, match="2 questions wait"):
            await all_of(line, work("d"))
        open_gate.set()
        return [await task for task in (first, second, third)]

    told = run(all_three())
    assert order == ["a", "b", "c"]
    positions = [[event.position for event in events if event.kind == "waiting"] for events in told]
    assert positions[1][0] == 1 and positions[2][0] == 2
    assert all(found[-1] == 0 for found in positions)


def test_who_leaves_ends_the_computation_within_a_moment(line):
    ended = threading.Event()

    def endless(tell):
        try:
            while True:
                tell(0, 0, "on and on")
                sum(range(1000))
        except Ended:
            ended.set()
            raise

    async def leave():
        events = line.ask(endless)
        async for event in events:
            if event.kind == "progress":
                break
        await events.aclose()

    run(leave())
    assert ended.wait(5)
    assert answer_of(line, lambda tell: 7).value == 7


def test_an_end_that_is_swallowed_is_given_again(line, monkeypatch):
    monkeypatch.setattr("molehill.explorer.line._STILL", 0.05)
    swallowed, ended = [], threading.Event()

    def stubborn(tell):
        try:
            while True:
                try:
                    tell(0, 0, "on")
                    time.sleep(0.001)
                except Ended:
                    swallowed.append(1)
                    if len(swallowed) > 2:
                        raise
        finally:
            ended.set()

    async def leave():
        events = line.ask(stubborn)
        async for event in events:
            if event.kind == "progress":
                break
        await events.aclose()

    run(leave())
    assert ended.wait(5) and len(swallowed) == 3


def test_who_leaves_while_waiting_is_never_computed(line):
    ran, gate, busy = [], threading.Event(), threading.Event()

    def first(tell):
        busy.set()
        return gate.wait(10)

    async def act():
        one = asyncio.create_task(all_of(line, first))
        await asyncio.to_thread(busy.wait, 5)
        two = asyncio.create_task(all_of(line, lambda tell: ran.append("two")))
        await asyncio.sleep(0.05)
        two.cancel()
        await asyncio.sleep(0.05)
        gate.set()
        await one

    run(act())
    assert answer_of(line, lambda tell: "after").value == "after"
    assert ran == []


def test_what_takes_too_long_is_ended():
    line = Line(deadline=0.1)

    def endless(tell):
        while True:
            time.sleep(0.005)

    with pytest.raises(TooLate, match=r"longer than 0.1 s"):
        run(all_of(line, endless))
    assert answer_of(line, lambda tell: 1).value == 1
    line.close()


@pytest.mark.parametrize("error", [ValueError("bad"), MemoryError(), SystemExit(3)])
def test_what_a_computation_raises_comes_back_and_the_thread_goes_on(line, error):
    def fails(tell):
        raise error

    event = answer_of(line, fails)
    assert event.kind == "failed" and event.value is error
    assert event.value.__traceback__ is None and "fails" in event.what
    assert answer_of(line, lambda tell: 2).value == 2


def test_many_leave_at_every_moment_and_nothing_is_lost(line):
    """An end may arrive as its computation is just over; the next one must not suffer."""

    async def hurry(number):
        def work(tell):
            return sum(range(number * 50))

        events = line.ask(work)
        async for event in events:
            if event.kind == "answer" or number % 3:
                break
        await events.aclose()

    async def all_of_them():
        for number in range(200):
            await hurry(number)

    run(all_of_them())
    assert answer_of(line, lambda tell: "still there").value == "still there"
