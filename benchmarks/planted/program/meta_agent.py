"""Asks for new numbers on some dials, and for new habits of its own, and writes both into the program."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

from habits import CARE
from llm import chat

MOST_CARE = 1
FORM = Path(__file__).with_name("form.json")


class MetaAgent:
    def __init__(self, model: str, chat_history_file: str) -> None:
        self.model = model
        self.chat_history_file = chat_history_file

    def forward(self, repo_path: str, eval_path: str | None, iterations_left: int | None = None) -> str:
        """The care taken in asking is this program's own habit; what the answer says of care is for the next one."""
        task, habits = Path(repo_path, "task_agent.py"), Path(repo_path, "habits.py")
        source = task.read_text(encoding="utf-8")
        dials: list[int] = ast.literal_eval(re.findall(r"^DIALS = (\[.*\])$", source, re.MULTILINE)[0])
        situation = json.dumps({"dials": dials, "care": CARE})
        form = {"type": "json_schema", "json_schema": json.loads(FORM.read_text(encoding="utf-8"))}
        message = chat(
            self.model, [{"role": "user", "content": situation}], self.chat_history_file, response_format=form
        )
        edit: dict[str, Any] = json.loads(message["content"])
        for one in edit["edits"]:
            dials[int(one["dial"])] = int(one["number"])
        care = min(max(int(edit["care"]), 0), MOST_CARE)
        task.write_text(re.sub(r"(?m)^DIALS = .*$", f"DIALS = {dials}", source), encoding="utf-8")
        old = habits.read_text(encoding="utf-8")
        habits.write_text(re.sub(r"(?m)^CARE = .*$", f"CARE = {care}", old), encoding="utf-8")
        return f"dials {[one['dial'] for one in edit['edits']]}, care {CARE} -> {care}"
