"""``costs`` and ``calls``: sums, breakdowns, what is cut off, and that no key leaves the machine."""

from __future__ import annotations

import gzip
import hashlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hyperagent.archive import open_archive
from hyperagent.cli import app
from hyperagent.cli.context import Context
from hyperagent.models import wire
from hyperagent.types import CallKey, ChatReply, ChatRequest, ModelCall, Outcome, Purpose, SandboxInfo

KEY = "sk-MARKED-0123456789"
HOSTILE = "\x1b[2Jgone\x07\u202e"
Costs = Callable[..., Any]


@pytest.fixture
def spent(home: Path) -> Path:
    """Campaign ``tiny``: the seed's tasks, two mutations, a call that failed, one that was cut off, one cached."""
    with open_archive(home, write=True) as archive:
        campaign = archive.campaigns()[0].id
        seed, child, *_ = archive.variants(campaign)

        def call(
            job: str, task: str, purpose: Purpose, variant: str, state: str, tokens: int, cached: bool = False
        ) -> None:
            request = ChatRequest("openai/m", ({"role": "user", "content": f"{task} {HOSTILE}"},), {"max_tokens": 9})
            canonical = wire.canonical_request(request)
            name = "openai/m" if purpose == "evaluate" else "local/large-model-with-a-name"
            made = ModelCall(
                CallKey(f"{campaign}/{job}", task, 0), campaign, variant, purpose, name,
                wire.request_hash(canonical), "reserved", 2 * tokens, tokens, tokens / 1000, cached=cached,
            )  # fmt: skip
            archive.reserve_call(made)
            if state == "reserved":
                return
            size = (0, 0, 0.0) if state == "failed" else (tokens, 1, tokens / 2000)
            ended = ModelCall(
                **{**vars(made), "state": state, "prompt_tokens": size[0], "completion_tokens": size[1],
                   "cost": size[2], "seconds": 2.0, "error": "HTTP 500" if state == "failed" else ""},
            )  # fmt: skip
            reply = ChatReply({"role": "assistant", "content": f"yes {HOSTILE}"}, "stop", *size)
            archive.settle_call(ended, canonical, b"" if state == "failed" else wire.reply_bytes(reply))

        for task in ("t0", "t1", "t2"):
            call("0/math_grading/validation", task, "evaluate", seed.id, "settled", 100)
        call("1/math_grading/validation", "t0", "evaluate", child.id, "settled", 100, cached=True)
        call("1/math_grading/validation", "t1", "evaluate", child.id, "failed", 100)
        call("1/mutate", "mutate", "mutate", child.id, "settled", 1000)
        call("2/mutate", "mutate", "mutate", child.id, "reserved", 2000)
    return home


@pytest.fixture
def costs(spent: Path, monkeypatch: pytest.MonkeyPatch) -> Costs:
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words: str) -> Any:
        context = Context(environment={"HYPERAGENT_ARCHIVE": str(spent), "OPENAI_API_KEY": KEY})
        return CliRunner().invoke(app, list(words), obj=context)

    return run


def test_the_table_adds_up_and_fits_eighty_columns(costs: Costs) -> None:
    for by in ("purpose", "model", "variant", "day"):
        result = costs("costs", "tiny", "--by", by)
        assert result.exit_code == 0, result.output
        lines = result.stdout.splitlines()
        assert max(map(len, lines)) <= 80
        (total,) = [line for line in lines if line.startswith("total ")]
        assert total.split() == ["total", "6", "1", "5,300", "2,004", "$2.6500", "10s"]
    assert "mutate" in costs("costs", "tiny").stdout


def test_the_summary_names_shares_ratios_and_what_was_cut_off(costs: Costs) -> None:
    text = costs("costs", "tiny").stdout
    assert "evaluate 6%, mutate 94% of the dollars" in text
    assert "3,652 tokens, $1.3250, 5s (over 2 evaluated)" in text
    assert "(for +40.0 points on validation)" in text
    assert "unsettled    1 call cut off, at worst 6,000 tokens, $2.0000" in text
    assert "no reply     1 call" in text


def test_json_says_the_same(costs: Costs) -> None:
    data = json.loads(costs("costs", "tiny", "--by", "variant", "--json").stdout)
    assert (data["schema"], data["by"]) == (1, "variant")
    assert [row["step"] for row in data["rows"]] == [0, 1]
    assert [row["calls"] for row in data["rows"]] == [3, 3]
    assert data["rows"][1]["cached_calls"] == 1
    total = {name: sum(row[name] for row in data["rows"]) for name in ("calls", "failed", "unsettled", "prompt_tokens")}
    assert total == {name: data["total"][name] for name in total} == {
        "calls": 6, "failed": 1, "unsettled": 1, "prompt_tokens": 5300,
    }  # fmt: skip
    assert data["per_variant"]["cost"] == pytest.approx(2.65 / 2)
    assert data["per_point"]["cost"] == pytest.approx(2.65 / 40)
    assert data["unsettled"]["prompt_tokens"] == 4000


def test_a_call_counts_on_the_day_its_task_ended(costs: Costs, spent: Path) -> None:
    with open_archive(spent, write=True) as archive:  # the same tasks once more, in other conditions
        seed = archive.variant("tiny/0")
        again = archive.start_evaluation(
            seed.id, "math_grading", "validation", ("t0",), 0, "other", SandboxInfo("process", "none")
        )
        archive.add_outcome(again.id, Outcome("t0", "scored", 1.0))
    with sqlite3.connect(spent / "archive.db") as rows:  # times only: neither sums nor seals are looked at here
        rows.execute("UPDATE variant SET created = 86400.0 * 10")
        rows.execute("UPDATE event SET created = 86400.0 * 11 + 5 WHERE kind = 'outcome_added'")
        rows.execute(
            "UPDATE event SET created = 86400.0 * 12 - 1 WHERE subject = "
            "(SELECT 'outcome:' || id FROM outcome WHERE task = 't2' ORDER BY id LIMIT 1)"
        )
        rows.execute("UPDATE event SET created = 86400.0 * 13 WHERE kind = 'variant_finished'")
    data = json.loads(costs("costs", "tiny", "--by", "day", "--json").stdout)
    assert [(row["name"], row["calls"]) for row in data["rows"]] == [("1970-01-11", 2), ("1970-01-12", 4)]


def test_a_campaign_without_calls_has_no_ratios(costs: Costs, spent: Path) -> None:
    with open_archive(spent, write=True) as archive:
        archive.create_campaign("empty", 1, {})
    result = costs("costs", "empty")
    assert result.exit_code == 0
    assert "per variant" not in result.stdout
    assert json.loads(costs("costs", "empty", "--json").stdout)["per_point"] is None
    assert costs("costs", "nothing-of-that-name").exit_code == 2


def test_it_reads_while_a_campaign_writes(costs: Costs, spent: Path) -> None:
    with open_archive(spent, write=True) as archive:
        archive.set_campaign_state("tiny", "running")
        result = costs("costs", "tiny")
    assert (result.exit_code, "in flight or cut off" in result.stdout) == (0, True)


def test_an_export_is_complete_equal_and_holds_no_key(costs: Costs, tmp_path: Path) -> None:
    first, second, plain = tmp_path / "a.jsonl.gz", tmp_path / "b.jsonl.gz", tmp_path / "c.jsonl"
    for file in (first, second, plain):
        result = costs("calls", "export", "tiny", str(file))
        assert result.exit_code == 0, result.output
    assert first.read_bytes() == second.read_bytes()
    data = gzip.decompress(first.read_bytes())
    assert data == plain.read_bytes()
    assert KEY.encode() not in data
    assert b"uthorization" not in data
    records = [json.loads(line) for line in data.splitlines()]
    assert len(records) == 7
    for entry in records:
        if entry["state"] != "reserved":
            assert hashlib.sha256(wire.canonical_json(entry["request"])).hexdigest() == entry["request_hash"]
    assert records[0]["reply"]["message"]["content"] == f"yes {HOSTILE}"
    assert [entry["state"] for entry in records].count("reserved") == 1
    again = costs("calls", "export", "tiny", str(first))
    assert (again.exit_code, "--force" in again.stderr) == (2, True)
    assert costs("calls", "export", "tiny", str(first), "--force").exit_code == 0
    assert costs("calls", "export", "tiny", str(tmp_path / "no" / "such.gz")).exit_code == 2
    assert sorted(path.name for path in tmp_path.glob("*jsonl*")) == ["a.jsonl.gz", "b.jsonl.gz", "c.jsonl"]


def test_calls_are_shown_escaped(costs: Costs) -> None:
    text = costs("calls", "show", "tiny/0/math_grading/validation", "t1").stdout
    assert "\x1b" not in text
    assert "\\x1b[2J" in text
    assert "user:" in text
    assert "reply:" in text
    assert text.count("openai/m") == 1
    every = costs("calls", "show", "tiny/0/math_grading/validation").stdout
    assert every.count("openai/m") == 3
    assert "HTTP 500" in costs("calls", "show", "tiny/1/math_grading/validation", "t1").stdout
    assert "reserved" in costs("calls", "show", "tiny/2/mutate").stdout
    data = json.loads(costs("calls", "show", "tiny/1/mutate", "--json").stdout)
    assert data["calls"][0]["request"]["messages"][0]["content"] == f"mutate {HOSTILE}"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("tiny/1/nothing",), "tiny/1/mutate"),
        (("tiny/9/mutate",), "tiny/0/math_grading/validation"),
        (("tiny/1/mutate", "t7"), "there is mutate"),
        (("other/1/mutate",), "hyperagent ls"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(costs: Costs, words: tuple[str, ...], hint: str) -> None:
    result = costs("calls", "show", *words)
    assert result.exit_code == 2
    assert hint in result.stderr


@pytest.mark.parametrize("words", ["costs", "calls", "calls export", "calls show"])
def test_help(costs: Costs, words: str) -> None:
    assert "Usage:" in costs(*words.split(), "--help").stdout
