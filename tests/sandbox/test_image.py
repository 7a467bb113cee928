"""The chain of ways to an image, against an engine that only keeps a list."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import pytest
from programs import program, task

from hyperagent.errors import SandboxUnavailable
from hyperagent.sandbox import DockerSandbox, assemble, build_image, debian, image_tags
from hyperagent.sandbox.docker import Engine
from hyperagent.sandbox.image import REPOSITORY, ensure_image, image_python, locked_base
from hyperagent.types import JobSpec


class FakeEngine:
    """An engine whose registry, builder and disk can be out of order."""

    def __init__(self, images: Sequence[str] = (), *, registry: bool = False, builds: bool = True, disk: bool = True):
        self.images, self.registry, self.builds, self.disk = list(images), registry, builds, disk
        self.asked: list[str] = []
        self.bases: list[str] = []

    def check(self) -> str:
        return "1"

    def image_id(self, tag: str) -> str | None:
        return f"id-{tag}" if tag in self.images else None

    def can_pull(self, tag: str) -> bool:
        return self.registry

    def build(self, folder: Path, tag: str, arguments: Mapping[str, str] | None = None) -> None:
        self.asked.append("build")
        self.bases += (arguments or {}).values()
        if not self.builds:
            raise SandboxUnavailable("the image build failed: no network in it")
        self.images.append(tag)

    def import_image(self, tar: Path, repository: str, tag: str, changes: Sequence[str]) -> None:
        self.asked.append("import")
        if not self.disk:
            raise OSError("no space left")
        assert tar.stat().st_size > 1 << 20
        self.images.append(f"{repository}:{tag}")

    @property
    def as_engine(self) -> Engine:
        return cast(Engine, self)


BASE_IMAGE, LOCKED = locked_base()
BUILT, ASSEMBLED, PACKAGED = (f"{REPOSITORY}:{tag}" for tag in image_tags())


@pytest.mark.parametrize("tag", [BUILT, ASSEMBLED, PACKAGED])
def test_a_local_image_is_taken_as_it_is(tag: str) -> None:
    engine = FakeEngine([tag])
    assert ensure_image(engine.as_engine) == (tag, f"id-{tag}")
    assert engine.asked == []


@pytest.mark.parametrize(
    ("engine", "base"),
    [
        (FakeEngine(registry=True), LOCKED),
        (FakeEngine([LOCKED, BASE_IMAGE]), LOCKED),
        (FakeEngine([BASE_IMAGE]), BASE_IMAGE),
    ],
)
def test_where_the_base_image_can_be_had_it_is_built_on_the_locked_one_first(engine: FakeEngine, base: str) -> None:
    assert ensure_image(engine.as_engine)[0] == BUILT
    assert (engine.asked, engine.bases) == (["build"], [base])


def test_another_base_than_the_locked_one_is_said() -> None:
    said: list[str] = []
    build_image(said.append, FakeEngine([BASE_IMAGE]).as_engine)
    assert said == [f"building from {BASE_IMAGE} as it is now: {LOCKED} is not offered"]


def test_without_a_registry_it_is_assembled() -> None:
    engine = FakeEngine()
    assert ensure_image(engine.as_engine)[0] == ASSEMBLED
    assert engine.asked == ["import"]


def test_a_failing_build_falls_back_and_says_so() -> None:
    engine, lines = FakeEngine(registry=True, builds=False), list[str]()
    assert build_image(lines.append, engine.as_engine) == ASSEMBLED
    assert engine.asked == ["build", "import"]
    assert "no network in it" in " ".join(lines)


def no_packages(path: Path) -> None:
    raise assemble.CannotAssemble("mmdebstrap is not installed")


def test_when_nothing_works_every_reason_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "write_image", no_packages)
    engine = FakeEngine(registry=True, builds=False, disk=False)
    with pytest.raises(SandboxUnavailable, match=r"no network in it.*no space left.*mmdebstrap") as caught:
        ensure_image(engine.as_engine)
    assert "sandbox.image" in caught.value.hint


def cannot(path: Path) -> None:
    raise assemble.CannotAssemble("this Python cannot be taken along")


@pytest.mark.docker
@pytest.mark.skipif(shutil.which(debian.TOOL) is None, reason=f"{debian.TOOL} is not installed")
def test_an_image_of_debian_packages_runs_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assemble, "write_image", cannot)
    monkeypatch.setattr(Engine, "can_pull", lambda self, tag: False)
    lines: list[str] = []
    name = build_image(lines.append)
    assert name == PACKAGED
    assert "cannot be taken along" in " ".join(lines)
    sandbox = DockerSandbox("debian", name)
    sandbox.prepare()
    with sandbox.session(JobSpec("debian", program())) as session:
        result = session.run(task("import os; answer = os.popen('git --version | cut -c1-3').read().strip()"))
    assert (result.status, result.value) == ("ok", "git")
    assert image_python(name) in debian.PYTHON.values()
