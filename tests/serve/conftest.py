"""A running server of its own for every test, in a thread, on a free port."""

import contextlib
import http.client
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

Request = Callable[..., tuple[int, dict[str, str], bytes]]


class Running:
    """What a test needs of a running server."""

    def __init__(self, port: int) -> None:
        self.port = port

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers, body. Header names are given with _ for -."""
        with contextlib.closing(self.connection()) as connection:
            connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()


@pytest.fixture
def serving() -> Iterator[Callable[..., Running]]:
    """serving(enhance, **options of make_app) -> a server that runs until the test ends."""
    pytest.importorskip("starlette", reason="starlette is not installed (extra serve)")
    pytest.importorskip("uvicorn", reason="uvicorn is not installed (extra serve)")
    from smnet_jax.serve import server
    from smnet_jax.serve.app import make_app

    with contextlib.ExitStack() as stack:

        def start(enhance: Any, **options: Any) -> Running:
            listening = stack.enter_context(server.listen("127.0.0.1", 0))
            running = server.make_server(make_app(enhance, **options))
            thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
            thread.start()
            stack.callback(thread.join)
            stack.callback(setattr, running, "should_exit", True)
            until = time.monotonic() + 30
            while not running.started:
                assert time.monotonic() < until and thread.is_alive()
                time.sleep(0.01)
            return Running(listening.getsockname()[1])

        yield start
