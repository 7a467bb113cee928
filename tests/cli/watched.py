"""A campaign to watch, made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hyperagent.assembly import CampaignWatch
from hyperagent.config import Config, to_json
from hyperagent.protocols import Archive
from hyperagent.types import Outcome, SandboxInfo

CONFIG = Path(__file__).parents[2] / "benchmarks" / "planted" / "planted.toml"
INFO = SandboxInfo("process", "none")
OWN: Mapping[str, Any] = {"pid": 42, "started": 0.0}


def beginning(archive: Archive, name: str = "new") -> str:
    """A campaign whose seed program is under way, with two workers."""
    campaign = archive.create_campaign(name, 1, to_json(Config())).id
    archive.append_event(campaign, "session_started", {"workers": 2, "caps": {"variants": 4, "tokens": 500}})
    archive.start_step(campaign, 0, None, {})
    return campaign


def evaluated(archive: Archive, variant: str, right: int, total: int = 4, summary: str = "") -> None:
    """Commit a program, run its tasks, and give it its final score."""
    archive.commit_program(variant, {"a.py": variant.encode()}, "program")
    names = tuple(f"t{number}" for number in range(total))
    found = archive.start_evaluation(variant, "bench", "validation", names, 2, "context", INFO)
    for number, name in enumerate(names):
        archive.add_outcome(found.id, Outcome(name, "scored", float(number < right)))
    archive.finish_evaluation(found.id, "finished", right / total)
    archive.finish_variant(variant, "evaluated", score=right / total, summary=summary)


def doing(watch: CampaignWatch) -> list[tuple[int, str]]:
    watch.refresh()
    return [(found.step, found.doing) for found in watch.snapshot.activities]
