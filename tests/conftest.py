"""What all tests share: markers that skip loudly or fail, and an environment that is nobody's own.

A test marked ``docker``, ``model``, ``data`` or ``browser`` is skipped with the reason where the machine lacks that
thing, and the run ends with a line per missing thing. Where ``HYPERAGENT_REQUIRE_DOCKER=1`` is set, a test marked
``docker`` is never skipped: it fails, whatever it lacks.
"""

from __future__ import annotations

import gc
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("same-every-time", derandomize=True, deadline=None, database=None)
settings.load_profile("same-every-time")

REQUIRE_DOCKER = "HYPERAGENT_REQUIRE_DOCKER"
KEPT = frozenset({REQUIRE_DOCKER, "HYPERAGENT_MODELS", "HYPERAGENT_BENCHMARK_DATA", "HYPERAGENT_CHROMIUM"})
TEST_MODEL = "smollm2-135m"


@cache
def _docker_missing() -> str:
    from hyperagent.sandbox import docker_status

    # docker-py leaves the socket of a failed connection to the garbage collector, which warns, which is an error here.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        answers, what, _ = docker_status()
        gc.collect()
    return "" if answers else f"no Docker engine: {what}"


@cache
def _model_missing() -> str:
    from hyperagent.models import model_path

    path = model_path(TEST_MODEL)
    return "" if path.is_file() else f"no weights at {path}: run `hyperagent model pull {TEST_MODEL}`"


@cache
def _data_missing() -> str:
    folder = os.environ.get("HYPERAGENT_BENCHMARK_DATA", "")
    if not folder:
        return "HYPERAGENT_BENCHMARK_DATA is not set"
    return "" if Path(folder).is_dir() else f"HYPERAGENT_BENCHMARK_DATA={folder} is no folder"


@cache
def _browser_missing() -> str:
    from chromium import chromium_path

    return (
        "" if chromium_path() else "no Chromium: install it (Debian: apt install chromium) or set HYPERAGENT_CHROMIUM"
    )


NEEDS: dict[str, Callable[[], str]] = {
    "docker": _docker_missing,
    "model": _model_missing,
    "data": _data_missing,
    "browser": _browser_missing,
}
_skipped: Counter[str] = Counter()


def missing(markers: list[str]) -> list[str]:
    """Why a test with these markers cannot run here; empty where it can."""
    return [f"needs {name}: {reason}" for name in markers if name in NEEDS and (reason := NEEDS[name]())]


def pytest_runtest_setup(item: pytest.Item) -> None:
    reasons = missing([mark.name for mark in item.iter_markers()])
    if not reasons:
        return
    if os.environ.get(REQUIRE_DOCKER) == "1" and item.get_closest_marker("docker"):
        pytest.fail(f"{REQUIRE_DOCKER}=1 and the test {'; '.join(reasons)}", pytrace=False)
    _skipped.update(reasons)
    pytest.skip("; ".join(reasons))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for reason, count in sorted(_skipped.items()):
        terminalreporter.write_line(f"NOT TESTED: {count} tests, {reason}", yellow=True, bold=True)


@pytest.fixture(autouse=True, scope="session")
def _nobodys_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No setting, key or archive of whoever runs the tests reaches them, and nothing of theirs is written to.

    HOME stays: the model weights lie in the cache below it.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            ours = name.startswith("HYPERAGENT_") and name not in KEPT
            if ours or name.endswith("_API_KEY") or name.startswith("GIT_"):
                patch.delenv(name)
        patch.setenv("HYPERAGENT_ARCHIVE", str(tmp_path_factory.mktemp("home") / "archive"))
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        patch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        yield


@pytest.fixture
def archive_path(tmp_path: Path) -> Path:
    """Where a test may open an archive of its own; nothing is there yet."""
    return tmp_path / "archive"
