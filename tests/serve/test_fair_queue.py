"""One at a time, in turn, and no more than may be."""

import asyncio
import functools
import threading

import pytest

from smnet_jax.serve.fair_queue import Busy, FairQueue


def queue(**limits) -> FairQueue:
    return FairQueue(**{"jobs": 8, "client_jobs": 4, "held_bytes": 1000, **limits})


def test_clients_take_turns_and_each_keeps_its_order():
    done: list[str] = []

    async def main():
        line, gate = queue(), threading.Event()
        first = asyncio.ensure_future(line.run("z", gate.wait))
        await asyncio.sleep(0)  # z is computing; all others wait
        names = ["a1", "a2", "a3", "b1", "b2", "c1"]
        rest = [asyncio.ensure_future(line.run(name[0], functools.partial(done.append, name))) for name in names]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(first, *rest)
        line.close()

    asyncio.run(main())
    assert done == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_never_two_at_once():
    running, most = 0, 0

    def work():
        nonlocal running, most
        running += 1
        most = max(most, running)
        threading.Event().wait(0.002)
        running -= 1

    async def main():
        line = queue()
        await asyncio.gather(*(line.run(str(i % 3), work) for i in range(12)))
        line.close()

    asyncio.run(main())
    assert most == 1


@pytest.mark.parametrize(
    ("limits", "says"),
    [({"jobs": 2}, "too many"), ({"held_bytes": 250}, "too many"), ({"client_jobs": 2}, "2 of your photos")],
)
def test_what_is_too_much_is_refused_and_room_comes_back(limits, says):
    line = queue(**limits)
    with line.admitted("a", 100), line.admitted("a", 100):
        with pytest.raises(Busy, match=says), line.admitted("a", 100):
            pass
        assert len(line) == 2 and line.held == 200
    assert len(line) == 0 and line.held == 0
    with line.admitted("a", 100):
        assert line.held == 100


def test_one_client_leaves_room_for_another():
    line = queue(client_jobs=1)
    with line.admitted("a", 1), line.admitted("b", 1), pytest.raises(Busy), line.admitted("a", 1):
        pass


def test_who_leaves_the_line_is_passed_over():
    done: list[str] = []

    async def main():
        line, gate = queue(), threading.Event()
        first = asyncio.ensure_future(line.run("z", gate.wait))
        await asyncio.sleep(0)
        leaving = asyncio.ensure_future(line.run("a", lambda: done.append("a")))
        staying = asyncio.ensure_future(line.run("b", lambda: done.append("b")))
        await asyncio.sleep(0)
        leaving.cancel()
        gate.set()
        await asyncio.gather(first, staying)
        assert leaving.cancelled()
        await line.run("c", lambda: done.append("c"))
        line.close()

    asyncio.run(main())
    assert done == ["b", "c"]


def test_who_leaves_just_when_the_turn_comes_hands_it_on():
    done: list[str] = []

    async def main():
        line = queue()
        line._busy = True
        leaving = asyncio.ensure_future(line.run("a", lambda: done.append("a")))
        staying = asyncio.ensure_future(line.run("b", lambda: done.append("b")))
        await asyncio.sleep(0)
        line._next()  # gives the turn to a, which is cancelled before it can take it
        leaving.cancel()
        await asyncio.wait_for(staying, 5)
        line.close()

    asyncio.run(main())
    assert done == ["b"]


def test_leaving_a_running_computation_does_not_start_a_second():
    events: list[str] = []

    async def main():
        line, started, gate = queue(), threading.Event(), threading.Event()

        def work():
            started.set()
            gate.wait()
            events.append("first ends")

        first = asyncio.ensure_future(line.run("a", work))
        await asyncio.to_thread(started.wait)
        first.cancel()
        second = asyncio.ensure_future(line.run("b", lambda: events.append("second begins")))
        await asyncio.sleep(0.02)
        gate.set()
        await second
        line.close()

    asyncio.run(main())
    assert events == ["first ends", "second begins"]


def test_a_failure_is_its_own_client_s_only():
    async def main():
        line = queue()

        def fail():
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            await line.run("a", fail)
        assert await line.run("b", lambda: 7) == 7
        line.close()

    asyncio.run(main())
