"""``benchmark.toml``: what a pack says about itself, and where packs and their data are looked for."""

from __future__ import annotations

import importlib.util
import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, cast

from hyperagent.errors import ConfigError, NotFoundError
from hyperagent.evaluation.splits import SPLITS
from hyperagent.types import Split

MANIFEST = "benchmark.toml"
PACKS_VARIABLE = "HYPERAGENT_BENCHMARKS"
DATA_VARIABLE = "HYPERAGENT_BENCHMARK_DATA"
CACHE_VARIABLE = "HYPERAGENT_CACHE"
_PACKAGE = Path(__file__).resolve().parent.parent


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
        splits: Split -> number of records; checked on loading.
        file: Record file, relative to ``<data directory>/<pack>/``; empty for a generated source.
        sha256: Hash of that file in a mirror.
        generator: Module of the pack with ``generate(random_seed, count) -> list of records``; empty for real data.
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
    upstream: Upstream | None = None


@dataclass(frozen=True)
class Manifest:
    """A pack's own description. ``sources`` stand in the order in which ``auto`` tries them."""

    path: Path
    name: str
    description: str
    metric: str
    direction: Literal["higher", "lower"]
    licence: str
    grader: str
    length_field: str
    canary: str
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
                hint=_nearest(name, names) or f"Sources: auto, {', '.join(names)}.",
            )
        return self.sources[names.index(name)]


def find_packs() -> Mapping[str, Path]:
    """Name -> folder of every pack at hand: shipped, or in a folder that ``HYPERAGENT_BENCHMARKS`` lists.

    The variable's folders hold packs, and are separated as in ``PATH``. A pack of one's own takes the place of a
    shipped one of the same name.
    """
    shipped = _PACKAGE / "_data" / "benchmarks"
    if not shipped.is_dir():  # a checkout: the packs stand beside the package
        shipped = _PACKAGE.parent / "benchmarks"
    listed = os.environ.get(PACKS_VARIABLE, "").split(os.pathsep)
    folders = [shipped, *(Path(folder).expanduser() for folder in listed if folder)]
    return {path.parent.name: path.parent for folder in folders for path in sorted(folder.glob(f"*/{MANIFEST}"))}


def read_manifest(name_or_path: str | Path) -> Manifest:
    """Read a pack's ``benchmark.toml``, by the pack's name or its folder.

    Raises:
        NotFoundError: No such pack.
        ConfigError: The file cannot be used; names the file and the key.
    """
    folder = _folder(name_or_path)
    path = folder / MANIFEST
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", hint="See docs/packs.md for the pack format.") from error
    return _manifest(_Table(path, "", table), folder)


def load_module(manifest: Manifest, file: str) -> ModuleType:
    """Import a Python file of a pack by its path. It is trusted: whoever installs a pack runs its code on the host.

    Raises:
        ConfigError: There is no such file.
    """
    path = manifest.path / file
    name = f"hyperagent_pack_{manifest.name}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ConfigError(f"{manifest.path / MANIFEST} names {file}, which is no Python file of the pack")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their own module up there
    spec.loader.exec_module(module)
    return module


def data_directories(data: Path | None = None) -> list[Path]:
    """Folders that may hold record files: ``data`` alone where given, else the environment's mirror and the cache."""
    if data is not None:
        return [data]
    mirror = os.environ.get(DATA_VARIABLE)
    return [*([Path(mirror).expanduser()] if mirror else []), cache_directory()]


def cache_directory() -> Path:
    """Where ``fetch`` puts data: ``benchmarks`` under ``HYPERAGENT_CACHE``, or under ``~/.cache/hyperagent``."""
    base = os.environ.get(CACHE_VARIABLE)
    return (Path(base).expanduser() if base else Path.home() / ".cache" / "hyperagent") / "benchmarks"


def _folder(name_or_path: str | Path) -> Path:
    if isinstance(name_or_path, Path) or os.sep in name_or_path:
        folder = Path(name_or_path).expanduser()
        if (folder / MANIFEST).is_file():
            return folder
        raise NotFoundError(f"{folder} is no benchmark pack: it holds no {MANIFEST}", hint="See docs/packs.md.")
    packs = find_packs()
    if name_or_path not in packs:
        raise NotFoundError(
            f"there is no benchmark {name_or_path!r}",
            hint=_nearest(name_or_path, list(packs)) or f"Benchmarks: {', '.join(packs) or 'none'}.",
        )
    return packs[name_or_path]


def _nearest(name: str, names: list[str]) -> str:
    close = get_close_matches(name, names, n=1)
    return f"Did you mean {close[0]!r}?" if close else ""


class _Table:
    """A TOML table that knows where it stands, so that an error can say so."""

    def __init__(self, path: Path, place: str, content: Mapping[str, Any]) -> None:
        self._path, self._place, self._content = path, place, content
        self._asked: set[str] = set()

    def get(self, key: str, kind: type, default: Any = None) -> Any:
        """The value of a key, of that type; it must be there where no default is given."""
        self._asked.add(key)
        value = self._content.get(key, default)
        if value is None:
            raise self.error(key, "is missing")
        if not isinstance(value, kind):
            raise self.error(key, f"must be a {kind.__name__}, not {value!r}")
        return value

    def strings(self, key: str, default: list[str] | None = None) -> tuple[str, ...]:
        values = self.get(key, list, default)
        if not all(isinstance(value, str) for value in values):
            raise self.error(key, "must be a list of strings")
        return tuple(values)

    def tables(self, key: str) -> list[tuple[str, _Table]]:
        """The tables under a key (a table of tables, or an array of them), with their names."""
        content = self._content.get(key, {})
        self._asked.add(key)
        items = content.items() if isinstance(content, dict) else ((str(i), value) for i, value in enumerate(content))
        return [(name, _Table(self._path, f"{self._place}{key}.{name}.", value)) for name, value in items]

    def table(self, key: str) -> _Table | None:
        value = self.get(key, dict, {})
        return _Table(self._path, f"{self._place}{key}.", value) if value else None

    def done(self) -> None:
        """Refuse keys that nobody asked for: a misspelt one would be lost without a word."""
        for key in self._content:
            if key not in self._asked:
                raise self.error(key, "is unknown", hint=_nearest(key, sorted(self._asked)))

    def error(self, key: str, what: str, hint: str = "") -> ConfigError:
        return ConfigError(f"{self._path}: {self._place}{key} {what}", hint=hint or "See docs/packs.md.")


def _manifest(table: _Table, folder: Path) -> Manifest:
    direction = table.get("direction", str, "higher")
    if direction not in ("higher", "lower"):
        raise table.error("direction", "must be higher or lower")
    common = {key: table.strings(key, []) for key in ("labels", "fields")}
    instructions = table.get("instructions", str, "")
    manifest = Manifest(
        path=folder,
        name=table.get("name", str),
        description=table.get("description", str),
        metric=table.get("metric", str),
        direction=direction,
        licence=table.get("licence", str),
        grader=table.get("grader", str, "label"),
        length_field=table.get("length_field", str, ""),
        canary=table.get("canary", str, ""),
        sources=tuple(_source(name, part, instructions, common) for name, part in table.tables("sources")),
    )
    table.done()
    if not manifest.sources:
        raise table.error("sources", "names no data set")
    return manifest


def _source(name: str, table: _Table, instructions: str, common: Mapping[str, tuple[str, ...]]) -> Source:
    labels = table.strings("labels", list(common["labels"]))
    points = table.get("points", dict, {})
    if points and (set(points) != set(labels) or len(set(points.values())) < 2):
        raise table.error("points", "must give points to every label, and not the same to all")
    splits = table.get("splits", dict)
    if set(splits) != set(SPLITS):
        raise table.error("splits", f"must count the records of {', '.join(SPLITS)}")
    upstream = table.table("upstream")
    source = Source(
        name=name,
        instructions=table.get("instructions", str, instructions).replace("{labels}", ", ".join(labels)),
        labels=labels,
        fields=table.strings("fields", list(common["fields"])),
        splits=cast("Mapping[Split, int]", splits),
        points={label: float(value) for label, value in points.items()},
        file=table.get("file", str, ""),
        sha256=table.get("sha256", str, ""),
        generator=table.get("generator", str, ""),
        upstream=_upstream(upstream) if upstream else None,
    )
    table.done()
    if bool(source.file) == bool(source.generator):
        raise table.error("file", "or generator is needed, and not both")
    return source


def _upstream(table: _Table) -> Upstream:
    files = []
    for _, part in table.tables("files"):
        files.append(UpstreamFile(part.get("url", str), part.get("name", str), part.get("sha256", str)))
        part.done()
    texts = {key: table.get(key, str) for key in ("url", "commit", "licence", "attribution")}
    made = {key: table.get(key, str, None if files else "") for key in ("built_sha256", "ids", "transform")}
    table.done()
    return Upstream(**texts, **made, files=tuple(files))
