"""kill -9 at many instants, and flipped bytes in every part of an archive."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from hyperagent.archive import lock_holder, open_archive
from hyperagent.archive.store import Store
from hyperagent.types import CallKey, ModelCall, Outcome, SandboxInfo

WRITER = Path(__file__).with_name("archive_writer.py")
NOTHING = SandboxInfo("process", "none")


def writer(home: Path, *, die_at: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, str(WRITER), str(home), str(die_at)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def acknowledged(process: subprocess.Popen[str], most: int) -> list[dict[str, object]]:
    """Up to ``most`` acknowledgements, then kill -9, then those that were in the pipe already."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if len(lines) == most:
            process.send_signal(signal.SIGKILL)
            break
    lines += process.stdout.read().splitlines()
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    return [json.loads(line) for line in lines if line.endswith(("}", "}\n"))]


def check_after_the_crash(home: Path, promises: list[dict[str, object]]) -> None:
    assert lock_holder(home) is None
    with open_archive(home, write=True) as archive:
        archive.recover()
        assert archive.verify() == []
        assert archive.recover() == []
        for promise in promises:
            if "outcome" in promise:
                outcomes = {one.task: one for one in archive.outcomes(int(str(promise["evaluation"])))}
                assert outcomes[str(promise["outcome"])].prediction == promise["prediction"]
            elif "commit" in promise:
                variant = archive.variant(str(promise["variant"]))
                assert variant.commit == promise["commit"]
                assert "big.bin" in archive.read_tree(variant.commit)
            elif "blob" in promise:
                assert archive.get_blob(str(promise["blob"]))
            elif "call" in promise:
                assert archive.recorded_call(CallKey(str(promise["call"]), "t", 0)) is not None
            elif "finished" in promise:
                assert archive.variant(str(promise["finished"])).status == "evaluated"
    done = subprocess.run(["git", "--git-dir", str(home / "lineage.git"), "fsck", "--full"], capture_output=True)
    assert done.returncode == 0, done.stderr


def test_kill_9_after_any_acknowledgement_loses_nothing(tmp_path: Path) -> None:
    """One archive lives through all the crashes, so that each resume starts from the last one's ruins."""
    chance = random.Random(20)
    home = tmp_path / "home"
    promises: list[dict[str, object]] = []
    spent = 0
    for _ in range(6):
        new = acknowledged(writer(home), chance.randrange(1, 40))
        assert new
        promises += new
        check_after_the_crash(home, promises)
        with open_archive(home) as archive:
            spend = archive.spend(archive.campaign("demo").id)
        assert spend.tokens >= spent
        spent = spend.tokens


@pytest.mark.parametrize("die_at", [3, 8, 14, 23, 37, 52, 71, 96])
def test_kill_9_between_two_steps_of_a_write_loses_nothing(tmp_path: Path, die_at: int) -> None:
    """The writer kills itself at its n-th file operation: before an open, a rename, a removal."""
    home = tmp_path / "home"
    open_archive(home, create=True).close()
    promises = acknowledged(writer(home, die_at=die_at), 10_000)
    check_after_the_crash(home, promises)


# -- one object on disk changed


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A closed archive that holds something of everything, and in which nothing is wrong."""
    with open_archive(tmp_path / "home", write=True, create=True) as archive:
        campaign = archive.create_campaign("demo", 1, {"a": 1})
        variant = archive.start_step("demo", 0, None, {})
        variant = archive.commit_program(variant.id, {"a.py": b"x = 1\n"}, "seed")
        big = archive.put_blob(random.Random(1).randbytes(40_000))
        running = archive.start_evaluation(variant.id, "math", "train", ["t"], 0, "c", NOTHING)
        archive.add_outcome(running.id, Outcome("t", "scored", 0.0, '"wrong"', transcript_blob=big))
        archive.finish_evaluation(running.id, "finished", 0.0)
        call = ModelCall(CallKey("j", "t", 0), campaign.id, variant.id, "evaluate", "m", "h", "reserved", 9, 9, 1.0)
        archive.reserve_call(call)
        archive.finish_variant(variant.id, "evaluated", score=0.0, summary="unremarkable")
        archive.start_step("demo", 1, variant.id, {})
        assert archive.verify() == []
    return tmp_path / "home"


def flip(file: Path, position: int) -> None:
    data = bytearray(file.read_bytes())
    data[position] ^= 0x41
    file.chmod(0o644)
    file.write_bytes(data)


def verified(home: Path) -> list[str]:
    with open_archive(home) as archive:
        return [f"{one.where}: {one.what}" for one in archive.verify()]


@pytest.mark.parametrize("position", [0, 200, -1])
def test_a_flipped_byte_in_a_blob_is_found(home: Path, position: int) -> None:
    flip(next(one for one in (home / "blobs").rglob("*") if one.is_file()), position)
    assert any(line.startswith("blob") for line in verified(home))


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("position", [0, 8, -1])
def test_a_flipped_byte_in_a_git_object_is_found(home: Path, number: int, position: int) -> None:
    objects = sorted(one for one in (home / "lineage.git/objects").rglob("*") if one.is_file())
    assert len(objects) == 3  # blob, tree, commit
    flip(objects[number], position)
    assert verified(home)


@pytest.mark.parametrize("text", [b'"wrong"', b"unremarkable", b'{"a":1}', b"math", b"demo", b"outcome_added"])
def test_a_flipped_byte_in_the_database_is_found(home: Path, text: bytes) -> None:
    data = (home / "archive.db").read_bytes()
    places = [at for at in range(len(data)) if data.startswith(text, at)]
    assert places
    for place in places:
        flip(home / "archive.db", place + 1)
        assert verified(home), f"{text!r} at {place}"
        (home / "archive.db").write_bytes(data)
    assert verified(home) == []


TAMPERING = {
    "a better score": "UPDATE outcome SET score = 1.0",
    "a better variant": "UPDATE variant SET score = 1.0 WHERE step = 0",
    "a removed outcome": "DELETE FROM outcome",
    "a removed event": "DELETE FROM event WHERE sequence = 2",
    "the newest event removed": "DELETE FROM event WHERE sequence = (SELECT max(sequence) FROM event)",
    "a changed event": "UPDATE event SET payload = '{}' WHERE sequence = 3",
    "a cheaper call": "UPDATE model_call SET cost = 0.1",
    "a removed blob": "DELETE FROM blob",
    "an outcome that was not planned": "UPDATE evaluation SET tasks = '[\"u\"]'",
    "a lost parent": "PRAGMA foreign_keys=OFF; DELETE FROM variant WHERE step = 0",
    "another commit": 'UPDATE variant SET "commit" = \'' + "0" * 40 + "' WHERE step = 0",
    "broken JSON": "UPDATE evaluation SET tasks = '['",
}


@pytest.mark.parametrize("statement", TAMPERING.values(), ids=TAMPERING.keys())
def test_tampering_with_rows_is_found(home: Path, statement: str) -> None:
    database = sqlite3.connect(home / "archive.db")
    database.executescript(statement)
    database.close()
    assert verified(home)


# -- git and rows disagree


def test_a_lost_ref_comes_back(home: Path) -> None:
    (home / "lineage.git/refs/variants/demo/0").unlink()
    with open_archive(home, write=True) as archive:
        assert [one.mendable for one in archive.verify()] == [True]
        assert archive.recover() == ["restored the ref of demo/0"]
        assert archive.verify() == []


def test_a_ref_whose_row_was_never_written_goes(home: Path) -> None:
    with open_archive(home, write=True) as archive:
        half_done(archive)
        assert [one.mendable for one in archive.verify()] == [True]
        assert len(archive.recover()) == 1
        assert archive.verify() == []
        again = archive.commit_program(archive.variant("demo/1").id, {"b.py": b""}, "edit")
        assert archive.read_tree(again.commit) == {"b.py": b""}


def half_done(archive: Store) -> None:
    """What a kill between the git commit and the transaction leaves."""
    seed = archive.variant("demo/0")
    archive._lineage.commit({"b.py": b""}, seed.commit, "demo", 1, "edit")


def test_unfinished_files_go(home: Path) -> None:
    for folder in ("blobs", "lineage.git", "lineage.git/objects/ab"):
        (home / folder).mkdir(exist_ok=True)
        (home / folder / "tmp_obj_half").write_bytes(b"x")
    with open_archive(home, write=True) as archive:
        assert len(archive.recover()) == 2
        assert archive.verify() == []
    assert list(home.rglob("tmp_obj_*")) == []
