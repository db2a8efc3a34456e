"""The HTTP API and the page: bytes in, bytes out.

Nothing a client sends is ever a path or an address here: the page's files are read once, at the start, and a photo is
the request's body.
"""

import asyncio
import dataclasses
import json
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from importlib import resources
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from smnet_jax.errors import InputError
from smnet_jax.serve.fair_queue import Busy, FairQueue
from smnet_jax.serve.guard import LOCAL, App, Guard, Receive, Scope, Send
from smnet_jax.serve.openapi import description
from smnet_jax.version import __version__

MEDIA_TYPES = {
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
    ".tiff": "image/tiff",
    ".avif": "image/avif",
}
MEDIA_TYPES[".tif"] = MEDIA_TYPES[".tiff"]
PAGE = {  # address -> file of the folder page/, media type
    "/": ("index.html", "text/html; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/knob.js": ("knob.js", "text/javascript; charset=utf-8"),
    "/viewer.js": ("viewer.js", "text/javascript; charset=utf-8"),
    "/zip.js": ("zip.js", "text/javascript; charset=utf-8"),
    "/engine.js": ("server_engine.js", "text/javascript; charset=utf-8"),
}
_PIECE = 1 << 18  # bytes handed to the socket at once
MOST_STOPS = 4.0  # of exposure, either way
_OPTIONS: dict[str, Callable[[str], Any]] = {"strength": float, "exposure": float, "format": str, "quality": int}

# (content, {"strength": ..., "exposure": ..., "format": ..., "quality": ...}) -> content, suffix, width, height, notes
Enhance = Callable[[bytes, Mapping[str, Any]], Any]


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one client, and all together, may ask of the machine. Sizes in bytes, times in seconds.

    photo_bytes, megapixels: of one photo. jobs, client_jobs, held_bytes: see FairQueue. upload: for a whole photo to
    arrive; stall: without a byte arriving or leaving. wait: in the queue and computing together.
    """

    photo_bytes: int = 100 << 20
    megapixels: float = 100.0
    jobs: int = 32
    client_jobs: int = 8
    held_bytes: int = 400 << 20
    upload: float = 300.0
    stall: float = 20.0
    wait: float = 900.0


def make_app(
    enhance: Enhance,
    *,
    weights: str = "",
    limits: Limits | None = None,
    names: Collection[str] = LOCAL,
    any_address: bool = False,
) -> App:
    """The ASGI application. `enhance` is called in one thread, one photo at a time; what it raises as InputError is
    the client's to read. `weights` is the name shown; `names` and `any_address` are those of Guard."""
    limits = limits or Limits()
    queue = FairQueue(jobs=limits.jobs, client_jobs=limits.client_jobs, held_bytes=limits.held_bytes)
    about = {"version": __version__, "weights": weights, "megapixels": limits.megapixels, "bytes": limits.photo_bytes}

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "ok", **about, "photos_here": len(queue)})

    async def openapi(_request: Request) -> Response:
        return JSONResponse(description(limits))

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        queue.close()

    routes = [
        Route("/enhance", _Enhance(enhance, queue, limits), methods=["POST"]),
        Route("/healthz", health),
        Route("/openapi.json", openapi),
        *(Route(address, _file(*page)) for address, page in PAGE.items()),
    ]
    errors: Mapping[Any, Any] = {404: _not_found, 405: _wrong_method}
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=errors)
    app.state.queue = queue
    return Guard(app, names=names, any_address=any_address)


def _file(name: str, media_type: str) -> Callable[[Request], Any]:
    content = (resources.files("smnet_jax.serve") / "page" / name).read_bytes()

    async def send(_request: Request) -> Response:
        return Response(content, media_type=media_type)

    return send


async def _not_found(_request: Request, _error: Exception) -> Response:
    return _problem(404, "there is nothing here; the page is at /, the API at /enhance, described at /openapi.json")


async def _wrong_method(_request: Request, _error: Exception) -> Response:
    return _problem(405, "not with this method: /enhance takes a POST, all else a GET")


def _problem(status: int, text: str, **headers: str) -> Response:
    return JSONResponse({"error": text}, status_code=status, headers=headers)


class _Refused(Exception):
    def __init__(self, status: int, text: str) -> None:
        self.status, self.text = status, text


class _Enhance:
    """POST /enhance, as a plain ASGI application: its place in the queue is kept until the answer has left."""

    def __init__(self, enhance: Enhance, queue: FairQueue, limits: Limits) -> None:
        self.enhance, self.queue, self.limits = enhance, queue, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        client = f"{request.client.host if request.client else ''} {request.headers.get('smnet-client', '')[:64]}"
        try:
            options = read_options(request.url.query)
            if request.headers.get("content-type", "").startswith("multipart/"):
                raise _Refused(
                    415, "send the photo's file itself as the body (curl --data-binary @photo.jpg), not a form"
                )
            size = self._size(request)
            with self.queue.admitted(client, size):
                data = await self._body(receive)
                response = await self._response(client, data, options, receive)
                del data
                if response is not None:
                    await self._send(response, scope, receive, send)
        except _Refused as refused:
            await self._refuse(_problem(refused.status, refused.text), scope, receive, send)
        except Busy as busy:
            await self._refuse(_problem(429, str(busy), **{"retry-after": "2"}), scope, receive, send)

    def _size(self, request: Request) -> int:
        """The bytes to come; the most allowed where the client does not say."""
        said = request.headers.get("content-length")
        if said is not None and int(said) > self.limits.photo_bytes:
            raise _Refused(413, f"larger than {self.limits.photo_bytes >> 20} MB, the limit here (--max-megabytes)")
        return self.limits.photo_bytes if said is None else int(said)

    async def _body(self, receive: Receive) -> bytes:
        chunks, size, until = [], 0, time.monotonic() + self.limits.upload
        more = True
        while more:
            try:
                patience = min(self.limits.stall, until - time.monotonic())
                message = await asyncio.wait_for(receive(), timeout=patience)
            except TimeoutError:
                raise _Refused(408, "the photo did not arrive in time; send it again") from None
            if message["type"] == "http.disconnect":
                raise _Refused(400, "the photo did not arrive whole")
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > self.limits.photo_bytes:
                raise _Refused(413, f"larger than {self.limits.photo_bytes >> 20} MB, the limit here (--max-megabytes)")
            chunks.append(chunk)
            more = message.get("more_body", False)
        return b"".join(chunks)

    async def _response(
        self, client: str, data: bytes, options: Mapping[str, Any], receive: Receive
    ) -> Response | None:
        """The answer; None where the client has left meanwhile."""
        work = asyncio.ensure_future(self.queue.run(client, lambda: self.enhance(data, options)))
        left = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait({work, left}, timeout=self.limits.wait, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                return None if left.done() else _problem(503, "not computed in time; try again when less is waiting")
            result = work.result()
        except InputError as error:
            return _problem(422, str(error))
        except MemoryError:
            return _problem(507, "the photo does not fit into this machine's memory")
        finally:
            work.cancel()
            left.cancel()
        headers = {
            "smnet-size": f"{result.width}x{result.height}",
            "smnet-notes": json.dumps(result.notes),  # ASCII, as headers must be
        }
        return Response(result.data, media_type=MEDIA_TYPES[result.suffix], headers=headers)

    async def _send(self, response: Response, scope: Scope, receive: Receive, send: Send) -> None:
        """In pieces, so that a client that does not read is noticed: it loses its connection, not our memory."""
        body, start = memoryview(response.body), {"type": "http.response.start", "status": response.status_code}
        try:
            await asyncio.wait_for(send({**start, "headers": response.raw_headers}), self.limits.stall)
            for at in range(0, max(len(body), 1), _PIECE):
                piece = {"body": bytes(body[at : at + _PIECE]), "more_body": at + _PIECE < len(body)}
                await asyncio.wait_for(send({"type": "http.response.body", **piece}), self.limits.stall)
        except TimeoutError:
            return  # uvicorn closes a connection whose answer is unfinished

    async def _refuse(self, response: Response, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the rest of an upload pass by, kept nowhere: most clients only listen when they have finished talking."""
        passed, until = 0, time.monotonic() + min(60.0, self.limits.upload)
        while response.status_code != 408 and passed <= self.limits.photo_bytes:
            try:
                message = await asyncio.wait_for(receive(), min(self.limits.stall, until - time.monotonic()))
            except TimeoutError:
                break
            passed += len(message.get("body", b""))
            if message["type"] == "http.disconnect" or not message.get("more_body", False):
                break
        await self._send(response, scope, receive, send)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def read_options(query: str) -> dict[str, Any]:
    """What a query asks for; raise for anything that is no option, said in words."""
    options: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in options or name not in _OPTIONS:
            raise _Refused(400, f"{name[:40]!r}: the options are {', '.join(_OPTIONS)}, each at most once")
        options[name] = value
    try:
        if "strength" in options and not 0 <= (strength := float(options["strength"])) <= 1:
            raise ValueError(strength)
        if "exposure" in options and not -MOST_STOPS <= (stops := float(options["exposure"])) <= MOST_STOPS:
            raise ValueError(stops)
        if "quality" in options and not 1 <= (quality := int(options["quality"])) <= 100:
            raise ValueError(quality)
    except ValueError:
        raise _Refused(
            400,
            "strength is a number from 0 to 1, exposure one of stops from "
            f"-{MOST_STOPS:g} to {MOST_STOPS:g}, quality a whole one from 1 to 100",
        ) from None
    if "format" in options and f".{options['format']}" not in MEDIA_TYPES:
        raise _Refused(400, f"format is one of {', '.join(suffix[1:] for suffix in MEDIA_TYPES if suffix != '.tif')}")
    return {name: _OPTIONS[name](value) for name, value in options.items()}
