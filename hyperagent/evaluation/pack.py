"""A benchmark pack with its data at hand: the shipped implementation of :class:`hyperagent.protocols.Benchmark`.

The format of packs and of record files is described in ``docs/packs.md``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hyperagent.errors import ConfigError, DataUnavailable
from hyperagent.evaluation import grading
from hyperagent.evaluation.grading import Grader
from hyperagent.evaluation.manifest import (
    DATA_VARIABLE,
    MANIFEST,
    Manifest,
    Source,
    data_directories,
    find_packs,
    load_module,
    read_manifest,
)
from hyperagent.evaluation.metrics import label_metrics
from hyperagent.evaluation.splits import SPLITS, check_groups, in_order, split_named
from hyperagent.types import Grade, Json, Split, Task

__all__ = ["Pack", "find_packs", "load_pack", "read_records"]


@dataclass(frozen=True)
class Pack:
    """One data set of a pack, loaded. Immutable, so any number of threads may use it.

    Attributes:
        name: The pack's name.
        source: The data set chosen, e.g. ``gsm8k``, ``generated``.
        metric: Name of the main metric: the mean score of :meth:`grade`, in [0, 1].
        labels: Answers allowed; empty = open answers.
        notes: Lines worth telling a person, e.g. that no real data was found.
        manifest: What the pack says about itself.
    """

    name: str
    source: str
    metric: str
    description: str
    labels: tuple[str, ...]
    notes: tuple[str, ...]
    manifest: Manifest = field(repr=False)
    _tasks: Mapping[Split, tuple[Task, ...]] = field(repr=False)
    _grader: Grader = field(repr=False)

    def tasks(self, split: Split, limit: int = 0) -> Sequence[Task]:
        """Tasks of a split in a fixed order; the first ``limit`` of them, all where 0.

        Raises:
            ValueError: No such split, or a negative limit.
        """
        if split not in SPLITS or limit < 0:
            raise ValueError(f"no tasks for split {split!r}, limit {limit}")
        return self._tasks[split][: limit or None]

    def grade(self, task: Task, prediction: Json) -> Grade:
        """Score one prediction. Never raises on garbage: that is a grade with ``valid=False``."""
        return self._grader(task.input, task.hidden, prediction)

    def feedback(self, task: Task) -> Json:
        """``{"target": label}`` of a train task: what the meta agent may learn about it.

        Raises:
            ValueError: The task is not of the train split.
        """
        if task.split != "train":
            raise ValueError(f"the target of {task.split} task {task.id} is not for the meta agent")
        return {"target": task.hidden.get("label")}

    def metrics(self, tasks: Sequence[Task], predictions: Sequence[Json]) -> Mapping[str, float]:
        """Metrics over paired tasks and predictions; a missing prediction is None and counts as invalid.

        Returns:
            ``n``; the pack's main metric, ``accuracy`` for label packs; ``invalid`` (fraction of predictions that are
            no answer); for packs with labels ``constant_baseline`` and ``length_baseline`` (accuracies of rules fitted
            on train), and where labels carry points ``nmae`` and ``constant_nmae``. All in [0, 1] but ``n``.

        Raises:
            ValueError: Different numbers of tasks and predictions.
        """
        if len(tasks) != len(predictions):
            raise ValueError(f"{len(tasks)} tasks but {len(predictions)} predictions: pass None where one is missing")
        grades = [self.grade(task, prediction) for task, prediction in zip(tasks, predictions, strict=True)]
        n = len(grades)
        result = {
            "n": float(n),
            self.metric: sum(grade.score for grade in grades) / n if n else 0.0,
            "invalid": sum(not grade.valid for grade in grades) / n if n else 0.0,
        }
        if self.labels:
            answered = [grading.label_of(prediction, self.labels)[0] for prediction in predictions]
            points = self.manifest.source(self.source).points
            train, length_field = self._tasks["train"], self.manifest.length_field
            result |= label_metrics(tasks, answered, train, self.labels, points, length_field)
        return result


def load_pack(
    name_or_path: str | Path, source: str = "auto", *, data: Path | None = None, random_seed: int = 0
) -> Pack:
    """Load a pack with one of its data sets.

    Args:
        name_or_path: Name of a pack at hand (see :func:`find_packs`) or a folder that holds a ``benchmark.toml``.
        source: A data set of the pack; ``auto`` = the first real one at hand, else the pack's generator.
        data: The only folder to look for record files in; None = ``HYPERAGENT_BENCHMARK_DATA``, then the cache.
        random_seed: Seed of a generated source; real data knows no chance.

    Raises:
        NotFoundError: No such pack or source.
        ConfigError: The pack itself is wrong.
        DataUnavailable: The data is not at hand, or not what the pack says it is.
    """
    manifest = read_manifest(name_or_path)
    directories = data_directories(data)
    chosen, path = _choose(manifest, source, directories)
    notes: list[str] = []
    if path is None:
        notes.append(
            f"real data not found: using the generator (for real data: `hyperagent benchmark fetch {manifest.name}`)"
            if source == "auto" and any(other.file for other in manifest.sources)
            else f"generated with random seed {random_seed}"
        )
        records = load_module(manifest, chosen.generator).generate(random_seed, sum(chosen.splits.values()))
        origin = chosen.generator
    else:
        records, origin = read_records(manifest, chosen, path), str(path)
    tasks = [_task(manifest, chosen, record, origin) for record in records]
    return Pack(
        name=manifest.name,
        source=chosen.name,
        metric=manifest.metric,
        description=manifest.description,
        labels=chosen.labels,
        notes=tuple(notes),
        manifest=manifest,
        _tasks=_by_split(chosen, tasks, origin),
        _grader=_grader(manifest, chosen),
    )


def read_records(manifest: Manifest, source: Source, path: Path) -> list[Mapping[str, Any]]:
    """Records of a file after its hash was checked.

    Raises:
        DataUnavailable: The file cannot be read, or is not the one that the pack was made for.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataUnavailable(f"{path} cannot be read: {error.strerror}", hint=fetch_hint(manifest)) from error
    found = hashlib.sha256(content).hexdigest()
    expected = [source.sha256, source.upstream.built_sha256 if source.upstream else ""]
    if any(expected) and found not in expected:
        raise DataUnavailable(
            f"{path} is not the file that {manifest.name} was made for: "
            f"expected SHA-256 {' or '.join(filter(None, expected))}, found {found}",
            hint=f"Remove it. {fetch_hint(manifest)}",
        )
    return [json.loads(line) for line in content.decode("utf-8").split("\n") if line]


def fetch_hint(manifest: Manifest) -> str:
    """What to do where data is missing."""
    return (
        f"Run `hyperagent benchmark fetch {manifest.name}`, or with `--from DIR` where DIR holds a copy, "
        f"or set {DATA_VARIABLE} to a mirror."
    )


def find_file(manifest: Manifest, source: Source, directories: Iterable[Path]) -> Path | None:
    """The source's record file in the first folder that has it."""
    paths = (directory / manifest.name / source.file for directory in directories)
    return next((path for path in paths if path.is_file()), None)


def _choose(manifest: Manifest, name: str, directories: Sequence[Path]) -> tuple[Source, Path | None]:
    """The source and its record file; None for a generated one."""
    candidates = manifest.sources if name == "auto" else (manifest.source(name),)
    for source in candidates:
        path = find_file(manifest, source, directories) if source.file else None
        if path is not None:
            return source, path
    for source in candidates:
        if source.generator:
            return source, None
    wanted = f"the {name} data" if name != "auto" else "any data"
    looked = ", ".join(str(directory / manifest.name) for directory in directories)
    raise DataUnavailable(
        f"{wanted} of benchmark {manifest.name} cannot be found (looked in {looked})", hint=fetch_hint(manifest)
    )


def _task(manifest: Manifest, source: Source, record: Mapping[str, Any], origin: str) -> Task:
    split = split_named(record.get("split"))
    try:
        given, hidden = record["input"], record["hidden"]
        # Only declared members pass: whatever else a file may hold can never reach a program.
        shown = {name: given[name] for name in source.fields}
        identity, group = str(record["id"]), str(record["group"])
    except (KeyError, TypeError) as error:
        raise DataUnavailable(f"{origin}: a record without {error}", hint="See docs/packs.md.") from error
    if split is None or (source.labels and hidden.get("label") not in source.labels):
        raise DataUnavailable(
            f"{origin}: record {identity} has an unknown split or label "
            f"({grading.shortened(record.get('split'))}, {grading.shortened(hidden.get('label'))})",
            hint="See docs/packs.md.",
        )
    asked = {"instructions": source.instructions, **({"answers": list(source.labels)} if source.labels else {})}
    return Task(identity, manifest.name, split, group, {**shown, **asked}, hidden)


def _by_split(source: Source, tasks: Sequence[Task], origin: str) -> dict[Split, tuple[Task, ...]]:
    check_groups(tasks)
    ordered = in_order(tasks)
    result = {split: tuple(task for task in ordered if task.split == split) for split in SPLITS}
    counts = {split: len(members) for split, members in result.items()}
    if counts != source.splits:
        raise DataUnavailable(f"{origin}: the pack promises {dict(source.splits)} records, there are {counts}")
    return result


def _grader(manifest: Manifest, source: Source) -> Grader:
    if manifest.grader == "label":
        return grading.label_grader(source.labels)
    if manifest.grader == "exact":
        return grading.exact_grader()
    if not manifest.grader.endswith(".py"):
        raise ConfigError(
            f"{manifest.path / MANIFEST}: grader is {manifest.grader!r}",
            hint="Use label, exact, or a .py file of the pack.",
        )
    function = getattr(load_module(manifest, manifest.grader), "grade", None)
    if not callable(function):
        raise ConfigError(f"{manifest.path / manifest.grader} has no function grade(input, hidden, prediction)")
    return grading.pack_grader(function)
