"""What an edited program must pass before its meta agent lets go of it: it compiles, loads and answers a task."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from evidence import Evidence

SECONDS = 60
SMOKE = """
import importlib, json, sys, tomllib
root, folder, task = sys.argv[1:]
sys.path.insert(0, root)
import llm
llm.chat = lambda *arguments, **parameters: {"role": "assistant", "content": "0"}
entry = tomllib.load(open(root + "/program.toml", "rb"))["entry"]
def load(name):
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)
load(entry["meta"])("none", folder + "/meta.txt")
open(folder + "/task.txt", "w").close()
result = load(entry["task"])("none", folder + "/task.txt").forward(json.loads(task))
assert isinstance(result, tuple) and len(result) == 2, "forward must return (prediction, transcript)"
json.dumps(result[0])
"""


def check(root: Path, evidence: Evidence) -> str:
    """Try the program in a process of its own, without a model; returns what is wrong, empty where nothing is."""
    for path in sorted(root.rglob("*.py")):
        try:
            compile(path.read_text(encoding="utf-8"), path.name, "exec")
        except (SyntaxError, ValueError) as error:
            return f"{path.relative_to(root)} does not compile: {error}"
    example = next((task["input"] for task in evidence.tasks if task.get("input")), {"instructions": "Say 0."})
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-B", "-c", SMOKE, str(root), folder, json.dumps(example)]
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        try:
            result = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return f"the program did not answer a task within {SECONDS} s"
    return "" if result.returncode == 0 else "the program does not run: " + result.stderr.strip()[-600:]
