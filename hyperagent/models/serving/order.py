"""What a server process is told to serve."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from hyperagent.models.serving.plan import Plan


@dataclass(frozen=True)
class Order:
    """What to serve.

    Attributes:
        name: What the server calls the model.
        weights: The GGUF file.
        sha256: Its hash.
        port: On loopback.
        threads: Processor threads of llama.cpp.
    """

    name: str
    weights: str
    sha256: str
    plan: Plan
    port: int
    threads: int

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Order:
        data = json.loads(text)
        return cls(**{**data, "plan": Plan(**data["plan"])})
