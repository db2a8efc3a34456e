"""A bucket that is not there: one store of objects, seen by fsspec as gs:// and by TensorStore over HTTP.

As in a bucket, there are no folders but those that names imply, nothing is appended, and an object appears when it is
whole. TensorStore talks to Google's JSON API; the few of its calls that Orbax makes are answered here.
"""

import http.server
import io
import itertools
import json
import threading
import urllib.parse
from typing import Any

import fsspec

OBJECTS: dict[str, tuple[bytes, int]] = {}  # "BUCKET/NAME" to content and generation
_GENERATIONS = itertools.count(1)
_LOCK = threading.Lock()


def put(name: str, content: bytes) -> int:
    with _LOCK:
        OBJECTS[name] = content, next(_GENERATIONS)
        return OBJECTS[name][1]


class _Upload(io.BytesIO):
    def __init__(self, name: str):
        super().__init__()
        self._name = name

    def close(self) -> None:
        if not self.closed:
            put(self._name, self.getvalue())
        super().close()


class FakeGcs(fsspec.AbstractFileSystem):
    protocol = ("gs", "gcs")

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(each) for each in path]
        return str(path).removeprefix("gs://").strip("/")

    def _open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        if mode == "wb":
            return _Upload(path)
        if mode != "rb":
            raise NotImplementedError(f"mode {mode}: objects cannot be appended to")
        if path not in OBJECTS:
            raise FileNotFoundError(path)
        return io.BytesIO(OBJECTS[path][0])

    def ls(self, path: str, detail: bool = True, **_: Any) -> Any:
        path = self._strip_protocol(path)
        if path in OBJECTS:
            found = {path: self.info(path)}
        else:
            below = [name for name in list(OBJECTS) if name.startswith(f"{path}/")]
            names = {"/".join(name.split("/")[: path.count("/") + 2]) for name in below}
            found = {name: self.info(name) for name in names}
            if not found:
                raise FileNotFoundError(path)
        return [found[name] for name in sorted(found)] if detail else sorted(found)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        if path in OBJECTS:
            return {"name": path, "size": len(OBJECTS[path][0]), "type": "file"}
        if any(name.startswith(f"{path}/") for name in list(OBJECTS)):
            return {"name": path, "size": 0, "type": "directory"}
        raise FileNotFoundError(path)

    def mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        pass

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        pass

    def rmdir(self, path: str) -> None:
        pass

    def _rm(self, path: str) -> None:
        OBJECTS.pop(path, None)

    def cp_file(self, path1: str, path2: str, **_: Any) -> None:
        put(self._strip_protocol(path2), OBJECTS[self._strip_protocol(path1)][0])


class _Api(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _route(self) -> tuple[str, str, dict[str, str]]:
        """Bucket, object and the query."""
        url = urllib.parse.urlsplit(self.path)
        bucket, _, name = url.path.partition("/b/")[2].partition("/o")
        return bucket, urllib.parse.unquote(name.strip("/")), dict(urllib.parse.parse_qsl(url.query))

    def _answer(self, status: int, content: bytes = b"", generation: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if generation is not None:
            self.send_header("x-goog-generation", str(generation))
        self.end_headers()
        self.wfile.write(content)

    def _described(self, name: str) -> dict[str, str]:
        content, generation = OBJECTS[name]
        bucket, _, rest = name.partition("/")
        return {"name": rest, "bucket": bucket, "size": str(len(content)), "generation": str(generation)}

    def do_GET(self) -> None:
        bucket, name, query = self._route()
        if not name:
            prefix = f"{bucket}/{query.get('prefix', '')}"
            items = [self._described(each) for each in sorted(OBJECTS) if each.startswith(prefix)]
            self._answer(200, json.dumps({"items": items}).encode())
            return
        whole = f"{bucket}/{name}"
        if whole not in OBJECTS:
            self._answer(404, b"{}")
            return
        content, generation = OBJECTS[whole]
        if str(generation) == query.get("ifGenerationNotMatch"):
            self._answer(304)
        elif query.get("alt") != "media":
            self._answer(200, json.dumps(self._described(whole)).encode())
        elif "Range" in self.headers:
            first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
            part = content[int(first) : int(last) + 1 if last else None]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(part)))
            self.send_header("x-goog-generation", str(generation))
            self.end_headers()
            self.wfile.write(part)
        else:
            self._answer(200, content, generation)

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        bucket, _, query = self._route()
        whole = f"{bucket}/{query['name']}"
        wanted = query.get("ifGenerationMatch")
        if wanted is not None and wanted != str(OBJECTS.get(whole, (b"", 0))[1]):
            self._answer(412, b"{}")
            return
        put(whole, content)
        self._answer(200, json.dumps(self._described(whole)).encode())

    def do_DELETE(self) -> None:
        bucket, name, _ = self._route()
        self._answer(204 if OBJECTS.pop(f"{bucket}/{name}", None) else 404)

    def log_message(self, *_: Any) -> None:
        pass


def serve() -> http.server.ThreadingHTTPServer:
    """The API on a free port of this machine, in threads of its own; `shutdown` ends it."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Api)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
