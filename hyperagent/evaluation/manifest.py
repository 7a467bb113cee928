"""Where benchmark packs and their data are looked for, and how a pack's ``benchmark.toml`` is read."""

from __future__ import annotations

import importlib.util
import os
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from hyperagent.errors import ConfigError, NotFoundError
from hyperagent.evaluation.packfile import MANIFEST, Manifest, Source, Upstream, nearest, parse

__all__ = [
    "CACHE_VARIABLE", "DATA_VARIABLE", "MANIFEST", "PACKS_VARIABLE", "Manifest", "Source", "Upstream",
    "cache_directory", "data_directories", "find_packs", "load_module", "read_manifest",
]  # fmt: skip

PACKS_VARIABLE = "HYPERAGENT_BENCHMARKS"
DATA_VARIABLE = "HYPERAGENT_BENCHMARK_DATA"
CACHE_VARIABLE = "HYPERAGENT_CACHE"
_PACKAGE = Path(__file__).resolve().parent.parent


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
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", hint="See docs/packs.md for the pack format.") from error
    return parse(path, content)


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
            hint=nearest(name_or_path, list(packs)) or f"Benchmarks: {', '.join(packs) or 'none'}.",
        )
    return packs[name_or_path]
