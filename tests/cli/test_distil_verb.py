"""``distil`` at the command line: what it plans, what it refuses, and which adapters there are."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from hyperagent.archive import open_archive
from hyperagent.cli import app
from hyperagent.config import Config, ModelsConfig, to_json
from hyperagent.models import known_model
from hyperagent.models.adapters import WEIGHTS, Adapter, adapter_folder, read_adapter, write_manifest
from hyperagent.types import CallKey, ModelCall, Outcome, SandboxInfo

TASKS = tuple(f"t{number}" for number in range(4))
FORM = {"response_format": {"type": "json_schema"}}
NAME = "smollm2-135m+0123456789"


def make_history(archive, name="past", parents=10, mutations=20, config=None):
    """Chains of parents, each with mutations of which every second one is right once more."""
    campaign = archive.create_campaign(name, 1, {**to_json(config or Config()), "program_files": ""})
    grown = []
    for step in range(parents + mutations):
        parent = grown[step % parents] if step >= parents else None
        variant = archive.start_step(campaign.id, step, parent.id if parent else None, {})
        if parent:
            key = CallKey(f"{campaign.id}/{step}/mutate", "mutate", 0)
            call = ModelCall(key, campaign.id, variant.id, "mutate", "local/x", "0" * 64, "reserved", 9, 9, 0.0)
            archive.reserve_call(call)
            request = {"messages": [{"role": "user", "content": f"situation {step}"}], "parameters": FORM}
            reply = {"message": {"content": json.dumps({"edit": f"e{step}"})}}
            archive.settle_call(
                ModelCall(**{**vars(call), "state": "settled"}),
                json.dumps(request).encode(),
                json.dumps(reply).encode(),
            )
        archive.commit_program(variant.id, {"task_agent.py": f"# {name} {step}".encode()}, "program")
        right = 1 + (step % 2 if parent else 0)
        evaluation = archive.start_evaluation(
            variant.id, "math_grading", "validation", TASKS, 0, "context", SandboxInfo("process", "none")
        )
        for number, task in enumerate(TASKS):
            archive.add_outcome(evaluation.id, Outcome(task, "scored", float(number < right), '"yes"'))
        archive.finish_evaluation(evaluation.id, "finished", right / 4)
        variant = archive.finish_variant(variant.id, "evaluated", score=right / 4, summary=f"edit e{step}")
        grown.append(variant)
    return archive.set_campaign_state(campaign.id, "finished")


@pytest.fixture(scope="module")
def past(tmp_path_factory):
    """Made once: nothing here writes to it."""
    path = tmp_path_factory.mktemp("history") / "archive"
    other = replace(Config(), models=ModelsConfig(evaluation="local/qwen2.5-coder-0.5b"))
    with open_archive(path, write=True, create=True) as archive:
        make_history(archive)
        make_history(archive, "other", 2, 4, other)
    return path


@pytest.fixture
def home(past, tmp_path, monkeypatch):
    monkeypatch.setenv("HYPERAGENT_MODELS", str(tmp_path / "models"))
    return past


def call(home, *words):
    return CliRunner().invoke(app, ["distil", *words, "--archive", str(home)])


def test_the_plan_counts_what_there_is(home):
    done = call(home, "past", "--dry-run", "--json", "--held-out", "0.2", "--seed", "2")
    assert done.exit_code == 0, done.output
    plan = json.loads(done.stdout)["plan"]
    assert (plan["mutations"], plan["own"], plan["improved"]) == (20, 20, 10)
    assert (plan["parents"], plan["held_out"]) == (10, 2)
    assert plan["pairs"]["adapter"] == plan["pairs"]["control"] >= 8
    assert plan["names"]["control"] == plan["names"]["adapter"] + "-control"
    assert (
        json.loads(call(home, "past", "--dry-run", "--json", "--held-out", "0.2", "--seed", "2").stdout)["plan"] == plan
    )
    alone = json.loads(call(home, "past", "--dry-run", "--json", "--held-out", "0.2", "--no-control").stdout)["plan"]
    assert set(alone["names"]) == {"adapter"}
    assert alone["names"]["adapter"] != plan["names"]["adapter"]  # another seed, another adapter


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "name the campaigns"),
        (("nowhere",), 2, "nowhere"),
        (("past", "--model", "openai/x"), 2, "cannot be fine-tuned"),
        (("past", "--model", "local/x"), 2, "no local model"),
        (("past", "other"), 2, "differ in benchmarks or evaluation model"),
        (("other",), 2, "needed"),
        (("past", "--yes", "--held-out", "0.2", "--seed", "2"), 3, "pip install 'hyperagent[train]'"),
        (("--offer-anyway", "smollm2-135m+../../x"), 2, "no adapter's name"),
        (("--offer-anyway", "smollm2-135m+9999999999"), 2, "no adapter smollm2-135m+9999999999"),
        (("--list", "past"), 2, "take no campaigns"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(home, monkeypatch, words, code, said):
    monkeypatch.setitem(sys.modules, "accelerate", None)
    done = call(home, *words)
    assert done.exit_code == code, done.output
    assert said in done.output
    assert "Traceback" not in done.output


def test_without_weights_it_says_how_to_get_them(home, monkeypatch):
    from hyperagent.assembly import distilling

    monkeypatch.setattr(distilling, "training_libraries", lambda: None)
    done = call(home, "past", "--yes", "--held-out", "0.2", "--seed", "2")
    assert done.exit_code == 3
    assert "hyperagent model pull smollm2-135m" in done.output


def _adapter(role="adapter", name=NAME):
    folder = adapter_folder(name)
    folder.mkdir(parents=True)
    (folder / WEIGHTS).write_bytes(b"lora")
    sha = known_model("smollm2-135m").sha256
    made = Adapter(name, "smollm2-135m", sha, "0" * 64, role, "ab" * 32, 9, ("past",), {}, 1.0, why="not better\x1b[2J")
    write_manifest(made)


def test_an_adapter_that_is_not_better_is_offered_only_on_demand(home):
    _adapter()
    listed = call(home, "--list")
    assert "\x1b" not in listed.stdout
    assert [word in listed.stdout for word in (NAME, "not better", "ab" * 6)] == [True] * 3
    assert json.loads(call(home, "--list", "--json").stdout)["adapters"][0]["offered"] is False
    assert call(home, "--offer-anyway", f"local/{NAME}").exit_code == 0
    adapter = read_adapter(NAME)
    assert adapter.offered
    assert adapter.why.startswith("offered all the same: not better")
    assert call(home, "--offer-anyway", NAME).exit_code == 0
    assert read_adapter(NAME) == adapter


def test_a_control_is_never_offered(home):
    _adapter("control", f"{NAME}-control")
    done = call(home, "--offer-anyway", f"{NAME}-control")
    assert done.exit_code == 2
    assert "control" in done.output
