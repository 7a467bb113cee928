"""Any provider through LiteLLM; the only place that knows it. Importing it takes seconds, so it happens in the call."""

from __future__ import annotations

import os
import re
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from hyperagent.errors import HyperagentError, ModelLost, ModelRequestInvalid, ModelUnavailable
from hyperagent.models.embedding import EmbeddingReply, EmbeddingRequest, packed
from hyperagent.models.embedding import prompt_bound as embedding_bound
from hyperagent.models.payment import UselessReply
from hyperagent.models.wire import DEFAULT_MAX_TOKENS, prompt_bound
from hyperagent.types import ChatReply, ChatRequest, Json

_EXAMPLES = "openai/gpt-4o-mini, anthropic/claude-3-5-haiku-latest, ollama_chat/NAME, hosted_vllm/NAME or local/auto"
_REACH_SECONDS = 3.0
_UNPAID = ("insufficient_quota", "credit balance is too low")
"""How OpenAI (with a 429) and Anthropic (with a 400) say that an account is empty: no wait helps."""
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL")
"""Names of environment variables whose values are nobody else's business."""
_SHORTEST_KEY = 8
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Prices:
    """US dollars per million tokens, used for models that LiteLLM's price list does not know."""

    prompt: float = 0.0
    completion: float = 0.0


class LiteLLMClient:
    """Answers requests for LiteLLM model strings (``provider/name``).

    Args:
        api_base: Base URL of an OpenAI-compatible server; empty = the provider's own.
        prices: For models without a known price.
    """

    def __init__(self, api_base: str = "", prices: Prices | None = None) -> None:
        self._api_base = api_base
        self._prices = prices or Prices()
        self._lock = threading.Lock()
        self._answered: set[str] = set()

    def complete(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """See :class:`~hyperagent.protocols.ModelClient`. ``timeout`` in seconds."""
        options = {
            **request.parameters,
            "messages": [dict(message) for message in request.messages],
            "_skip_mcp_handler": True,  # it would import a package of LiteLLM's extras as soon as there are tools
        }
        return self._reply(self._call("completion", request.model, timeout, options), request)

    def embed(self, request: EmbeddingRequest, *, timeout: float) -> EmbeddingReply:
        """See :class:`~hyperagent.models.embedding.Embedder`. ``timeout`` in seconds."""
        options = {**request.parameters, "input": list(request.inputs), "encoding_format": "float"}
        response = self._call("embedding", request.model, timeout, options)
        try:
            vectors = [packed(entry["embedding"]) for entry in sorted(response.data, key=lambda e: e["index"])]
        except (AttributeError, KeyError, TypeError, ValueError, struct.error, OverflowError):
            raise ModelLost(f"{request.model}: the provider's reply holds no embeddings") from None
        prompt, _ = _usage(response, embedding_bound(request), 0)
        cost = self.price(ChatRequest(request.model, ()), prompt, 0)
        if len(vectors) != len(request.inputs):
            what = f"{request.model}: {len(vectors)} embeddings for {len(request.inputs)} inputs"
            raise UselessReply(what, prompt, 0, cost)
        return EmbeddingReply(tuple(vectors), prompt, cost)

    def _call(self, kind: str, model: str, timeout: float, options: Mapping[str, Any]) -> Any:
        litellm = _litellm()
        provider = _provider(litellm, model)
        if model not in self._answered:
            self._check_reachable(model)
        try:
            response = getattr(litellm, kind)(
                model=model,
                timeout=timeout,
                num_retries=0,
                max_retries=0,
                drop_params=True,
                **options,
                **self._address(provider),
            )
        except Exception as error:  # noqa: BLE001 (boundary: LiteLLM lets providers' own exceptions through)
            raise self._translated(litellm, error, model, provider) from None
        with self._lock:
            self._answered.add(model)
        return response

    def price(self, request: ChatRequest, prompt_tokens: int, completion_tokens: int) -> float:
        """US dollars: LiteLLM's price list, else the configured prices."""
        litellm = _litellm()
        try:
            prompt, completion = litellm.cost_per_token(
                model=request.model, prompt_tokens=prompt_tokens, completion_tokens=completion_tokens
            )
        except Exception:  # noqa: BLE001 (boundary: an unlisted model raises a bare Exception subclass, not one of its own)
            prompt = completion = 0.0
        known = float(prompt) + float(completion)
        return known or (prompt_tokens * self._prices.prompt + completion_tokens * self._prices.completion) / 1e6

    def _address(self, provider: str) -> dict[str, str]:
        if not self._api_base:
            return {}
        address = {"api_base": self._api_base}
        if provider == "openai" and not os.environ.get("OPENAI_API_KEY"):
            address["api_key"] = "none"  # servers of one's own rarely want a key, but the client library insists on one
        return address

    def _check_reachable(self, model: str) -> None:
        """Fail at once, before the first call, where nobody listens: retries would only delay the message."""
        if not self._api_base:
            return
        url = urlsplit(self._api_base)
        port = url.port or _DEFAULT_PORTS.get(url.scheme, 80)
        try:
            socket.create_connection((url.hostname or "", port), timeout=_REACH_SECONDS).close()
        except OSError as error:
            raise ModelUnavailable(
                f"{model}: no server answers at {self._api_base} ({error.strerror or error})",
                hint="Start the server, or correct models.api_base.",
            ) from None

    def _reply(self, response: Any, request: ChatRequest) -> ChatReply:
        bound = int(request.parameters.get("max_tokens", DEFAULT_MAX_TOKENS))
        prompt, completion = _usage(response, prompt_bound(request), bound)
        cost = self.price(request, prompt, completion)
        try:
            choice = response.choices[0]
            data: Mapping[str, Json] = choice.message.model_dump()
        except (AttributeError, IndexError, KeyError, TypeError):
            what = f"{request.model}: the provider's reply has no message"
            raise UselessReply(what, prompt, completion, cost) from None
        message = {"role": "assistant", "content": data.get("content")}
        if data.get("tool_calls"):
            message["tool_calls"] = data["tool_calls"]
        return ChatReply(message, str(choice.finish_reason or "stop"), prompt, completion, cost)

    def _translated(self, litellm: Any, error: Exception, model: str, provider: str) -> HyperagentError:
        kinds = litellm.exceptions
        said = f"{model}: {_first_line(error)}"
        status = getattr(error, "status_code", None)
        if status == 402 or any(words in f"{said} {getattr(error, 'body', '')}" for words in _UNPAID):
            return ModelUnavailable(said, hint=f"The account with the provider {provider!r} has nothing left to spend.")
        if status in (401, 403) or isinstance(error, kinds.AuthenticationError | kinds.PermissionDeniedError):
            return ModelUnavailable(said, hint=self._key_hint(litellm, model))
        if isinstance(error, kinds.NotFoundError):
            return ModelUnavailable(said, hint=f"Check the model's name; the provider is {provider!r}.")
        if status in (400, 413, 422):
            return ModelRequestInvalid(said)
        if any(isinstance(cause, ConnectionRefusedError | socket.gaierror) for cause in _causes(error)) and (
            model not in self._answered
        ):
            where = self._api_base or f"the provider {provider!r}"
            return ModelUnavailable(f"{said} (cannot reach {where})", hint="Check the network and models.api_base.")
        if not self._api_base and model not in self._answered and self._missing_keys(litellm, model):
            # Some providers' clients report a missing key as if it were the server's own failure.
            return ModelUnavailable(said, hint=self._key_hint(litellm, model))
        lost = ModelLost(said)
        lost.retry_after = _retry_after(error)
        return lost

    def _missing_keys(self, litellm: Any, model: str) -> list[str]:
        return list(litellm.validate_environment(model).get("missing_keys") or [])

    def _key_hint(self, litellm: Any, model: str) -> str:
        missing = self._missing_keys(litellm, model)
        if missing:
            return f"Set {' and '.join(missing)}."
        where = f" at {self._api_base}" if self._api_base else ""
        return f"The key is refused{where}: check the environment variable that holds it, or models.api_base."


def _litellm() -> Any:
    # Without this, the import fetches a price list from the network.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm

    module: Any = litellm
    module.suppress_debug_info = True
    module.DEFAULT_MAX_RETRIES = 0  # its embedding() takes a `max_retries` of 0 for none given; the broker retries
    return module


def _provider(litellm: Any, model: str) -> str:
    try:
        return str(litellm.get_llm_provider(model)[1])
    except litellm.exceptions.BadRequestError:
        raise ModelUnavailable(f"{model!r} names no known provider", hint=f"Use for example {_EXAMPLES}.") from None


def _usage(response: Any, prompt_bound: int, completion_bound: int) -> tuple[int, int]:
    """Prompt and completion tokens as billed; the worst case where the provider does not say (LiteLLM says 0 then)."""
    usage = getattr(response, "usage", None)
    prompt, completion = (getattr(usage, name, None) or 0 for name in ("prompt_tokens", "completion_tokens"))
    return (int(prompt), int(completion)) if prompt > 0 else (prompt_bound, completion_bound)


def _first_line(error: Exception) -> str:
    """What a provider said, without any key of ours: some quote the one they were given."""
    lines = str(error).strip().splitlines()
    if not lines:
        return type(error).__name__
    said = lines[0]
    for name, value in os.environ.items():
        if len(value) >= _SHORTEST_KEY and _SECRET.search(name):
            said = said.replace(value, f"({name})")
    return said[:300]


def _causes(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    for _ in range(20):
        if current is None:
            return
        yield current
        current = current.__cause__ or current.__context__


def _retry_after(error: Exception) -> float | None:
    """Seconds from a ``Retry-After`` header, wherever LiteLLM left the headers; None without one (or with a date)."""
    response = getattr(error, "response", None)
    for headers in (getattr(error, "litellm_response_headers", None), getattr(response, "headers", None)):
        value = headers.get("retry-after") if headers is not None else None
        try:
            return float(value) if value is not None else None
        except ValueError:
            return None
    return None
