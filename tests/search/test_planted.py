"""Modes, transfer and imp on the planted landscape: both directions, that a search gains and that it does not."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

from hyperagent import assembly
from hyperagent.cli import app
from hyperagent.config import Config, OriginConfig, load_config
from hyperagent.errors import ConfigError, UsageError
from hyperagent.models import planted
from hyperagent.protocols import Archive
from hyperagent.types import Progress

FOLDER = Path(__file__).parents[2] / "benchmarks" / "planted"
CONFIG = FOLDER / "planted.toml"


class Quiet:
    def __init__(self) -> None:
        self.messages: list[str] = []

    def progress(self, progress: Progress) -> None: ...

    def message(self, text: str) -> None:
        self.messages.append(text)


@pytest.fixture
def home(archive_path: Path) -> Iterator[Archive]:
    archive = assembly.open_archive(archive_path, write=True, create=True)
    yield archive
    archive.close()


def configured(*settings: str) -> Config:
    return load_config(CONFIG, environment={}, settings=list(settings))


def run(home: Archive, config: Config) -> Any:
    session = assembly.new_campaign(config, home, Quiet())
    try:
        return session.run()
    finally:
        session.close()


def comparison(home: Archive, config: Config, *modes: str, repeats: int = 1) -> Any:
    runner = assembly.ModeComparison(config, home, Quiet(), modes=modes, repeats=repeats, split="test")
    return runner.run()


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"planted_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_the_double_knows_the_combination_that_the_pack_plants() -> None:
    assert module("generator").COMBINATION == planted.COMBINATION
    rungs = module("grader").RUNGS
    assert (len(rungs), max(rungs), rungs[-1]) == (len(planted.COMBINATION) + 1, 1.0, 1.0)
    assert any(later < earlier for earlier, later in pairwise(rungs)), "nothing deceives"


def test_the_whole_algorithm_gains_where_tries_from_the_start_cannot(home: Archive) -> None:
    found = comparison(home, configured("budget.variants=16"), "best-of-n", repeats=2)
    by_mode = {one.mode: one for one in found.modes}
    assert list(by_mode) == ["dgm-h", "best-of-n", "random-edits"]
    assert by_mode["dgm-h"].median.estimate > by_mode["best-of-n"].median.estimate
    assert by_mode["best-of-n"].median.estimate <= 0.25, "one edit away from generation 0 is one rung up at most"
    assert by_mode["random-edits"].median.estimate == 0.05
    pair = next(one for one in found.pairs if one.other == "random-edits")
    assert (pair.test.wins, pair.test.losses, pair.test.n) == (2, 0, 2)
    again = comparison(home, configured("budget.variants=16"), "best-of-n", repeats=2)
    assert again == found
    assert len(home.campaigns()) == 6, "finished repeats are used again"


def test_a_useless_model_gains_in_no_mode(home: Archive) -> None:
    config = configured("budget.variants=3", "models.model=planted/useless")
    found = comparison(home, config, "no-self-improve", "no-archive", "dgm", "best-of-n")
    assert len(found.modes) == 6
    assert {(one.median.estimate, one.start.estimate) for one in found.modes} == {(0.05, 0.05)}
    assert {one.gain.p_value for one in found.modes} == {1.0}


def test_a_comparison_does_not_mix_in_campaigns_of_another_configuration(home: Archive) -> None:
    run(home, configured("budget.variants=1", "name=planted-dgm-h-1"))
    with pytest.raises(ConfigError, match="exists with another"):
        comparison(home, configured("budget.variants=2"))


def test_an_interrupted_comparison_goes_on_where_it_was(home: Archive) -> None:
    runner = assembly.ModeComparison(
        configured("budget.variants=1"), home, Quiet(), modes=(), repeats=1, split="validation"
    )
    runner.request_stop()
    with pytest.raises(Exception, match="stopped before every repeat"):
        runner.run()
    found = comparison(home, configured("budget.variants=1"))
    assert [one.mode for one in found.modes] == ["dgm-h", "random-edits"]


def test_a_campaign_starts_from_the_part_of_another_that_is_kept(home: Archive) -> None:
    run(home, configured("budget.variants=12", "name=first"))
    first = home.variants(home.campaign("first").id)
    source = next(one for one in first if one.commit and b"CARE = 1" in home.read_tree(one.commit)["habits.py"])
    grown, seed = home.read_tree(source.commit), home.read_tree(first[0].commit)
    for keep, task, meta in (("meta", seed, grown), ("task", grown, seed), ("both", grown, grown)):
        origin = OriginConfig(f"first/{source.step}", keep)
        run(home, replace(configured("budget.variants=1", f"name=from-{keep}"), origin=origin))
        campaign = home.campaign(f"from-{keep}")
        tree = home.read_tree(home.variant(f"{campaign.name}/0").commit)
        assert (tree["task_agent.py"], tree["habits.py"]) == (task["task_agent.py"], meta["habits.py"])
        assert campaign.config["origin"] == {"variant": source.id, "keep": keep}
        events = [event.payload for event in home.events(campaign.id) if event.kind == "transferred"]
        assert events == [{"variant": source.id, "keep": keep}]
    with pytest.raises(UsageError, match="no variant has 3 scored descendants"):
        run(home, replace(configured("name=none"), origin=OriginConfig("from-both/best")))


def test_imp_measures_a_frozen_meta_agent_and_goes_on_with_more_tries(home: Archive) -> None:
    run(home, configured("budget.variants=2", "name=source"))
    few = assembly.ImprovementRunner("source/0", None, home, Quiet(), k=4).run()
    found = assembly.ImprovementRunner("source/0", None, home, Quiet(), k=12).run()
    assert (few.campaign, few.k, found.k) == (found.campaign, 4, 12)
    tries = home.variants(home.campaign(found.campaign).id)
    assert {one.parent for one in tries[1:]} == {tries[0].id}
    assert len(tries) == 13
    best = max((one for one in tries[1:] if one.score is not None), key=lambda one: (one.score or 0, -one.step))
    assert (found.picked, found.initial_test) == (best.step, 0.05)
    assert found.gain.estimate == pytest.approx((best.score or 0) - 0.05)
    assert found.gain.low <= found.gain.estimate <= found.gain.high
    events = [event for event in home.events(home.campaign(found.campaign).id) if event.kind == "imp_measured"]
    assert [event.payload["k"] for event in events] == [4, 12]


def test_no_model_that_writes_code_runs_inside_the_engine(home: Archive) -> None:
    with pytest.raises(ConfigError, match="could write code"):
        run(home, configured("models.model=openai/gpt-4o"))
    assert home.campaigns() == []


def test_the_verbs_print_tables_and_json(archive_path: Path) -> None:
    runner = CliRunner()
    line = ["compare-modes", str(CONFIG), "--repeats", "1", "--modes", "best-of-n", "--set", "budget.variants=1"]
    shown = runner.invoke(app, [*line, "--archive", str(archive_path)])
    assert shown.exit_code == 0, shown.output
    assert "dgm-h - random-edits" in shown.stdout
    told = runner.invoke(app, [*line, "--archive", str(archive_path), "--json"])
    assert json.loads(told.stdout)["comparison"]["modes"][0]["mode"] == "dgm-h"
    wrong = runner.invoke(app, [*line[:-4], "--modes", "dgmh", "--archive", str(archive_path)])
    assert wrong.exit_code == 2
    imp = ["imp", "planted-best-of-n-1/0", "--k", "1", "--archive", str(archive_path), "--json"]
    assert json.loads(runner.invoke(app, imp).stdout)["improvement"]["k"] == 1
    keep = runner.invoke(app, ["run", str(CONFIG), "--keep", "task", "--archive", str(archive_path)])
    assert keep.exit_code == 2
