"""Inspirations: who is drawn, what a program is told of them, and that a resume and a replay see the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from hyperagent import assembly
from hyperagent.config import load_config
from hyperagent.engine.inspirations import INSPIRED, choose
from hyperagent.protocols import Archive
from hyperagent.types import Json, Progress, Variant

CONFIG = Path(__file__).parents[2] / "benchmarks" / "planted" / "planted.toml"


class Quiet:
    def progress(self, progress: Progress) -> None: ...

    def message(self, text: str) -> None: ...


def family(*parents: int | None, scores: dict[int, float] | None = None) -> list[Variant]:
    return [
        Variant(f"v{n}", "c", n, 0, up and up[0], "evaluated", f"c{n}", score=(scores or {}).get(n, 0.5))
        for n, up in enumerate(None if parent is None else (f"v{parent}",) for parent in parents)
    ]


def steps(variants: list[Variant], parent: int, count: int, before: int = 99, seed: int = 0) -> list[int]:
    return [one.step for one in choose(variants, variants[parent], before, count, Random(seed))]


def test_kin_the_seed_and_later_steps_are_left_out():
    #                 0     1  2  3  4  5  6
    variants = family(None, 0, 0, 1, 3, 2, 0)
    assert steps(variants, 3, 4) == [2, 5, 6]
    assert steps(variants, 3, 4, before=5) == [2]


def test_the_draw_is_among_the_best_and_changes_with_chance():
    variants = family(None, *[0] * 20, scores={n: n / 20 for n in range(21)})
    drawn = {tuple(steps(variants, 1, 2, seed=seed)) for seed in range(60)}
    assert {step for pair in drawn for step in pair} == set(range(13, 21))
    assert len(drawn) > 10


def test_two_are_of_different_lineages_while_there_are_some():
    variants = family(None, 0, 0, 2, 3, 0)
    assert all(5 in steps(variants, 1, 2, seed=seed) for seed in range(20))
    assert len(steps(family(None, 0, 0, 2), 1, 2)) == 2, "related ones are better than none"


@pytest.fixture
def home(archive_path: Path) -> Iterator[Archive]:
    archive = assembly.open_archive(archive_path, write=True, create=True)
    yield archive
    archive.close()


def run(home: Archive, *settings: str) -> str:
    config = load_config(CONFIG, environment={}, settings=["budget.variants=12", "search.workers=1", *settings])
    session = assembly.new_campaign(config, home, Quiet())
    try:
        return session.run().campaign.id
    finally:
        session.close()


def told(home: Archive, campaign: str) -> list[list[Json]]:
    summaries = []
    for event in home.events_of(campaign, "mutation_started"):
        files = json.loads(home.get_blob(event.payload["evidence"]))
        summaries.append(json.loads(files["summary.json"])["inspirations"])
    return summaries


def test_a_campaign_shows_them_repeatably_and_replays_them(home):
    first, second = run(home, "search.inspirations=2"), run(home, "search.inspirations=2")
    shown = told(home, first)
    assert any(shown), "nobody was ever shown anything"
    assert [[row["step"] for row in rows] for rows in shown] == [
        [r["step"] for r in rows] for rows in told(home, second)
    ]
    rows = [row for rows in shown for row in rows]
    assert all(row.keys() == {"step", "train_gain", "summary", "diff"} for row in rows)
    assert any(isinstance(row["train_gain"], float) for row in rows)
    assert all(row["diff"] for row in rows)
    chosen = {event.payload["step"]: event.payload["inspirations"] for event in home.events_of(first, INSPIRED)}
    assert [len(chosen[step]) for step in sorted(chosen)] == [len(rows) for rows in shown]
    variant = next(one for one in home.variants(first) if one.step == max(step for step in chosen if chosen[step]))
    replayer = assembly.replayer(home)
    assert replayer.mutation(variant).identical
    replayer.close()


def test_without_them_the_evidence_is_as_it_was(home):
    campaign = run(home)
    event = home.events_of(campaign, "mutation_started")[-1]
    assert "inspirations" not in json.loads(json.loads(home.get_blob(event.payload["evidence"]))["summary.json"])
    assert not home.events_of(campaign, INSPIRED)
