"""``kill -9`` of a whole run, in Docker, again and again: nothing finished is lost, paid twice or left behind."""

from __future__ import annotations

import contextlib
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = [pytest.mark.docker, pytest.mark.model]


def load_soak() -> ModuleType:
    path = Path(__file__).parents[2] / "scripts" / "soak.py"
    spec = importlib.util.spec_from_file_location("soak", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["soak"] = module
    spec.loader.exec_module(module)
    return module


def test_killed_four_times_and_resumed(tmp_path: Path) -> None:
    soak = load_soak()
    archive = tmp_path / "archive"
    settings = [*soak.SETTINGS, "budget.variants=3", "benchmarks.0.validation=8", "benchmarks.0.source=generated"]

    def until_more_is_stored(process: subprocess.Popen[bytes], number: int) -> None:
        """Let session ``number`` store some outcomes, each session another number, so that kills hit other places."""
        enough = len(soak.look(archive, "soak").outcomes) + (2, 7, 9, 4)[number]
        while len(soak.look(archive, "soak").outcomes) < enough:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.2)  # leaves the processor to the run between two looks
                return

    last = soak.soak(tmp_path, 4, settings, until_more_is_stored, lambda text: None)
    evaluated = {step for step, _, split, _ in last.outcomes if split == "validation"}
    assert len(evaluated) >= 4


def test_the_checker_notices_a_lost_outcome_and_shrinking_spend() -> None:
    soak = load_soak()
    outcome = soak.Outcome("t", "scored", 1.0)
    before = soak.Snapshot("running", {(0, "b", "validation", "t"): outcome}, 10, 1)
    with pytest.raises(soak.Broken, match="outcome"):
        soak.Snapshot("running", {}, 10, 1).follows(before)
    with pytest.raises(soak.Broken, match="spend"):
        soak.Snapshot("running", before.outcomes, 9, 1).follows(before)
