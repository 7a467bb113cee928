from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PATH = Path(__file__).parent.parent.parent / "hyperagent" / "examining" / "task_agent.py"


def agent(monkeypatch: pytest.MonkeyPatch, examine: Any) -> Any:
    examiner = ModuleType("examiner")
    vars(examiner)["examine"] = examine
    monkeypatch.setitem(sys.modules, "examiner", examiner)
    spec = importlib.util.spec_from_file_location("examining_task_agent", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.TaskAgent(model="", chat_history_file="")


def test_the_secret_comes_back_and_the_examiner_does_not_see_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def examine(inputs: dict[str, Any]) -> dict[str, Any]:
        seen.append(dict(inputs))
        return {"score": 1, "secret": "forged"}

    given = {"a": 1, "secret": "s"}
    assert agent(monkeypatch, examine).forward(given) == {"score": 1, "secret": "s"}
    assert seen == [{"a": 1}]
    assert given == {"a": 1, "secret": "s"}


def test_an_examination_that_fails_has_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def examine(inputs: dict[str, Any]) -> dict[str, Any]:
        raise RuntimeError("no verdict")

    with pytest.raises(RuntimeError, match="no verdict"):
        agent(monkeypatch, examine).forward({"secret": "s"})
