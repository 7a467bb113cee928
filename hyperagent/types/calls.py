"""Model calls: what is asked, answered, recorded and spent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from hyperagent.types.basic import Json, Purpose


@dataclass(frozen=True)
class ChatRequest:
    """One OpenAI-style chat completion, already reduced to allowed parameters.

    Attributes:
        model: Full model string (``local/smollm2-135m``, ``openai/gpt-...``).
        messages: OpenAI message objects.
        parameters: Any of temperature, top_p, max_tokens, seed, stop, response_format, tools, tool_choice.
    """

    model: str
    messages: tuple[Mapping[str, Json], ...]
    parameters: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class ChatReply:
    """One completion. ``cost`` in US dollars; 0 for local models."""

    message: Mapping[str, Json]
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    cost: float = 0.0
    cached: bool = False


@dataclass(frozen=True)
class CallKey:
    """Identity of a model call: the n-th call (from 0) made under one task of one job."""

    job: str
    task: str
    sequence: int


@dataclass(frozen=True)
class ModelCall:
    """A recorded call.

    Attributes:
        state: ``reserved`` before the call, ``settled`` with a reply, ``failed`` without one. A call that is still
            ``reserved`` when a campaign is resumed was cut off; it counts at its reserved size, so spend never shrinks.
        prompt_tokens: Settled: as billed. Reserved: the worst case. Same for the next two.
    """

    key: CallKey
    campaign: str
    variant: str
    purpose: Purpose
    model: str
    request_hash: str
    state: Literal["reserved", "settled", "failed"]
    prompt_tokens: int
    completion_tokens: int
    cost: float
    seconds: float = 0.0
    cached: bool = False
    request_blob: str = ""
    reply_blob: str = ""
    error: str = ""


@dataclass(frozen=True)
class Spend:
    """What a campaign (or one task) has used up. ``cached`` calls cost nothing and are counted apart."""

    calls: int = 0
    cached_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Spend) -> Spend:
        return Spend(
            self.calls + other.calls,
            self.cached_calls + other.cached_calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cost + other.cost,
        )
