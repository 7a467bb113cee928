"""A pack made of nothing but the code blocks of docs/packs.md: validated, run, and used by a campaign."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from provider import provider
from typer.testing import CliRunner

from hyperagent.cli import app
from hyperagent.cli.context import Context

DOCS = Path(__file__).parents[2] / "docs" / "packs.md"
NAMED_BLOCK = re.compile(r"^`([\w./]+)`\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
Types = Callable[..., Any]


def named_blocks(text: str) -> dict[str, str]:
    """File name -> content of every code block whose name stands on the line above it."""
    return dict(NAMED_BLOCK.findall(text))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What somebody has on disk who followed the page."""
    for name, content in named_blocks(DOCS.read_text(encoding="utf-8")).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def types(folder: Path) -> Types:
    """Types a command; what it answers with ``--json`` is read."""
    environment = {
        "HYPERAGENT_ARCHIVE": str(folder / "archive"),
        "HYPERAGENT_SANDBOX__BACKEND": "process",
    }

    def run(*words: str, code: int = 0) -> Any:
        result = CliRunner().invoke(app, list(words), obj=Context(environment=environment))
        assert result.exit_code == code, f"{words}: {result.output}"
        assert "Traceback" not in result.output
        return json.loads(result.stdout) if "--json" in words else result

    return run


@pytest.fixture
def counting_model(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of a provider that always answers 4."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-a-test")
    with provider(lambda messages: {"content": "4"}) as server:
        yield f"{server.base}/v1"


def test_the_page_names_all_files_of_a_pack_and_a_campaign(folder: Path) -> None:
    wanted = {"letters/benchmark.toml", "letters/generator.py", "letters/grader.py", "campaign.toml"}
    assert wanted | {"counter/program.toml", "counter/task_agent.py"} == set(
        named_blocks(DOCS.read_text(encoding="utf-8"))
    )


def test_it_validates_without_a_warning(types: Types) -> None:
    answer = types("benchmark", "validate", "./letters", "--json")
    assert answer["ok"]
    assert {check["state"] for check in answer["checks"]} == {"ok"}
    assert {"generator", "garbage", "reference"} <= {check["name"] for check in answer["checks"]}


def test_a_program_is_run_on_it_shown_and_replayed(types: Types) -> None:
    answer = types("benchmark", "run", "./letters", "--program", "counter", "--model", "none", "--json")
    assert answer["scorecard"]["measures"]["closeness"]["interval"]["estimate"] == 1.0
    assert answer["tasks"] == 8
    assert not any("ignores its input" in line for line in answer["scorecard"]["warnings"])
    shown = types("show", answer["variant"]["id"], "--metrics", "--json")
    assert shown["metrics"]["letters"]["measures"]["closeness"]["interval"]["n"] == 8
    assert types("replay", "run-letters/0", "--json")["reports"][0]["identical"]


def test_a_campaign_evolves_programs_on_it(types: Types, counting_model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERAGENT_BENCHMARKS", str(Path.cwd()))
    small = ("benchmarks.0.screen=1", "benchmarks.0.validation=2", "benchmarks.0.train=2", "budget.steps=2")
    settings = ("models.model=openai/counter", f"models.api_base={counting_model}", *small)
    words = [word for one in settings for word in ("--set", one)]
    answer = types("run", "campaign.toml", "--plain", "--json", *words)
    assert answer["campaign"]["state"] == "finished"
    evaluated = [one for one in types("ls", "letters", "--json")["variants"] if one["status"] == "evaluated"]
    seed = next(one for one in evaluated if one["step"] == 0)
    assert seed["score"] > 0, "the answer 4 is near the truth for 30 letters out of 8"
    listed = types("benchmark", "list", "--json")["benchmarks"]
    assert "letters" in {one["name"] for one in listed}
