"""Prints the tables of docs/results/reward_design.md: rewards written by hand, trained with on five seeds a goal.

Needs the packages under [examiner] of benchmarks/reward_design/benchmark.toml in the Python that runs it. The examiner
runs as it would in a sandbox (its files in one folder, one fresh process an examination), but without the sandbox.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hyperagent.evaluation.manifest import load_module, read_manifest

ROOT = Path(__file__).parents[1]
PACK = ROOT / "benchmarks" / "reward_design"
STUDENT_T = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
"""97.5% quantiles by degrees of freedom."""

NOTHING = ("says nothing", "return 0.0")
CLAIM = ("claims 1e9", "return 1e9")
REWARDS = {
    "forward_velocity": (
        ("good: forward velocity less effort", "return info['x_velocity'] - 0.02 * float(action @ action)"),
        ("poor: moving joints", "return float(abs(next_obs[11:]).sum())"),
        CLAIM,
        NOTHING,
    ),
    "backward_velocity": (
        ("good: backward velocity less effort", "return -info['x_velocity'] - 0.02 * float(action @ action)"),
        ("poor: moving joints", "return float(abs(next_obs[11:]).sum())"),
        CLAIM,
        NOTHING,
    ),
    "hop_height": (
        ("good: upward velocity and staying up", "return 0.3 + max(0.0, info['z_velocity'])"),
        ("beside the goal: forward velocity and staying up", "return 1.0 + info['x_velocity']"),
        ("poor: staying up", "return 1.0 if info['healthy'] else 0.0"),
        CLAIM,
        NOTHING,
    ),
}
"""Metric -> (name, body of the reward function); the first is the good one."""

RUN = """
import json, sys
sys.path.insert(0, sys.argv[1])
import examiner
print(json.dumps(examiner.examine(json.load(sys.stdin))))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seeds", type=int, default=5, help="seeds for each goal (default 5)")
    parser.add_argument("--only", choices=REWARDS, help="one goal instead of all")
    parser.add_argument("--source", choices=("full", "smoke"), default="full")
    arguments = parser.parse_args()
    manifest = read_manifest(PACK)
    module = load_module(manifest, "generator.py" if arguments.source == "full" else "smoke.py")
    grader = load_module(manifest, "grader.py")
    records = module.generate(0, 3 * arguments.seeds)
    with tempfile.TemporaryDirectory() as folder:
        for source in (PACK / "examiner", ROOT / "hyperagent" / "examining"):
            for path in source.glob("*.py"):
                (Path(folder) / path.name).write_bytes(path.read_bytes())
        for metric, rewards in REWARDS.items():
            if arguments.only in (None, metric):
                tasks = [record for record in records if record["hidden"]["evaluation"]["metric"] == metric]
                for line in table(metric, rewards, tasks, grader, folder):
                    print(line, flush=True)


def table(
    metric: str, rewards: tuple[tuple[str, str], ...], tasks: list[dict[str, Any]], grader: Any, folder: str
) -> Iterator[str]:
    """Markdown lines, each as soon as it is known."""
    unit = tasks[0]["hidden"]["anchors"]["unit"]
    yield f"\n| reward for {metric} | metric by seed, {unit} | mean [95%] | score, mean [95%] | seconds, slowest |"
    yield "|---|---|---|---|---|"
    for name, body in rewards:
        values, scores, seconds = [], [], []
        for task in tasks:
            begun = time.monotonic()
            verdict = examined(grader, task["hidden"], body, folder)
            seconds.append(time.monotonic() - begun)
            values.append(verdict["metric"])
            scores.append(grader.grade({}, task["hidden"], "", verdict)[0])
        by_seed = " ".join(f"{value:.3f}" for value in values)
        yield f"| {name} | {by_seed} | {interval(values)} | {interval(scores)} | {max(seconds):.1f} |"


def examined(grader: Any, hidden: Mapping[str, Any], body: str, folder: str) -> dict[str, Any]:
    question = grader.examine({}, hidden, f"def reward(obs, action, next_obs, info):\n    {body}\n")
    done = subprocess.run(
        [sys.executable, "-s", "-B", "-c", RUN, folder],
        input=json.dumps(question),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    verdict: dict[str, Any] = json.loads(done.stdout)
    if "invalid" in verdict:
        raise SystemExit(f"{body}: {verdict['invalid']}")
    return verdict


def interval(values: list[float]) -> str:
    """Mean and its 95% interval by Student's t over seeds."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return f"{mean:.3f}"
    half = STUDENT_T[len(values) - 1] * statistics.stdev(values) / math.sqrt(len(values))
    return f"{mean:.3f} [{mean - half:.3f}, {mean + half:.3f}]"


if __name__ == "__main__":
    main()
