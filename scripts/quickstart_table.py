"""All quickstart campaigns of an archive in one Markdown table: scripts/quickstart_table.py ARCHIVE

For each campaign called ``quickstart``, ``quickstart-2`` ...: the best variant by validation against the seed program,
on validation and on the hidden test, which is read where that has not happened yet.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from hyperagent import assembly
from hyperagent.protocols import Archive
from hyperagent.types import Campaign, Interval, PairedTest, Progress, Split, Variant

SPLITS: tuple[Split, ...] = ("validation", "test")
SIGNIFICANT = 0.05
FALLBACK = "at random, no reply fitted"


class Talk:
    """Messages to standard error."""

    def progress(self, progress: Progress) -> None:
        return None

    def message(self, text: str) -> None:
        print(text, file=sys.stderr)


@dataclass(frozen=True)
class Row:
    """One campaign. ``replied`` of its ``edits`` are what a reply said; the rest were drawn after two bad ones."""

    campaign: Campaign
    evaluated: int
    attempts: int
    edits: int
    replied: int
    seed: Sequence[Interval]
    best: Sequence[Interval]
    tests: Sequence[PairedTest]
    step: int


def row(archive: Archive, campaign: Campaign) -> Row:
    variants = archive.variants(campaign.id)
    best = assembly.best(archive, campaign.id) or variants[0]
    assembly.evaluate_test([variants[0], best], archive, Talk())
    beyond = [variant for variant in variants if variant.step > 0]
    edited = [variant for variant in beyond if variant.commit]
    return Row(
        campaign=campaign,
        evaluated=sum(variant.status in ("evaluated", "screened_out") for variant in beyond),
        attempts=len(beyond),
        edits=len(edited),
        replied=sum(FALLBACK not in variant.summary for variant in edited),
        seed=[_interval(archive, variants[0], split) for split in SPLITS],
        best=[_interval(archive, best, split) for split in SPLITS],
        tests=[assembly.paired(archive, variants[0], best, split) for split in SPLITS],
        step=best.step,
    )


def _interval(archive: Archive, variant: Variant, split: Split) -> Interval:
    found = assembly.interval(archive, variant, split)
    if found is None:
        raise SystemExit(f"variant {variant.id} has no outcome on {split}")
    return found


def render(rows: Sequence[Row]) -> list[str]:
    tasks = [rows[0].seed[index].n for index in range(2)]
    heads = ["campaign (random seed)", "variants / attempts", "edits from a reply"]
    for split, count in zip(SPLITS, tasks, strict=True):
        heads += [f"seed, {split} ({count})", "best", "gained, lost, p"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for one in rows:
        cells = [f"{one.campaign.name} ({one.campaign.random_seed})", f"{one.evaluated} / {one.attempts}"]
        cells.append(f"{one.replied} of {one.edits}")
        for seed, best, test in zip(one.seed, one.best, one.tests, strict=True):
            cells += [_score(seed), _score(best), f"+{test.wins} -{test.losses}, {test.p_value:.2g}"]
        lines.append("| " + " | ".join(cells) + " |")
    significant = sum(one.tests[0].p_value < SIGNIFICANT and one.tests[0].wins > one.tests[0].losses for one in rows)
    gains = [one.best[1].estimate - one.seed[1].estimate for one in rows]
    return [
        *lines,
        "",
        f"- best above the seed on validation with p < {SIGNIFICANT}: {significant} of {len(rows)} campaigns",
        f"- gain on the hidden test: mean {mean(gains):+.3f}, from {min(gains):+.3f} to {max(gains):+.3f}",
    ]


def _score(found: Interval) -> str:
    return f"{found.estimate:.3f} [{found.low:.2f}, {found.high:.2f}]"


def main() -> int:
    archive = assembly.open_archive(Path(sys.argv[1]), write=True)
    try:
        for name in ("quickstart", "quickstart-control"):
            pattern = re.compile(re.escape(name) + r"(-\d+)?")
            found = [campaign for campaign in archive.campaigns() if pattern.fullmatch(campaign.name)]
            if found:
                print(f"\n### {name}\n")
                print("\n".join(render([row(archive, campaign) for campaign in found])))
    finally:
        archive.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
