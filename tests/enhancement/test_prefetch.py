"""Order, overlap and bounds of the three stages, with events instead of clocks."""

import threading

import pytest

from smnet_jax.enhancement.prefetch import pipelined

WAIT = 20  # seconds until a deadlock fails the test


def plain(items, *, read=lambda i: i, compute=lambda _i, r: r, write=lambda _i, w: w):
    return pipelined(items, read, compute, write, survives=(OSError,))


def test_everything_comes_out_in_order():
    result = list(plain(range(20), read=lambda i: i + 1, compute=lambda i, r: i * r, write=lambda _i, w: -w))
    assert result == [(i, -i * (i + 1)) for i in range(20)]
    assert list(plain([])) == []


def test_failures_are_handed_over_in_their_place():
    def fail_on(which):
        def stage(i, *_):
            if i == which:
                raise OSError(i)
            return i

        return stage

    results = dict(plain(range(6), read=fail_on(1), compute=fail_on(2), write=fail_on(4)))
    assert [type(results[i]) is OSError for i in range(6)] == [False, True, True, False, True, False]
    assert list(results) == list(range(6))


def test_the_next_is_read_and_the_last_written_while_the_current_computes():
    reading_1, computing_1 = threading.Event(), threading.Event()
    met = []

    def read(i):
        if i == 1:
            reading_1.set()
        return i

    def compute(i, r):
        if i == 0:
            met.append(reading_1.wait(WAIT))
        if i == 1:
            computing_1.set()
        return r

    def write(i, _w):
        if i == 0:
            met.append(computing_1.wait(WAIT))

    list(plain(range(3), read=read, compute=compute, write=write))
    assert met == [True, True]


def test_no_more_than_one_is_read_ahead_or_waits_to_be_written():
    alive, most, lock = 0, 0, threading.Lock()

    def read(_i):
        nonlocal alive, most
        with lock:
            alive += 1
            most = max(most, alive)

    def write(_i, _w):
        nonlocal alive
        with lock:
            alive -= 1

    list(plain(range(50), read=read, write=write))
    assert alive == 0 and most <= 3


@pytest.mark.parametrize("stage", ["read", "compute", "write"])
def test_anything_else_ends_it_and_leaves_no_thread(stage):
    def explode(i, *_):
        if i == 2:
            raise KeyboardInterrupt
        return i

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        list(plain(range(5), **{stage: explode}))
    assert threading.active_count() == before


def test_closing_early_leaves_no_thread():
    before = threading.active_count()
    results = plain(range(100))
    assert next(results) == (0, 0)
    results.close()
    assert threading.active_count() == before
