"""OpenEvolve with an instant model and an instant evaluator: drive_openevolve.py VARIANTS WORKERS BACKEND FOLDER.

Run by the Python of an environment that has openevolve; BACKEND is ignored. The model stands in its workers
(`init_client`, its own hook), so no HTTP is in the way. Prints the moments of its evaluations, one a line.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

PROGRAM = "# EVOLVE-BLOCK-START\nDIAL = {number}\n\n\ndef answer():\n    return DIAL\n# EVOLVE-BLOCK-END\n"
EVALUATOR = """import os, time


def evaluate(program_path):
    with open(os.environ["BENCH_STAMPS"], "a") as file:
        file.write(f"{time.time()}\\n")
    return {"combined_score": 0.5}
"""
_NUMBERS = itertools.count(1)


class Instant:
    """Its model interface: another program at once, every time. Its log names the one it asks by `model`."""

    def __init__(self) -> None:
        self.model = "instant"

    async def generate(self, prompt: str, **_: Any) -> str:
        return f"```python\n{PROGRAM.format(number=os.getpid() * 100_000 + next(_NUMBERS))}```"

    async def generate_with_context(self, system_message: str, messages: Any, **_: Any) -> str:
        return await self.generate("")


def client(_: object) -> Instant:
    return Instant()


def main() -> None:
    variants, workers, _, place = sys.argv[1:]
    folder = Path(place)
    (folder / "start.py").write_text(PROGRAM.format(number=0))
    (folder / "evaluator.py").write_text(EVALUATOR)
    stamps = folder / "stamps"
    os.environ["BENCH_STAMPS"] = str(stamps)
    settings = import_module("openevolve.config")
    config = settings.Config()
    config.diff_based_evolution = False
    config.log_level = "ERROR"
    config.evaluator.parallel_evaluations = int(workers)
    config.evaluator.cascade_evaluation = False
    config.llm.models = [settings.LLMModelConfig(name="instant", api_key="none", init_client=client)]
    config.llm.evaluator_models = []
    engine = import_module("openevolve").OpenEvolve(
        str(folder / "start.py"), str(folder / "evaluator.py"), config, str(folder / "archive")
    )
    asyncio.run(engine.run(iterations=int(variants)))
    print(*stamps.read_text().split()[1:], sep="\n")  # the first is the starting program


if __name__ == "__main__":
    main()
