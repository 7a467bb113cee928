"""The hardening is data: these tests read it as a reviewer would. The attacks are in ``tests/attacks``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from hyperagent.sandbox import ProcessSandbox, assemble, image_tags, policy, reaper
from hyperagent.types import Limits


def test_every_container_is_hardened() -> None:
    options = policy.host_options(Limits(memory_mb=100, processes=9, cpus=0.5, tmpfs_mb=7))
    assert options["network_mode"] == "none"
    assert options["read_only"] is True
    assert "init" not in options  # the runner is the first process, shielded by the kernel
    assert policy.host_options(Limits(processes=9), "runsc")["pids_limit"] > options["pids_limit"] == 9
    assert options["cap_drop"] == ["ALL"]
    assert "no-new-privileges" in options["security_opt"]
    assert options["mem_limit"] == options["memswap_limit"] == 100 << 20
    assert options["pids_limit"] == 9
    assert options["nano_cpus"] == 500_000_000
    assert "size=7m" in options["tmpfs"]["/tmp"]
    assert policy.USER == "65534:65534"


def test_the_seccomp_profile_is_an_allow_list() -> None:
    profile = json.loads(policy.seccomp_profile())
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    free = {
        name
        for rule in profile["syscalls"]
        if rule["action"] == "SCMP_ACT_ALLOW" and not rule.get("args")
        for name in rule["names"]
    }
    assert {"read", "execve", "futex"} <= free
    refused = "socket clone clone3 unshare setns mount bpf ptrace keyctl add_key io_uring_setup kexec_load pidfd_getfd"
    assert not free & set(refused.split())


def test_drivers_are_told_apart() -> None:
    mine = reaper.driver_name()
    boot, pid, start = mine.split(":")
    assert reaper.is_alive(mine)
    assert not reaper.is_alive(f"{boot}:{pid}:{int(start) + 1}")
    assert not reaper.is_alive(f"another-boot:{pid}:{start}")
    assert not reaper.is_alive("")
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert not reaper.is_alive(f"{boot}:{child.pid}:{start}")
    labels = reaper.labels("me", "job")
    assert not reaper.is_leftover(labels, "me")
    assert reaper.is_leftover({**labels, reaper.DRIVER: "gone"}, "me")
    assert not reaper.is_leftover({**labels, reaper.DRIVER: "gone"}, "you")
    assert not reaper.is_leftover(None, "me")


def test_tags_follow_the_definition() -> None:
    built, assembled, packaged = image_tags()
    assert built.startswith("built-")
    assert assembled.startswith("host-")
    assert image_tags() == (built, assembled, packaged)


def test_the_process_backend_says_that_it_isolates_nothing() -> None:
    info = ProcessSandbox("me").info
    assert info.isolation == "none"
    assert "isolates nothing" in info.warnings[0]


def test_the_assembled_image_holds_what_programs_need_and_no_more(tmp_path: Path) -> None:
    assemble.write_image(tmp_path / "image.tar")
    with tarfile.open(tmp_path / "image.tar") as archive:
        names = set(archive.getnames())
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    needed = {"usr/bin/python3", "usr/bin/bash", "usr/bin/git", "usr/bin/diff", "etc/passwd", "opt/hyperagent", "tmp"}
    assert needed <= names
    assert f"opt/python/lib/{version}/json/__init__.py" in names
    assert any(name.startswith(f"opt/python/lib/{version}/json/__pycache__/__init__") for name in names)
    assert not [name for name in names if "site-packages" in name or "/idlelib" in name or "/test/" in name]
    assert not [name for name in names if os.path.isabs(name) or ".." in name.split("/")]


def test_closed_files_are_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from hyperagent.errors import SandboxUnavailable

    (tmp_path / "runner.py").write_text("")
    (tmp_path / "runner.py").chmod(0o600)
    monkeypatch.setattr(policy, "runtime_directory", lambda: tmp_path)
    tmp_path.chmod(0o755)
    with pytest.raises(SandboxUnavailable, match=r"runner\.py") as caught:
        policy.check_readable()
    assert "chmod" in caught.value.hint
