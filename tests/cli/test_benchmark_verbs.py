"""The ``benchmark`` verbs as a person meets them, on small packs, in processes instead of containers."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from hyperagent import assembly as real
from hyperagent.assembly.benching import answer_of
from hyperagent.cli import app
from hyperagent.cli.benching import check_lines
from hyperagent.cli.context import Context
from hyperagent.errors import EvaluationsLost
from hyperagent.evaluation.pack import load_pack
from hyperagent.evaluation.schema import schema_text
from hyperagent.evaluation.template import write_pack
from hyperagent.types import Outcome

Types = Callable[..., Any]
SORTS = 'return ", ".join(sorted(inputs["words"].split(", ")))'
IGNORES = 'return {"response": "apple, pear", "confidence": (hash(inputs["words"]) % 100) / 100}'


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a plain pack, one with an examiner, and a machine without data."""
    monkeypatch.setenv("HYPERAGENT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HYPERAGENT_BENCHMARK_DATA", raising=False)
    write_pack("mine", tmp_path)
    write_pack("exam", tmp_path, examiner=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def types(here: Path) -> Types:
    environment = {"HYPERAGENT_ARCHIVE": str(here / "archive"), "HYPERAGENT_SANDBOX__BACKEND": "process"}

    def run(*words: str, code: int = 0, given: Any = None) -> Any:
        result = CliRunner().invoke(app, ["benchmark", *words], obj=Context(given=given, environment=environment))
        assert result.exit_code == code, f"{words}: {result.output}"
        assert "Traceback" not in result.output
        assert "bug in hyperagent" not in result.output
        return json.loads(result.stdout) if "--json" in words else result

    return run


def program(folder: Path, body: str) -> str:
    """A program whose task agent does that; returns its folder's name."""
    folder.mkdir()
    (folder / "program.toml").write_text('[entry]\ntask = "task_agent:TaskAgent"\n')
    (folder / "task_agent.py").write_text(
        "class TaskAgent:\n    def __init__(self, model, chat_history_file):\n        pass\n\n"
        f"    def forward(self, inputs):\n        return (lambda: {body.removeprefix('return ')})(), ''\n"
    )
    return str(folder)


def answers(pack: Path, file: Path, split: str = "validation", leave: int = 0) -> str:
    """A file of right answers for all but some tasks."""
    tasks = load_pack(pack).tasks(split)  # type: ignore[arg-type]
    lines = [json.dumps({"id": task.id, "prediction": task.hidden["label"]}) for task in tasks[leave:]]
    file.write_text("\n".join(lines))
    return str(file)


def events(here: Path, kind: str) -> list[Any]:
    archive = real.open_archive(here / "archive")
    try:
        return [e.payload for c in archive.campaigns() for e in archive.events(c.id) if e.kind == kind]
    finally:
        archive.close()


# -- packs themselves ----------------------------------------------------------------------------


def test_schema_prints_what_is_shipped(types: Types) -> None:
    assert json.loads(types("schema").stdout) == json.loads(schema_text())


def test_init_says_what_to_do_next_and_never_overwrites(types: Types, here: Path) -> None:
    said = types("init", "other").stderr
    assert "benchmark validate ./other" in said
    assert (here / "other" / "grader.py").is_file()
    assert "exists already" in types("init", "other", code=2).stderr
    assert "already" in types("init", "math_grading", code=2).stderr
    types("init", "deep", "--directory", "packs/of/mine", "--examiner")
    assert (here / "packs/of/mine/deep/examiner/examiner.py").is_file()


def test_show_lists_needs_examiner_and_screen(types: Types) -> None:
    shown = types("show", "./exam").stdout
    for part in ("examiner (grader.py)", "60 s, memory_mb 512", "10 s, memory_mb 128", "5 tasks", "higher is better"):
        assert part in shown
    facts = types("show", "mine", "--json")["facts"]
    assert (facts["examiner"], facts["needs"]["seconds"], facts["stochastic"]) == (None, 60.0, False)


def test_validate_tries_the_examiner_and_exits_with_2_where_a_check_fails(types: Types, here: Path) -> None:
    answer = types("validate", "./exam", "--json")
    assert {check["state"] for check in answer["checks"]} == {"ok"}
    assert "sandbox" in {check["name"] for check in answer["checks"]}
    (here / "mine" / "grader.py").write_text("def grade(input, hidden, prediction):\n    return 1\n")
    result = types("validate", "./mine", code=2)
    assert "scores 1 for None" in result.stdout
    assert "fail" in result.stderr
    types("validate", "./nothing", code=2)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_table_is_wrapped_and_not_cut(width: int) -> None:
    checks = [SimpleNamespace(source="made", name="leaks", state="warn", detail="word " * 60 + "end")]
    lines = check_lines(checks, width)
    assert max(map(len, lines)) <= width
    assert lines[-1].endswith("end")


# -- run -----------------------------------------------------------------------------------------


def test_run_is_recorded_and_reads_its_input(types: Types, here: Path) -> None:
    folder = program(here / "p", SORTS)
    answer = types("run", "./mine", "--program", folder, "--model", "none", "--limit", "5", "--json")
    assert (answer["campaign"]["name"], answer["campaign"]["state"]) == ("run-mine", "finished")
    assert (answer["tasks"], answer["split"], answer["variant"]["score"]) == (5, "validation", 1.0)
    assert answer["scorecard"]["measures"]["share_in_place"]["interval"]["n"] == 5
    assert not any("ignores its input" in line for line in answer["scorecard"]["warnings"])
    assert events(here, "shuffled_control")[0]["same"] == 0
    assert events(here, "test_read") == []


def test_a_program_that_ignores_its_input_is_flagged_on_the_hidden_test_too(types: Types, here: Path) -> None:
    words = ("--program", program(here / "p", IGNORES), "--model", "none", "--split", "test", "--limit", "4")
    result = types("run", "mine", *words)
    assert "the program ignores its input" in result.stdout
    assert [reading["limit"] for reading in events(here, "test_read")] == [4]
    assert "compare" not in result.stderr
    silent = types("run", "mine", *words, "--no-controls")
    assert "the program ignores" not in silent.stdout


def test_a_program_that_does_not_load_says_so(types: Types, here: Path) -> None:
    folder = program(here / "p", "return 1")
    (here / "p" / "task_agent.py").write_text("import nothing_like_this\n")
    answer = types("run", "mine", "--program", folder, "--model", "none", "--limit", "2", "--workers", "1", "--json")
    assert any("No module named 'nothing_like_this'" in line for line in answer["scorecard"]["warnings"])
    assert "no program.toml" in types("run", "mine", "--program", str(here / "mine"), "--model", "none", code=2).stderr
    assert "not a directory" in types("run", "mine", "--program", "nowhere", "--model", "none", code=2).stderr
    assert "unknown key" in types("run", "mine", "--set", "models.modle=x", code=2).stderr


def test_the_seed_program_stands_beside_it_and_is_not_run_twice(
    types: Types, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hyperagent.assembly import wiring
    from hyperagent.models import ScriptedClient

    client = ScriptedClient(lambda request: "I cannot say")

    class Client:
        def __enter__(self) -> ScriptedClient:
            return client

        def __exit__(self, *details: object) -> None:
            return None

    monkeypatch.setattr(wiring, "model_client", lambda config, *rest: Client())
    words = ("--program", program(here / "p", SORTS), "--model", "test/m", "--limit", "3")
    answer = types("run", "mine", *words, "--json")
    assert answer["scorecard"]["measures"]["seed_program"]["kind"] == "control"
    assert (answer["against_seed"]["wins"], answer["difference"]["estimate"]) == (3, 1.0)
    calls = len(client.requests)
    result = types("run", "mine", *words)
    assert "against the seed program" in result.stdout
    assert "compare" in result.stderr
    assert len(client.requests) == calls + 1, "only the probe: the seed's evaluation is taken from the archive"
    own = types("run", "mine", "--model", "test/m", "--limit", "3", "--json")
    assert (own["seed"], own["campaign"]["name"]) == (None, "run-mine-3")


class Runner:
    """A double of the assembly's runner: ends as the test says."""

    def __init__(self, *given: Any, **named: Any) -> None:
        self.stopped = threading.Event()

    def run(self) -> Any:
        raise EvaluationsLost("task t has no outcome: the engine is gone", hint="start it")

    def request_stop(self) -> None:
        self.stopped.set()

    def cancel(self) -> None:
        self.stopped.set()

    def close(self) -> None:
        return None


class Stopped(Runner):
    def run(self) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        assert self.stopped.wait(10)
        raise EvaluationsLost("broken off")


@pytest.fixture
def double() -> Any:
    return SimpleNamespace(open_archive=real.open_archive, benchmarks=real.benchmarks, BenchmarkRunner=Runner)


def test_lost_outcomes_exit_with_5(types: Types, double: Any) -> None:
    said = types("run", "mine", "--model", "none", code=5, given=double).stderr
    assert "the engine is gone" in said
    assert "stays in the archive" in said


def test_ctrl_c_leaves_what_is_finished(types: Types, double: Any) -> None:
    double.BenchmarkRunner = Stopped
    said = types("run", "mine", "--model", "none", code=130, given=double).stderr
    assert "what is finished stays in the archive" in said
    assert "error" not in said


def test_equal_answers_are_equal_whatever_stands_beside_them() -> None:
    def answer(prediction: Any) -> str | None:
        return answer_of(Outcome("t", "scored", 0.0, json.dumps(prediction)))

    assert answer({"response": "x", "confidence": 0.1}) == answer({"response": "x", "confidence": 0.9})
    assert answer({"response": "x", "files": {"a": "1"}}) != answer({"response": "x", "files": {"a": "2"}})
    assert answer("x") != answer("y")
    assert answer(None) is answer({"response": None, "files": {}}) is None


# -- score ---------------------------------------------------------------------------------------


def test_missing_predictions_count_as_wrong(types: Types, here: Path) -> None:
    answer = types("score", "mine", "--predictions", answers(here / "mine", here / "a.jsonl", leave=3), "--json")
    assert answer["scorecard"]["measures"]["share_in_place"]["interval"]["estimate"] == 0.75
    assert (answer["missing"], answer["tasks"]) == (3, 12)
    assert "3 of 12 tasks have no prediction" in answer["scorecard"]["warnings"][0]
    result = types("score", "mine", "--predictions", str(here / "a.jsonl"))
    assert "WARNING: 3 of 12" in result.stdout
    assert not (here / "archive").exists(), "only the hidden test needs a journal"


def test_an_examiner_grades_predictions_made_elsewhere(types: Types, here: Path) -> None:
    file = answers(here / "exam", here / "a.jsonl", leave=6)
    lines = Path(file).read_text().splitlines()
    Path(file).write_text("\n".join([*lines[:-1], json.dumps({**json.loads(lines[-1]), "prediction": "((("})]))
    card = types("score", "exam", "--predictions", file, "--workers", "2", "--json")["scorecard"]["measures"]
    assert card["solved"]["interval"]["estimate"] == pytest.approx(5 / 12)


def test_a_reading_of_the_hidden_test_is_recorded(types: Types, here: Path) -> None:
    file = answers(here / "mine", here / "a.jsonl", "test")
    assert "--split test" in types("score", "mine", "--predictions", file, code=2).stderr
    types("score", "mine", "--predictions", file, "--split", "test")
    (reading,) = events(here, "test_read")
    assert (reading["benchmark"], reading["predictions"], len(reading["sha256"])) == ("mine", 12, 64)


# -- import --------------------------------------------------------------------------------------


def test_import_refuses_what_it_cannot_read(types: Types, here: Path) -> None:
    (here / "papers.jsonl").write_text("nonsense\n")
    types("import", "paper_review", "papers.jsonl", "out.jsonl", code=2)
    assert "exists already" in types("import", "paper_review", "papers.jsonl", "papers.jsonl", code=2).stderr
    types("import", "spelling", "a", "b", code=2)
    assert "holds no LANGUAGE" in types("import", "coding", str(here), "out.jsonl", code=2).stderr
    assert not (here / "out.jsonl").exists()
