"""What the sandbox tests share."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache of this test's own that everybody may enter, unlike pytest's own folders."""
    folder = Path(tempfile.mkdtemp(prefix="hyperagent-test-"))
    folder.chmod(0o755)
    monkeypatch.setenv("HYPERAGENT_CACHE", str(folder))
    yield folder
    shutil.rmtree(folder)
