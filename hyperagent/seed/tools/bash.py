"""Run a shell command in the program's folder."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

SECONDS = 60
MOST_CHARACTERS = 6000
DESCRIPTION = {
    "name": "bash",
    "description": f"Run a bash command in the program's folder; at most {SECONDS} s, output cut in the middle.",
    "parameters": {
        "type": "object",
        "properties": {"command": {"type": "string"}},
        "required": ["command"],
    },
}


def run(root: Path, arguments: dict[str, Any]) -> str:
    process = subprocess.Popen(
        ["bash", "-c", str(arguments["command"])],
        cwd=root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # so that what the command started can be ended with it
    )
    try:
        output, _ = process.communicate(timeout=SECONDS)
        ending = f"\n[exit status {process.returncode}]"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        ending = f"\n[ended after {SECONDS} s]"
    return shorten(output.decode(errors="replace")) + ending


def shorten(text: str) -> str:
    """Keep the beginning and the end of a long text."""
    if len(text) <= MOST_CHARACTERS:
        return text
    half = MOST_CHARACTERS // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"
