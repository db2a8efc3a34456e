"""The API as clients of every kind meet it."""

import contextlib
import io
import json
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import numpy as np
import pytest
from PIL import Image

from smnet_jax.checkpoints import untrained
from smnet_jax.enhancement.encoded import FORMATS, Encoded, encode_enhanced
from smnet_jax.errors import InputError
from smnet_jax.images.formats import WRITTEN

app = pytest.importorskip("smnet_jax.serve.app", reason="starlette is not installed (extra serve)")


def reversed_bytes(data, options):
    """Stands for the network where only the server is looked at."""
    if data == b"bad":
        raise InputError("this photo: is bad")
    return Encoded(data[::-1], f".{options.get('format', 'png')}", 3, 2, (json.dumps(dict(options)), "nicht übel"))


@pytest.fixture(scope="module")
def photo() -> bytes:
    file = io.BytesIO()
    y, x = np.mgrid[0:16, 0:24] / np.float32(24)
    Image.fromarray(np.uint8(np.stack([x * 60, y * 70, (1 - x) * 50], axis=-1))).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def network():
    weights = untrained.make(width=8)

    def enhance(data, options):
        return encode_enhanced(data, weights, name="this photo", max_megapixels=1, **options)

    return enhance


def test_a_photo_comes_back_as_from_python(serving, network, photo):
    server = serving(network)
    status, headers, body = server.ask("POST", "/enhance?strength=0.5&format=webp", photo)
    expected = network(photo, {"strength": 0.5, "format": "webp"})
    assert (status, body) == (200, expected.data)
    assert headers["content-type"] == "image/webp" and headers["smnet-size"] == "24x16"
    assert server.ask("POST", "/enhance", photo)[2] == network(photo, {}).data


def test_every_format_that_is_written_has_a_media_type(serving):
    assert set(WRITTEN) - {".jpeg", ".jpe", ".jfif"} == set(app.MEDIA_TYPES)
    said = json.loads(serving(reversed_bytes).ask("GET", "/openapi.json")[2])
    (choices,) = [p["schema"]["enum"] for p in said["paths"]["/enhance"]["post"]["parameters"] if p["name"] == "format"]
    assert tuple(choices) == FORMATS


def test_options_and_notes_pass_through(serving):
    asked = {"strength": 0.25, "exposure": -1.5, "quality": 80, "format": "jpg"}
    _, headers, body = serving(reversed_bytes).ask("POST", f"/enhance?{urlencode(asked)}", b"abc")
    options, note = json.loads(headers["smnet-notes"])
    assert json.loads(options) == asked and note == "nicht übel"
    assert body == b"cba" and headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize(
    "query",
    [
        "strength=2",
        "strength=nan",
        "strength=",
        "exposure=4.1",
        "exposure=nan",
        "exposure=bright",
        "quality=0",
        "format=gif",
        "format=../x",
        "url=http://x",
        "strength=1&strength=0",
    ],
)
def test_options_that_make_no_sense_are_refused(serving, query):
    status, _, body = serving(reversed_bytes).ask("POST", f"/enhance?{query}", b"abc")
    assert status == 400 and json.loads(body)["error"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"http://127.0.0.1:9/x.jpg",
        b"/etc/passwd",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\x89PNG\r\n\x1a\n",
    ],
)
def test_what_is_no_photo_is_said_in_words(serving, network, body):
    status, _, answer = serving(network).ask("POST", "/enhance", body)
    assert status == 422 and json.loads(answer)["error"].startswith("this photo: ")


def test_one_broken_photo_does_not_disturb_the_next(serving):
    server = serving(reversed_bytes)
    assert server.ask("POST", "/enhance", b"bad")[0] == 422
    assert server.ask("POST", "/enhance", b"abc")[2] == b"cba"


def test_too_many_bytes_and_pixels(serving, network):
    server = serving(network, limits=app.Limits(photo_bytes=100_000))
    status, _, body = server.ask("POST", "/enhance", bytes(100_001))
    assert status == 413 and "larger than" in json.loads(body)["error"]
    chunks = (bytes(10_000) for _ in range(11))  # without a length: counted as it comes
    assert server.ask("POST", "/enhance", chunks)[0] == 413
    bomb = io.BytesIO()
    Image.new("1", (2000, 2000)).save(bomb, "PNG")
    status, _, body = server.ask("POST", "/enhance", bomb.getvalue())
    assert status == 422 and "megapixels" in json.loads(body)["error"]


def test_a_form_is_refused_with_the_remedy(serving):
    status, _, body = serving(reversed_bytes).ask(
        "POST", "/enhance", b"abc", content_type="multipart/form-data; boundary=x"
    )
    assert status == 415 and "--data-binary" in json.loads(body)["error"]


def test_other_names_and_pages_get_nothing(serving):
    server = serving(reversed_bytes)
    assert server.ask("POST", "/enhance", b"abc", host="evil.example")[0] == 403
    assert server.ask("GET", "/", host="evil.example")[0] == 403
    assert server.ask("POST", "/enhance", b"abc", origin="http://evil.example")[0] == 403
    assert server.ask("POST", "/enhance", b"abc", origin=f"http://127.0.0.1:{server.port}")[0] == 200


def test_health_page_and_description(serving):
    server = serving(reversed_bytes, weights="some")
    health = json.loads(server.ask("GET", "/healthz")[2])
    assert health["status"] == "ok" and health["weights"] == "some" and health["photos_here"] == 0
    said = json.loads(server.ask("GET", "/openapi.json")[2])
    assert said["openapi"].startswith("3.1") and set(said["paths"]) == {"/enhance", "/healthz"}
    named = {p["name"] for p in said["paths"]["/enhance"]["post"]["parameters"]}
    assert named == {"strength", "exposure", "format", "quality"}
    for address, (_, media_type) in app.PAGE.items():
        status, headers, body = server.ask("GET", address)
        assert (status, headers["content-type"]) == (200, media_type) and body
    assert server.ask("GET", "/enhance")[0] == 405 and server.ask("POST", "/healthz", b"")[0] == 405


@pytest.mark.parametrize(
    "path",
    [
        "/../app.py",
        "/..%2fapp.py",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/etc/passwd",
        "/page/index.html",
        "/app.py",
        "/style.css/..",
        "/style.css%00",
    ],
)
def test_no_path_leads_to_a_file(serving, path):
    status, _, body = serving(reversed_bytes).ask("GET", path)
    assert status == 404 and json.loads(body)["error"]


def test_no_file_is_opened_and_no_connection_made(serving, network, photo):
    server = serving(network)
    server.ask("POST", "/enhance?format=tiff", photo)  # whatever is imported on first use is imported now
    touched, watching = [], True

    def watch(event, args):
        if watching and event in ("open", "os.rename", "os.mkdir", "socket.connect", "socket.getaddrinfo"):
            ours = event == "socket.connect" and args[1] == ("127.0.0.1", server.port)
            if not ours and not (event == "open" and str(args[0]).startswith(("/proc/", "/sys/"))):
                touched.append((event, args))

    sys.addaudithook(watch)
    try:
        for query in ("", "?format=jpg", "?strength=0", "?format=tiff"):
            assert server.ask("POST", f"/enhance{query}", photo)[0] == 200
        server.ask("POST", "/enhance?format=/etc/passwd", photo)
        server.ask("POST", "/enhance", b"http://127.0.0.1:9/", content_location="file:///etc/passwd")
        server.ask("GET", "/..%2f..%2fetc/passwd")
        server.ask("GET", "/")
    finally:
        watching = False
    # The test's own client looks 127.0.0.1 up before it connects.
    assert [t for t in touched if t[0] != "socket.getaddrinfo" or t[1][0] != "127.0.0.1"] == []


def test_fifty_clients_hold_no_more_than_the_bound(serving):
    """Each sends 1 MB at once; eight places, four megabytes: what is held stays within, the others are told to wait."""
    gate, held = threading.Event(), []

    def slow(data, options):
        held.append(len(data))
        gate.wait(30)
        return reversed_bytes(data[:10], options)

    limits = app.Limits(jobs=8, client_jobs=50, held_bytes=4 << 20)
    server = serving(slow, limits=limits)
    with ThreadPoolExecutor(50) as clients:
        answers = [clients.submit(server.ask, "POST", "/enhance", bytes(1 << 20)) for _ in range(50)]
        refused = until_done(answers, 46)
        health = json.loads(server.ask("GET", "/healthz")[2])
        assert health["photos_here"] == 4
        assert len(held) == 1  # one computes, three wait
        gate.set()
        statuses = [answer.result()[0] for answer in answers]
    assert statuses.count(200) == 4 and statuses.count(429) == 46
    assert all(a.result()[1]["retry-after"] == "2" and json.loads(a.result()[2])["error"] for a in refused)
    assert server.ask("POST", "/enhance", b"abc")[0] == 200  # and the places are free again


def until_done(answers, count):
    until = time.monotonic() + 30
    while len(done := [a for a in answers if a.done()]) < count:
        assert time.monotonic() < until
        time.sleep(0.01)
    return done


def test_one_client_cannot_fill_the_line(serving):
    gate = threading.Event()

    def slow(data, options):
        gate.wait(30)
        return reversed_bytes(data, options)

    server = serving(slow, limits=app.Limits(jobs=8, client_jobs=2))
    with ThreadPoolExecutor(8) as clients:
        first = [clients.submit(server.ask, "POST", "/enhance", b"abc", smnet_client="one") for _ in range(5)]
        refused = until_done(first, 3)
        assert [a.result()[0] for a in refused] == [429] * 3
        other = clients.submit(server.ask, "POST", "/enhance", b"abc", smnet_client="other")
        time.sleep(0.1)
        assert not other.done()  # it waits, which is not to be refused
        gate.set()
        assert other.result()[0] == 200


def test_slow_senders_lose_their_place(serving):
    server = serving(reversed_bytes, limits=app.Limits(jobs=1, stall=0.3))
    with contextlib.closing(socket.create_connection(("127.0.0.1", server.port), timeout=10)) as slow:
        slow.sendall(b"POST /enhance HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc")
        assert b" 408 " in slow.recv(4096)
    assert server.ask("POST", "/enhance", b"abc")[0] == 200


def test_a_whole_upload_has_an_end_too(serving):
    server = serving(reversed_bytes, limits=app.Limits(stall=0.5, upload=0.6))
    with contextlib.closing(socket.create_connection(("127.0.0.1", server.port), timeout=10)) as slow:
        slow.sendall(b"POST /enhance HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n")
        slow.settimeout(0.1)
        answer = b""
        for _ in range(60):  # never silent for long
            with contextlib.suppress(TimeoutError, BrokenPipeError, ConnectionResetError):
                slow.sendall(b"x")
                answer += slow.recv(4096)
            if answer:
                break
    assert b" 408 " in answer


def test_who_does_not_read_the_answer_loses_the_connection(serving):
    """And its place: the line of one is free again."""

    def large(data, options):
        return Encoded(bytes(64 << 20) if data == b"large" else b"small", ".png", 1, 1)

    server = serving(large, limits=app.Limits(jobs=1, stall=0.3))
    with contextlib.closing(socket.socket()) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", server.port))
        deaf.sendall(b"POST /enhance HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nlarge")
        until = time.monotonic() + 20
        while (status := server.ask("POST", "/enhance", b"abc")[0]) == 429:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert status == 200


def test_a_computation_that_takes_too_long_is_not_waited_for(serving):
    gate = threading.Event()

    def slow(data, options):
        gate.wait(30)
        return reversed_bytes(data, options)

    server = serving(slow, limits=app.Limits(wait=0.2))
    status, _, body = server.ask("POST", "/enhance", b"abc")
    gate.set()
    assert status == 503 and "not computed in time" in json.loads(body)["error"]


def test_who_has_left_is_not_computed_for(serving):
    gate, computed = threading.Event(), []

    def slow(data, options):
        computed.append(data)
        gate.wait(30)
        return reversed_bytes(data, options)

    server = serving(slow)
    with ThreadPoolExecutor(2) as clients:
        first = clients.submit(server.ask, "POST", "/enhance", b"first")
        while not computed:
            time.sleep(0.01)
        with contextlib.closing(socket.create_connection(("127.0.0.1", server.port))) as leaving:
            leaving.sendall(b"POST /enhance HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nleft")
            while json.loads(server.ask("GET", "/healthz")[2])["photos_here"] < 2:
                time.sleep(0.01)
        while json.loads(server.ask("GET", "/healthz")[2])["photos_here"] > 1:
            time.sleep(0.01)
        gate.set()
        assert first.result()[0] == 200
    assert server.ask("POST", "/enhance", b"last")[0] == 200
    assert computed == [b"first", b"last"]


def test_a_connection_that_says_nothing_is_closed(serving, monkeypatch):
    from smnet_jax.serve import server as module

    monkeypatch.setattr(module, "HEAD_SECONDS", 0.2)
    server = serving(reversed_bytes)
    with contextlib.closing(socket.create_connection(("127.0.0.1", server.port), timeout=10)) as silent:
        silent.sendall(b"POST /enh")
        assert silent.recv(100) == b""


def test_out_of_memory_is_said(serving):
    def large(data, options):
        raise MemoryError

    status, _, body = serving(large).ask("POST", "/enhance", b"abc")
    assert status == 507 and "memory" in json.loads(body)["error"]
