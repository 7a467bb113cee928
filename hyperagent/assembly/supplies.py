"""What campaigns need from outside: benchmark data, model weights, the sandbox image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hyperagent.config import Config, ModelsConfig
from hyperagent.types import ChatReply

if TYPE_CHECKING:
    from hyperagent.evaluation.pack import Pack


@dataclass(frozen=True)
class ModelRow:
    """A local model that can be pulled. ``size_mb`` on disk, ``memory_mb`` resident."""

    name: str
    size_mb: int
    memory_mb: int
    licence: str
    present: bool
    path: Path


def benchmarks() -> Mapping[str, Path]:
    """Name -> folder of every pack found."""
    from hyperagent.evaluation.pack import find_packs

    return find_packs()


def benchmark(name: str, source: str = "auto") -> Pack:
    from hyperagent.evaluation.pack import load_pack

    return load_pack(name, source)


def fetch_benchmark(
    name: str,
    source: str = "auto",
    from_directory: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Path:
    """Get a pack's data from upstream (pinned commit and SHA-256) or a local mirror into the user's cache."""
    from hyperagent.evaluation.fetch import fetch

    return fetch(name, source, from_directory=from_directory, progress=progress)


def models() -> Sequence[ModelRow]:
    from hyperagent.models import known_models, model_path

    rows = []
    for model in known_models():
        path = model_path(model.name)
        rows.append(ModelRow(model.name, model.size // 10**6, model.memory_mb, model.licence, path.is_file(), path))
    return rows


def pull_model(name: str, progress: Callable[[int, int], None] = lambda done, total: None) -> Path:
    """Download a known local model's weights, checked by SHA-256; resumes what an earlier attempt left."""
    from hyperagent.models import pull

    return pull(name, progress=progress)


def test_model(model: str, api_base: str) -> ChatReply:
    """One tiny call; raises ModelUnavailable or ModelLost where the model does not answer."""
    from hyperagent.assembly.wiring import model_client, resolve_models
    from hyperagent.models import probe

    config = resolve_models(Config(models=ModelsConfig(model=model, api_base=api_base)), None)
    with model_client(config) as client:
        return probe(client, config.models.evaluation, timeout=config.models.timeout)


def build_image(progress: Callable[[str], None] = lambda _: None) -> str:
    """Build the sandbox image anew; returns its name."""
    from hyperagent.sandbox import build_image as build

    return build(progress)
