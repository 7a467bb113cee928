"""``benchmark validate``: is a pack what docs/packs.md asks for, and does it measure what it says?

Whatever a pack's own code does wrong ends in a line of the table, never in a traceback.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hyperagent.errors import ConfigError, HyperagentError
from hyperagent.evaluation import probing
from hyperagent.evaluation.manifest import MANIFEST, Manifest, Source, data_directories, find_packs, read_manifest
from hyperagent.evaluation.pack import Pack, find_data, load_pack, parse_records
from hyperagent.evaluation.probing import Finding, Grading, State
from hyperagent.evaluation.schema import faults, manifest_schema
from hyperagent.evaluation.splits import SPLITS


@dataclass(frozen=True)
class Check:
    """One line of the table.

    Attributes:
        source: The data set that was looked at; empty = the pack itself.
        state: ``fail`` = the pack cannot be trusted; ``warn`` = a person should look; ``skip`` = could not be tried.
    """

    source: str
    name: str
    state: State
    detail: str


def validate(
    name_or_path: str | Path, source: str = "", *, grading: Grading | None = None, data: Path | None = None
) -> list[Check]:
    """Every check of a pack, of one of its data sets or of all that are at hand.

    Args:
        source: One data set; empty = all, those that are not at hand are skipped.
        grading: How predictions of packs with an examiner are graded; None = those checks are skipped.
        data: As in :func:`~hyperagent.evaluation.pack.load_pack`.

    Raises:
        NotFoundError: No such pack or source.
    """
    folder = _folder(name_or_path)
    checks = [_schema(folder)]
    if checks[0].state == "fail":
        return checks
    try:
        manifest = read_manifest(folder)
    except ConfigError as error:
        return [*checks, Check("", "reader", "fail", error.message)]
    named = manifest.name == folder.resolve().name
    wrong = f"the folder is called {folder.resolve().name}, the pack {manifest.name}: rename one"
    checks.append(Check("", "name", "ok" if named else "fail", manifest.name if named else wrong))
    for one in (manifest.source(source),) if source else manifest.sources:
        checks += _source(manifest, one, grading, data, asked=bool(source))
    return checks


def _folder(name_or_path: str | Path) -> Path:
    is_path = isinstance(name_or_path, Path) or os.sep in name_or_path
    folder = Path(name_or_path).expanduser() if is_path else find_packs().get(str(name_or_path))
    if folder is None or not (folder / MANIFEST).is_file():
        return read_manifest(name_or_path).path  # raises NotFoundError, which names what is near
    return folder


def _schema(folder: Path) -> Check:
    try:
        content = tomllib.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return Check("", "schema", "fail", f"{MANIFEST} cannot be read: {error}")
    found = faults(content, manifest_schema())
    return Check("", "schema", "fail" if found else "ok", "; ".join(found) or f"{MANIFEST} has the form it should have")


def _source(
    manifest: Manifest, source: Source, grading: Grading | None, data: Path | None, *, asked: bool
) -> Iterator[Check]:
    if source.file and find_data(manifest, source, data_directories(data)) is None:
        hint = f"{source.file} is not at hand: `hyperagent benchmark fetch {manifest.name} --source {source.name}`"
        yield Check(source.name, "data", "fail" if asked else "skip", hint)
        return
    try:
        pack = load_pack(manifest.path, source.name, data=data)
    except HyperagentError as error:
        yield Check(source.name, "data", "fail", error.message)
        return
    except Exception as error:  # noqa: BLE001 - code of a pack may raise anything; the table says what and where
        yield Check(source.name, "data", "fail", probing.blame(error, manifest.path))
        return
    counts = ", ".join(f"{len(pack.tasks(split))} {split}" for split in SPLITS)
    yield Check(source.name, "data", "ok", f"{counts}; ids unique, no group in two splits")
    for name, look in _LOOKS:
        try:
            found = look(pack, source, grading, data)
        except Exception as error:  # noqa: BLE001 - code of a pack may raise anything; the table says what and where
            found = ("fail", probing.blame(error, manifest.path))
        if found is not None:
            yield Check(source.name, name, *found)


Look = Callable[[Pack, Source, Grading | None, Path | None], Finding | None]
"""One check of a loaded data set; None = it does not apply."""


def _labels(pack: Pack, source: Source, grading: Grading | None, data: Path | None) -> Finding | None:
    tasks = probing.all_tasks(pack)
    if not pack.labels:
        missing = [task.id for task in tasks if pack.manifest.grader == "exact" and "label" not in task.hidden]
        return ("fail", f"exact grading needs hidden.label; record {missing[0]} has none") if missing else None
    counts = {label: sum(task.hidden["label"] == label for task in tasks) for label in pack.labels}
    never = [label for label, count in counts.items() if not count]
    shown = ", ".join(f"{label} {count}" for label, count in counts.items())
    return ("warn", f"never the answer: {', '.join(never)} ({shown})") if never else ("ok", shown)


def _canary(pack: Pack, source: Source, grading: Grading | None, data: Path | None) -> Finding | None:
    found = find_data(pack.manifest, source, data_directories(data)) if source.file else None
    if found is None:
        return None
    origin, content = found
    records = parse_records(pack.manifest, source, content, origin)
    bare = [str(record["id"]) for record in records if not (record.get("meta") or {}).get("canary")]
    if bare:
        return "warn", f"{len(bare)} of {len(records)} records have no meta.canary, the first is {bare[0]}"
    return "ok", f"in all {len(records)} records"


def _leaks(pack: Pack, source: Source, grading: Grading | None, data: Path | None) -> Finding | None:
    found = probing.verbatim(probing.all_tasks(pack))
    if not found:
        return "ok", f"nothing hidden of more than {probing.SHORT} characters stands in what a program sees"
    first, member = found[0]
    return "warn", f"{len(found)} records show hidden text, the first is {first} (hidden.{member})"


def _duplicates(pack: Pack, source: Source, grading: Grading | None, data: Path | None) -> Finding | None:
    across, within = probing.duplicates(probing.all_tasks(pack))
    if across:
        return "fail", f"{len(across)} inputs stand in two splits, e.g. of {across[0][0]} and {across[0][1]}"
    if within:
        return "warn", f"{len(within)} inputs stand twice in one split, e.g. of {within[0][0]} and {within[0][1]}"
    return "ok", "no input stands twice"


def _generator(pack: Pack, source: Source, grading: Grading | None, data: Path | None) -> Finding | None:
    if not source.generator:
        return None
    return probing.generator(pack.manifest, source)


def _null(pack: Pack, source: Source, grading: Grading | None, data: Path | None) -> Finding | None:
    tasks = probing.sample(pack, 1 if pack.examiner else 7)
    return probing.worthless(pack, [(task, None) for task in tasks], grading or probing.on_host)


def _garbage(pack: Pack, source: Source, grading: Grading | None, data: Path | None) -> Finding | None:
    tasks = probing.sample(pack, 1)[:1] if pack.examiner else probing.sample(pack, 3)
    pairs = [(task, junk) for task in tasks for junk in probing.GARBAGE if not probing.is_label(task, junk)]
    return probing.worthless(pack, pairs, grading or probing.on_host)


def _reference(pack: Pack, source: Source, grading: Grading | None, data: Path | None) -> Finding | None:
    return probing.reference(pack, grading or probing.on_host, examined=grading is not None)


def _controls(pack: Pack, source: Source, grading: Grading | None, data: Path | None) -> Finding | None:
    return probing.controls(pack)


_LOOKS: Sequence[tuple[str, Look]] = (
    ("labels", _labels),
    ("canary", _canary),
    ("leaks", _leaks),
    ("duplicates", _duplicates),
    ("generator", _generator),
    ("null", _null),
    ("garbage", _garbage),
    ("reference", _reference),
    ("controls", _controls),
)


def failed(checks: Sequence[Check]) -> bool:
    return any(check.state == "fail" for check in checks)
