"""The sandbox's image: found, built from ``python:3.12-slim``, or assembled from this machine's Python and tools."""

from __future__ import annotations

import hashlib
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hyperagent.errors import SandboxLost, SandboxUnavailable
from hyperagent.sandbox import assemble, policy

if TYPE_CHECKING:
    from hyperagent.sandbox.docker import Engine

REPOSITORY = "hyperagent-sandbox"
BASE_IMAGE = "python:3.12-slim"


def image_tags() -> tuple[str, str]:
    """Tags of the built and of the assembled image; each changes with its definition."""
    dockerfile = (policy.data_directory() / "Dockerfile").read_bytes()
    recipe = Path(assemble.__file__).read_bytes() + platform.python_version().encode() + platform.machine().encode()
    return "built-" + hashlib.sha256(dockerfile).hexdigest()[:12], "host-" + hashlib.sha256(recipe).hexdigest()[:12]


def ensure_image(engine: Engine) -> tuple[str, str]:
    """The image's name and id; made where it is missing.

    Raises:
        SandboxUnavailable: None of the ways worked.
    """
    for tag in image_tags():
        found = engine.image_id(f"{REPOSITORY}:{tag}")
        if found:
            return f"{REPOSITORY}:{tag}", found
    return _make(engine, lambda text: None)


def image_python(name: str) -> str:
    """Python version (``3.11``) in an image of ours; empty for any other image."""
    built, assembled = (f"{REPOSITORY}:{tag}" for tag in image_tags())
    if name == assembled:
        return ".".join(platform.python_version_tuple()[:2])
    return BASE_IMAGE.removeprefix("python:").removesuffix("-slim") if name == built else ""


def build_image(progress: Callable[[str], None] = lambda text: None, engine: Engine | None = None) -> str:
    """Make the image anew; returns its name.

    Args:
        progress: Gets one line per step, for a person.
        engine: None = the default engine.

    Raises:
        SandboxUnavailable: No engine, or none of the ways worked.
    """
    if engine is None:
        from hyperagent.sandbox.docker import Engine  # docker-py is slow to import

        engine = Engine()
    engine.check()
    return _make(engine, progress)[0]


def _make(engine: Engine, say: Callable[[str], None]) -> tuple[str, str]:
    built, assembled = image_tags()
    notes = []
    if engine.image_id(BASE_IMAGE) or engine.can_pull(BASE_IMAGE):
        say(f"building from {BASE_IMAGE}")
        try:
            engine.build(policy.data_directory(), f"{REPOSITORY}:{built}")
            return _made(engine, built)
        except SandboxUnavailable as error:
            notes.append(error.message)
            say(error.message)
    else:
        notes.append(f"no registry offers {BASE_IMAGE}")
    say("assembling from this machine's own Python and tools")
    try:
        with tempfile.TemporaryDirectory(prefix="hyperagent-image-") as folder:
            tar = Path(folder) / "image.tar"
            assemble.write_image(tar)
            engine.import_image(tar, REPOSITORY, assembled, [f"ENV PATH={policy.ENVIRONMENT['PATH']}"])
        return _made(engine, assembled)
    except (OSError, SandboxLost, assemble.CannotAssemble) as error:
        notes.append(str(error))
    raise SandboxUnavailable(
        "no sandbox image could be made: " + "; ".join(notes),
        hint="set sandbox.image to an image that holds python3 (3.11 or newer), git, bash and diff",
    )


def _made(engine: Engine, tag: str) -> tuple[str, str]:
    name = f"{REPOSITORY}:{tag}"
    found = engine.image_id(name)
    if not found:
        raise SandboxUnavailable(f"the image {name} vanished right after it was made")
    return name, found
