"""One computation at a time, clients in turn, and a bound on what may wait."""

import asyncio
import collections
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Result = TypeVar("Result")


class Busy(Exception):
    """No room for one more; the message says for whom and until when."""


class FairQueue:
    """Photos that wait for the one thread that computes. To be used within one event loop.

    Each client's photos keep their order; between clients the turns go round, so that a folder of one does not hold up
    the single photo of another. jobs, client_jobs, held_bytes: how many photos may be here at once, of all clients and
    of one, and how large they may be together. A photo is here from before its upload until its result is sent.
    """

    def __init__(self, *, jobs: int, client_jobs: int, held_bytes: int) -> None:
        self.jobs, self.client_jobs, self.held_bytes = jobs, client_jobs, held_bytes
        self.held = 0
        self._here: collections.Counter[str] = collections.Counter()
        self._waiting: collections.OrderedDict[str, collections.deque[asyncio.Future[None]]] = collections.OrderedDict()
        self._busy = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="compute")

    def __len__(self) -> int:
        return self._here.total()

    @contextmanager
    def admitted(self, client: str, size: int) -> Iterator[None]:
        """Hold a place for a photo of `size` bytes; raise Busy where there is none."""
        if self._here[client] >= self.client_jobs:
            raise Busy(f"{self.client_jobs} of your photos are waiting already; send the next when one is done")
        if len(self) >= self.jobs or self.held + size > self.held_bytes:
            raise Busy("too many photos are waiting; try again in a moment")
        self._here[client] += 1
        self.held += size
        try:
            yield
        finally:
            self.held -= size
            self._here[client] -= 1
            if not self._here[client]:
                del self._here[client]

    async def run(self, client: str, work: Callable[[], Result]) -> Result:
        """Wait for the client's turn, then call `work` in the computing thread.

        Cancelled while it waits, it gives up its place in the line. Cancelled while computing it returns at once, but
        the next turn begins only when the thread is free.
        """
        await self._turn(client)
        future = asyncio.get_running_loop().run_in_executor(self._thread, work)
        future.add_done_callback(self._done)
        return await asyncio.shield(future)

    async def _turn(self, client: str) -> None:
        if not self._busy:
            self._busy = True
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, collections.deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it was given just now, and nobody will use it
                self._next()
            raise

    def _done(self, future: "asyncio.Future[Result]") -> None:
        if not future.cancelled():
            future.exception()  # asked for, so that asyncio does not complain where the client has left
        self._next()

    def _next(self) -> None:
        while self._waiting:
            client, turns = self._waiting.popitem(last=False)
            turn = turns.popleft()
            if turns:
                self._waiting[client] = turns  # behind the other clients
            if not turn.done():  # done: cancelled
                turn.set_result(None)
                return
        self._busy = False

    def close(self) -> None:
        """Wait for the running computation and take no other."""
        self._thread.shutdown(cancel_futures=True)
