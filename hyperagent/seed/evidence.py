"""What the engine tells a meta agent: results on train tasks, ancestors, earlier attempts. Any file may be missing."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from llm import last_reply

MOST_WORDS = 12
MOST_LABELS = 12  # targets with more different values than this are not labels but free text


@dataclass(frozen=True)
class Evidence:
    summary: dict[str, Any] = field(default_factory=dict)
    tasks: list[dict[str, Any]] = field(default_factory=list)

    @property
    def score(self) -> float | None:
        """Mean score on the train tasks, from 0 to 1; None without tasks."""
        return sum(float(task.get("score") or 0) for task in self.tasks) / len(self.tasks) if self.tasks else None

    @property
    def failures(self) -> list[dict[str, Any]]:
        return [task for task in self.tasks if float(task.get("score") or 0) < 1]

    @cached_property
    def labels(self) -> list[str]:
        """The answers that tasks allow; failing that, the different targets where they are few."""
        allowed = [str(answer) for task in self.tasks for answer in task.get("input", {}).get("answers") or []]
        targets = [str(task["target"]) for task in self.tasks if isinstance(task.get("target"), str | int)]
        found = list(dict.fromkeys(allowed or sorted(targets)))
        return found if 2 <= len(found) <= MOST_LABELS else []

    @cached_property
    def text_fields(self) -> list[str]:
        """Data fields that every train task has, as text."""
        inputs = [task.get("input", {}) for task in self.tasks]
        names = inputs[0] if inputs else {}
        reserved = ("instructions", "answers")
        return [n for n in names if n not in reserved and all(isinstance(i.get(n), str) for i in inputs)]

    @property
    def attempts(self) -> list[dict[str, Any]]:
        """Earlier children of the same parent."""
        return list(self.summary.get("attempts") or [])

    @property
    def inspirations(self) -> list[dict[str, Any]]:
        """Edits of good programs of other lineages, where the campaign shows any."""
        return list(self.summary.get("inspirations") or [])

    @cached_property
    def replies(self) -> list[str]:
        """What the model said last, per train task."""
        return [last_reply(task.get("transcript") or "") or str(task.get("prediction") or "") for task in self.tasks]

    @cached_property
    def common_words(self) -> list[str]:
        """Words of the replies to failed tasks, the most frequent first."""
        counts: Counter[str] = Counter()
        for task, reply in zip(self.tasks, self.replies, strict=True):
            if float(task.get("score") or 0) < 1:
                counts.update({word.strip(" .,:;!?\"'*`()") for word in reply.lower().split()})
        return [word for word, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if word][:MOST_WORDS]


def read_evidence(folder: str | Path | None) -> Evidence:
    """Read the evidence folder; unreadable parts count as missing, so that a mutation is never lost to them."""
    if folder is None:
        return Evidence()
    tasks = [value for line in _text(Path(folder) / "train.jsonl").splitlines() if (value := _object(line))]
    return Evidence(_object(_text(Path(folder) / "summary.json")) or {}, tasks)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
