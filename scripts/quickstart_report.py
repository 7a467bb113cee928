"""Reports a quickstart: the best variant against the seed program and against the control, on validation and test.

The best variant of a campaign is chosen on validation alone; the hidden test is read once, for the three programs that
the report compares. Standard output carries the report, standard error what happens meanwhile.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from hyperagent import assembly
from hyperagent.engine.journal import elapsed
from hyperagent.errors import EvaluationsLost, HyperagentError, NotFoundError
from hyperagent.protocols import Archive, Observer
from hyperagent.types import Campaign, Interval, PairedTest, Progress, Scorecard, Split, Variant

MODEL, CONTROL = "quickstart", "quickstart-control"
SPLITS: tuple[Split, ...] = ("validation", "test")
SIGNIFICANT = 0.05


class Tools(Protocol):
    """What the report needs of ``hyperagent.assembly``; a test hands in its own."""

    def best(self, archive: Archive, campaign: str) -> Variant | None: ...
    def evaluate_test(self, variants: Sequence[Variant], archive: Archive, observer: Observer) -> object: ...
    def interval(self, archive: Archive, variant: Variant, split: Split) -> Interval | None: ...
    def paired(self, archive: Archive, a: Variant, b: Variant, split: Split) -> PairedTest: ...
    def scorecards(self, archive: Archive, variant: Variant, split: Split) -> Mapping[str, Scorecard]: ...


class Talk:
    """Passes on what a person should read once; the progress of three evaluations is not worth a display."""

    def progress(self, progress: Progress) -> None:
        return None

    def message(self, text: str) -> None:
        print(text, file=sys.stderr)


@dataclass(frozen=True)
class Run:
    """One campaign: ``evaluated`` counts variants beyond the seed, ``seconds`` those of all its sessions."""

    name: str
    state: str
    attempts: int
    evaluated: int
    better_than_seed: int
    seconds: float
    calls: int
    tokens: int
    cost: float


@dataclass(frozen=True)
class Row:
    """One program: its mean score per split with 95% interval, and the exact McNemar test against the seed."""

    who: str
    variant: str
    step: int
    scores: Mapping[Split, Interval]
    against_seed: Mapping[Split, PairedTest]


@dataclass(frozen=True)
class Figures:
    """Everything the report says. ``model_against_control``: wins are test tasks that only the model's best solved."""

    model: Run
    control: Run
    rows: tuple[Row, ...]
    baselines: Mapping[Split, Mapping[str, float]]
    model_against_control: PairedTest
    conclusion: str


def latest(archive: Archive, name: str) -> Campaign:
    """The newest campaign started under that name (the archive appends -2, -3 ... where a name is taken).

    Raises:
        NotFoundError: There is none.
    """
    pattern = re.compile(re.escape(name) + r"(-\d+)?")
    found = [campaign for campaign in archive.campaigns() if pattern.fullmatch(campaign.name)]
    if not found:
        raise NotFoundError(f"no campaign called {name} in this archive", hint="run scripts/quickstart first")
    return max(found, key=lambda campaign: campaign.created)


def gather(archive: Archive, tools: Tools, observer: Observer) -> Figures:
    """Choose the programs on validation, evaluate them on the hidden test, and compare.

    Raises:
        NotFoundError: A campaign is missing, or not even its seed was evaluated.
        EvaluationsLost: A program has no outcome on the hidden test.
    """
    model, control = latest(archive, MODEL), latest(archive, CONTROL)
    runs = _run(archive, model), _run(archive, control)
    seed, best, drawn = archive.variants(model.id)[0], _best(tools, archive, model), _best(tools, archive, control)
    tools.evaluate_test(list({variant.id: variant for variant in (seed, best, drawn)}.values()), archive, observer)
    rows = tuple(
        Row(
            who,
            variant.id,
            variant.step,
            {split: _interval(tools, archive, variant, split) for split in SPLITS},
            {split: tools.paired(archive, seed, variant, split) for split in SPLITS if variant.id != seed.id},
        )
        for who, variant in (("seed program", seed), ("best variant", best), ("best of the control", drawn))
    )
    against = tools.paired(archive, drawn, best, "test")
    baselines = {split: _baselines(tools.scorecards(archive, seed, split)) for split in SPLITS}
    return Figures(*runs, rows, baselines, against, conclude(rows[1], against))


def _best(tools: Tools, archive: Archive, campaign: Campaign) -> Variant:
    found = tools.best(archive, campaign.id)
    if found is None:
        hint = f"finish it: hyperagent resume {campaign.name}"
        raise NotFoundError(f"the campaign {campaign.name} has no evaluated variant", hint=hint)
    return found


def conclude(best: Row, against_control: PairedTest) -> str:
    """What may be claimed, in two sentences, from the hidden test alone."""
    if best.step == 0:
        gain = "No variant scored above the seed program on validation."
    else:
        gain = f"On the hidden test the best variant is {_verdict(best.against_seed['test'])} the seed program."
    return f"{gain} The model did {_verdict(against_control)} edits drawn at random."


def _verdict(test: PairedTest) -> str:
    """Words for a paired test."""
    if test.p_value >= SIGNIFICANT:
        return f"no better ({_short(test)}) than"
    return f"{'better' if test.wins > test.losses else 'worse'} ({_short(test)}) than"


def _run(archive: Archive, campaign: Campaign) -> Run:
    variants = archive.variants(campaign.id)
    beyond = [variant for variant in variants if variant.step > 0]
    seed_score = variants[0].score or 0.0
    spend = archive.spend(campaign.id)
    return Run(
        name=campaign.name,
        state=campaign.state,
        attempts=len(beyond),
        evaluated=sum(variant.status in ("evaluated", "screened_out") for variant in beyond),
        better_than_seed=sum(
            variant.status == "evaluated" and (variant.score or 0.0) > seed_score for variant in beyond
        ),
        seconds=elapsed(archive, campaign.id),
        calls=spend.calls,
        tokens=spend.tokens,
        cost=spend.cost,
    )


def _interval(tools: Tools, archive: Archive, variant: Variant, split: Split) -> Interval:
    found = tools.interval(archive, variant, split)
    if found is None:
        raise EvaluationsLost(f"variant {variant.id} has no outcome on {split}", hint="run the report again")
    return found


def _baselines(cards: Mapping[str, Scorecard]) -> dict[str, float]:
    """``"constant answer (math_grading)" -> accuracy`` and the like, for every benchmark of the campaign."""
    words = {"constant": "one answer for all", "length": "by length alone"}
    prefix = len(cards) > 1
    return {
        f"{words[key]} ({name})" if prefix else words[key]: measure.interval.estimate
        for name, card in cards.items()
        for key, measure in card.measures.items()
        if key in words
    }


def render(figures: Figures) -> str:
    """The report as plain text."""
    lines = [_describe(figures.model), _describe(figures.control), ""]
    tasks = {split: figures.rows[0].scores[split].n for split in SPLITS}
    headings = "".join(f"{f'{split}, {tasks[split]} tasks':23}{'against the seed':21}" for split in SPLITS)
    lines.append(f"{'':21}{'variant':14}{headings}".rstrip())
    for row in figures.rows:
        cells = "".join(f"{_score(row.scores[split]):23}{_short(row.against_seed.get(split)):21}" for split in SPLITS)
        lines.append(f"{row.who:21}{row.variant:14}{cells}".rstrip())
    for name in figures.baselines["validation"]:
        cells = "".join(f"{figures.baselines[split].get(name, 0.0):<44.3f}" for split in SPLITS)
        lines.append(f"{name:35}{cells}".rstrip())
    model, best = figures.model.name, figures.rows[1].variant
    lines += [
        "",
        "The best are chosen on validation, so their validation scores flatter them; the hidden test does not.",
        figures.conclusion,
        "",
        "To look further:",
        f"  hyperagent lineage {model}",
        f"  hyperagent show {best}",
        f"  hyperagent replay {best}               # from recorded calls: the same bytes, no model needed",
    ]
    if figures.rows[1].step > 0:
        lines += [
            f"  hyperagent replay {best} --mutation    # the edit that made it: the same git tree",
            f"  hyperagent diff {best}",
        ]
    return "\n".join(lines)


def _describe(run: Run) -> str:
    cost = f", ${run.cost:.2f}" if run.cost else ""
    return (
        f"{run.name} ({run.state}): {run.evaluated} variants evaluated from {run.attempts} attempts, "
        f"{run.better_than_seed} above the seed; {run.seconds:.0f} s, {run.calls:,} model calls, "
        f"{run.tokens:,} tokens{cost}"
    )


def _score(value: Interval) -> str:
    return f"{value.estimate:.3f} [{value.low:.3f}, {value.high:.3f}]"


def _short(test: PairedTest | None) -> str:
    if test is None:
        return ""
    return f"+{test.wins} -{test.losses}, " + ("p < 0.001" if test.p_value < 0.001 else f"p = {test.p_value:.3f}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--archive", type=Path, required=True, help="archive home that holds the quickstart")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there as well")
    parser.add_argument("--latest", metavar="NAME", help="only print the newest campaign's real name and stop")
    options = parser.parse_args(arguments)
    try:
        archive = assembly.open_archive(options.archive, write=not options.latest)
        try:
            if options.latest:
                print(latest(archive, options.latest).name)
                return 0
            figures = gather(archive, assembly, Talk())
        finally:
            archive.close()
    except HyperagentError as error:
        print(f"error: {error}" + (f"\n  hint: {error.hint}" if error.hint else ""), file=sys.stderr)
        return error.exit_code
    print(render(figures))
    if options.json:
        options.json.write_text(json.dumps(asdict(figures), indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
