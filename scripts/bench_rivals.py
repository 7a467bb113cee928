"""The usual ways to run untrusted tasks, to be measured beside ours."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hyperagent.sandbox import policy
from hyperagent.types import Limits

ALONE = "from task_agent import TaskAgent; print(TaskAgent('', '').forward({'text': 'hello'})[0])"
Timed = Callable[[], object]


@contextmanager
def rivals(agent: bytes, tasks: int, owner: str, image: str) -> Iterator[dict[str, Timed]]:
    """One evaluated program of so many tasks, the usual ways; each with the same limits where it has any."""
    with tempfile.TemporaryDirectory(prefix="ha-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "task_agent.py").write_bytes(agent)
        python = ["python3", "-s", "-B", "-c", ALONE]
        ways: dict[str, Timed] = {"a plain process per task, no isolation": lambda: _processes(folder, tasks)}
        docker = shutil.which("docker")
        if docker and image:
            limits = Limits()
            options = ["--network=none", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--init"]
            options += [f"--security-opt=seccomp={policy.data_directory() / 'seccomp.json'}", f"--user={policy.USER}"]
            options += [f"--memory={limits.memory_mb}m", f"--memory-swap={limits.memory_mb}m", f"--cpus={limits.cpus}"]
            options += [f"--pids-limit={limits.processes}", "--tmpfs=/tmp", f"--volume={folder}:/program:ro"]
            options += ["--workdir=/program", f"--label=hyperagent.owner={owner}"]

            def run() -> None:
                for _ in range(tasks):
                    _call([docker, "run", "--rm", *options, image, *python])

            def execute() -> None:
                made = _call([docker, "run", "--rm", "--detach", *options, image, "sleep", "600"]).strip()
                for _ in range(tasks):
                    _call([docker, "exec", made, *python])
                _call([docker, "rm", "--force", made])

            ways["`docker run --rm` per task"] = run
            ways["one container, `docker exec` per task"] = execute
        yield ways


def _processes(folder: Path, tasks: int) -> None:
    for _ in range(tasks):
        _call([sys.executable, "-s", "-B", "-c", ALONE], folder)


def _call(command: Sequence[str], folder: Path | None = None) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder).stdout
