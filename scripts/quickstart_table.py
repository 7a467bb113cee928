"""Several quickstarts in one Markdown table: scripts/quickstart_table.py 1.json 2.json ... (from quickstart --json)."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from hyperagent.evaluation.statistics import wilson

HEADINGS = ("run", "variants", "seconds", "seed", "best", "against the seed", "control's best", "model against control")
SIGNIFICANT = 0.05


def table(runs: Sequence[tuple[str, Mapping[str, Any]]], split: str) -> list[str]:
    """One row per quickstart for one split."""
    lines = ["| " + " | ".join(HEADINGS) + " |", "|" + "---|" * len(HEADINGS)]
    for name, run in runs:
        seed, best, control = run["rows"]
        cells = (
            name,
            f"{run['model']['evaluated']} + {run['control']['evaluated']}",
            f"{run['model']['seconds']:.0f} + {run['control']['seconds']:.0f}",
            _score(seed, split),
            _score(best, split),
            _test(best["against_seed"].get(split)),
            _score(control, split),
            _test(run["model_against_control"]) if split == "test" else "",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def summary(runs: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """What the runs say together."""
    better = [_significant(run["rows"][1]["against_seed"].get("validation")) for _, run in runs]
    gains = [_gain(run["rows"][1], run["rows"][0], "test") for _, run in runs]
    control = [_gain(run["rows"][2], run["rows"][0], "test") for _, run in runs]
    wins = [run["model_against_control"] for _, run in runs]
    return [
        f"- best variant above the seed on validation with p < {SIGNIFICANT}: {sum(better)} of {len(runs)} runs",
        f"- hidden-test gain over the seed: mean {mean(gains):+.3f} (model), {mean(control):+.3f} (random control)",
        f"- model better than control on the hidden test with p < {SIGNIFICANT}: "
        f"{sum(map(_significant, wins))} of {len(runs)}; "
        f"control better: {sum(map(_significant, map(_swapped, wins)))} of {len(runs)}",
        *(f"- {name}: {value:.3f} on the hidden test" for name, value in runs[0][1]["baselines"]["test"].items()),
    ]


def _score(row: Mapping[str, Any], split: str) -> str:
    found = row["scores"][split]
    interval = wilson(round(found["estimate"] * found["n"]), found["n"])
    return f"{found['estimate']:.3f} [{interval.low:.2f}, {interval.high:.2f}]"


def _test(test: Mapping[str, Any] | None) -> str:
    if test is None:
        return "the seed itself"
    return f"+{test['wins']} -{test['losses']}, p = {test['p_value']:.2g}"


def _significant(test: Mapping[str, Any] | None) -> bool:
    return test is not None and test["p_value"] < SIGNIFICANT and test["wins"] > test["losses"]


def _swapped(test: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**test, "wins": test["losses"], "losses": test["wins"]}


def _gain(row: Mapping[str, Any], seed: Mapping[str, Any], split: str) -> float:
    return float(row["scores"][split]["estimate"] - seed["scores"][split]["estimate"])


def main() -> int:
    runs = [(Path(name).stem, json.loads(Path(name).read_text(encoding="utf-8"))) for name in sys.argv[1:]]
    for split in ("validation", "test"):
        tasks = runs[0][1]["rows"][0]["scores"][split]["n"]
        print(f"\n### {split}, {tasks} tasks\n")
        print("\n".join(table(runs, split)))
    print("\n" + "\n".join(summary(runs)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
