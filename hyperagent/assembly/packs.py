"""What concerns packs themselves: their facts, their form, example packs, and data that users import."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hyperagent.assembly.scoring import graded
from hyperagent.assembly.wiring import make_sandbox
from hyperagent.config import Config
from hyperagent.errors import ConfigError, PrerequisiteError, UsageError
from hyperagent.evaluation.fulltext import import_fulltext
from hyperagent.evaluation.manifest import cache_directory, find_packs, read_manifest
from hyperagent.evaluation.pack import Pack
from hyperagent.evaluation.schema import schema_text
from hyperagent.evaluation.template import write_pack
from hyperagent.evaluation.validate import Check, validate
from hyperagent.types import Grade, Json, Needs, Task

IMPORTERS = ("paper_review", "coding")
_POLYGLOT = "polyglot.py"


@dataclass(frozen=True)
class PackFacts:
    """What ``benchmark show`` adds to a pack's description.

    Attributes:
        grading: ``label``, ``exact``, a file, or ``examiner (FILE)`` where grading happens in a sandbox of its own.
        examiner: What the examiner may use; None where the host grades alone.
    """

    direction: str
    grading: str
    screen: int
    stochastic: bool
    needs: Needs
    examiner: Needs | None


def benchmark_facts(name: str) -> PackFacts:
    """Facts of a pack that need none of its data."""
    manifest = read_manifest(name)
    examined = (manifest.path / "examiner").is_dir()
    return PackFacts(
        manifest.direction,
        f"examiner ({manifest.grader})" if examined else manifest.grader,
        manifest.screen,
        manifest.stochastic,
        manifest.program_needs,
        manifest.examiner_needs if examined else None,
    )


def benchmark_schema() -> str:
    """The JSON Schema of ``benchmark.toml``."""
    return schema_text()


def init_benchmark(name: str, directory: Path, examiner: bool) -> Path:
    """Write an example pack; refuses to overwrite anything."""
    if name in find_packs():
        raise UsageError(f"there is a benchmark {name!r} already", hint="Choose another name.")
    return write_pack(name, directory, examiner=examiner)


def validate_benchmark(
    name: str, source: str, config: Config, archive_path: Path, report: Callable[[str], None] = lambda line: None
) -> list[Check]:
    """Every check of ``benchmark validate``; packs with an examiner are tried in a sandbox where one can be had.

    Raises:
        NotFoundError: No such pack or source.
    """
    try:
        manifest = read_manifest(name)
    except ConfigError:  # a broken manifest is what the table is there to show
        return validate(name, source)
    if not (manifest.path / "examiner").is_dir():
        return validate(name, source)
    try:
        sandbox = make_sandbox(config, archive_path)
        report(f"making the examiner's sandbox ready ({sandbox.info.backend})")
        sandbox.prepare([manifest.examiner_needs.packages])
    except PrerequisiteError as error:
        return [*validate(name, source), Check("", "sandbox", "skip", f"the examiner was not tried: {error.message}")]

    def grading(pack: Pack, pairs: Sequence[tuple[Task, Json]]) -> list[Grade]:
        report(f"{pack.source}: {len(pairs)} answers to the examiner")
        outcomes = graded(config, sandbox, pack, pairs)
        return [Grade(outcome.score, outcome.status == "scored", outcome.error) for outcome in outcomes]

    try:
        return [*validate(name, source, grading=grading), Check("", "sandbox", "ok", sandbox.info.backend)]
    finally:
        sandbox.reap()


def imported_file(name: str, target: Path | None) -> tuple[str, Path]:
    """The pack's source for data that users import, and the file to write: by default the one that it is read from.

    Raises:
        UsageError: The file is there already.
    """
    manifest = read_manifest(name)
    (source,) = (source for source in manifest.sources if source.imported)
    path = target or cache_directory() / manifest.name / source.file
    if path.exists():
        raise UsageError(f"{path} exists already", hint="Remove it or name another file; nothing was written.")
    path.parent.mkdir(parents=True, exist_ok=True)
    return source.name, path


def import_papers(source: Path, target: Path, bound: float, random_seed: int) -> object:
    """Full-text papers to a record file of ``paper_review``; refused where their text gives the decision away."""
    canary = read_manifest("paper_review").canary
    return import_fulltext(source, target, bound=bound, random_seed=random_seed, canary=canary)


def import_polyglot(clone: Path, target: Path) -> str:
    """Exercises of a clone of the Aider polyglot benchmark to a record file of ``coding``; returns what was said."""
    script = find_packs().get("coding", Path()) / _POLYGLOT
    if not script.is_file():
        raise UsageError("the coding pack at hand has no importer", hint="It is the pack's file polyglot.py.")
    if not any(clone.glob("*/exercises/practice")):
        raise UsageError(f"{clone} holds no LANGUAGE/exercises/practice", hint="Give the root folder of a clone.")
    command = [sys.executable, str(script), str(clone), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UsageError(
            f"{clone} cannot be imported: {last}", hint="Give the root folder of a clone; see the pack's README."
        )
    return done.stderr.strip()
