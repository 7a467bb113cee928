"""What makes an examiner a program that a sandbox can run: one task = one examination."""

from __future__ import annotations

from typing import Any

import examiner


class TaskAgent:
    """Calls ``examiner.examine``. No model, no chat history."""

    def __init__(self, model: str, chat_history_file: str) -> None:
        pass

    def forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The verdict, and the secret of this examination: proof that ``examine`` came to its end."""
        asked = dict(inputs)
        secret = asked.pop("secret", None)
        return {**examiner.examine(asked), "secret": secret}
