"""The sandbox's files: whole or not there, and open to its user."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hyperagent.errors import SandboxUnavailable
from hyperagent.sandbox import rootfs

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root's files are closed to the sandbox's user")


@needs_root
def test_what_nobody_can_reach_is_copied(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "closed" / "deep").mkdir(parents=True)
    (tmp_path / "closed" / "deep" / "file.py").write_text("1")
    (tmp_path / "closed").chmod(0o700)
    copy = rootfs.visible(tmp_path / "closed")
    assert copy.is_relative_to(cache)
    assert (copy / "deep" / "file.py").read_text() == "1"
    assert rootfs.open_to_nobody(copy / "deep" / "file.py")
    assert rootfs.visible(tmp_path / "closed") == copy
    (tmp_path / "closed" / "deep" / "file.py").write_text("12")
    assert rootfs.visible(tmp_path / "closed") != copy, "another content, another copy"
    single = rootfs.visible(tmp_path / "closed" / "deep" / "file.py")
    assert single.read_text() == "12"
    assert rootfs.visible(copy) == copy


@needs_root
def test_a_closed_cache_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERAGENT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "file").write_text("")
    tmp_path.chmod(0o700)
    with pytest.raises(SandboxUnavailable, match="closed") as caught:
        rootfs.visible(tmp_path / "file")
    assert "HYPERAGENT_CACHE" in caught.value.hint


def test_an_image_that_cannot_be_assembled_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> None:
        path.write_text("half")
        raise rootfs.assemble.CannotAssemble("this machine has no git")

    monkeypatch.setattr(rootfs.assemble, "write_image", fail)
    with pytest.raises(SandboxUnavailable, match="no git"):
        rootfs.ensure_root()
    assert list((cache / "bubblewrap").iterdir()) == []
