"""The task agent: runs the attack that its inputs name."""

from __future__ import annotations

import importlib
from typing import Any


class TaskAgent:
    """``inputs``: ``attack`` (``module.function`` of this package) and what :class:`Given` says."""

    def __init__(self, model: str, chat_history_file: str) -> None:
        """Nothing of a model is needed."""

    def forward(self, inputs: dict[str, Any]) -> tuple[list[str], str]:
        module, _, function = str(inputs["attack"]).partition(".")
        attack = getattr(importlib.import_module(f"{__package__}.{module}"), function)
        return list(attack(inputs)), ""


class MetaAgent:
    """A program has one."""

    def __init__(self, model: str, chat_history_file: str) -> None:
        """Nothing of a model is needed."""

    def forward(self, repo_path: str, eval_path: str, iterations_left: int | None = None) -> None:
        """No edit."""
