"""Getting a pack's real data: from its authors at a pinned commit, or from a local copy. Nothing passes unhashed."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any

from hyperagent.errors import ConfigError, DataUnavailable, UsageError
from hyperagent.evaluation.manifest import (
    DATA_VARIABLE,
    Manifest,
    Source,
    Upstream,
    cache_directory,
    load_module,
    read_manifest,
)

MOST_BYTES = 200_000_000
TIMEOUT_SECONDS = 60.0

Progress = Callable[[str], None]
"""Takes one line for a person."""
Download = Callable[[str], bytes]
"""URL -> content; raises OSError."""


def download_url(url: str) -> bytes:
    """Content behind a URL, at most ``MOST_BYTES`` bytes.

    Raises:
        OSError: The server cannot be reached, refuses, breaks off, or sends too much.
    """
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as reply:
            content: bytes = reply.read(MOST_BYTES + 1)
    except HTTPException as error:  # a reply cut off in the middle
        raise OSError(f"broken reply: {error!r}") from error
    if len(content) > MOST_BYTES:
        raise OSError(f"more than {MOST_BYTES} bytes")
    return content


def fetch(
    name: str | Path,
    source: str = "auto",
    *,
    from_directory: Path | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
    download: Download = download_url,
) -> Path:
    """Put the record file of a source into the cache, where :func:`~hyperagent.evaluation.pack.load_pack` finds it.

    Args:
        name: A pack's name or folder.
        source: One of its data sets; ``auto`` = the first one with real data.
        from_directory: A folder to take the data from instead of the network. It may hold the record file
            (``<pack>/<file>`` or ``<file>``), which is copied, or the upstream files, which are transformed.
        cache: Folder to write below; None = :func:`~hyperagent.evaluation.manifest.cache_directory`.
        progress: Called with one line for each thing done.
        download: Gets one URL.

    Returns:
        Path of the record file.

    Raises:
        NotFoundError: No such pack or source.
        UsageError: The source is generated: there is nothing to fetch.
        DataUnavailable: Not to be had there, or not the file that was pinned; names file, expected and found hash.
    """
    manifest = read_manifest(name)
    chosen = _source(manifest, source)
    say = progress or (lambda line: None)
    target = (cache or cache_directory()) / manifest.name / chosen.file
    copy = _mirrored(manifest, chosen, from_directory) if from_directory else None
    if copy is not None:
        content = _checked(copy.read_bytes(), chosen.sha256, str(copy))
        say(f"{copy}: SHA-256 as pinned")
    else:
        content = _built(manifest, chosen, from_directory, download, say)
    _write(target, content)
    say(f"{chosen.name}: {sum(chosen.splits.values())} records in {target}")
    return target


def _source(manifest: Manifest, name: str) -> Source:
    if name == "auto":
        real = [source for source in manifest.sources if source.file]
        if real:
            return real[0]
    else:
        chosen = manifest.source(name)
        if chosen.file:
            return chosen
    raise UsageError(f"benchmark {manifest.name}: {name} is generated", hint="It needs no data: just run it.")


def _mirrored(manifest: Manifest, source: Source, directory: Path) -> Path | None:
    paths = (directory / manifest.name / source.file, directory / source.file)
    return next((path for path in paths if path.is_file()), None)


def built_locally(manifest: Manifest, source: Source, directory: Path) -> bytes | None:
    """The record file made of upstream files that lie in a folder; None where one of them does not.

    Raises:
        DataUnavailable: A file is not the pinned one.
    """
    names = [file.name for file in source.upstream.files] if source.upstream else []
    if not names or not all(_place(directory, name) for name in names):
        return None
    return _built(manifest, source, directory, download_url, lambda line: None)


def _built(manifest: Manifest, source: Source, directory: Path | None, download: Download, say: Progress) -> bytes:
    """The record file made of upstream files."""
    upstream = source.upstream
    if upstream is None or not upstream.files:
        raise DataUnavailable(
            f"{source.name} of benchmark {manifest.name} can only be taken from a mirror"
            + (f"; {directory} holds no {source.file}" if directory else ""),
            hint=f"Run `hyperagent benchmark fetch {manifest.name} --from DIR`, or set {DATA_VARIABLE} to the mirror.",
        )
    files: dict[str, bytes] = {}
    for file in upstream.files:
        if directory is None:
            say(f"getting {file.url}")
            content = _downloaded(manifest, file.url, download)
            files[file.name] = _checked(content, file.sha256, file.url)
        else:
            path = _local(manifest, source, directory, file.name)
            files[file.name] = _checked(path.read_bytes(), file.sha256, str(path))
            say(f"{path}: SHA-256 as pinned")
    content = transform(manifest, source, upstream, files)
    return _checked(content, upstream.built_sha256, f"{source.file} (made of {', '.join(files)})")


def transform(manifest: Manifest, source: Source, upstream: Upstream, files: Mapping[str, bytes]) -> bytes:
    """Upstream files to our record file: every record the pack's module makes that its id list takes, in that order.

    Raises:
        DataUnavailable: A record of the id list is not in the files.
    """
    made: list[dict[str, Any]] = load_module(manifest, upstream.transform).records(source.name, files)
    records = {record["id"]: record for record in made}
    lines = []
    for identity, split in read_ids(manifest.path / upstream.ids):
        if identity not in records:
            raise DataUnavailable(f"{source.name}: record {identity} of {upstream.ids} is not in the upstream files")
        record = {**records[identity], "split": split, "domain": manifest.name, "source": source.name}
        lines.append(json.dumps({**record, "meta": {"canary": manifest.canary}}, sort_keys=True, ensure_ascii=False))
    return ("\n".join(lines) + "\n").encode()


def read_ids(path: Path) -> list[tuple[str, str]]:
    """``(id, split)`` for each line of an id list; lines that begin with ``#`` are comments.

    Raises:
        ConfigError: The file is missing or a line has another form.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    pairs = [line.split() for line in lines if line and not line.startswith("#")]
    wrong = next((pair for pair in pairs if len(pair) != 2), None)
    if wrong is not None:
        raise ConfigError(f"{path}: a line must be ID SPLIT, not {' '.join(wrong)!r}")
    return [(identity, split) for identity, split in pairs]


def _downloaded(manifest: Manifest, url: str, download: Download) -> bytes:
    try:
        return download(url)
    except OSError as error:
        raise DataUnavailable(
            f"{url} cannot be downloaded: {error}",
            hint=f"Copy the data onto this machine and run `hyperagent benchmark fetch {manifest.name} --from DIR`, "
            f"or set {DATA_VARIABLE} to a mirror; without it the pack's generator is used.",
        ) from error


def _local(manifest: Manifest, source: Source, directory: Path, name: str) -> Path:
    path = _place(directory, name)
    if path is not None:
        return path
    raise DataUnavailable(
        f"{directory} holds neither {manifest.name}/{source.file} nor the upstream file {name}",
        hint="Give the folder of a mirror, or one with the upstream files under the names in benchmark.toml.",
    )


def _place(directory: Path, name: str) -> Path | None:
    return next((path for path in (directory / name, directory / "raw" / name) if path.is_file()), None)


def _checked(content: bytes, expected: str, what: str) -> bytes:
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise DataUnavailable(
            f"{what} is not the pinned file: expected SHA-256 {expected}, found {found}",
            hint="Take it from the pinned commit (see benchmark.toml); a changed data set is another benchmark.",
        )
    return content


def _write(target: Path, content: bytes) -> None:
    """Write in one step: a reader sees the whole file or none."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            os.replace(name, target)
        except BaseException:  # an interrupt must not leave a torn file behind, either
            os.unlink(name)
            raise
    except OSError as error:
        raise DataUnavailable(f"{target} cannot be written: {error.strerror}", hint="Set HYPERAGENT_CACHE.") from error
