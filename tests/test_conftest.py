"""The markers' promise: skipped with the reason, and never skipped where an engine is demanded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SAMPLE = """
import os, pytest

@pytest.mark.docker
def test_engine(): pass

@pytest.mark.data
def test_data(): pass

def test_plain():
    assert "OPENAI_API_KEY" not in os.environ
    assert "HYPERAGENT_BUDGET__VARIANTS" not in os.environ
    assert os.environ["HYPERAGENT_ARCHIVE"] != "/somebody/elses"
"""


@pytest.fixture
def run_sample(tmp_path):
    (tmp_path / "test_sample.py").write_text(SAMPLE, encoding="utf-8")

    def run(**environment: str) -> subprocess.CompletedProcess[str]:
        dirty = {
            "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)]),
            "DOCKER_HOST": f"unix://{tmp_path}/dead.sock",
            "HYPERAGENT_BENCHMARK_DATA": "",
            "HYPERAGENT_REQUIRE_DOCKER": "",
            "HYPERAGENT_ARCHIVE": "/somebody/elses",
            "HYPERAGENT_BUDGET__VARIANTS": "3",
            "OPENAI_API_KEY": "a key",
        }
        command = [sys.executable, "-m", "pytest", "-p", "conftest", "-c", HERE.parent / "pyproject.toml"]
        command += ["--rootdir", tmp_path, "-p", "no:cacheprovider", tmp_path]
        environment = os.environ | dirty | environment
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)

    return run


def test_what_is_missing_is_skipped_and_named_at_the_end(run_sample):
    done = run_sample()
    assert done.returncode == 0, done.stdout
    assert "1 passed, 2 skipped" in done.stdout
    assert "NOT TESTED: 1 tests, needs docker: " in done.stdout
    assert "NOT TESTED: 1 tests, needs data: HYPERAGENT_BENCHMARK_DATA is not set" in done.stdout


def test_a_demanded_engine_that_is_missing_is_a_failure(run_sample):
    done = run_sample(HYPERAGENT_REQUIRE_DOCKER="1")
    assert done.returncode == 1, done.stdout
    assert "1 passed, 1 skipped, 1 error" in done.stdout
    assert "HYPERAGENT_REQUIRE_DOCKER=1 and the test needs docker: " in done.stdout


def test_data_that_is_there_is_used(run_sample, tmp_path):
    done = run_sample(HYPERAGENT_BENCHMARK_DATA=str(tmp_path))
    assert "2 passed, 1 skipped" in done.stdout
