"""Opening an archive: what may be at the path, who may write, which schema versions there are."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from hyperagent.archive import lock_holder, open_archive, sqlite_warning
from hyperagent.archive.health import sqlite_warning as warning_for
from hyperagent.archive.lineage import Lineage
from hyperagent.archive.migrations import migrate
from hyperagent.errors import ArchiveDamaged, ArchiveLocked, HyperagentError, NotFoundError, PrerequisiteError
from hyperagent.types import Spend

OLD = Path(__file__).with_name("schema_v1.sql")


def home_from(script: str, path: Path) -> Path:
    """A home whose database is made from SQL text."""
    open_archive(path, create=True).close()
    (path / "archive.db").unlink()
    database = sqlite3.connect(path / "archive.db")
    database.executescript(script)
    database.close()
    return path


def schema_of(file: Path) -> set[str]:
    database = sqlite3.connect(file)
    found = {row[0] for row in database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}
    database.close()
    return found


@pytest.mark.parametrize("write", [False, True])
def test_where_there_is_no_archive_the_error_says_so(tmp_path: Path, write: bool) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "missing", tmp_path / "file"):
        with pytest.raises(NotFoundError) as caught:
            open_archive(path, write=write)
        assert "--archive" in caught.value.hint
    assert sorted(os.listdir(tmp_path)) == ["file"]


@pytest.mark.parametrize("write", [False, True])
def test_an_empty_database_is_no_archive(tmp_path: Path, write: bool) -> None:
    home = home_from("", tmp_path / "home")
    with pytest.raises(NotFoundError):
        open_archive(home, write=write)
    open_archive(home, write=True, create=True).close()  # a creation that was cut off is finished
    open_archive(home, write=write).close()


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize("script", ["CREATE TABLE t(x)", "CREATE TABLE t(x); PRAGMA user_version=99"])
def test_a_foreign_database_or_version_is_refused(tmp_path: Path, write: bool, script: str) -> None:
    with pytest.raises(ArchiveDamaged) as caught:
        open_archive(home_from(script, tmp_path / "home"), write=write)
    assert caught.value.hint
    assert lock_holder(tmp_path / "home") is None


@pytest.mark.parametrize("write", [False, True])
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, write: bool) -> None:
    home = home_from("", tmp_path / "home")
    (home / "archive.db").write_bytes(b"no database at all" * 500)
    with pytest.raises(ArchiveDamaged):
        open_archive(home, write=write)


def test_a_missing_repository_is_damage(tmp_path: Path) -> None:
    open_archive(tmp_path / "home", create=True).close()
    (tmp_path / "home" / "lineage.git" / "HEAD").unlink()
    with pytest.raises(ArchiveDamaged):
        open_archive(tmp_path / "home")


def test_a_path_that_cannot_be_made_is_a_prerequisite(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(PrerequisiteError):
        open_archive(tmp_path / "file" / "home", write=True, create=True)


def test_a_home_with_odd_characters_works(tmp_path: Path) -> None:
    with open_archive(tmp_path / "a ?b#%20ä", write=True, create=True) as archive:
        archive.create_campaign("demo", 1, {})
        assert archive.verify() == []


def test_a_second_writer_is_refused_and_told_who_writes(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert lock_holder(home) is None
    with open_archive(home, write=True, create=True):
        holder = lock_holder(home)
        assert holder is not None
        assert holder["pid"] == os.getpid()
        assert set(holder) == {"pid", "started", "host", "command"}
        with pytest.raises(ArchiveLocked) as caught:
            open_archive(home, write=True)
        assert str(os.getpid()) in caught.value.message
        assert "hyperagent stop" in caught.value.hint
    assert lock_holder(home) is None
    open_archive(home, write=True).close()


def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    archive = open_archive(tmp_path / "home", write=True, create=True)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(write)
        os.read(read, 1)  # lives until the parent is done
        os._exit(0)
    archive.close()
    open_archive(tmp_path / "home", write=True).close()
    os.close(write)
    os.close(read)
    assert os.waitpid(child, 0)[1] == 0


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    with open_archive(tmp_path / "home", create=True) as archive:
        for attempt in (
            lambda: archive.create_campaign("demo", 1, {}),
            lambda: archive.put_blob(b"x"),
            lambda: archive.put_blob(os.urandom(40_000)),
            archive.recover,
        ):
            with pytest.raises(HyperagentError, match="reading only"):
                attempt()
    assert list((tmp_path / "home" / "blobs").rglob("*")) == []


def test_readers_see_committed_rows_while_a_transaction_is_open(tmp_path: Path) -> None:
    with open_archive(tmp_path / "home", write=True, create=True) as writer:
        writer.create_campaign("demo", 1, {})
        with writer._database.write() as rows:
            rows.update("campaign", rows.find("campaign")[0], state="failed")
            with open_archive(tmp_path / "home") as reader:
                assert [one.state for one in reader.campaigns()] == ["running"]
        with open_archive(tmp_path / "home") as reader:
            assert reader.campaign("demo").state == "failed"


def test_the_first_schema_version_is_still_read_and_written(tmp_path: Path) -> None:
    home = home_from(OLD.read_text(), tmp_path / "home")
    with open_archive(home, write=True) as archive:
        assert archive.verify() == []
        campaign = archive.campaign("old")
        assert (campaign.random_seed, campaign.state, campaign.config) == (7, "finished", {"seed": 7})
        variant = archive.variant("old/0")
        assert (variant.summary, variant.status) == ("first words", "invalid")
        evaluation = archive.evaluations(variant.id)[0]
        outcome = archive.outcomes(evaluation.id)[0]
        assert (outcome.prediction, archive.get_blob(outcome.transcript_blob)) == ('"yes"', b"chat of long ago")
        assert archive.spend(campaign.id) == Spend(1, 0, 10, 5, 0.25)
        archive.create_campaign("new", 1, {})
        assert archive.verify() == []
    new = tmp_path / "new"
    open_archive(new, create=True).close()
    assert schema_of(home / "archive.db") == schema_of(new / "archive.db"), "a new schema needs a new version"


def test_migrations_run_one_after_the_other() -> None:
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE t (x)")
    steps = {
        1: lambda execute: execute("ALTER TABLE t ADD COLUMN y"),
        2: lambda execute: execute("INSERT INTO t (x, y) VALUES (1, 2)"),
    }
    migrate(database.execute, 1, 3, steps)
    assert database.execute("SELECT x, y FROM t").fetchall() == [(1, 2)]
    with pytest.raises(KeyError):
        migrate(database.execute, 0, 3, steps)
    database.close()


def test_the_repository_ignores_the_users_git_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = tmp_path / "gitconfig"
    bad.write_text("[init]\ntemplateDir = /nowhere\ndefaultBranch = x..y\n[diff]\nnoprefix = true\nexternal = false\n")
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, str(bad))
    for name in ("GIT_DIR", "GIT_OBJECT_DIRECTORY", "GIT_WORK_TREE", "GIT_EXTERNAL_DIFF"):
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))
    lineage = Lineage(tmp_path / "lineage.git", create=True)
    first, _ = lineage.commit({"a.py": b"1\n"}, "", "demo", 0, "m")
    second, tree = lineage.commit({"a.py": b"2\n"}, first, "demo", 1, "m")
    assert lineage.tree_of(second) == tree
    assert lineage.diff(first, second).startswith("diff --git a/a.py b/a.py")
    assert lineage.check() == []
    assert not (tmp_path / "lineage.git" / "hooks").exists()


def test_git_computes_the_same_ids(tmp_path: Path) -> None:
    """An independent witness: git's own index and commit plumbing over the same files."""
    files = {"a.py": b"1\n", "a/b.py": b"2", "a-b": b"3", "z/y/x/w.txt": b"", "a0/q": b"4"}
    environment = {
        **os.environ,
        **{f"GIT_{role}_NAME": "hyperagent" for role in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{role}_EMAIL": "noreply@hyperagent.invalid" for role in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{role}_DATE": "@3 +0000" for role in ("AUTHOR", "COMMITTER")},
    }

    def plain_git(*command: str) -> str:
        done = subprocess.run(["git", *command], cwd=tmp_path, env=environment, capture_output=True, check=True)
        return done.stdout.decode().strip()

    plain_git("init", "--quiet")
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    plain_git("add", "--force", *files)
    tree = plain_git("write-tree")
    commit = plain_git("commit-tree", tree, "-m", "words\n\nCampaign: demo\nStep: 3")
    assert Lineage(tmp_path / "lineage.git", create=True).commit(files, "", "demo", 3, "words") == (commit, tree)


def test_the_sqlite_warning_names_the_range() -> None:
    assert warning_for((3, 51, 3)) == ""
    assert "3.51.2" in warning_for((3, 7, 0))
    assert sqlite_warning() == warning_for(sqlite3.sqlite_version_info[:3])


def test_importing_the_room_is_cheap() -> None:
    code = "import sys, hyperagent.archive; sys.exit(any(m in sys.modules for m in ('sqlalchemy', 'git')))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
