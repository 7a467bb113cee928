"""The seed program as tests see it: a copy in a temporary folder, its modules loaded as the runtime would."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

SEED = Path(__file__).parents[2] / "hyperagent" / "seed"
MODULES = [path.stem for path in SEED.glob("*.py")] + ["tools", "tools.bash", "tools.editor"]
LABELS = ["right", "wrong"]


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SEED, tmp_path / "program", ignore=shutil.ignore_patterns("__pycache__")))


@pytest.fixture
def seed(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """The seed's modules, imported from its own root under their bare names, and forgotten afterwards."""
    saved = {name: sys.modules.pop(name) for name in MODULES if name in sys.modules}
    monkeypatch.syspath_prepend(str(SEED))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield SimpleNamespace(**{name.replace(".", "_"): importlib.import_module(name) for name in MODULES})
    for name in MODULES:
        sys.modules.pop(name, None)
    sys.modules.update(saved)


def train_tasks(count: int = 12) -> list[dict[str, Any]]:
    """Made-up tasks: long essays are wrong; the model's replies are chatter."""
    tasks = []
    for i in range(count):
        essay = " ".join(f"Step {j} gives {j} + {i} = {i + j}." for j in range(i + 1))
        data = {"question": f"What is {i} times {i + 3}?", "essay": essay, "instructions": "Judge.", "answers": LABELS}
        reply = f"Well, it looks {'good' if i % 3 else 'bad'}"
        tasks.append(
            {
                "id": f"t{i}",
                "benchmark": "made-up",
                "input": data,
                "prediction": reply,
                "score": 0.0,
                "status": "scored",
                "error": None,
                "target": LABELS[i >= count // 2],
                "transcript": f"--- user ---\nJudge.\n--- assistant ---\n{reply}\n",
            }
        )
    return tasks


@pytest.fixture
def evidence_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "evidence"
    folder.mkdir()
    (folder / "train.jsonl").write_text("".join(json.dumps(task) + "\n" for task in train_tasks()), encoding="utf-8")
    (folder / "summary.json").write_text(
        json.dumps({"iterations_left": 5, "ancestors": [], "attempts": []}), encoding="utf-8"
    )
    return folder
