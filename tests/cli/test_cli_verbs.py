"""Every verb from the outside: what it prints, its exit code, its JSON."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hyperagent.config import Config, load_config
from hyperagent.errors import ModelUnavailable

Invoke = Callable[..., Any]
VERBS = [
    "init",
    "doctor",
    "verify",
    "run",
    "resume",
    "stop",
    "status",
    "ls",
    "show",
    "diff",
    "lineage",
    "replay",
    "test",
    "export",
]
VERBS += ["compare", "benchmark list", "benchmark show", "benchmark fetch", "model list", "model pull", "model test"]
VERBS += ["model serve", "model bench", "import", "watch"]
VERBS += [
    "regressions",
    "ensemble",
    "sandbox build",
    "sandbox doctor",
    "costs",
    "calls show",
    "calls export",
    "import",
    "watch",
]
VERBS += ["benchmark init", "benchmark validate", "benchmark run", "benchmark score", "benchmark import"]
SHOWING = [
    "status",
    "ls",
    "ls tiny",
    "lineage",
    "show tiny/1",
    "diff tiny/1",
    "replay tiny/1 tiny/0",
    "doctor",
    "verify",
]
SHOWING += ["compare tiny/0 tiny/1", "benchmark list", "benchmark show math_grading", "model list", "model test a/b"]
SHOWING += ["sandbox doctor", "sandbox build", "test tiny/1"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "c.toml"
    path.write_text('name = "made"\n')
    return path


def ids(invoke: Invoke) -> list[str]:
    return [variant["id"] for variant in json.loads(invoke("ls", "tiny", "--json").stdout)["variants"]]


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help(invoke: Invoke, verb: str) -> None:
    result = invoke(*verb.split(), "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.stdout


@pytest.mark.parametrize("words", ["nonsense", "ls --nonsense", "run", "compare a", "replay", "test x --limit 0"])
def test_wrong_words_exit_with_2(invoke: Invoke, words: str) -> None:
    result = invoke(*words.split())
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_init_writes_a_file_that_loads_and_never_overwrites(invoke: Invoke, tmp_path: Path) -> None:
    assert invoke("init", str(tmp_path)).exit_code == 0
    target = tmp_path / "hyperagent.toml"
    assert load_config(target) == Config()
    target.write_text("mine")
    result = invoke("init", str(target))
    assert (result.exit_code, target.read_text()) == (2, "mine")
    assert "--force" in result.stderr
    assert invoke("init", str(target), "--force").exit_code == 0
    assert load_config(target) == Config()


def test_run_prints_the_tree_the_best_and_the_next_commands(invoke: Invoke, fake: Any, config: Path) -> None:
    result = invoke("run", str(config), "--seed", "7", "--set", "budget.variants=4")
    assert result.exit_code == 0, result.output
    assert fake.configs[0].seed == 7
    assert fake.configs[0].budget.variants == 4
    assert "best  made/1" in result.stdout
    assert "0.80 [" in result.stdout
    assert "8 won, 0 lost" in result.stdout
    assert "1/4 variants" in result.stderr
    assert "hyperagent diff" in result.stderr
    assert fake.runners[0].closed


@pytest.mark.parametrize(
    ("state", "lost", "code"), [("finished", 0, 0), ("budget_reached", 0, 4), ("finished", 2, 5), ("failed", 0, 1)]
)
def test_exit_codes_of_run(invoke: Invoke, fake: Any, config: Path, state: Any, lost: int, code: int) -> None:
    fake.state, fake.lost = state, lost
    result = invoke("run", str(config), "--json")
    assert (result.exit_code, json.loads(result.stdout)["exit_code"]) == (code, code)
    assert ("hyperagent resume made" in result.stderr) == (state != "finished")


def test_one_interrupt_asks_two_cancel(invoke: Invoke, fake: Any, config: Path) -> None:
    asked, cancelled = threading.Event(), threading.Event()

    def during(runner: Any) -> None:
        runner.request_stop, runner.cancel = asked.set, cancelled.set
        os.kill(os.getpid(), signal.SIGINT)
        assert asked.wait(10)
        assert not cancelled.is_set()
        os.kill(os.getpid(), signal.SIGINT)
        assert cancelled.wait(10)

    fake.during, fake.state = during, "stopped"
    before = signal.getsignal(signal.SIGINT)
    result = invoke("run", str(config))
    assert result.exit_code == 130, result.output
    assert "Ctrl-C again" in result.stderr
    assert signal.getsignal(signal.SIGINT) is before


def test_sigterm_cancels(invoke: Invoke, fake: Any, config: Path) -> None:
    cancelled = threading.Event()

    def during(runner: Any) -> None:
        runner.cancel = cancelled.set
        os.kill(os.getpid(), signal.SIGTERM)
        assert cancelled.wait(10)

    fake.during, fake.state = during, "stopped"
    assert invoke("run", str(config)).exit_code == 143


def test_dry_run_makes_nothing(invoke: Invoke, fake: Any, config: Path, tmp_path: Path) -> None:
    result = invoke("run", str(config), "--dry-run", "--json")
    plan = json.loads(result.stdout)
    assert (plan["schema"], plan["plan"]["tokens"], plan["config"]["name"]) == (1, 60_000, "made")
    assert "60,000" in invoke("run", str(config), "--dry-run").stdout
    assert not fake.runners
    assert not (tmp_path / "archive").exists()


def test_a_bad_config_is_one_message_and_a_hint(invoke: Invoke, config: Path) -> None:
    config.write_text("[budget]\nvarants = 3\n")
    result = invoke("run", str(config))
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        f"error: {config}:2: unknown key budget.varants",
        "  hint: did you mean budget.variants?",
    ]


def test_resume_takes_raised_caps(invoke: Invoke, fake: Any, home: Path) -> None:
    assert invoke("resume", "tiny", "--set", "budget.variants=32").exit_code == 0
    assert fake.configs[0].budget.variants == 32
    assert invoke("resume", "tiny", "--set", "seed=2").exit_code == 2
    assert invoke("resume", "nowhere").exit_code == 2


def test_stop_asks_the_holder(invoke: Invoke, fake: Any, home: Path) -> None:
    assert invoke("stop").exit_code == 2  # nobody writes
    fake.holder = {"pid": os.getpid()}
    assert invoke("stop", "tiny").exit_code == 2  # finished long ago
    came = threading.Event()
    before = signal.signal(signal.SIGINT, lambda number, frame: came.set())
    try:
        result = invoke("stop", "--json")
        assert came.wait(10)
    finally:
        signal.signal(signal.SIGINT, before)
    assert json.loads(result.stdout)["pid"] == os.getpid()


@pytest.mark.parametrize("words", SHOWING)
def test_everything_that_shows_something_does_so_in_json_and_in_text(invoke: Invoke, home: Path, words: str) -> None:
    result = invoke(*words.split(), "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["schema"] == 1
    assert result.stdout.isascii()
    assert not {"\x1b", "\x07"} & set(result.stdout)
    words = words.replace("test tiny/1", "compare tiny/0 tiny/1")
    result = invoke(*words.split())
    assert result.exit_code == 0, result.output
    assert result.stdout.strip()
    assert not {"\x1b", "\x07", "\u202e"} & set(result.output)


def test_references_by_prefix_and_step(invoke: Invoke, home: Path) -> None:
    identity = ids(invoke)[1]
    by_step = json.loads(invoke("show", "tiny/1", "--json").stdout)["variant"]
    by_prefix = json.loads(invoke("show", identity[:10], "--json").stdout)["variant"]
    assert by_step["id"] == by_prefix["id"] == identity


def test_show_tells_everything_but_hidden_results(invoke: Invoke, home: Path) -> None:
    assert invoke("test", "tiny/1").exit_code == 0
    result = invoke("show", "tiny/1", "--metrics")
    for part in ("0.80 [", "parent", "isolates nothing", "the one answer best on train", "20 scored"):
        assert part in result.stdout
    splits = {entry["split"] for entry in json.loads(invoke("show", "tiny/1", "--json").stdout)["evaluations"]}
    assert splits == {"validation"}


def test_test_scores_the_seed_beside_it(invoke: Invoke, fake: Any, home: Path) -> None:
    result = invoke("test", "tiny/1", "--limit", "2")
    assert fake.tested == [([0, 1], 2)]
    assert "2 tasks won, 0 lost of 2" in result.stdout
    assert "inconclusive" in result.stdout


def test_compare_says_which_is_better(invoke: Invoke, home: Path) -> None:
    assert "the second is better: 8 tasks won, 0 lost of 20" in invoke("compare", "tiny/0", "tiny/1").stdout
    assert "the second is worse" in invoke("compare", "tiny/1", "tiny/0").stdout
    (control,) = [line for line in invoke("compare", "tiny/0", "tiny/1").stdout.splitlines() if "control" in line]
    assert control.split()[:4] == ["control:", "constant", "20", "0.50"]
    assert json.loads(invoke("compare", "tiny/0", "tiny/1", "--json").stdout)["controls"]["math_grading"]["constant"]
    assert invoke("compare", "tiny/0", "tiny/1", "--split", "test").exit_code == 2  # not recorded


def test_diff_against_the_parent_and_of_what_has_none(invoke: Invoke, home: Path) -> None:
    lines = invoke("diff", "tiny/1").stdout.splitlines()
    assert "-answer = 1" in lines
    assert "+answer = 2" in lines
    assert invoke("diff", "tiny/0", "tiny/3").exit_code == 0
    for words in (("diff", "tiny/0"), ("diff", "tiny/2")):
        result = invoke(*words)
        assert result.exit_code == 2
        assert "hint:" in result.stderr


def test_replay_reports_the_first_divergence(invoke: Invoke, fake: Any, home: Path) -> None:
    assert "identical  tiny/1" in invoke("replay", "tiny/1").stdout
    fake.divergence = "task t3: call 0 was not recorded"
    result = invoke("replay", "tiny/1", "--mutation")
    assert result.exit_code == 1
    assert "task t3" in result.stdout
    assert invoke("replay", "tiny/1", "--live").exit_code == 0
    assert invoke("replay", "tiny/1", "--live", "--mutation").exit_code == 2


def test_doctor_exits_with_3_and_names_the_fix(invoke: Invoke, fake: Any) -> None:
    fake.checks[0].state, fake.checks[0].fix = "missing", "install docker"
    result = invoke("doctor")
    assert result.exit_code == 3
    assert "docker: install docker" in result.stdout
    assert json.loads(invoke("sandbox", "doctor", "--json").stdout)["ok"] is False


def test_an_archive_that_is_not_there(invoke: Invoke) -> None:
    for words in (("status",), ("ls",), ("show", "x"), ("lineage",), ("verify",)):
        result = invoke(*words)
        assert result.exit_code == 2, result.output
        assert "error:" in result.stderr


def test_archive_option_is_stronger_than_the_variable(invoke: Invoke, home: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "nowhere"
    assert invoke("ls", "--archive", str(home), archive=elsewhere).exit_code == 0
    assert invoke("--archive", str(home), "ls", archive=elsewhere).exit_code == 0
    assert invoke("--archive", str(elsewhere), "ls", archive=home).exit_code == 2


def test_errors_of_the_engine_have_their_exit_code_and_bugs_say_so(invoke: Invoke, fake: Any) -> None:
    def fail(error: Exception) -> Callable[[], Any]:
        def raising() -> Any:
            raise error

        return raising

    fake.models = fail(ModelUnavailable("no weights\x1b[2J", hint="pull them"))
    result = invoke("model", "list")
    assert (result.exit_code, result.stderr) == (3, "error: no weights\n  hint: pull them\n")
    fake.models = fail(KeyError("oops"))
    result = invoke("model", "list")
    assert result.exit_code == 1
    assert "this is a bug" in result.stderr
    assert "Traceback" not in result.stderr
    assert "Traceback" in invoke("--debug", "model", "list").stderr
    fake.models = fail(KeyboardInterrupt())  # type: ignore[arg-type]
    assert invoke("model", "list").exit_code == 130


def command(*words: str, **others: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "hyperagent", *words], **others)


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from hyperagent.cli import app; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "typer" in loaded
    heavy = {"rich", "sqlalchemy", "docker", "numpy", "git", "litellm", "xllamacpp", "hyperagent.assembly"}
    assert not heavy & set(loaded)


def test_a_closed_pipe_is_no_error(home: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    process = command("ls", "--archive", str(home), stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, b"")


def test_a_stdout_that_is_not_utf8_gets_ascii(home: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    process = command("lineage", "--archive", str(home), stdout=subprocess.PIPE, env=environment)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"`- - 3 " in out


def test_model_test_recommends_a_format(invoke: Invoke) -> None:
    shown = invoke("model", "test", "a/b")
    assert 'recommended: editing = "menu"' in shown.stdout
    row = next(line.split() for line in shown.stdout.splitlines() if line.startswith("menu"))
    assert row[1:7] == ["3/3", "3/3", "3/3", "2/3", "1/3", "4s"]
    whole = json.loads(invoke("model", "test", "a/b", "--json", "--trials", "5").stdout)
    assert whole["recommended"] == "menu"
    assert whole["editing"][0]["trials"] == 5
    assert "editing" not in json.loads(invoke("model", "test", "a/b", "--json", "--trials", "0").stdout)
