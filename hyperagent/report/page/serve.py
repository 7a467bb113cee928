"""Serves pages about campaigns to browsers on this machine. Nothing but GET; nothing without the token in the path.

Other users of the machine can reach a loopback port: the token keeps them out. Other sites in the same browser can send
requests to it, or have their own name point at it: the token, the check of the ``Host`` header and the policy keep
those out.
"""

from __future__ import annotations

import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol

from hyperagent.errors import HyperagentError, NotFoundError, PrerequisiteError
from hyperagent.types import Json

ADDRESS = "127.0.0.1"
MOST_STREAMS = 32
"""Open live pages; each holds a thread."""
KEEP_ALIVE = 15.0
"""Seconds of silence after which a stream says that it lives, which finds readers that are gone."""
_PAGES_KEPT = 8


class Pages(Protocol):
    """What is served; every method may be called from several threads. Campaigns go by their id.

    Data is what ``render`` takes. A mark is a number that changes when the data does, and costs little to ask for.
    """

    def index(self) -> Mapping[str, Json]: ...
    def index_mark(self) -> int: ...
    def campaign(self, campaign: str) -> Mapping[str, Json]:
        """Raises NotFoundError where there is none."""

    def campaign_mark(self, campaign: str) -> int: ...
    def render(self, data: Mapping[str, Json], live: Mapping[str, str]) -> str: ...
    def policy(self) -> str: ...


class PageServer:
    """Serves until closed. Use as a context manager; ``serve`` blocks.

    Args:
        port: 0 = any free one.
        poll: Seconds between two looks for changes, per open page.

    Raises:
        PrerequisiteError: The port is taken.
    """

    def __init__(self, pages: Pages, *, port: int = 0, poll: float = 1.0) -> None:
        self.pages = pages
        self.poll = poll
        self.token = secrets.token_urlsafe(24)
        self.closing = threading.Event()
        self.streams = threading.BoundedSemaphore(MOST_STREAMS)
        self._made: dict[str, tuple[int, Mapping[str, Json]]] = {}
        self._making = threading.Lock()
        self._serving = False
        owner = self

        class Handler(_Handler):
            server_of = owner

        try:
            self._http = _Server((ADDRESS, port), Handler)
        except OSError as error:
            raise PrerequisiteError(
                f"port {port} of {ADDRESS} cannot be used: {error.strerror}", hint="name another with --port"
            ) from error
        self.port = int(self._http.server_address[1])

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.port}/{self.token}/"

    def __enter__(self) -> PageServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def serve(self) -> None:
        self._serving = not self.closing.is_set()
        if self._serving:
            self._http.serve_forever(poll_interval=0.2)

    def close(self) -> None:
        """End all streams and give the port back. A :meth:`serve` in another thread returns."""
        self.closing.set()
        if self._serving:  # else there is no loop, and shutdown would wait for its end
            self._http.shutdown()
        self._http.server_close()

    def mark(self, campaign: str) -> int:
        return self.pages.campaign_mark(campaign) if campaign else self.pages.index_mark()

    def data(self, campaign: str) -> Mapping[str, Json]:
        """Made once per change, however many pages are open. ``campaign`` empty = the index."""
        with self._making:
            mark = self.mark(campaign)
            known = self._made.get(campaign)
            if known is None or known[0] != mark:
                known = (mark, self.pages.campaign(campaign) if campaign else self.pages.index())
                self._made[campaign] = known
                while len(self._made) > _PAGES_KEPT:
                    self._made.pop(next(iter(self._made)))
            return known[1]

    def changes(self, campaign: str, last: int) -> Iterator[int | None]:
        """A mark whenever it has changed; None where the reader should be asked whether it is still there.

        Args:
            last: The mark from which changes are told: read before the reader hears anything, so that none is missed.
        """
        said = time.monotonic()
        while not self.closing.wait(self.poll):
            mark = self.mark(campaign)
            if mark != last:
                yield mark
                last, said = mark, time.monotonic()
            elif time.monotonic() - said > KEEP_ALIVE:
                yield None
                said = time.monotonic()


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # a stream that hangs on a dead reader must not hold up the end

    def handle_error(self, request: object, client_address: object) -> None:
        """A reader that went away in the middle of a reply is no news."""


class _Handler(BaseHTTPRequestHandler):
    server_of: PageServer
    protocol_version = "HTTP/1.1"
    timeout = 30.0
    """Seconds that a request may take to arrive."""

    def do_GET(self) -> None:
        owner = self.server_of
        if self.headers.get("Host", "").lower() not in {f"{ADDRESS}:{owner.port}", f"localhost:{owner.port}"}:
            return self._refuse(HTTPStatus.MISDIRECTED_REQUEST, "this name is not served here")
        token, _, rest = self.path.split("?", 1)[0].removeprefix("/").partition("/")
        if not hmac.compare_digest(token.encode(), owner.token.encode()):
            return self._refuse(HTTPStatus.NOT_FOUND, "no such page: use the whole address that `hyperagent ui` wrote")
        try:
            self._answer(rest)
        except NotFoundError as error:
            self._refuse(HTTPStatus.NOT_FOUND, error.message)
        except HyperagentError as error:
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, error.message)
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def _not_get(self) -> None:
        self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "only GET is served")

    do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _not_get  # noqa: N815 - as above

    def _answer(self, rest: str) -> None:
        campaign, what = "", rest
        if rest.startswith("c/"):
            campaign, _, what = rest.removeprefix("c/").partition("/")
        routes: dict[str, Callable[[str], None]] = {"": self._page, "data": self._data, "stream": self._stream}
        if what not in routes or (rest.startswith("c/") and not campaign):
            raise NotFoundError("there is no such page")
        routes[what](campaign)

    def _page(self, campaign: str) -> None:
        index = f"/{self.server_of.token}/"
        base = f"{index}c/{campaign}/" if campaign else index
        data = self.server_of.data(campaign)
        live = {"data": f"{base}data", "stream": f"{base}stream", "index": index}
        self._send("text/html; charset=utf-8", self.server_of.pages.render(data, live).encode())

    def _data(self, campaign: str) -> None:
        text = json.dumps(self.server_of.data(campaign), separators=(",", ":"), allow_nan=False)
        self._send("application/json", text.encode())

    def _stream(self, campaign: str) -> None:
        """Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html."""
        mark = self.server_of.mark(campaign)
        if not self.server_of.streams.acquire(blocking=False):
            return self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, f"{MOST_STREAMS} live pages are open")
        try:
            self.close_connection = True
            self._head(HTTPStatus.OK, {"Content-Type": "text/event-stream", "Connection": "close"})
            self.wfile.write(b"retry: 2000\n\n")
            for changed in self.server_of.changes(campaign, mark):
                self.wfile.write(b": still here\n\n" if changed is None else b"event: changed\ndata: %d\n\n" % changed)
        finally:
            self.server_of.streams.release()

    # -- replies

    def _send(self, kind: str, body: bytes, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._head(status, {"Content-Type": kind, "Content-Length": str(len(body))})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self.close_connection = True
        with suppress(ConnectionError, TimeoutError):
            self._send("text/plain; charset=utf-8", f"{why}\n".encode("utf-8", "replace"), status)

    def _head(self, status: HTTPStatus, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        fixed = {
            "Content-Security-Policy": f"{self.server_of.pages.policy()}; frame-ancestors 'none'",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cache-Control": "no-store",
            **({"Allow": "GET"} if status == HTTPStatus.METHOD_NOT_ALLOWED else {}),
        }
        for name, value in {**fixed, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def version_string(self) -> str:
        return "hyperagent"

    def log_message(self, format: str, *_: object) -> None:
        """Nothing: the token would end in a log."""
