"""What keeps a step of a long campaign as cheap as one of a short campaign, and what that must not cost."""

from __future__ import annotations

import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from hyperagent.archive import open_archive
from hyperagent.archive.lineage import Lineage
from hyperagent.archive.migrations import check_version
from hyperagent.archive.schema import Database
from hyperagent.engine.journal import SESSION_STARTED, elapsed
from hyperagent.errors import ArchiveDamaged
from hyperagent.sandbox import ProcessSandbox
from hyperagent.types import JobSpec, RunRequest

AGENT = b"class TaskAgent:\n    def __init__(self, **_): ...\n    def forward(self, inputs):\n        return %s, ''\n"
META = b"class MetaAgent:\n    def __init__(self, **_): ...\n    def forward(self, *_):\n        return ''\n"
LOOK = b"__import__('os').listdir('..')"


def test_a_durable_transaction_is_flushed_and_one_that_waits_is_not(tmp_path: Path) -> None:
    database = Database(tmp_path / "x.db", write=True, create=True)
    seen = []
    for durable in (True, False, True):
        with database.write(durable=durable) as rows:
            seen.append(rows.query("PRAGMA synchronous")[0]["synchronous"])
    database.close()
    assert seen == [2, 1, 2]  # FULL, NORMAL, FULL


def test_the_last_children_before_a_step(tmp_path: Path) -> None:
    with open_archive(tmp_path, write=True, create=True) as archive:
        campaign = archive.create_campaign("demo", 1, {}).id
        seed = archive.start_step(campaign, 0, None, {})
        archive.commit_program(seed.id, {"a.py": b""}, "seed")
        for step in range(1, 6):
            archive.start_step(campaign, step, seed.id, {})
        assert [child.step for child in archive.children(seed.id)] == [1, 2, 3, 4, 5]
        assert [child.step for child in archive.children(seed.id, before=4, most=2)] == [2, 3]


def test_the_time_of_all_sessions_is_read_from_their_ends(tmp_path: Path) -> None:
    with open_archive(tmp_path, write=True, create=True) as archive:
        campaign = archive.create_campaign("demo", 1, {}).id
        assert elapsed(archive, campaign) == 0.0
        kinds = [SESSION_STARTED, "work", SESSION_STARTED, "work", "work"]
        made = [archive.append_event(campaign, kind, {}) for kind in kinds]
        spans = (made[1].created - made[0].created) + (made[4].created - made[2].created)
        assert elapsed(archive, campaign) == pytest.approx(spans)


def test_many_diffs_from_one_git_are_those_of_git(tmp_path: Path) -> None:
    lineage = Lineage(tmp_path / "lineage.git", create=True)
    programs = [{"a.py": b"x = %d\n" % n, "b.txt": b"end of this diff\n" * n} for n in range(4)]
    commits = [lineage.commit(files, "", "demo", n, "")[0] for n, files in enumerate(programs)]
    for before, after in pairwise(commits):
        command = ["git", "--git-dir", str(lineage.path), "diff-tree", "-r", "-p", before, after]
        wanted = subprocess.run(command, capture_output=True, check=True, text=True).stdout
        assert lineage.diff(before, after) == lineage.diff(before, after) == wanted
    lineage.close()


def test_a_missing_object_is_an_error_and_the_next_diff_works(tmp_path: Path) -> None:
    lineage = Lineage(tmp_path / "lineage.git", create=True)
    one, two, three = (lineage.commit({"a.py": b"%d\n" % n}, "", "demo", n, "")[0] for n in range(3))
    blob = subprocess.run(
        ["git", "--git-dir", str(lineage.path), "rev-parse", f"{two}:a.py"], capture_output=True, check=True, text=True
    ).stdout.strip()
    (lineage.path / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(ArchiveDamaged, match="diff-tree"):
        lineage.diff(one, two)
    assert "+2" in lineage.diff(one, three)
    lineage.close()


def test_the_first_schema_version_is_read_without_being_changed(tmp_path: Path) -> None:
    check_version(1, tmp_path / "x.db", write=False)


def test_a_runner_serves_the_next_job_and_keeps_nothing_of_the_last() -> None:
    sandbox = ProcessSandbox("many-steps", keep=1)
    sandbox.prepare()
    files = {"task_agent.py": AGENT % LOOK, "meta_agent.py": META}
    try:
        with sandbox.session(JobSpec("first", {**files, "left.py": b""})) as session:
            assert session.run(RunRequest("task", {"inputs": {}}, 10)).status == "ok"
        with sandbox.session(JobSpec("second", {**files, "task_agent.py": AGENT % b"__import__('os').getppid()"})) as s:
            first = s.run(RunRequest("task", {"inputs": {}}, 10)).value
        with sandbox.session(JobSpec("third", files)) as session:
            assert sorted(session.run(RunRequest("task", {"inputs": {}}, 10)).value) == ["program", "run"]
        with sandbox.session(JobSpec("fourth", {**files, "task_agent.py": AGENT % b"__import__('os').getppid()"})) as s:
            assert s.run(RunRequest("task", {"inputs": {}}, 10)).value == first
    finally:
        sandbox.reap()
