"""Who is answered: the machine's own user by a name that is ours, from a page that is ours."""

import asyncio

import pytest

from smnet_jax.serve.guard import Guard, host_name


def status(headers: dict[str, str] | list[tuple[str, str]], **options) -> int:
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    sent: list[dict] = []

    async def send(message):
        sent.append(message)

    pairs = headers.items() if isinstance(headers, dict) else headers
    scope = {"type": "http", "headers": [(k.encode(), v.encode()) for k, v in pairs]}
    asyncio.run(Guard(app, **options)(scope, None, send))  # type: ignore[arg-type]
    names = [name for name, _ in sent[0]["headers"]]
    assert b"content-security-policy" in names and b"x-content-type-options" in names
    return sent[0]["status"]


@pytest.mark.parametrize("host", ["127.0.0.1:8017", "localhost:8017", "[::1]:8017", "LOCALHOST", "127.0.0.1"])
def test_local_names_are_answered(host):
    assert status({"host": host}) == 200
    assert status({"host": host, "origin": f"http://{host}"}) == 200


@pytest.mark.parametrize(
    "host", ["", "evil.example", "evil.example:8017", "127.0.0.1.evil.example", "localhost.evil.example", "192.168.1.5"]
)
def test_other_names_are_not(host):
    """DNS rebinding: the page's own name, pointed at 127.0.0.1."""
    assert status({"host": host}) == 403


def test_without_a_name_or_with_two_nothing_is_answered():
    assert status({}) == 403
    assert status([("host", "localhost"), ("host", "evil.example")]) == 403


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "", "http://localhost:3000", "http://127.0.0.1", "file://", "http://localhost"],
)
def test_other_pages_are_not_answered(origin):
    assert status({"host": "localhost:8017", "origin": origin}) == 403


def test_names_and_addresses_on_request():
    assert status({"host": "photos.lan"}, names={"photos.lan"}) == 200
    assert status({"host": "192.168.1.5:8017"}, any_address=True) == 200
    assert status({"host": "[fe80::1]:8017"}, any_address=True) == 200
    assert status({"host": "evil.example"}, any_address=True) == 403


def test_the_name_of_a_host():
    assert [host_name(h) for h in ("[::1]:80", "[::1]", "A.b:1", "a", "")] == ["::1", "::1", "a.b", "a", ""]
