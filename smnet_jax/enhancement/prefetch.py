"""Read the next, compute the current, write the last: three stages that overlap, with at most one item waiting."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, TypeVar

Item = TypeVar("Item")
Read = TypeVar("Read")
Computed = TypeVar("Computed")
Written = TypeVar("Written")


def pipelined(
    items: Iterable[Item],
    read: Callable[[Item], Read],
    compute: Callable[[Item, Read], Computed],
    write: Callable[[Item, Computed], Written],
    *,
    survives: tuple[type[Exception], ...],
) -> Iterator[tuple[Item, Written | Exception]]:
    """Yield each item, in order, with what `write` returned or the exception of type `survives` that stopped it.

    `read` and `write` run in a thread each, `compute` in the caller's. Never more than one item is read ahead or
    waits to be written, so memory holds three at most. Any other exception, Ctrl-C included, ends the iteration after
    the running read and write have come to their end; so does closing the iterator.
    """
    with ExitStack() as stack:
        reader, writer = (ThreadPoolExecutor(1, thread_name_prefix=name) for name in ("read", "write"))
        stack.callback(reader.shutdown, cancel_futures=True)
        stack.callback(writer.shutdown, cancel_futures=True)
        waiting = iter(items)
        ahead = _next(reader, read, waiting)
        behind: tuple[Item, Future[Written]] | None = None
        while ahead is not None:
            item, coming = ahead
            failed: Exception | None = None
            try:
                current = coming.result()
            except survives as error:
                failed = error
            ahead = _next(reader, read, waiting)
            if failed is None:
                try:
                    result = compute(item, current)
                except survives as error:
                    failed = error
                del current
            if behind is not None:  # before the next is handed over: one picture waits at most
                yield behind[0], _outcome(behind[1], survives)
                behind = None
            if failed is None:
                behind = (item, writer.submit(write, item, result))
                del result
            else:
                yield item, failed
        if behind is not None:
            yield behind[0], _outcome(behind[1], survives)


def _next(
    reader: ThreadPoolExecutor, read: Callable[[Item], Read], waiting: Iterator[Item]
) -> tuple[Item, Future[Read]] | None:
    for item in waiting:
        return item, reader.submit(read, item)
    return None


def _outcome(future: Future[Any], survives: tuple[type[Exception], ...]) -> Any:
    try:
        return future.result()
    except survives as error:
        return error
