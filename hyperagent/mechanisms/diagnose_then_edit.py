"""A fixed way to rewrite programs: first a diagnosis, in a call of its own, then one edit by the program's meta agent.

It stands beside generation 0 and rewrites every variant; what variants change about rewriting is never used. That is
the fixed mechanism of the Darwin Gödel Machine (Zhang et al. 2025, arXiv 2505.22954), a baseline of arXiv 2603.19461.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from llm import chat

ENTRY = "@META_ENTRY@"  # the program's own meta agent, which makes the edit
FAILURES = 6  # failed train tasks that the model sees
CHARACTERS = 1500  # of each of them
GOAL = """You are looking at an agent program that solves tasks. Below is its task agent and what it got wrong. Do not \
edit anything yet. Say in a few sentences what the most important reason for the failures is, and what one change of \
the code would mend it.
"""


class MetaAgent:
    def __init__(self, model: str, chat_history_file: str) -> None:
        self.model = model
        self.chat_history_file = chat_history_file

    def forward(self, repo_path: str, eval_path: str | None, iterations_left: int | None = None) -> Any:
        """Diagnose, then let the program's meta agent edit in place with the diagnosis among its evidence."""
        prompt = GOAL + situation(Path(repo_path), eval_path)
        message = chat(self.model, [{"role": "user", "content": prompt}], self.chat_history_file, max_tokens=400)
        with tempfile.TemporaryDirectory() as folder:
            evidence = with_diagnosis(eval_path, folder, str(message.get("content") or ""))
            module, _, name = ENTRY.partition(":")
            agent = getattr(importlib.import_module(module), name)(self.model, self.chat_history_file)
            return agent.forward(repo_path, evidence, iterations_left)


def situation(root: Path, eval_path: str | None) -> str:
    """The code that solves tasks and the train tasks that it failed."""
    parts = [(root / "task_agent.py").read_text(encoding="utf-8")] if (root / "task_agent.py").is_file() else []
    results = Path(eval_path, "train.jsonl") if eval_path else None
    lines = results.read_text(encoding="utf-8").splitlines() if results and results.is_file() else []
    tasks = [json.loads(line) for line in lines]
    failed = [task for task in tasks if float(task.get("score") or 0) < 1]
    parts.append(f"Right on {len(tasks) - len(failed)} of {len(tasks)} train tasks.")
    for task in failed[:FAILURES]:
        shown = {key: task.get(key) for key in ("input", "prediction", "target", "error") if task.get(key) is not None}
        parts.append("Failed task: " + json.dumps(shown, ensure_ascii=False)[:CHARACTERS])
    return "\n\n".join(parts)


def with_diagnosis(eval_path: str | None, folder: str, diagnosis: str) -> str:
    """A copy of the evidence whose ``summary.json`` has the diagnosis, too; the path of the copy."""
    target = os.path.join(folder, "evidence")
    if eval_path:
        shutil.copytree(eval_path, target, copy_function=shutil.copyfile)
        os.chmod(target, 0o755)
    else:
        os.makedirs(target)
    path = Path(target, "summary.json")
    summary = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps({**summary, "diagnosis": diagnosis}, ensure_ascii=False), encoding="utf-8")
    return target
