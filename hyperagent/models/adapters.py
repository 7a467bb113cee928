"""``local/NAME+adapter``: fine-tuned adapters of local models, each a folder with the weights and a manifest.

An adapter is named after everything that went into its training, so the name, which every recorded call bears, says
which it was. It can be used where an evaluation found it better than its base model, or where somebody insisted.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from hyperagent.errors import ModelUnavailable, NotFoundError
from hyperagent.models.catalogue import known_model, model_directory
from hyperagent.types import Json

FOLDER = "adapters"
WEIGHTS = "adapter.gguf"
MANIFEST = "manifest.json"
_MARK = re.compile(r"[0-9a-f]{10}(-control)?")

Role = Literal["adapter", "control"]


@dataclass(frozen=True)
class Adapter:
    """The manifest of an adapter.

    Attributes:
        name: ``NAME+`` and ten hex digits; a control ends in ``-control``.
        base, base_sha256: The local model that it changes, and the hash of the weights that it was trained on.
        sha256: Of the adapter's own file.
        role: ``control``: trained on gains dealt at random, for comparison only.
        training_set: SHA-256 of the pairs that it was trained on; ``pairs`` is how many.
        settings: Hyper-parameters, the random seed among them.
        created: Unix seconds, UTC.
        evaluation: Proposals on held-out parents, against the base model's; empty until that has been done.
        offered: Whether it can be used; ``why`` says why, or why not.
    """

    name: str
    base: str
    base_sha256: str
    sha256: str
    role: Role
    training_set: str
    pairs: int
    campaigns: tuple[str, ...]
    settings: Mapping[str, Json]
    created: float
    evaluation: Mapping[str, Json] = field(default_factory=dict)
    offered: bool = False
    why: str = "not evaluated"


def adapter_name(base: str, role: Role, facts: Mapping[str, Json]) -> str:
    """The name that training with these facts leads to; equal facts, equal name."""
    known = {"base": known_model(base).sha256, **facts}
    mark = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:10]
    return f"{base}+{mark}" + ("-control" if role == "control" else "")


def adapter_folder(name: str, directory: Path | None = None) -> Path:
    """Where the adapter of that name is, or would be.

    Raises:
        NotFoundError: No adapter can be called that; in particular no name leads out of the folder.
    """
    base, _, mark = name.partition("+")
    known_model(base)
    if not _MARK.fullmatch(mark):
        raise NotFoundError(
            f"{name!r} is no adapter's name", hint="`hyperagent distil --list` names those that are here"
        )
    return (directory or model_directory()) / FOLDER / name


def read_adapter(name: str, directory: Path | None = None) -> Adapter:
    """The manifest of an adapter.

    Raises:
        NotFoundError: There is none of that name.
        ModelUnavailable: Its manifest is damaged.
    """
    file = adapter_folder(name, directory) / MANIFEST
    try:
        members = json.loads(file.read_text(encoding="utf-8"))
        found = Adapter(**{**members, "campaigns": tuple(members["campaigns"])})
    except FileNotFoundError:
        raise NotFoundError(
            f"there is no adapter {name} in {file.parent.parent}", hint="`hyperagent distil CAMPAIGN` trains one"
        ) from None
    except (OSError, ValueError, LookupError, TypeError):
        raise ModelUnavailable(f"{file} is damaged", hint=f"Remove {file.parent} and train it again.") from None
    if found.name != name:
        raise ModelUnavailable(f"{file} is of another adapter: {found.name!r}", hint=f"Remove {file.parent}.")
    return found


def write_manifest(adapter: Adapter, directory: Path | None = None) -> None:
    """Write or replace the manifest: whole, or not at all."""
    folder = adapter_folder(adapter.name, directory)
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{MANIFEST}.partial"
    partial.write_text(json.dumps(dataclasses.asdict(adapter), indent=1, sort_keys=True) + "\n", encoding="utf-8")
    partial.replace(folder / MANIFEST)


def list_adapters(directory: Path | None = None) -> list[Adapter]:
    """All adapters that are here, by age; folders that hold none are passed over."""
    found = []
    for folder in ((directory or model_directory()) / FOLDER).glob("*+*"):
        try:
            found.append(read_adapter(folder.name, directory))
        except (NotFoundError, ModelUnavailable):
            continue
    return sorted(found, key=lambda adapter: adapter.created)


def offer(adapter: Adapter, why: str, directory: Path | None = None) -> Adapter:
    """Let an adapter be used from now on."""
    offered = replace(adapter, offered=True, why=why)
    write_manifest(offered, directory)
    return offered


def usable_weights(name: str, directory: Path | None = None, *, insist: bool = False) -> Path:
    """The file of an adapter that may be used.

    Args:
        insist: Also where it is not offered: for its own evaluation.

    Raises:
        ModelUnavailable: None of that name, not offered, made for other weights, or its file has another hash.
    """
    try:
        adapter = read_adapter(name, directory)
    except NotFoundError as error:
        raise ModelUnavailable(error.message, hint=error.hint) from None
    if not (adapter.offered or insist):
        raise ModelUnavailable(
            f"local/{name} is not offered: {adapter.why}",
            hint=f"use local/{adapter.base}, or insist: `hyperagent distil --offer-anyway {name}`",
        )
    if adapter.base_sha256 != known_model(adapter.base).sha256:
        raise ModelUnavailable(f"local/{name} was trained on other weights of {adapter.base}", hint="Train it again.")
    file = adapter_folder(name, directory) / WEIGHTS
    if not file.is_file() or file_sha256(file) != adapter.sha256:
        raise ModelUnavailable(f"{file} is missing or not what was trained", hint=f"Remove {file.parent}; train again.")
    return file


def file_sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
