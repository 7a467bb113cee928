"""The page server: nothing but GET, nothing without the token, nothing for another name, a policy on every reply."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from hyperagent.errors import ArchiveDamaged, NotFoundError, PrerequisiteError
from hyperagent.report.page import PageServer, policy, render


class Counter:
    """Pages whose only content is a number."""

    def __init__(self) -> None:
        self.number = 1
        self.made = 0
        self.damaged = False

    def index(self) -> Mapping[str, Any]:
        return {"campaigns": [], "archive": "</script>", "number": self.number}

    def index_mark(self) -> int:
        return self.number

    def campaign(self, campaign: str) -> Mapping[str, Any]:
        self.made += 1
        if self.damaged:
            raise ArchiveDamaged("a row is broken")
        return {"campaign": {"name": campaign}, "number": self.number}

    def campaign_mark(self, campaign: str) -> int:
        if campaign != "abc":
            raise NotFoundError(f"no campaign {campaign!r}")
        return self.number

    def render(self, data: Mapping[str, Any], live: Mapping[str, str]) -> str:
        return render(data, title="t", live=live)

    def policy(self) -> str:
        return policy(served=True)


@pytest.fixture
def pages() -> Counter:
    return Counter()


@pytest.fixture
def server(pages: Counter) -> Iterator[PageServer]:
    with PageServer(pages, poll=0.01) as found:
        thread = threading.Thread(target=found.serve)
        thread.start()
        yield found
        found.close()
        thread.join(20)
        assert not thread.is_alive()


def ask(server: PageServer, path: str, method: str = "GET", **headers: str) -> tuple[int, Mapping[str, str], str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request(method, path, headers=headers)
        reply = connection.getresponse()
        return reply.status, dict(reply.getheaders()), reply.read().decode()
    finally:
        connection.close()


def test_a_page_and_its_data(server: PageServer, pages: Counter) -> None:
    status, headers, body = ask(server, f"/{server.token}/")
    assert status == 200
    assert body.count("</script>") == 2
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in headers
    for _ in range(3):
        status, _, body = ask(server, f"/{server.token}/c/abc/data")
        assert (status, json.loads(body)["number"]) == (200, 1)
    assert pages.made == 1  # once, however often it is asked for
    pages.number = 2
    assert json.loads(ask(server, f"/{server.token}/c/abc/data")[2])["number"] == 2


@pytest.mark.parametrize("path", ["/", "/wrong/", "/{wrong}/data", "/{token}/../data", "/favicon.ico"])
def test_without_the_token_there_is_nothing(server: PageServer, path: str) -> None:
    wrong = server.token[:-1] + ("a" if server.token[-1] != "a" else "b")
    status, headers, body = ask(server, path.format(token=server.token, wrong=wrong))
    assert status == 404
    assert server.token not in body + str(headers)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}", ""])
def test_another_name_is_refused(server: PageServer, host: str) -> None:
    status, _, body = ask(server, f"/{server.token}/", Host=host.format(port=server.port))
    assert status == 421
    assert "campaigns" not in body


def test_localhost_is_this_machine(server: PageServer) -> None:
    assert ask(server, f"/{server.token}/", Host=f"LOCALHOST:{server.port}")[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
def test_only_get(server: PageServer, method: str) -> None:
    status, headers, _ = ask(server, f"/{server.token}/", method)
    assert (status, headers["Allow"]) == (405, "GET")


def test_what_is_not_there_and_what_is_broken(server: PageServer, pages: Counter) -> None:
    for path in ("c/xyz/", "c/xyz/stream", "c//data", "c/abc/other", "other"):
        assert ask(server, f"/{server.token}/{path}")[0] == 404, path
    pages.damaged = True
    status, _, body = ask(server, f"/{server.token}/c/abc/")
    assert (status, body) == (500, "a row is broken\n")


def test_the_stream_tells_of_changes(server: PageServer, pages: Counter) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("GET", f"/{server.token}/c/abc/stream")
    reply = connection.getresponse()
    assert reply.getheader("Content-Type") == "text/event-stream"
    assert reply.readline() == b"retry: 2000\n"
    assert reply.readline() == b"\n"
    pages.number = 7
    line = b"\n"
    for _ in range(400):  # before it there may be signs of life, but not for ever
        if line not in (b"\n", b": still here\n"):
            break
        line = reply.readline()
    assert line == b"event: changed\n"
    assert [reply.readline() for _ in range(2)] == [b"data: 7\n", b"\n"]
    connection.close()


def test_a_taken_port_is_said(server: PageServer, pages: Counter) -> None:
    with pytest.raises(PrerequisiteError, match=f"port {server.port}"):
        PageServer(pages, port=server.port)


def test_a_server_that_never_served_closes(pages: Counter) -> None:
    with PageServer(pages) as server:
        assert server.port
