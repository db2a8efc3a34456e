"""The socket and the event loop below the application."""

import asyncio
import ipaddress
import socket

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from smnet_jax.errors import InputError
from smnet_jax.serve.guard import App

HEAD_SECONDS = 20.0  # for a connection to say what it wants
MAX_CONNECTIONS = 200


class _Impatient(H11Protocol):
    """uvicorn's protocol; but a connection that asks for nothing is closed (uvicorn lets it stand for ever)."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.loop.call_later(HEAD_SECONDS, lambda: None if self.cycle else transport.close())


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes a free one. Raises InputError where that cannot be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=MAX_CONNECTIONS)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"--host {host} --port {port}: cannot listen there ({reason}); choose another port") from error
    except (OverflowError, UnicodeError) as error:
        raise InputError(f"--host {host} --port {port}: no such address") from error


def is_every_address(host: str) -> bool:
    """Whether listening there means listening on all of the machine's addresses (0.0.0.0, ::)."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return host == ""


def make_server(app: App) -> uvicorn.Server:
    """uvicorn with our limits; its `run(sockets=[listening])` answers until `should_exit`, Ctrl-C or SIGTERM.

    What is being computed then is finished first.
    """
    config = uvicorn.Config(
        app,
        http=_Impatient,
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=5,
    )
    return uvicorn.Server(config)
