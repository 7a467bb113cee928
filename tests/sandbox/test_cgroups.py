"""Limits without a container engine: groups that are made, entered and removed, and what stands in for them."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from hyperagent.sandbox import cgroups, reaper
from hyperagent.sandbox.cgroups import Cgroups, Group
from hyperagent.sandbox.limits import Limiter
from hyperagent.types import Limits

SMALL = Limits(memory_mb=128, processes=24, tmpfs_mb=16)
needs_cgroups = pytest.mark.skipif(cgroups.find() is None, reason="no control group can be made here")


def test_it_says_by_what_the_limits_are_held() -> None:
    everything = Limiter(Cgroups(2, dict.fromkeys(cgroups.CONTROLLERS, Path("/x"))), True)
    assert everything.describe() == "memory, processes, cpu by cgroup v2"
    assert everything.warnings() == ()
    assert everything.command(["run"], SMALL) == ["run"]
    part = Limiter(Cgroups(1, {"memory": Path("/x")}), True)
    assert part.describe() == "memory by cgroup v1; processes by rlimit"
    assert part.command(["run"], SMALL)[:3] == ["bash", "-c", 'ulimit -u 24 && exec "$@"']
    nothing = Limiter(None, False)
    assert nothing.describe() == "memory by rlimit"
    assert "the number of processes is not limited" in nothing.warnings()[0]
    assert nothing.command(["run"], SMALL)[2] == f'ulimit -d {128 << 10} && exec "$@"'


def test_no_group_is_found_where_none_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "self").write_text("4:memory:/a\n3:pids:/a\n0::/a\n")
    assert cgroups.find(tmp_path / "none", tmp_path / "self") is None
    for controller in ("memory", "pids"):
        (tmp_path / "v1" / controller / "a").mkdir(parents=True)
    assert cgroups.find(tmp_path / "v1", tmp_path / "self") is None, "plain folders hold nothing to any limit"
    assert not list(tmp_path.rglob("hyperagent-*"))
    assert cgroups.find(tmp_path / "v1", tmp_path / "missing") is None


@needs_cgroups
def test_a_group_is_made_with_its_limits_entered_and_removed() -> None:
    found = cgroups.find()
    assert found is not None
    group = found.group("bubblewrap-group", "1", Limits(memory_mb=64, processes=9, cpus=0.5))
    try:
        with subprocess.Popen(["sleep", "60"]) as sleeper:
            group.add(sleeper.pid)
            names = Path(f"/proc/{sleeper.pid}/cgroup").read_text()
            assert "hyperagent-bubblewrap-group-" in names
            group.remove()  # kills what is inside
            assert sleeper.wait() == -signal.SIGKILL
    finally:
        group.remove()
    assert not [path for place in found.places.values() for path in place.glob("hyperagent-bubblewrap-group-*")]


def test_groups_of_dead_drivers_are_reaped(tmp_path: Path) -> None:
    groups = Cgroups(2, {"memory": tmp_path, "pids": tmp_path})
    mine = "-".join(reaper.driver_name().split(":")[1:])
    names = [f"hyperagent-me-{mine}-1", "hyperagent-me-999999999-5-1", "hyperagent-you-999999999-5-1"]
    for name in names:
        (tmp_path / name).mkdir()
    assert groups.reap("me") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([names[0], names[2]])
    Group(groups, names[0]).remove()
    assert not (tmp_path / names[0]).exists()


def test_version_2_is_told_the_same_limits() -> None:
    limits = Limits(memory_mb=3, processes=4, cpus=0.5)
    told = [setting for name in cgroups.CONTROLLERS for setting in cgroups._settings(2, name, limits)]
    assert told == [
        ("memory.max", str(3 << 20), True),
        ("memory.swap.max", "0", False),
        ("pids.max", "4", True),
        ("cpu.max", "50000 100000", True),
    ]
