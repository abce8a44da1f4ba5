"""Work that is done before it is asked for."""

from __future__ import annotations

import threading
from itertools import count, islice

import pytest

from napari_sr.upscaling.prefetch import prefetched, prefetched_calls


def test_items_come_in_their_order_from_another_thread():
    threads = set()

    def items():
        for i in range(20):
            threads.add(threading.get_ident())
            yield i

    assert list(prefetched(items(), 3)) == list(range(20))
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_the_next_item_is_made_while_this_one_is_used():
    made = threading.Event()

    def items():
        yield 0
        made.set()
        yield 1

    coming = prefetched(items())
    next(coming)
    assert made.wait(5)
    assert list(coming) == [1]


def test_closing_closes_what_runs_and_ends_its_thread():
    closed = []

    def items():
        try:
            while True:
                yield 0
        finally:
            closed.append(True)

    before = threading.active_count()
    coming = prefetched(items(), 2)
    next(coming)
    coming.close()
    assert closed == [True]
    assert threading.active_count() == before


@pytest.mark.parametrize("error", [RuntimeError("a"), KeyboardInterrupt()])
def test_a_fault_comes_in_its_turn(error):
    def items():
        yield 0
        raise error

    coming = prefetched(items(), 3)
    assert next(coming) == 0
    with pytest.raises(type(error)) as caught:
        next(coming)
    assert caught.value is error
    assert list(coming) == []


def test_several_threads_make_items_in_the_order_of_their_keys():
    together = threading.Barrier(3, timeout=10)  # broken if fewer than three make them
    begun = []

    def make(key):
        if key < 3:
            together.wait()
        return key * key

    made = prefetched_calls(make, count(), 3, begin=lambda: begun.append(1))

    assert list(islice(made, 8)) == [key * key for key in range(8)]
    made.close()
    assert len(begun) == 3
    assert not any(one.name.startswith("napari-sr") for one in threading.enumerate())


def test_keys_that_end_are_all_made_and_errors_come_in_their_turn():
    assert list(prefetched_calls(str, iter("abc"), 2)) == ["a", "b", "c"]

    made = prefetched_calls(lambda key: 1 / key, iter([1, 0, 2]), 2)
    assert next(made) == 1
    with pytest.raises(ZeroDivisionError):
        next(made)
