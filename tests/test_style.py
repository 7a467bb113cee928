"""Types, lints and layout, with the settings of pyproject.toml."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "command",
    [("mypy", "--strict"), ("ruff", "check", "."), ("ruff", "format", "--check", ".")],
    ids=lambda command: " ".join(command),
)
def test_the_house_is_tidy(command: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("pack", ["coding", "reward_design"])
def test_examiners_are_typed(pack: str) -> None:
    """They stand flat in a sandbox beside ``hyperagent/examining``, so they are checked as they stand there."""
    folders = [ROOT / "hyperagent" / "examining", ROOT / "benchmarks" / pack / "examiner"]
    files = [str(path) for folder in folders for path in sorted(folder.glob("*.py"))]
    options = ["--strict", "--config-file=", "--explicit-package-bases", "--ignore-missing-imports"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, *files],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": os.pathsep.join(map(str, folders))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
