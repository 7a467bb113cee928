"""Campaigns with failed mutations, twins, lost and retried steps, made again on real parts without the model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from test_campaign import BETTER, PROGRAM, Bench, bench

from hyperagent.archive import open_archive
from hyperagent.config import Config
from hyperagent.engine.parts import Parts
from hyperagent.engine.reenactment import Reenactment
from hyperagent.errors import ModelLost
from hyperagent.models import LocalBroker, RecordedCalls, ScriptedClient
from hyperagent.types import CampaignReplay, ChatRequest, Json

__all__ = ["bench"]  # the fixture

EDITS: list[Json] = [
    "no json at all",
    {"README.md": ["words", "many words"]},
    {"task_agent.py": ["SKILL = 0", "import nowhere"]},
    {"task_agent.py": ["SKILL = 0", "SKILL = 1"]},
    {"task_agent.py": ["SKILL = 0", "SKILL = 1  # the same in other words"]},
    BETTER,
]


def never(request: ChatRequest) -> Json:
    raise AssertionError("a replay asked the model")


def again(bench: Bench, config: Config, path: Path) -> CampaignReplay:
    assert bench.campaign is not None
    with open_archive(path, write=True, create=True) as fresh:
        was = bench.archive.campaign(bench.campaign.id)
        made = fresh.create_campaign(was.name, was.random_seed, was.config, was.id)
        calls = RecordedCalls(bench.archive, fresh, was.id, lambda job: job, lambda job: "")
        broker = LocalBroker(
            ScriptedClient(never), calls, runtime_directory=bench.sockets, timeout=20, retries=0, replay=True
        )
        parts = bench.parts(config)
        parts = Parts(fresh, broker, parts.sandbox, parts.benchmarks, config)
        return Reenactment(bench.archive, made, parts, PROGRAM, lambda text: None, lambda: calls.served).replay()


def test_what_failed_fails_again_and_what_was_lost_is_found(bench: Bench, tmp_path: Path) -> None:
    bench.edits = [edit if isinstance(edit, str) else json.dumps(edit) for edit in EDITS]
    config = bench.config(variants=2, steps=5)
    config = replace(config, search=replace(config.search, workers=3, selection="random"))
    bench.failure = lambda text: ModelLost("the server fell over") if text == "task 3" else None
    bench.runner(config).run()
    bench.failure = lambda text: None
    result = bench.runner(config).run()
    assert result.done
    statuses = {variant.status for variant in bench.variants()}
    assert {"invalid", "no_effect", "evaluated"} <= statuses
    found = again(bench, config, tmp_path / "again")
    assert [f"{one.step}: {one.difference}" for one in found.steps if one.difference] == []
    assert found.identical
    assert [one.status for one in found.steps] == [variant.status for variant in bench.variants()]
    assert {one.choice for one in found.steps[1:]} == {"again"}


def test_a_campaign_that_ends_with_open_steps_is_made_up_to_there(bench: Bench, tmp_path: Path) -> None:
    config = bench.config(steps=1)
    validated: list[str] = []

    def lose(text: str) -> ModelLost | None:
        validated.append(text)
        return ModelLost("gone") if validated.count("task 2") > 2 else None  # of the child: the seed has had its turns

    bench.failure = lose
    bench.runner(config).run()
    assert [variant.status for variant in bench.variants()] == ["evaluated", "pending"]
    found = again(bench, config, tmp_path / "again")
    assert [one.difference for one in found.steps if one.difference] == []
    assert [one.tasks for one in found.steps] == [8, 2]
    assert found.steps[-1].commit == found.steps[-1].replayed
