"""Small programs for sandbox tests: the task agent runs the code that its input holds."""

from __future__ import annotations

from hyperagent.types import Json, ProgramTree, RunRequest

EXEC_AGENT = b"""
class TaskAgent:
    def __init__(self, model, chat_history_file):
        self.model, self.chat = model, chat_history_file

    def forward(self, inputs):
        scope = {"agent": self, "answer": None}
        exec(inputs["code"], scope)
        return scope["answer"], []
"""

META_AGENT = b"""
class MetaAgent:
    def __init__(self, model, chat_history_file):
        self.model, self.chat = model, chat_history_file

    def forward(self, repo_path, eval_path, iterations_left=None):
        from program_edit import edit
        return edit(repo_path, eval_path, iterations_left)
"""

NO_EDIT = "def edit(repo, evidence, left):\n    return None\n"


def program(edit: str = NO_EDIT) -> ProgramTree:
    return {"task_agent.py": EXEC_AGENT, "meta_agent.py": META_AGENT, "program_edit.py": edit.encode()}


def task(code: str, seconds: float = 20.0) -> RunRequest:
    """A run whose task agent executes the code; what it leaves in ``answer`` is the prediction."""
    inputs: dict[str, Json] = {"code": code}
    return RunRequest("task", {"model": "scripted", "inputs": inputs}, seconds)


def meta(left: int | None = 3, seconds: float = 20.0) -> RunRequest:
    return RunRequest("meta", {"model": "scripted", "iterations_left": left}, seconds)
