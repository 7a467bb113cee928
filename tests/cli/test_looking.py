"""The verbs that look: what a newcomer asks, at any width, in any encoding, and with programs that write anything."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import make_campaign

from hyperagent import assembly as real
from hyperagent.protocols import Archive
from hyperagent.report.text import width
from hyperagent.types import CallKey, ModelCall, Outcome, SandboxInfo

Invoke = Callable[..., Any]
ROOT = Path(__file__).parents[2]
VERBS = {
    "status": "status",
    "ls": "ls",
    "ls tiny": "ls-campaign",
    "lineage": "lineage",
    "show tiny/1 --metrics": "show",
    "show tiny/0": "show",
    "show tiny/2": "show",
    "diff tiny/1": "diff",
    "diff tiny/0 tiny/3": "diff",
    "compare tiny/0 tiny/1": "compare",
    "compare tiny other": "compare-campaigns",
    "replay tiny/1 tiny/0": "replay",
    "replay tiny/1 --mutation --step-through": "replay-step-through",
    "show tiny/1 --transcript": "show-conversations",
    "show tiny/1 --transcript t3": "show-transcript",
}
HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07\x1b]8;;http://x\x07\x9b31m\u202eevil\u2066\u200b\r\x00\x85"
    "<script>alert(1)</script>\n\nsecond line \ud800"
)


def script(name: str) -> Any:
    specification = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def converse(archive: Archive, reference: str, asked: str, answered: str) -> None:
    """Record a mutation of two calls."""
    variant = archive.variant(reference)
    messages = [{"role": "user", "content": asked}]
    for sequence in range(2):
        key = CallKey(f"{variant.campaign}/{variant.step}/mutate", "mutate", sequence)
        call = ModelCall(key, variant.campaign, variant.id, "mutate", "scripted/x", "", "reserved", 10, 2, 0.0)
        archive.reserve_call(call)
        request, reply = {"messages": messages}, {"message": {"role": "assistant", "content": answered}}
        settled = ModelCall(key, variant.campaign, variant.id, "mutate", "scripted/x", "", "settled", 10, 2, 0.0)
        archive.settle_call(settled, json.dumps(request).encode(), json.dumps(reply).encode())
        messages = [*messages, reply["message"], {"role": "user", "content": "again"}]


@pytest.fixture
def rich(home: Path) -> Path:
    """The tiny campaign, a second one, a recorded mutation and a transcript."""
    archive = real.open_archive(home, write=True)
    make_campaign(archive, "other")
    converse(archive, "tiny/1", "improve", "done")
    parent = archive.variant("tiny/1")
    talker = archive.start_step(parent.campaign, 4, parent.id, {})
    archive.commit_program(talker.id, {"task_agent.py": b"def solve(x):\n    return x\n"}, "talks")
    evaluation = archive.start_evaluation(
        talker.id, "math_grading", "validation", ("t0", "t1"), 0, "context", SandboxInfo("process", "none")
    )
    blob = archive.put_blob(HOSTILE.encode("utf-8", "replace"))
    archive.add_outcome(evaluation.id, Outcome("t0", "scored", 0.5, '"a"', transcript_blob=blob))
    archive.add_outcome(evaluation.id, Outcome("t1", "agent_error", 0.0, "null"))
    archive.finish_evaluation(evaluation.id, "finished", 0.25)
    archive.finish_variant(talker.id, "evaluated", score=0.25)
    archive.close()
    return home


@pytest.mark.parametrize(("words", "name"), VERBS.items())
def test_json_is_what_the_schemas_in_docs_say(invoke: Invoke, rich: Path, words: str, name: str) -> None:
    words = words.replace("tiny/1 --transcript", "tiny/4 --transcript").replace("--transcript t3", "--transcript t0")
    result = invoke(*words.split(), "--json")
    assert result.exit_code == 0, result.output
    schema = json.loads((ROOT / "docs" / "schemas" / f"{name}.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(strict(schema)).validate(json.loads(result.stdout))


def strict(schema: Any) -> Any:
    """Published schemas allow members of later releases; today's output has none that they do not name."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: strict(value) for key, value in schema.items()}
    if "properties" in found and found.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return found


def test_schemas_are_those_of_the_types(tmp_path: Path) -> None:
    script("make_schemas").main([str(tmp_path)])
    made = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    kept = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "schemas").glob("*.json")}
    assert made == kept, "run scripts/make_schemas.py"


def test_export_is_the_program_and_nothing_else(invoke: Invoke, home: Path, tmp_path: Path) -> None:
    target = tmp_path / "new" / "program"
    result = invoke("export", "tiny/1", str(target), "--json")
    archive = real.open_archive(home)
    tree = {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}
    assert archive.tree_id(tree) == archive.variant("tiny/1").tree == json.loads(result.stdout)["tree"]
    archive.close()
    again = invoke("export", "tiny/1", str(target))
    assert (again.exit_code, "not an empty folder" in again.stderr) == (2, True)
    assert invoke("export", "tiny/2", str(tmp_path / "none")).exit_code == 2
    assert not (tmp_path / "none").exists()


def test_the_checkout_command_gives_the_program(invoke: Invoke, home: Path, tmp_path: Path) -> None:
    command = json.loads(invoke("show", "tiny/1", "--json").stdout)["checkout"]
    subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True)
    assert (tmp_path / "DIR" / "task_agent.py").read_bytes().startswith(b"answer = 2")


def test_show_says_what_changed_and_which_tasks_flipped(invoke: Invoke, rich: Path) -> None:
    text = invoke("show", "tiny/4").stdout
    assert "+solve" in text
    assert "lost    2  t0 t1" in text
    assert "1 of 2 tasks ended in an error" in text
    assert "too few for any interval" in text


def test_transcripts_by_task_and_wrong_names(invoke: Invoke, rich: Path) -> None:
    assert "math_grading/validation/t0" in invoke("show", "tiny/4", "--transcript").stdout
    assert "second line" in invoke("show", "tiny/4", "--transcript", "t0").stdout
    missing = invoke("show", "tiny/4", "--transcript", "t9")
    assert (missing.exit_code, "there is math_grading/validation/t0" in missing.stderr) == (2, True)
    assert invoke("show", "tiny/4", "t0").exit_code == 2


def test_a_conversation_turn_by_turn_shows_only_what_is_new(invoke: Invoke, rich: Path) -> None:
    text = invoke("replay", "tiny/1", "--mutation", "--step-through").stdout
    assert text.count("improve") == 1
    assert text.count("--- assistant ---") == 2
    assert "turn 2 of 2" in text
    assert invoke("replay", "tiny/1", "--step-through").exit_code == 2


def test_replay_of_a_whole_campaign(invoke: Invoke, fake: Any, home: Path) -> None:
    result = invoke("replay", "--all", "tiny")
    assert [line.split()[1] for line in result.stdout.splitlines()[:3]] == ["tiny/0", "tiny/1", "tiny/3"]
    assert "3 identical, 0 diverged; 60 tasks compared" in result.stdout
    assert "[2/3]" in result.stderr
    assert "tiny/0" not in invoke("replay", "--since", "1", "tiny").stdout
    assert invoke("replay").exit_code == 2
    assert "1 task" in invoke("replay", "tiny/1", "--task", "t3").stdout


def test_compare_says_what_would_decide_and_what_it_cost(invoke: Invoke, rich: Path) -> None:
    close = invoke("compare", "tiny/1", "tiny/4").stdout  # partial credit on 2 shared tasks
    assert "paired bootstrap" in close
    assert invoke("compare", "tiny/0", "tiny/1", "--benchmark", "math_grading").exit_code == 0
    assert invoke("compare", "tiny/0", "tiny/1", "--benchmark", "none").exit_code == 2
    campaigns = invoke("compare", "tiny", "other").stdout
    assert "inconclusive: a single run says nothing" in campaigns
    assert invoke("compare", "tiny", "tiny/1").exit_code == 2
    assert invoke("compare", "tiny", "tiny").exit_code == 2


LOOKING = [
    "status", "ls", "ls tiny", "lineage --all", "lineage --dot", "lineage --mermaid", "lineage --svg",
    "show hostile/1", "show hostile/1 --transcript", "show hostile/1 --transcript t0", "diff hostile/1",
    "compare hostile/0 hostile/1", "compare tiny hostile", "replay hostile/1 --mutation --step-through",
]  # fmt: skip


@pytest.fixture
def hostile(home: Path) -> Path:
    """A variant that writes terminal escapes, markup, bidi marks and a line of 10 MB wherever it can."""
    archive = real.open_archive(home, write=True)
    campaign = archive.create_campaign("hostile", 1, {"name": "hostile", "seed": 1, "x": 1})
    seed = archive.start_step(campaign.id, 0, None, {})
    bad = "\u202efdp\u2066<script>.py"
    long = b"# " + b"x" * 10_000_000 + b"\n"
    trees = (
        {"task_agent.py": b"a = 1\n"},
        {"task_agent.py": long + HOSTILE.encode("utf-8", "replace"), bad: b"\x1b[2J"},
    )
    for variant, tree, words in ((seed, trees[0], ""), (None, trees[1], HOSTILE)):
        variant = variant or archive.start_step(campaign.id, 1, seed.id, {})
        blob = archive.put_blob(HOSTILE.encode("utf-8", "replace"))
        if variant.step:
            archive.describe_mutation(variant.id, summary=words, seconds=1.0, transcript_blob=blob)
        archive.commit_program(variant.id, tree, words or "seed")
        evaluation = archive.start_evaluation(
            variant.id, "math_grading", "validation", ("t0", f"t1{HOSTILE[:60]}".replace("\0", "")), 0, "c",
            SandboxInfo("process", "none", warnings=(HOSTILE,)),
        )  # fmt: skip
        for number, task in enumerate(evaluation.tasks):
            score = float(number == variant.step)
            prediction = json.dumps(HOSTILE * (100_000 if number == variant.step else 1))
            archive.add_outcome(
                evaluation.id, Outcome(task, "scored", score, prediction, HOSTILE, transcript_blob=blob)
            )
        archive.finish_evaluation(evaluation.id, "finished", 0.5)
        archive.finish_variant(variant.id, "evaluated", score=0.5, summary=words, reason=words)
    converse(archive, "hostile/1", HOSTILE, HOSTILE)
    archive.close()
    return home


def test_hostile_text_changes_nothing_on_the_screen(invoke: Invoke, hostile: Path) -> None:
    for words in LOOKING:
        result = invoke(*words.split())
        assert result.exit_code == 0, (words, result.output[-2000:])
        for stream in (result.stdout, result.stderr):
            bad = {character for character in stream if not character.isprintable() and character != "\n"}
            assert bad <= ({"\t"} if words.startswith(("diff", "show hostile/1 --")) else set()), (words, bad)
        if words.endswith("--svg"):
            assert "<script" not in result.stdout
        elif not words.startswith("diff"):
            assert len(result.stdout) < 200_000, words
    assert invoke("diff", "hostile/1", "--json").exit_code == 0


@pytest.mark.parametrize("columns", [40, 80, 140])
def test_every_line_fits_the_terminal(
    invoke: Invoke, rich: Path, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for words in ("ls", "ls tiny", "lineage --all", "compare tiny/0 tiny/1", "show tiny/4", "compare tiny other"):
        lines = invoke(*words.split()).stdout.splitlines()
        # Ids of commits and the command that checks one out are for copying: they are never cut.
        lines = [line for line in lines if not line.startswith(("commit ", "tree ", "code "))]
        assert max(map(width, lines)) <= columns, max(lines, key=width)


def command(*words: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, **variables}
    return subprocess.run(
        [sys.executable, "-m", "hyperagent", *words], env=environment, capture_output=True, check=False
    )


def test_ascii_terminals_get_ascii_marks(home: Path) -> None:
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "HYPERAGENT_ARCHIVE": str(home)}
    done = command("show", "tiny/1", **ascii_only)
    assert (done.returncode, done.stdout.isascii()) == (0, True)
    assert b"?" not in done.stdout.split(b"before you believe")[0].split(b"says")[0]


def test_no_color_wins(home: Path) -> None:
    forced = command("lineage", HYPERAGENT_ARCHIVE=str(home), FORCE_COLOR="1", NO_COLOR="")
    assert b"\x1b[" in forced.stdout
    plain = command("lineage", HYPERAGENT_ARCHIVE=str(home), FORCE_COLOR="1", NO_COLOR="1")
    assert b"\x1b[" not in plain.stdout


def test_a_shell_completes_campaigns_and_variants_without_loading_anything(home: Path) -> None:
    variables = {
        "_HYPERAGENT_COMPLETE": "complete_bash", "HYPERAGENT_ARCHIVE": str(home), "COMP_CWORD": "2",
    }  # fmt: skip
    run = "import sys; from hyperagent.cli import app\ntry:\n    app(prog_name='hyperagent')\nfinally:\n"
    run += "    print(*sys.modules, file=sys.stderr)"

    def complete(words: str, at: str = "2") -> tuple[list[str], set[str]]:
        environment = {**os.environ, **variables, "COMP_WORDS": words, "COMP_CWORD": at}
        done = subprocess.run([sys.executable, "-c", run], env=environment, capture_output=True, text=True, check=False)
        return done.stdout.split(), set(done.stderr.split())

    offered, loaded = complete("hyperagent lineage t")
    assert offered == ["tiny"]
    assert not {"sqlalchemy", "numpy", "git", "hyperagent.assembly", "hyperagent.archive"} & loaded
    assert complete("hyperagent show tiny/")[0] == ["tiny/3", "tiny/2", "tiny/1", "tiny/0"]
    assert complete("hyperagent show ti")[0] == ["tiny/"]
    assert complete("hyperagent compare tiny/1 ti", "3")[0] == ["tiny", "tiny/"]
    variables["HYPERAGENT_ARCHIVE"] = str(home / "none")
    assert complete("hyperagent lineage t")[0] == []


def test_reading_verbs_load_neither_numpy_nor_git_nor_the_engine(home: Path) -> None:
    code = "import sys; from hyperagent.cli import app\ntry:\n    app()\n"
    code += "finally:\n    print(*sys.modules, file=sys.stderr)"
    for words in ("ls tiny", "status", "lineage"):
        done = subprocess.run(
            [sys.executable, "-c", code, *words.split(), "--archive", str(home)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        heavy = {
            "numpy",
            "git",
            "gitdb",
            "docker",
            "litellm",
            "hyperagent.engine.campaign",
            "hyperagent.evaluation.pack",
        }
        assert not heavy & set(done.stderr.split()), words


def test_a_made_archive_is_a_whole_one(tmp_path: Path) -> None:
    script("make_archive").main([str(tmp_path / "made"), "--variants", "12", "--tasks", "4"])
    archive = real.open_archive(tmp_path / "made")
    assert archive.verify() == []
    variants = archive.variants("made")
    archive.close()
    assert len(variants) == 13
    assert re.fullmatch("[0-9a-f]{40}", variants[0].commit)
