"""A benchmark pack with its data at hand: the shipped implementation of :class:`hyperagent.protocols.Benchmark`.

The format of packs and of record files is described in ``docs/packs.md``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hyperagent.errors import ConfigError, DataUnavailable
from hyperagent.evaluation import grading
from hyperagent.evaluation.fetch import built_locally
from hyperagent.evaluation.grading import Asker, Grader
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
from hyperagent.evaluation.scorecard import scorecard
from hyperagent.evaluation.splits import SPLITS, check_groups, in_order, split_named
from hyperagent.types import Examiner, Grade, Json, Needs, Outcome, Scorecard, Split, Task

__all__ = ["Pack", "find_data", "find_packs", "load_examiner", "load_pack", "parse_records"]

EXAMINING = Path(__file__).resolve().parent.parent / "examining"
"""What stands inside an examiner's sandbox beside the pack's own files; read, never imported."""


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
    examiner: Examiner | None = field(repr=False)
    _tasks: Mapping[Split, tuple[Task, ...]] = field(repr=False)
    _grader: Grader = field(repr=False)
    _asker: Asker | None = field(repr=False)

    @property
    def needs(self) -> Needs:
        return self.manifest.program_needs

    def tasks(self, split: Split, limit: int = 0) -> Sequence[Task]:
        """Tasks of a split in a fixed order; the first ``limit`` of them, all where 0.

        Raises:
            ValueError: No such split, or a negative limit.
        """
        if split not in SPLITS or limit < 0:
            raise ValueError(f"no tasks for split {split!r}, limit {limit}")
        return self._tasks[split][: limit or None]

    def examine(self, task: Task, prediction: Json) -> Mapping[str, Json] | Grade:
        """What the examiner is asked about one prediction, or the grade at once where that is no answer at all.

        Raises:
            ValueError: The pack has no examiner.
        """
        if self._asker is None:
            raise ValueError(f"benchmark {self.name} has no examiner")
        return self._asker(task.input, task.hidden, prediction)

    def grade(self, task: Task, prediction: Json, verdict: Json = None) -> Grade:
        """Score one prediction. Never raises on garbage: that is a grade with ``valid=False``.

        Args:
            verdict: What the examiner answered, for packs that have one; None = it gave no answer.
        """
        grade = self._grader(task.input, task.hidden, prediction, verdict)
        if self.manifest.direction == "lower" and grade.valid:
            return replace(grade, score=1.0 - grade.score)
        return grade

    def feedback(self, task: Task) -> Json:
        """``{"target": label}`` of a train task: what the meta agent may learn about it.

        Raises:
            ValueError: The task is not of the train split.
        """
        if task.split != "train":
            raise ValueError(f"the target of {task.split} task {task.id} is not for the meta agent")
        return {"target": task.hidden.get("label")}

    def scorecard(self, tasks: Sequence[Task], outcomes: Sequence[Outcome]) -> Scorecard:
        """Every metric of the pack over paired tasks and outcomes, and what cannot solve tasks scores on the same.

        Raises:
            ValueError: Tasks and outcomes are not of the same tasks in the same order, or an outcome is ``lost``.
        """
        source = self.manifest.source(self.source)
        return scorecard(
            tasks,
            outcomes,
            train=self._tasks["train"],
            metric=self.metric,
            labels=self.labels,
            points=source.points,
            positive=self.manifest.positive,
            length_field=source.length_field,
            rating_field=self.manifest.rating_field,
            grade=self.grade if self.examiner is None else None,
        )


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
    chosen, origin, content = _choose(manifest, source, directories)
    notes: list[str] = []
    if content is None:
        notes.append(
            f"real data not found: using the generator (for real data: `hyperagent benchmark fetch {manifest.name}`)"
            if source == "auto" and any(other.file for other in manifest.sources)
            else f"generated with random seed {random_seed}"
        )
        records = load_module(manifest, chosen.generator).generate(random_seed, sum(chosen.splits.values()))
    else:
        records = parse_records(manifest, chosen, content, origin)
    tasks = [_task(manifest, chosen, record, origin) for record in records]
    examiner = load_examiner(manifest)
    return Pack(
        name=manifest.name,
        source=chosen.name,
        # The search maximises, and no answer scores 0: what is kept is always the better the higher.
        metric=manifest.metric if manifest.direction == "higher" else f"1 - {manifest.metric}",
        description=manifest.description,
        labels=chosen.labels,
        notes=tuple(notes),
        manifest=manifest,
        examiner=examiner,
        _tasks=_by_split(chosen, tasks, origin),
        _grader=_grader(manifest, chosen, examined=examiner is not None),
        _asker=grading.pack_asker(_function(manifest, "examine")) if examiner else None,
    )


def parse_records(manifest: Manifest, source: Source, content: bytes, origin: str) -> list[Mapping[str, Any]]:
    """Records of a file after its hash was checked.

    Raises:
        DataUnavailable: The file is not the one that the pack was made for, or holds something else than records.
    """
    found = hashlib.sha256(content).hexdigest()
    expected = [source.sha256, source.upstream.built_sha256 if source.upstream else ""]
    if any(expected) and found not in expected:
        raise DataUnavailable(
            f"{origin} is not the file that {manifest.name} was made for: "
            f"expected SHA-256 {' or '.join(filter(None, expected))}, found {found}",
            hint=f"Remove it. {fetch_hint(manifest)}",
        )
    records = []
    for number, line in enumerate(content.decode("utf-8", "replace").split("\n"), 1):
        if line:
            try:
                records.append(json.loads(line))
            except ValueError as error:
                raise DataUnavailable(f"{origin}:{number}: not JSON: {error}", hint="See docs/packs.md.") from error
    return records


def fetch_hint(manifest: Manifest) -> str:
    """What to do where data is missing."""
    return (
        f"Run `hyperagent benchmark fetch {manifest.name}`, or with `--from DIR` where DIR holds a copy, "
        f"or set {DATA_VARIABLE} to a mirror."
    )


def find_data(manifest: Manifest, source: Source, directories: Iterable[Path]) -> tuple[str, bytes] | None:
    """Where a source's record file was found and its content; made of the upstream files where only these are there.

    Raises:
        DataUnavailable: A file cannot be read, or is not the pinned one.
    """
    for directory in directories:
        path = directory / manifest.name / source.file
        if path.is_file():
            try:
                return str(path), path.read_bytes()
            except OSError as error:
                raise DataUnavailable(f"{path} cannot be read: {error.strerror}", hint=fetch_hint(manifest)) from error
        made = built_locally(manifest, source, directory)
        if made is not None:
            return f"{source.file} (made of the files in {directory})", made
    return None


def _choose(manifest: Manifest, name: str, directories: Sequence[Path]) -> tuple[Source, str, bytes | None]:
    """The source, where its records come from, and the record file's content; None for a generated one."""
    candidates = manifest.sources if name == "auto" else (manifest.source(name),)
    for source in candidates:
        found = find_data(manifest, source, directories) if source.file else None
        if found is not None:
            return source, *found
    for source in candidates:
        if source.generator:
            return source, source.generator, None
    wanted = f"the {name} data" if name != "auto" else "any data"
    looked = ", ".join(str(directory / manifest.name) for directory in directories)
    raise DataUnavailable(
        f"{wanted} of benchmark {manifest.name} cannot be found (looked in {looked})", hint=fetch_hint(manifest)
    )


def _task(manifest: Manifest, source: Source, record: Mapping[str, Any], origin: str) -> Task:
    if not isinstance(record, Mapping):
        raise DataUnavailable(
            f"{origin}: a record is no object: {grading.shortened(record)}", hint="See docs/packs.md."
        )
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
    files = given.get("files", {}) if source.workspace else None
    if files is not None and not _are_texts(files):
        raise DataUnavailable(f"{origin}: the files of record {identity} are not texts", hint="See docs/packs.md.")
    asked = {"instructions": source.instructions, **({"answers": list(source.labels)} if source.labels else {})}
    return Task(identity, manifest.name, split, group, {**shown, **asked}, hidden, files)


def _are_texts(files: Json) -> bool:
    return isinstance(files, dict) and all(isinstance(text, str) for text in (*files, *files.values()))


def _by_split(source: Source, tasks: Sequence[Task], origin: str) -> dict[Split, tuple[Task, ...]]:
    check_groups(tasks)
    ordered = in_order(tasks)
    result = {split: tuple(task for task in ordered if task.split == split) for split in SPLITS}
    counts = {split: len(members) for split, members in result.items()}
    if source.splits and counts != source.splits:
        raise DataUnavailable(f"{origin}: the pack promises {dict(source.splits)} records, there are {counts}")
    return result


def load_examiner(manifest: Manifest) -> Examiner | None:
    """The pack's examiner; None where it has no folder ``examiner/``.

    Raises:
        ConfigError: The folder holds no ``examiner.py``.
    """
    folder = manifest.path / "examiner"
    if not folder.is_dir():
        return None
    files = {path.name: path.read_bytes() for place in (EXAMINING, folder) for path in sorted(place.glob("*.py"))}
    if "examiner.py" not in files:
        raise ConfigError(f"{folder} holds no examiner.py", hint="See docs/packs.md, 'Grading in a sandbox'.")
    return Examiner({**files, "program.toml": b""}, manifest.examiner_needs)


def _grader(manifest: Manifest, source: Source, *, examined: bool) -> Grader:
    if examined:
        return grading.verdict_grader(_function(manifest, "grade"))
    if manifest.grader == "label":
        return grading.label_grader(source.labels)
    if manifest.grader == "exact":
        return grading.exact_grader()
    return grading.pack_grader(_function(manifest, "grade"))


def _function(manifest: Manifest, name: str) -> Callable[..., Any]:
    """A function of the pack's grader."""
    if not manifest.grader.endswith(".py"):
        raise ConfigError(
            f"{manifest.path / MANIFEST}: grader is {manifest.grader!r}",
            hint="Use label, exact, or a .py file of the pack (which a pack with an examiner needs).",
        )
    function: Callable[..., Any] | None = getattr(load_module(manifest, manifest.grader), name, None)
    if not callable(function):
        raise ConfigError(f"{manifest.path / manifest.grader} has no function {name}", hint="See docs/packs.md.")
    return function
