"""kill -9 at instants all over an import: afterwards the archive has the whole campaign or nothing of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from hyperagent.archive import open_archive
from hyperagent.errors import UsageError
from hyperagent.protocols import Archive
from hyperagent.types import CallKey, ModelCall, Outcome, SandboxInfo

IMPORTER = Path(__file__).with_name("bundle_importer.py")
STEPS = 3


def make_campaign(archive: Archive, name: str) -> None:
    campaign = archive.create_campaign(name, 1, {})
    parent = None
    for step in range(STEPS):
        variant = archive.start_step(campaign.id, step, parent, {})
        archive.commit_program(variant.id, {"n.py": b"%d" % step}, "edit")
        call = ModelCall(
            CallKey(f"{campaign.id}/{step}", "t", 0), campaign.id, variant.id, "mutate", "m", "h", "reserved", 2, 2, 0.0
        )
        archive.reserve_call(call)
        # Random bytes: too large to be packed into the database.
        archive.settle_call(replace(call, state="settled"), b"request", os.urandom(20_000))
        running = archive.start_evaluation(variant.id, "m", "train", ["a"], 0, "c", SandboxInfo("process", "none"))
        archive.add_outcome(running.id, Outcome("a", "scored", 1.0))
        archive.finish_evaluation(running.id, "finished", 1.0)
        parent = archive.finish_variant(variant.id, "evaluated", score=1.0).id


def test_a_killed_import_leaves_all_or_nothing(tmp_path: Path) -> None:
    source, target, bundle = tmp_path / "source", tmp_path / "target", tmp_path / "demo.hyb"
    with open_archive(source, write=True, create=True) as archive, bundle.open("wb") as stream:
        make_campaign(archive, "demo")
        archive.export_bundle(stream, "demo")
    with open_archive(target, write=True, create=True) as archive:
        make_campaign(archive, "mine")
    copies = tmp_path / "copies"
    copies.mkdir()
    command = [sys.executable, str(IMPORTER), str(copies), str(target), str(bundle), "9"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=True)
    attempts = [json.loads(line) for line in done.stdout.splitlines()]
    assert attempts[-1]["status"] == 0
    assert [one["killed"] for one in attempts] == [True] * (len(attempts) - 1) + [False]
    whole = [check_after_the_crash(Path(one["home"]), bundle) for one in attempts]
    # Killed early there is nothing; killed while the refs are set, the campaign is there; never anything between.
    assert whole == sorted(whole)
    assert {True, False} == set(whole[:-1])


def check_after_the_crash(home: Path, bundle: Path) -> bool:
    """True where the campaign is there; imports it again, which mends what is left to mend."""
    with open_archive(home) as reader:
        names = {one.name for one in reader.campaigns()}
        there = "demo" in names
        assert names == {"mine", *(["demo"] if there else [])}
        assert all(problem.mendable for problem in reader.verify())
    with open_archive(home, write=True) as archive:
        with pytest.raises(UsageError, match="already") if there else nullcontext():
            archive.import_bundle(bundle)
        assert archive.verify() == []
        variants = archive.variants("demo")
        assert [one.step for one in variants] == list(range(STEPS))
        assert len(archive.calls(campaign=archive.campaign("demo").id)) == STEPS
        assert [archive.read_tree(one.commit)["n.py"] for one in variants] == [b"0", b"1", b"2"]
    return there
