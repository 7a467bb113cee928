"""The chain of ways to an image, against an engine that only keeps a list."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from hyperagent.errors import SandboxUnavailable
from hyperagent.sandbox import build_image, image_tags
from hyperagent.sandbox.docker import Engine
from hyperagent.sandbox.image import BASE_IMAGE, REPOSITORY, ensure_image


class FakeEngine:
    """An engine whose registry, builder and disk can be out of order."""

    def __init__(self, images: Sequence[str] = (), *, registry: bool = False, builds: bool = True, disk: bool = True):
        self.images, self.registry, self.builds, self.disk = list(images), registry, builds, disk
        self.asked: list[str] = []

    def check(self) -> str:
        return "1"

    def image_id(self, tag: str) -> str | None:
        return f"id-{tag}" if tag in self.images else None

    def can_pull(self, tag: str) -> bool:
        return self.registry

    def build(self, folder: Path, tag: str) -> None:
        self.asked.append("build")
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


BUILT, ASSEMBLED = (f"{REPOSITORY}:{tag}" for tag in image_tags())


@pytest.mark.parametrize("tag", [BUILT, ASSEMBLED])
def test_a_local_image_is_taken_as_it_is(tag: str) -> None:
    engine = FakeEngine([tag])
    assert ensure_image(engine.as_engine) == (tag, f"id-{tag}")
    assert engine.asked == []


@pytest.mark.parametrize("engine", [FakeEngine(registry=True), FakeEngine([BASE_IMAGE])])
def test_where_the_base_image_can_be_had_it_is_built_on(engine: FakeEngine) -> None:
    assert ensure_image(engine.as_engine)[0] == BUILT
    assert engine.asked == ["build"]


def test_without_a_registry_it_is_assembled() -> None:
    engine = FakeEngine()
    assert ensure_image(engine.as_engine)[0] == ASSEMBLED
    assert engine.asked == ["import"]


def test_a_failing_build_falls_back_and_says_so() -> None:
    engine, lines = FakeEngine(registry=True, builds=False), list[str]()
    assert build_image(lines.append, engine.as_engine) == ASSEMBLED
    assert engine.asked == ["build", "import"]
    assert "no network in it" in " ".join(lines)


def test_when_nothing_works_every_reason_is_named() -> None:
    engine = FakeEngine(registry=True, builds=False, disk=False)
    with pytest.raises(SandboxUnavailable, match=r"no network in it.*no space left") as caught:
        ensure_image(engine.as_engine)
    assert "sandbox.image" in caught.value.hint
