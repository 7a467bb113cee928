"""Files of predictions that were made elsewhere: one JSON object a line, ``{"id": task id, "prediction": ...}``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from hyperagent.errors import UsageError
from hyperagent.evaluation.packfile import nearest
from hyperagent.types import Json

_FORM = 'Each line is {"id": task id, "prediction": answer}; see docs/packs.md.'


def read_predictions(path: Path, ids: Sequence[str], elsewhere: Mapping[str, str] | None = None) -> dict[str, Json]:
    """Task id -> prediction. Tasks without one are simply not in it; empty lines are skipped.

    Args:
        ids: Tasks that may be answered.
        elsewhere: Ids of other tasks -> their split, so that an error can say where they belong.

    Raises:
        UsageError: The file cannot be read, or a line is no prediction for one of these tasks; names the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint=_FORM) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text (byte {error.start})", hint=_FORM) from error
    known = set(ids)
    found: dict[str, Json] = {}
    stood: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        identity, prediction = _read(line, where)
        if identity in found:
            raise UsageError(
                f"{where}: task {identity} was answered on line {stood[identity]}", hint="Keep one of them."
            )
        if identity not in known:
            raise _unknown(identity, where, ids, elsewhere or {})
        found[identity], stood[identity] = prediction, number
    return found


def _read(line: str, where: str) -> tuple[str, Json]:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: no JSON: {error}", hint=_FORM) from error
    if not isinstance(content, dict) or not isinstance(content.get("id"), str) or "prediction" not in content:
        raise UsageError(f"{where}: not an object with a text `id` and a `prediction`", hint=_FORM)
    return content["id"], content["prediction"]


def _unknown(identity: str, where: str, ids: Sequence[str], elsewhere: Mapping[str, str]) -> UsageError:
    split = elsewhere.get(identity)
    if split:
        return UsageError(f"{where}: task {identity} is of another split", hint=f"Score it with --split {split}.")
    return UsageError(f"{where}: there is no task {identity!r}", hint=nearest(identity, list(ids)))
