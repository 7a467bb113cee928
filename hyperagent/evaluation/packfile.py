"""``benchmark.toml`` as data: what a pack says about itself. Every wrong key is an error that names it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, cast

from hyperagent.errors import ConfigError, NotFoundError
from hyperagent.evaluation.splits import SPLITS
from hyperagent.types import Limits, Needs, Split

MANIFEST = "benchmark.toml"
DEFAULT_SCREEN = 10
_PINNED = re.compile(r"[A-Za-z0-9._-]+(\[[A-Za-z0-9._,-]+\])?==[A-Za-z0-9.!+_-]+")
_LIMITS = tuple(one.name for one in fields(Limits) if one.name != "output_bytes")


@dataclass(frozen=True)
class UpstreamFile:
    """One file as its authors publish it. ``name`` is what a local copy is called."""

    url: str
    name: str
    sha256: str


@dataclass(frozen=True)
class Upstream:
    """Where a source's data comes from. Without ``files`` it can only be taken from a mirror.

    Attributes:
        url: The repository; ``commit`` pins its version.
        built_sha256: Hash of the record file that ``transform`` makes of the files.
        ids: File of the pack with one ``ID SPLIT`` a line: which records are taken.
        transform: Module of the pack with ``records(source, files) -> list of records``.
    """

    url: str
    commit: str
    licence: str
    attribution: str
    built_sha256: str = ""
    ids: str = ""
    transform: str = ""
    files: tuple[UpstreamFile, ...] = ()


@dataclass(frozen=True)
class Source:
    """One data set of a pack.

    Attributes:
        fields: Members of a record's ``input`` that a program gets, in this order; nothing else passes.
        labels: Answers allowed, in the order shown to a program; empty = open answers.
        points: Label -> points, where labels are grades on a scale.
        splits: Split -> number of records; checked on loading. Empty for data that users import by themselves.
        file: Record file, relative to ``<data directory>/<pack>/``; empty for a generated source.
        sha256: Hash of that file in a mirror.
        generator: Module of the pack with ``generate(random_seed, count) -> list of records``; empty for real data.
        length_field: The field whose length the length-only control looks at; empty = no such control.
        imported: Whether users make the record file by themselves (``benchmark import``).
        workspace: Whether a record's ``input.files`` stand in a folder that the program may work in.
    """

    name: str
    instructions: str
    labels: tuple[str, ...]
    fields: tuple[str, ...]
    splits: Mapping[Split, int]
    points: Mapping[str, float] = field(default_factory=dict)
    file: str = ""
    sha256: str = ""
    generator: str = ""
    length_field: str = ""
    imported: bool = False
    workspace: bool = False
    upstream: Upstream | None = None


@dataclass(frozen=True)
class Manifest:
    """A pack's own description. ``sources`` stand in the order in which ``auto`` tries them.

    Attributes:
        positive: The label that a confidence is about where there are two; the first one where empty.
        rating_field: Numeric member of ``hidden`` that answers should agree with; empty = none.
        screen: Validation tasks of the screen, where the campaign's config leaves it to the pack.
        stochastic: Whether equal programs may score differently.
        program_needs: For a program that solves tasks.
        examiner_needs: For the pack's examiner, where it has a folder ``examiner/``.
    """

    path: Path
    name: str
    description: str
    metric: str
    direction: Literal["higher", "lower"]
    licence: str
    grader: str
    canary: str
    positive: str
    rating_field: str
    screen: int
    stochastic: bool
    program_needs: Needs
    examiner_needs: Needs
    sources: tuple[Source, ...]

    def source(self, name: str) -> Source:
        """The source of that name.

        Raises:
            NotFoundError: There is none.
        """
        names = [source.name for source in self.sources]
        if name not in names:
            raise NotFoundError(
                f"benchmark {self.name} has no source {name!r}",
                hint=nearest(name, names) or f"Sources: auto, {', '.join(names)}.",
            )
        return self.sources[names.index(name)]


class _Table:
    """A TOML table that knows where it stands, so that an error can say so."""

    def __init__(self, path: Path, place: str, content: Any) -> None:
        if not isinstance(content, dict):
            raise ConfigError(
                f"{path}: {place.rstrip('.')} must be a table, not {content!r}", hint="See docs/packs.md."
            )
        self._path, self._place, self._content = path, place, content
        self._asked: set[str] = set()

    def get(self, key: str, kind: type, default: Any = None) -> Any:
        """The value of a key, of that type; it must be there where no default is given."""
        self._asked.add(key)
        value = self._content.get(key, default)
        if value is None:
            raise self.error(key, "is missing")
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.error(key, f"must be a {kind.__name__}, not {value!r}")
        return value

    def strings(self, key: str, default: list[str] | None = None) -> tuple[str, ...]:
        values = self.get(key, list, default)
        if not all(isinstance(value, str) for value in values):
            raise self.error(key, "must be a list of strings")
        return tuple(values)

    def tables(self, key: str, kind: type) -> list[tuple[str, _Table]]:
        """The tables under a key (a dict of tables, or a list of them), with their names; none where it is missing."""
        content = self.get(key, kind, kind())
        items = content.items() if isinstance(content, dict) else ((str(i), value) for i, value in enumerate(content))
        return [(name, _Table(self._path, f"{self._place}{key}.{name}.", value)) for name, value in items]

    def pinned(self, key: str) -> tuple[str, ...]:
        """Packages, each pinned: a score must not change because a package did."""
        packages = self.strings(key, [])
        loose = [package for package in packages if not _PINNED.fullmatch(package)]
        if loose:
            raise self.error(key, f"holds {loose[0]!r}, which is not pinned", hint="Write name==version.")
        return packages

    def number(self, key: str) -> float:
        """A number that is not negative; 0 where it is missing."""
        self._asked.add(key)
        value = self._content.get(key, 0)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
            raise self.error(key, f"must be a number that is not negative, not {value!r}")
        return float(value)

    def amounts(self, key: str, kinds: tuple[type, ...], default: Any) -> dict[str, Any]:
        """A table of numbers of these types."""
        content: dict[str, Any] = self.get(key, dict, default)
        wrong = [value for value in content.values() if isinstance(value, bool) or not isinstance(value, kinds)]
        if wrong:
            raise self.error(key, f"holds {wrong[0]!r}, which is not such a number")
        return content

    def part(self, key: str) -> _Table:
        """The table under a key; an empty one where it is missing."""
        return _Table(self._path, f"{self._place}{key}.", self.get(key, dict, {}))

    def table(self, key: str) -> _Table | None:
        value = self.get(key, dict, {})
        return _Table(self._path, f"{self._place}{key}.", value) if value else None

    def done(self) -> None:
        """Refuse keys that nobody asked for: a misspelt one would be lost without a word."""
        for key in self._content:
            if key not in self._asked:
                raise self.error(key, "is unknown", hint=nearest(key, sorted(self._asked)))

    def error(self, key: str, what: str, hint: str = "") -> ConfigError:
        return ConfigError(f"{self._path}: {self._place}{key} {what}", hint=hint or "See docs/packs.md.")


def nearest(name: str, names: list[str]) -> str:
    """A hint that names what was probably meant; empty where nothing is near."""
    close = get_close_matches(name, names, n=1)
    return f"Did you mean {close[0]!r}?" if close else ""


def parse(path: Path, content: Mapping[str, Any]) -> Manifest:
    """The manifest that a parsed ``benchmark.toml`` at ``path`` holds.

    Raises:
        ConfigError: A key is unknown, missing or wrong; names the file and the key.
    """
    table = _Table(path, "", content)
    examiner = table.part("examiner")
    direction = table.get("direction", str, "higher")
    if direction not in ("higher", "lower"):
        raise table.error("direction", "must be higher or lower")
    common = {key: table.strings(key, []) for key in ("labels", "fields")}
    texts = {key: table.get(key, str, "") for key in ("instructions", "length_field")}
    manifest = Manifest(
        path=path.parent,
        name=table.get("name", str),
        description=table.get("description", str),
        metric=table.get("metric", str),
        direction=direction,
        licence=table.get("licence", str),
        grader=table.get("grader", str, "label"),
        canary=table.get("canary", str, ""),
        positive=table.get("positive", str, ""),
        rating_field=table.get("rating_field", str, ""),
        screen=table.get("screen", int, DEFAULT_SCREEN),
        stochastic=table.get("stochastic", bool, False),
        program_needs=replace(
            _needs(table.part("limits"), table.pinned("packages")),
            stochastic=table.get("stochastic", bool, False),
            repeats=table.get("repeats", int, 1),
        ),
        examiner_needs=_needs(examiner, examiner.pinned("packages")),
        sources=tuple(_source(name, part, texts, common) for name, part in table.tables("sources", dict)),
    )
    table.done()
    if manifest.screen < 0:
        raise table.error("screen", "must not be negative")
    if manifest.program_needs.repeats < 1 or (manifest.program_needs.repeats > 1 and not manifest.stochastic):
        raise table.error("repeats", "must be at least 1, and more than 1 only where stochastic = true")
    if not manifest.sources:
        raise table.error("sources", "names no data set")
    return manifest


def _needs(table: _Table, packages: tuple[str, ...]) -> Needs:
    needs = Needs(
        packages=packages,
        seconds=table.number("seconds"),
        limits={name: value for name in _LIMITS if (value := table.number(name))},
    )
    table.done()
    return needs


def _source(name: str, table: _Table, texts: Mapping[str, str], common: Mapping[str, tuple[str, ...]]) -> Source:
    labels = table.strings("labels", list(common["labels"]))
    points = table.amounts("points", (int, float), {})
    if points and (set(points) != set(labels) or len(set(points.values())) < 2):
        raise table.error("points", "must give points to every label, and not the same to all")
    imported = table.get("imported", bool, False)
    splits = table.amounts("splits", (int,), {} if imported else None)
    if splits and (set(splits) != set(SPLITS) or min(splits.values()) < 0):
        raise table.error("splits", f"must count the records of {', '.join(SPLITS)}")
    upstream = table.table("upstream")
    source = Source(
        name=name,
        instructions=table.get("instructions", str, texts["instructions"]).replace("{labels}", ", ".join(labels)),
        labels=labels,
        fields=table.strings("fields", list(common["fields"])),
        splits=cast("Mapping[Split, int]", splits),
        points={label: float(value) for label, value in points.items()},
        file=table.get("file", str, ""),
        sha256=table.get("sha256", str, ""),
        generator=table.get("generator", str, ""),
        length_field=table.get("length_field", str, texts["length_field"]),
        imported=imported,
        workspace=table.get("workspace", bool, False),
        upstream=_upstream(upstream) if upstream else None,
    )
    table.done()
    if bool(source.file) == bool(source.generator):
        raise table.error("file", "or generator is needed, and not both")
    return source


def _upstream(table: _Table) -> Upstream:
    files = []
    for _, part in table.tables("files", list):
        files.append(UpstreamFile(part.get("url", str), part.get("name", str), part.get("sha256", str)))
        part.done()
    texts = {key: table.get(key, str) for key in ("url", "commit", "licence", "attribution")}
    made = {key: table.get(key, str, None if files else "") for key in ("built_sha256", "ids", "transform")}
    table.done()
    return Upstream(**texts, **made, files=tuple(files))
