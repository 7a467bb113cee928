"""Solves one task: asks the model one question and reads its reply as the answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llm import chat

MAX_TOKENS = 12
# The data comes first and the instructions last: a model server can then reuse the long beginning of a prompt.
PROMPT = [
    "{data}",
    "{instructions}",
    "Answer:",
]


class TaskAgent:
    def __init__(self, model: str, chat_history_file: str) -> None:
        self.model = model
        self.chat_history_file = chat_history_file

    def forward(self, inputs: dict[str, Any]) -> tuple[Any, str]:
        """Answer one task; returns the prediction and the transcript of the conversation."""
        messages = [{"role": "user", "content": write_prompt(inputs)}]
        reply = chat(self.model, messages, self.chat_history_file, max_tokens=MAX_TOKENS)["content"]
        return read_answer(inputs, reply), Path(self.chat_history_file).read_text(encoding="utf-8")


def write_prompt(inputs: dict[str, Any]) -> str:
    """Fill the lines of PROMPT with the task's data fields and its instructions."""
    fields = {name: value for name, value in inputs.items() if name not in ("instructions", "answers")}
    data = "\n\n".join(f"{name.replace('_', ' ').capitalize()}:\n{value}" for name, value in fields.items())
    prompt = "\n\n".join(PROMPT)
    return prompt.replace("{instructions}", str(inputs.get("instructions", ""))).replace("{data}", data)


def read_answer(inputs: dict[str, Any], reply: str) -> str:
    """Turn the model's reply to a task into the answer."""
    return reply.strip(" \n\t.,:;!\"'*`")
