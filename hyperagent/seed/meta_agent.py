"""Rewrites a program, this file included: reads the evidence, edits in place, checks that the result still runs."""

from __future__ import annotations

import os
from pathlib import Path

import formats
import rounds
import tool_loop
from evidence import read_evidence


class MetaAgent:
    def __init__(self, model: str, chat_history_file: str) -> None:
        self.model = model
        self.chat_history_file = chat_history_file

    def forward(self, repo_path: str, eval_path: str | None, iterations_left: int | None = None) -> str:
        """Edit the program at ``repo_path`` in place; returns a line on what was changed and why.

        Args:
            repo_path: The working copy to edit.
            eval_path: Folder with the evidence (train results only); any of its files may be missing.
            iterations_left: Mutations that the campaign can still make, where known.
        """
        evidence = read_evidence(eval_path)
        if iterations_left is None:
            iterations_left = evidence.summary.get("iterations_left")
        if form := formats.FORMATS.get(self.way_of_editing()):
            return rounds.improve(form, self.model, self.chat_history_file, Path(repo_path), evidence)
        return tool_loop.improve(
            self.model, self.chat_history_file, Path(repo_path), evidence, eval_path, iterations_left
        )

    def way_of_editing(self) -> str:
        """``tools`` or a name of ``formats.FORMATS``: as the environment says, else by the model's size."""
        return formats.format_of(self.model, os.environ.get("HYPERAGENT_EDITING", "auto"))
