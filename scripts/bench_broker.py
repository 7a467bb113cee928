"""Measures what the broker adds to a model call, and prints Markdown: ``scripts/bench broker``.

A model server on loopback answers at once. It is called directly and through a door with everything that a campaign's
call passes: HTTP over the Unix socket, meter, two durable rows in an archive on this disk. Every way is taken in turn,
so that whatever else the machine does strikes all alike; run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from bench_facts import machine, milliseconds, table

from hyperagent.archive import open_archive
from hyperagent.engine.budget import FreeMeter
from hyperagent.models import LiteLLMClient, LocalBroker, MemoryRecorder
from hyperagent.protocols import CallRecorder, ModelChannel, ModelClient
from hyperagent.types import ChatReply, ChatRequest

TARGET_MS = 3.0
DOORS, AT_ONCE = 4, 50
MODEL = "openai/m"
REPLY = json.dumps(
    {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "4"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 900, "completion_tokens": 1, "total_tokens": 901},
    }
).encode()
PROMPT = "What is 2 + 2? " * 250

ONE_CALL = f"""One call after the other over a kept connection, a prompt of {len(PROMPT):,} characters. `direct`: a
plain HTTP client and the server. `door`: the same client and server with the broker between them, which records in
memory or in an archive. LiteLLM is what the broker calls providers with; here a program calls the server with it
directly, and through the broker. Target: the broker with its archive adds at most {TARGET_MS:g} ms (median)."""
CROWD = f"""{DOORS} doors with {AT_ONCE} calls each, all at once, over new connections."""


class Server(BaseHTTPRequestHandler):
    """Answers every chat at once."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(REPLY)))
        self.end_headers()
        self.wfile.write(REPLY)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


class Crowded(ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True


class Direct(http.client.HTTPConnection):
    """Kept open, to a port or to a door, without Nagle's wait."""

    def __init__(self, port: int, door: Path | None = None) -> None:
        super().__init__("127.0.0.1", port, timeout=60)
        self._door = door

    def connect(self) -> None:
        if self._door is None:
            super().connect()
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.connect(str(self._door / "model.sock"))

    def chat(self, number: int) -> bytes:
        body = {"model": MODEL, "messages": [{"role": "user", "content": f"{PROMPT} {number}"}], "max_tokens": 16}
        self.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
        response = self.getresponse()
        data = response.read()
        if response.status != 200:
            raise SystemExit(f"a call ended with {response.status}: {data!r}")
        return data


class PlainClient:
    """A model client that adds nothing: one kept connection per thread."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._own = threading.local()

    def complete(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        if not hasattr(self._own, "connection"):
            self._own.connection = Direct(self._port)
        data = json.loads(self._own.connection.chat(len(request.messages)))
        usage = data["usage"]
        return ChatReply(data["choices"][0]["message"], "stop", usage["prompt_tokens"], usage["completion_tokens"])

    def price(self, request: ChatRequest, prompt_tokens: int, completion_tokens: int) -> float:
        return 0.0


@contextmanager
def door(folder: Path, client: ModelClient, recorder: CallRecorder, name: str) -> Iterator[ModelChannel]:
    broker = LocalBroker(client, recorder, runtime_directory=folder, timeout=60, retries=0)
    with broker.channel(
        f"bench/{name}",
        campaign="c",
        variant=name,
        purpose="evaluate",
        model=MODEL,
        meter=FreeMeter(),
        defaults={"max_tokens": 16, "temperature": 0.7},
    ) as channel:
        channel.begin("t")
        yield channel
        channel.end()


def litellm_chat(client: LiteLLMClient, number: int) -> None:
    message = {"role": "user", "content": f"{PROMPT} {number}"}
    client.complete(ChatRequest(MODEL, (message,), {"max_tokens": 16}), timeout=60)


def one_call(port: int, folder: Path, recorder: CallRecorder, rounds: int) -> str:
    lite = LiteLLMClient(f"http://127.0.0.1:{port}/v1")
    ways: dict[str, Callable[[int], object]] = {"direct": Direct(port).chat}
    with ExitStack() as stack:
        behind: dict[str, tuple[ModelClient, CallRecorder]] = {
            "door, recorded in memory": (PlainClient(port), MemoryRecorder()),
            "door, recorded in an archive": (PlainClient(port), recorder),
            "door, archive, LiteLLM behind it": (lite, recorder),
        }
        for index, (name, (client, kept)) in enumerate(behind.items()):
            channel = stack.enter_context(door(folder, client, kept, f"one{index}"))
            ways[name] = Direct(0, channel.directory).chat
        ways["LiteLLM, direct"] = lambda number: litellm_chat(lite, number)
        found: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(rounds + 3):
            for name, way in ways.items():
                began = time.perf_counter()
                way(number)
                if number >= 3:  # the first ones import, connect and fill caches
                    found[name].append(time.perf_counter() - began)
    base = {name: "LiteLLM, direct" if "LiteLLM" in name else "direct" for name in ways}
    medians = {name: 1000 * statistics.median(seconds) for name, seconds in found.items()}
    rows = [
        (name, len(found[name]), milliseconds(found[name]), f"{medians[name] - medians[base[name]]:+.2f}")
        for name in ways
    ]
    added = medians["door, recorded in an archive"] - medians["direct"]
    verdict = "met" if added <= TARGET_MS else "missed"
    head = ("way", "calls", "one call (ms)", "added to its direct way (ms)")
    return f"{table(head, rows)}\n\nThe broker with its archive adds {added:.2f} ms: target {verdict}."


def crowd(port: int, folder: Path, recorder: CallRecorder, rounds: int) -> str:
    rows = []
    with ExitStack() as stack:
        client = PlainClient(port)
        doors = [stack.enter_context(door(folder, client, recorder, f"many{n}")) for n in range(DOORS)]
        pool = stack.enter_context(ThreadPoolExecutor(DOORS * AT_ONCE))

        def call(number: int) -> float:
            connection = Direct(0, doors[number % DOORS].directory)
            began = time.perf_counter()
            connection.chat(number)
            connection.close()
            return time.perf_counter() - began

        for _ in range(rounds):
            began = time.perf_counter()
            seconds = list(pool.map(call, range(DOORS * AT_ONCE)))
            wall = time.perf_counter() - began
            rows.append((len(seconds), f"{1000 * wall:.0f}", f"{len(seconds) / wall:.0f}", milliseconds(seconds)))
    return table(("calls served", "all (ms)", "per second", "one call (ms)"), rows)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench broker", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="calls of each way, at least 2 (default 200)")
    rounds = max(2, parser.parse_args().rounds)
    os.environ.setdefault("OPENAI_API_KEY", "none")
    server = Crowded(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("# What the broker costs\n")
    print(f"Measured with `scripts/bench broker --rounds {rounds}` on {machine()}.")
    print("Medians, with the 10th and 90th percentile.")
    with tempfile.TemporaryDirectory(prefix="ha-") as name:
        folder = Path(name)
        archive = open_archive(folder / "archive", write=True, create=True)
        try:
            print(f"\n## One call\n\n{ONE_CALL}\n\n{one_call(server.server_port, folder, archive, rounds)}", flush=True)
            print(f"\n## Many at once\n\n{CROWD}\n\n{crowd(server.server_port, folder, archive, 3)}", flush=True)
        finally:
            archive.close()
    server.shutdown()
    server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
