"""The public Python interface: its names, its values, and every example of its page."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import hyperagent
from hyperagent.archive import open_archive
from hyperagent.protocols import Archive
from hyperagent.types import CallKey, ModelCall, Outcome, SandboxInfo, Spend, Variant

ROOT = Path(__file__).parent.parent
HOSTILE = "\x1b[2J \ud800 <script>"


def make_variant(archive: Archive, campaign: str, step: int, parent: str | None, right: int) -> Variant:
    """Right on the first ``right`` of four tasks of each split; the hidden test ran as well."""
    variant = archive.start_step(campaign, step, parent, {})
    archive.commit_program(variant.id, {"task_agent.py": b"answer = %d\n" % step}, "edit")
    key = CallKey(f"{campaign}/{step}/mutate", "mutate", 0)
    call = ModelCall(key, campaign, variant.id, "mutate", "openai/m", "h", "reserved", 9, 9, 0.5)
    archive.reserve_call(call)
    asked = json.dumps({"messages": [{"role": "user", "content": f"improve {step}"}]}).encode()
    answered = json.dumps({"message": {"role": "assistant", "content": HOSTILE}}).encode()
    archive.settle_call(
        replace(call, state="settled", prompt_tokens=30, completion_tokens=12, cost=0.01), asked, answered
    )
    for split in ("train", "validation", "test"):
        tasks = [f"{split}-{number}" for number in range(4)]
        info = SandboxInfo("process", "none")
        evaluation = archive.start_evaluation(variant.id, "letters", split, tasks, 0, "c", info)  # type: ignore[arg-type]
        for number, task in enumerate(tasks):
            spend = Spend(1, 0, 20, 5, 0.001)
            archive.add_outcome(
                evaluation.id, Outcome(task, "scored", float(number < right), '"=1+1"', "", 0.25, spend=spend)
            )
        archive.finish_evaluation(evaluation.id, "finished", right / 4)
    return archive.finish_variant(variant.id, "evaluated", score=right / 4, summary=HOSTILE)


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "archive"
    with open_archive(path, write=True, create=True) as archive:
        campaign = archive.create_campaign("quickstart", 7, {"seed": 7})
        seed = make_variant(archive, campaign.id, 0, None, 1)
        child = make_variant(archive, campaign.id, 1, seed.id, 3)
        idle = archive.start_step(campaign.id, 2, child.id, {})
        archive.finish_variant(idle.id, "no_effect", reason="only README.md changed")
        archive.set_campaign_state(campaign.id, "finished")
    return path


@pytest.fixture
def archive(made_once: Path) -> Iterator[Any]:
    with hyperagent.open_archive(made_once) as opened:
        yield opened


# -- names


def test_the_public_names_are_exactly_all() -> None:
    assert dir(hyperagent) == sorted(hyperagent.__all__)
    assert {name for name in hyperagent.__all__ if not hasattr(hyperagent, name)} == set()
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = hyperagent.nonsense  # type: ignore[attr-defined]


def test_type_checkers_see_the_same_names() -> None:
    stub = (ROOT / "hyperagent" / "__init__.pyi").read_text()
    listed = re.findall(r'^    "(\w+)",$', stub, re.MULTILINE)
    imported = re.findall(r"import (\w+) as \1$", stub, re.MULTILINE)
    assert listed == hyperagent.__all__
    assert sorted([*imported, "__version__"]) == sorted(listed)
    assert (ROOT / "hyperagent" / "py.typed").is_file()


def test_the_page_names_all_of_them() -> None:
    page = (ROOT / "docs" / "python.md").read_text()
    assert [name for name in hyperagent.__all__ if f"`{name}`" not in page] == []


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, hyperagent; print(*sorted(m for m in sys.modules if m.startswith(('hyperagent.', 'sqlalchemy'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


# -- values


def test_campaigns_and_variants(archive: Any) -> None:
    (campaign,) = archive.campaigns()
    assert (campaign.name, campaign.state, campaign.random_seed, campaign.config) == (
        "quickstart",
        "finished",
        7,
        {"seed": 7},
    )
    seed, child, idle = campaign.variants()
    assert [one.step for one in campaign.variants()[1:]] == [1, 2]
    assert (child.score, child.generation, child.summary) == (0.75, 1, HOSTILE)
    assert (child.interval.estimate, child.interval.n) == (0.75, 4)
    assert child.interval.low < 0.75 < child.interval.high
    assert (seed.parent, child.parent.id, idle.interval) == (None, seed.id, None)
    assert [one.id for one in seed.children()] == [child.id]
    assert campaign.best().id == child.id == archive.variant("quickstart/1").id
    assert campaign.spend().cost == pytest.approx(0.02)
    with pytest.raises(hyperagent.HyperagentError, match="no campaign"):
        archive.campaign("nonsense")


def test_programs_and_diffs(archive: Any) -> None:
    seed, child, idle = archive.campaign("quickstart").variants()
    assert child.program() == {"task_agent.py": b"answer = 1\n"}
    assert idle.program() == {}
    assert "-answer = 0\n+answer = 1\n" in child.diff()
    assert "+answer = 0\n" in seed.diff()
    assert "-answer = 1\n+answer = 0\n" in seed.diff(child)
    with pytest.raises(hyperagent.HyperagentError, match="has no program"):
        idle.diff()


def test_outcomes_leave_the_hidden_test_out_unless_it_is_asked_for(archive: Any) -> None:
    campaign = archive.campaign("quickstart")
    child = campaign.best()
    assert (
        {row.split for row in child.outcomes()} == {row.split for row in campaign.outcomes()} == {"train", "validation"}
    )
    assert [row.score for row in child.outcomes("validation")] == [1.0, 1.0, 1.0, 0.0]
    assert {row.split for row in child.outcomes("test")} == {"test"}
    assert len(campaign.outcomes(with_test=True)) == 24
    row = child.outcomes("train")[0]
    assert (row.campaign, row.step, row.variant, row.parent) == ("quickstart", 1, child.id, child.parent.id)
    assert (row.benchmark, row.task, row.seconds, row.calls, row.tokens, row.cost) == (
        "letters",
        "train-0",
        0.25,
        1,
        25,
        0.001,
    )


def test_pairs_and_calls(archive: Any) -> None:
    seed, child, _ = archive.campaign("quickstart").variants()
    pair = child.compare(seed)
    assert (pair.wins, pair.losses, pair.n) == (2, 0, 4)
    (call,) = child.calls()
    assert (call.purpose, call.model, call.state, call.prompt_tokens, call.cost) == (
        "mutate",
        "openai/m",
        "settled",
        30,
        0.01,
    )
    assert call.request["messages"][0]["content"] == "improve 1"
    assert call.reply["message"]["content"] == HOSTILE


def test_it_reads_beside_a_writer_and_cannot_write(made_once: Path, tmp_path: Path) -> None:
    home = shutil.copytree(made_once, tmp_path / "archive")
    with open_archive(home, write=True) as writer, hyperagent.open_archive(home) as reader:
        campaign = reader.campaign("quickstart")
        writer.start_step(campaign.id, 3, None, {})
        assert len(campaign.variants()) == 4
        assert not [name for name in dir(reader) if name.startswith(("set_", "add_", "create_"))]


def test_without_a_path_it_is_the_archive_of_the_command_line(
    made_once: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HYPERAGENT_ARCHIVE", str(made_once))
    with hyperagent.open_archive() as archive:
        assert archive.path == made_once
    with pytest.raises(hyperagent.HyperagentError, match="no archive"):
        hyperagent.open_archive(tmp_path / "nowhere")


# -- tables


def test_rows_are_flat(archive: Any) -> None:
    rows = archive.campaign("quickstart").variants().to_dicts()
    assert [(row["step"], row["score"], row["campaign"]) for row in rows[:2]] == [
        (0, 0.25, "quickstart"),
        (1, 0.75, "quickstart"),
    ]
    assert rows[1]["parent"] == rows[0]["id"]
    assert 0 < rows[1]["low"] < 0.75 < rows[1]["high"] < 1
    cells = (str, int, float, type(None))
    for records in (archive.campaign("quickstart").outcomes(), archive.variant("quickstart/1").calls()):
        assert all(isinstance(value, cells) for row in records.to_dicts() for value in row.values())


def test_pandas_takes_the_rows_or_is_named(archive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = archive.campaign("quickstart").outcomes()
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=lambda rows: ("frame", rows)))  # type: ignore[arg-type]
    assert outcomes.to_dataframe() == ("frame", outcomes.to_dicts())
    monkeypatch.setitem(sys.modules, "pandas", None)  # type: ignore[arg-type]
    with pytest.raises(ImportError, match="pip install pandas"):
        outcomes.to_dataframe()


# -- the page


def examples() -> list[str]:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    found = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(found) > 5
    has_pandas = importlib.util.find_spec("pandas") is not None
    return [code for code in found if has_pandas or not code.startswith("# needs pandas")]


def test_the_examples_run_in_order(
    made_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(made_once, tmp_path / "archive")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for number, code in enumerate(examples()):
        exec(compile(code, f"docs/python.md, example {number}", "exec"), names)
    printed = capsys.readouterr().out
    assert "1 evaluated 0.75" in printed
    assert "+answer = 1" in printed
    assert "improve 1 ->" in printed
    assert "no campaign 'no such campaign'" in printed
