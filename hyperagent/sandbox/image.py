"""The sandbox's image: found, built on the base in ``images.lock``, assembled from this machine, or of Debian's."""

from __future__ import annotations

import hashlib
import platform
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hyperagent.errors import SandboxLost, SandboxUnavailable
from hyperagent.sandbox import assemble, debian, policy

if TYPE_CHECKING:
    from hyperagent.sandbox.docker import Engine

REPOSITORY = "hyperagent-sandbox"
LOCK = "images.lock"


def locked_base() -> tuple[str, str]:
    """The base image as ``sandboxes/images.lock`` has it: its name, and its name with the digest."""
    base = tomllib.loads((policy.data_directory() / LOCK).read_text())["base"]
    return base["name"], f"{base['name']}@{base['digest']}"


def image_tags() -> tuple[str, str, str]:
    """Tags of the built, the assembled and the packaged image, best first; each changes with its recipe."""
    dockerfile = b"".join((policy.data_directory() / name).read_bytes() for name in ("Dockerfile", LOCK))
    recipe = Path(assemble.__file__).read_bytes() + platform.python_version().encode() + platform.machine().encode()
    packages = Path(debian.__file__).read_bytes() + debian.release().encode() + platform.machine().encode()
    built, assembled, packaged = (
        hashlib.sha256(made_of).hexdigest()[:12] for made_of in (dockerfile, recipe, packages)
    )
    return f"built-{built}", f"host-{assembled}", f"debian-{packaged}"


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
    built, assembled, packaged = (f"{REPOSITORY}:{tag}" for tag in image_tags())
    if name == packaged:
        return debian.PYTHON[debian.release()]
    if name == assembled:
        return ".".join(platform.python_version_tuple()[:2])
    return locked_base()[0].removeprefix("python:").removesuffix("-slim") if name == built else ""


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
    built, assembled, packaged = image_tags()
    notes = []
    name, locked = locked_base()
    offered = [base for base in (locked, name) if engine.image_id(base) or engine.can_pull(base)][:1]
    for base in offered:
        say(f"building from {base}" + ("" if base == locked else f" as it is now: {locked} is not offered"))
        try:
            engine.build(policy.data_directory(), f"{REPOSITORY}:{built}", {"BASE": base})
            return _made(engine, built)
        except SandboxUnavailable as error:
            notes.append(error.message)
            say(error.message)
    if not offered:
        notes.append(f"no registry offers {name}")
    for what, tag, write in (
        ("assembling from this machine's own Python and tools", assembled, assemble.write_image),
        (f"unpacking packages of Debian {debian.release()}", packaged, debian.write_image),
    ):
        say(what)
        try:
            with tempfile.TemporaryDirectory(prefix="hyperagent-image-") as folder:
                tar = Path(folder) / "image.tar"
                write(tar)
                engine.import_image(tar, REPOSITORY, tag, [f"ENV PATH={policy.ENVIRONMENT['PATH']}"])
            return _made(engine, tag)
        except (OSError, SandboxLost, assemble.CannotAssemble) as error:
            notes.append(str(error))
            say(str(error))
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
