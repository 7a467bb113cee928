"""Python packages that a benchmark needs in a sandbox: got once per set, kept in the cache, baked into an image."""

from __future__ import annotations

import compileall
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from hyperagent.errors import SandboxUnavailable

if TYPE_CHECKING:
    from hyperagent.sandbox.docker import Engine

PLACE = "/opt/packages"
"""Where a derived image holds them."""
REPOSITORY = "hyperagent-sandbox"
_SECONDS = 900.0


def installed(packages: tuple[str, ...], python: str) -> Path:
    """Folder with the packages for a Python version (``3.11``), got by pip where it is missing.

    Only wheels, and nothing but what is listed: a set is all that its packages need, each pinned.

    Raises:
        SandboxUnavailable: pip could not get them.
    """
    folder = _cache() / digest(packages, python)
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".making-"))
    try:
        _pip(packages, python, made)
        compileall.compile_dir(made, quiet=2)
        made.chmod(0o755)
        try:
            os.replace(made, folder)
        except OSError:  # another process was faster, with the same content
            if not folder.is_dir():
                raise
    except OSError as error:
        raise SandboxUnavailable(f"{folder} cannot be made: {error}", hint="set HYPERAGENT_CACHE") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return folder


def derived_image(engine: Engine, base: str, base_id: str, packages: tuple[str, ...], python: str) -> str:
    """Id of the image ``base`` with the packages in it; built where it is missing.

    Raises:
        SandboxUnavailable: The packages cannot be got or the build failed.
    """
    tag = f"{REPOSITORY}:packages-{digest((base_id, *packages), python)}"
    found = engine.image_id(tag)
    if found:
        return found
    with tempfile.TemporaryDirectory(prefix="hyperagent-image-") as name:
        context = Path(name)
        shutil.copytree(installed(packages, python), context / "packages")
        (context / "Dockerfile").write_text(f"FROM {base}\nCOPY packages {PLACE}\nENV PYTHONPATH={PLACE}\n")
        engine.build(context, tag)
    found = engine.image_id(tag)
    if not found:
        raise SandboxUnavailable(f"the image {tag} vanished right after it was made")
    return found


def digest(packages: Iterable[str], python: str) -> str:
    """Names a set of packages for one Python and one kind of machine; 16 hex digits."""
    facts = "\n".join([python, platform.machine(), *packages])
    return hashlib.sha256(facts.encode()).hexdigest()[:16]


def _cache() -> Path:
    base = os.environ.get("HYPERAGENT_CACHE")
    return (Path(base).expanduser() if base else Path.home() / ".cache" / "hyperagent") / "packages"


def _pip(packages: tuple[str, ...], python: str, target: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--no-compile", "--target", str(target), "--python-version", python, *packages]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SandboxUnavailable(f"pip could not be run for {', '.join(packages)}: {error}") from error
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise SandboxUnavailable(
            f"the packages {', '.join(packages)} cannot be installed: {''.join(last)}",
            hint="they are needed once, from PyPI or from where pip is told to look (PIP_INDEX_URL, PIP_FIND_LINKS)",
        )
