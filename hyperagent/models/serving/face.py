"""The HTTP face of a batching engine: the OpenAI wire format on a loopback port."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Mapping

from hyperagent.errors import HyperagentError, ModelRequestInvalid
from hyperagent.models import bodies, wire
from hyperagent.models.http import Answer, Doorkeeper, Handler
from hyperagent.models.serving.batching import Batcher, Generation, QueueFull
from hyperagent.types import Json

HOST = "127.0.0.1"


class LoopbackServer(socketserver.ThreadingMixIn, socketserver.TCPServer, Doorkeeper):
    """Serves one model on a loopback port until :meth:`stop`.

    Args:
        port: 0 = any that is free.
        model: The name that it answers to.
        context: Most tokens of a reply, also where a request does not say.

    Raises:
        OSError: The port is taken.
    """

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 256

    def __init__(self, port: int, model: str, batcher: Batcher, context: int) -> None:
        self._model = model
        self._batcher = batcher
        self._context = context
        self.responder = lambda method, path, body, epoch: self._answer(method, path, body)
        super().__init__((HOST, port), Handler)
        self._thread = threading.Thread(target=self.serve_forever, name="face", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that broke off is the client's affair; the base class would print a traceback."""

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()

    def _answer(self, method: str, path: str, body: bytes) -> Answer:
        if method == "GET":
            return self._tell(path)
        if path not in ("/v1/chat/completions", "/v1/completions"):
            return Answer(404, wire.error_body(f"no such endpoint: {path[:100]}", "not_found"))
        try:
            return self._complete(body, text=path == "/v1/completions")
        except ModelRequestInvalid as error:
            return Answer(400, wire.error_body(error.message, "invalid_request"))
        except QueueFull as error:
            return Answer(429, wire.error_body(error.message, "queue_full"), headers=(("Retry-After", "1"),))
        except HyperagentError as error:
            return Answer(500, wire.error_body(error.message, "internal_error"))

    def _tell(self, path: str) -> Answer:
        if path == "/health":
            return Answer(200, json.dumps({"status": "ok"}).encode())
        if path == "/v1/models":
            return Answer(200, bodies.models_body(self._model))
        if path == f"/v1/models/{self._model}":
            return Answer(200, bodies.model_body(self._model))
        return Answer(404, wire.error_body(f"no such endpoint or model: {path[:100]}", "not_found"))

    def _complete(self, body: bytes, *, text: bool) -> Answer:
        parsed = (wire.parse_completion if text else wire.parse_request)(
            body, self._model, {"max_tokens": self._context}
        )
        request = parsed.request
        _refuse_tools(request.parameters)
        reply = self._batcher.ask(Generation(request.messages, request.parameters, raw=text))
        digest = wire.request_hash(wire.canonical_request(request))
        if parsed.stream:
            stream = bodies.text_stream_body if text else bodies.stream_body
            return Answer(200, stream(reply, self._model, digest, parsed.include_usage), "text/event-stream")
        whole = bodies.text_body if text else bodies.completion_body
        return Answer(200, whole(reply, self._model, digest))


def _refuse_tools(parameters: Mapping[str, Json]) -> None:
    if parameters.get("tools"):
        raise ModelRequestInvalid("`tools` are not served by the transformers engine; vLLM and llama.cpp serve them")
