"""What a program may ask at its door, each with how it is bounded, priced, put to a client, recorded and shown.

The broker knows nothing else of a call, so it meters, records and replays every kind of call in the same way. A live
reply is shown from its recorded bytes, as in a replay: the two cannot differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple, Protocol

from hyperagent.models import bodies, embedding, wire
from hyperagent.models.http import Answer
from hyperagent.protocols import ModelClient
from hyperagent.types import ChatRequest, Json

_EVENTS = "text/event-stream"


class Answered(NamedTuple):
    """A reply in its recorded form, and its size; ``cost`` in US dollars."""

    recorded: bytes
    prompt_tokens: int
    completion_tokens: int
    cost: float


class Question(Protocol):
    """One call that a program wants to make."""

    @property
    def canonical(self) -> bytes:
        """The recorded form of the request; its hash is the request's identity."""

    @property
    def deterministic(self) -> bool:
        """Whether an earlier reply to an equal request may be used again."""

    @property
    def interchangeable(self) -> bool:
        """Whether another model's reply would do."""

    def worst_case(self) -> tuple[int, int]:
        """Most prompt and completion tokens that a reply can cost."""

    def price(self, client: ModelClient, model: str, prompt_tokens: int, completion_tokens: int) -> float:
        """US dollars of a call of that size."""

    def ask(self, client: ModelClient, model: str, timeout: float) -> Answered:
        """Put it to ``model``; ``timeout`` in seconds. Raises what ``ModelClient.complete`` raises."""

    def show(self, recorded: bytes) -> Answer:
        """What the program reads; raises ModelRequestInvalid where the recorded reply is a refusal."""


@dataclass(frozen=True)
class ChatQuestion:
    """A chat, or the older completion of a text, which is put as a chat."""

    request: ChatRequest
    stream: bool = False
    include_usage: bool = False
    text: bool = False
    interchangeable: bool = True

    @cached_property
    def canonical(self) -> bytes:
        return wire.canonical_request(self.request)

    @property
    def deterministic(self) -> bool:
        return self.request.parameters.get("temperature") == 0 or self.request.model.startswith("random/")

    def worst_case(self) -> tuple[int, int]:
        if self.request.model.startswith("random/"):
            return 0, 0  # no model, no tokens: a token cap must not stop the control
        return wire.prompt_bound(self.request), int(self.request.parameters["max_tokens"])

    def price(self, client: ModelClient, model: str, prompt_tokens: int, completion_tokens: int) -> float:
        return client.price(self._for(model), prompt_tokens, completion_tokens)

    def ask(self, client: ModelClient, model: str, timeout: float) -> Answered:
        reply = client.complete(self._for(model), timeout=timeout)
        return Answered(wire.reply_bytes(reply), reply.prompt_tokens, reply.completion_tokens, reply.cost)

    def show(self, recorded: bytes) -> Answer:
        reply = wire.read_reply(recorded)
        model, digest = self.request.model, wire.request_hash(self.canonical)
        if self.stream:
            streamed = bodies.text_stream_body if self.text else bodies.stream_body
            return Answer(200, streamed(reply, model, digest, self.include_usage), _EVENTS)
        whole = bodies.text_body if self.text else bodies.completion_body
        return Answer(200, whole(reply, model, digest))

    def _for(self, model: str) -> ChatRequest:
        return ChatRequest(model, self.request.messages, self.request.parameters)


@dataclass(frozen=True)
class EmbeddingQuestion:
    """Vectors of texts; ``encoded``: the program wants them as base64."""

    request: embedding.EmbeddingRequest
    encoded: bool = False
    deterministic: bool = True
    interchangeable: bool = False  # another model's vectors mean nothing beside its own

    @cached_property
    def canonical(self) -> bytes:
        return embedding.canonical_request(self.request)

    def worst_case(self) -> tuple[int, int]:
        return embedding.prompt_bound(self.request), 0

    def price(self, client: ModelClient, model: str, prompt_tokens: int, completion_tokens: int) -> float:
        return client.price(ChatRequest(model, ()), prompt_tokens, completion_tokens)

    def ask(self, client: ModelClient, model: str, timeout: float) -> Answered:
        request = embedding.EmbeddingRequest(model, self.request.inputs, self.request.parameters)
        reply = embedding.embed(client, request, timeout)
        return Answered(embedding.reply_bytes(reply), reply.prompt_tokens, 0, reply.cost)

    def show(self, recorded: bytes) -> Answer:
        reply = embedding.read_reply(recorded)
        return Answer(200, bodies.embeddings_body(reply, self.request.model, self.encoded))


@dataclass(frozen=True)
class Menu:
    """What one channel serves.

    Attributes:
        model: Answers chats and completions.
        embedding: Makes the embeddings.
        defaults: Parameters of a chat that a request may leave out; ``max_tokens`` is also the upper limit.
    """

    model: str
    embedding: str
    defaults: Mapping[str, Json]

    def read(self, path: str, body: bytes) -> tuple[Question, str] | None:
        """The question of a request and the model it goes to; None where there is no such endpoint.

        Raises:
            ModelRequestInvalid: The body asks for what the endpoint does not have.
        """
        readers: Mapping[str, Callable[[bytes], tuple[Question, str]]] = {
            "/chat/completions": partial(self._chat, False),
            "/completions": partial(self._chat, True),
            "/embeddings": self._embedding,
        }
        reader = readers.get(path)
        return None if reader is None else reader(body)

    def _chat(self, text: bool, body: bytes) -> tuple[Question, str]:
        parse = wire.parse_completion if text else wire.parse_request
        parsed = parse(body, self.model, self.defaults)
        return ChatQuestion(parsed.request, parsed.stream, parsed.include_usage, text), self.model

    def _embedding(self, body: bytes) -> tuple[Question, str]:
        request, encoded = embedding.parse_request(body, self.embedding)
        return EmbeddingQuestion(request, encoded), self.embedding
