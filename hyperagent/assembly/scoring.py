"""Predictions made elsewhere, scored as if a program had just made them: ``benchmark score``."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hyperagent.assembly.wiring import make_sandbox
from hyperagent.config import Config, to_json
from hyperagent.evaluation.pack import Pack, load_pack
from hyperagent.evaluation.predictions import read_predictions
from hyperagent.evaluation.splits import SPLITS
from hyperagent.protocols import Archive, Sandbox
from hyperagent.types import Json, Outcome, ProgramTree, RunResult, Scorecard, Split, Task

if TYPE_CHECKING:
    from hyperagent.engine.examination import Examination

Report = Callable[[int, int], None]
"""Told (tasks done, tasks in all)."""
TEST_READ = "test_read"


@dataclass(frozen=True)
class Scored:
    """What ``benchmark score`` found. ``missing`` tasks have no prediction and count as wrong."""

    benchmark: str
    source: str
    split: Split
    metric: str
    scorecard: Scorecard
    tasks: int
    missing: int


def score_predictions(
    config: Config,
    path: Path,
    split: Split,
    archive_path: Path,
    *,
    workers: int,
    report: Report,
    journal: Archive | None = None,
) -> Scored:
    """Score a file of predictions against one split of the config's first benchmark.

    Args:
        archive_path: Under its name sandboxes are labelled; the archive itself is not opened.
        workers: Examiners side by side, for packs that have one.
        journal: Where a reading of the hidden test is recorded; needed for ``test``.

    Raises:
        UsageError: A line of the file is no prediction for a task of that split.
        DataUnavailable: The benchmark's data is not at hand.
        SandboxUnavailable, EvaluationsLost: The examiner's sandbox does not start, or failed.
    """
    entry = config.benchmarks[0]
    pack = load_pack(entry.name, entry.source)
    tasks = pack.tasks(split)
    elsewhere = {task.id: other for other in SPLITS if other != split for task in pack.tasks(other)}
    found = read_predictions(path, [task.id for task in tasks], elsewhere)
    if split == "test":
        _record(config, pack, path, len(found), journal)
    pairs = [(task, found[task.id]) for task in tasks if task.id in found]
    with examiner_sandbox(config, pack, archive_path) as sandbox:
        outcomes = {outcome.task: outcome for outcome in graded(config, sandbox, pack, pairs, workers, report)}
    absent = [Outcome(task.id, "agent_error", 0.0, error="no prediction") for task in tasks if task.id not in found]
    outcomes.update((outcome.task, outcome) for outcome in absent)
    card = pack.scorecard(tasks, [outcomes[task.id] for task in tasks])
    if absent:
        line = f"{len(absent)} of {len(tasks)} tasks have no prediction (first: {absent[0].task}); they count as wrong"
        card = replace(card, warnings=(line, *card.warnings))
    return Scored(pack.name, pack.source, split, pack.metric, card, len(tasks), len(absent))


def _record(config: Config, pack: Pack, path: Path, count: int, journal: Archive | None) -> None:
    """Every reading of the hidden test leaves a trace: as a campaign of its own without a variant."""
    if journal is None:
        raise ValueError("the hidden test is not read without a journal")
    campaign = journal.create_campaign(f"score-{pack.name}", config.seed, to_json(config))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    facts = {"benchmark": pack.name, "source": pack.source, "predictions": count, "file": path.name, "sha256": digest}
    journal.append_event(campaign.id, TEST_READ, facts)
    journal.set_campaign_state(campaign.id, "finished", "predictions made elsewhere were scored on the hidden test")


@contextmanager
def examiner_sandbox(config: Config, pack: Pack, archive_path: Path) -> Iterator[Sandbox | None]:
    """A sandbox that is ready for the pack's examiner; None where the host grades alone."""
    if pack.examiner is None:
        yield None
        return
    sandbox = make_sandbox(config, archive_path)
    sandbox.prepare([pack.examiner.needs.packages])
    try:
        yield sandbox
    finally:
        sandbox.reap()


def graded(
    config: Config,
    sandbox: Sandbox | None,
    pack: Pack,
    pairs: Sequence[tuple[Task, Json]],
    workers: int = 1,
    report: Report = lambda done, total: None,
) -> list[Outcome]:
    """Outcomes in the order of the pairs, graded as those of a program are."""
    from hyperagent.engine.examination import Examination
    from hyperagent.engine.parts import limits_of

    found: list[Outcome | None] = [None] * len(pairs)
    lock, done = threading.Lock(), 0

    def part(worker: int) -> None:
        nonlocal done
        seconds = config.limits.task_seconds
        job = f"score-{pack.name}/{worker}"
        # Without an examiner the sandbox is never asked for anything.
        with Examination(sandbox, pack, job, limits_of(config), seconds) as examination:  # type: ignore[arg-type]
            for index in range(worker, len(pairs), count):
                found[index] = _outcome(examination, *pairs[index])
                if pack.examiner is not None:  # the host is done at once
                    with lock:
                        done += 1
                        report(done, len(pairs))

    count = workers if pack.examiner is not None else 1
    if count == 1:
        part(0)
    else:
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(part, range(count)))
    return [outcome for outcome in found if outcome is not None]


def _outcome(examination: Examination, task: Task, prediction: Json) -> Outcome:
    """As if a run had ended with that answer, and with the files that it names in its workspace."""
    tree: ProgramTree | None = None
    if task.files is not None:
        files = dict(task.files)
        named = prediction.get("files") if isinstance(prediction, dict) else None
        if isinstance(named, dict):
            files.update((name, text) for name, text in named.items() if isinstance(text, str))
        tree = {name: text.encode("utf-8", "replace") for name, text in files.items()}
    return examination.outcome(task, RunResult("ok", prediction, tree))
