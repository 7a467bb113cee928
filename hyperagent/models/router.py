"""Which client answers for which model string: by the whole of it, else by its first part, ``prefix/``."""

from __future__ import annotations

from collections.abc import Mapping

from hyperagent.models.embedding import EmbeddingReply, EmbeddingRequest, embed
from hyperagent.protocols import ModelClient
from hyperagent.types import ChatReply, ChatRequest


class RoutingClient:
    """Dispatches by the model string.

    Args:
        routes: A whole model string, or a prefix without slash (``local``, ``random``, ``scripted``) -> client.
        default: Answers for every other string.
    """

    def __init__(self, routes: Mapping[str, ModelClient], default: ModelClient) -> None:
        self._routes = dict(routes)
        self._default = default

    def _client(self, model: str) -> ModelClient:
        prefix, slash, _ = model.partition("/")
        return self._routes.get(model) or (self._routes.get(prefix) if slash else None) or self._default

    def complete(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        return self._client(request.model).complete(request, timeout=timeout)

    def embed(self, request: EmbeddingRequest, *, timeout: float) -> EmbeddingReply:
        """Raises ModelRequestInvalid where the model's client makes no embeddings."""
        return embed(self._client(request.model), request, timeout)

    def price(self, request: ChatRequest, prompt_tokens: int, completion_tokens: int) -> float:
        return self._client(request.model).price(request, prompt_tokens, completion_tokens)


def probe(client: ModelClient, model: str, timeout: float) -> ChatReply:
    """One tiny call, for ``model test`` and before a campaign starts. Raises what ``complete`` raises."""
    message = {"role": "user", "content": "Reply with the word ready."}
    return client.complete(ChatRequest(model, (message,), {"max_tokens": 8, "temperature": 0}), timeout=timeout)
