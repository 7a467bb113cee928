"""Types, lints and layout, with the settings of pyproject.toml."""

from __future__ import annotations

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
