"""What campaigns need from outside: benchmark data, model weights, the sandbox image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hyperagent.config import Config, ModelsConfig
from hyperagent.types import ChatReply, Split

SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class ModelRow:
    """A local model that can be pulled. ``size_mb`` on disk, ``memory_mb`` resident."""

    name: str
    size_mb: int
    memory_mb: int
    licence: str
    present: bool
    path: Path


@dataclass(frozen=True)
class PackRow:
    """A benchmark pack with one data set loaded.

    Attributes:
        source: The data set; ``sources``: all that the pack knows, in the order in which ``auto`` tries them.
        labels: Answers allowed; empty = open answers.
        licence, upstream: Of the data set; upstream is ``URL @ commit``, empty for generated data.
        tasks: Split -> number of tasks.
        notes: Lines worth telling a person.
    """

    name: str
    description: str
    metric: str
    source: str
    sources: tuple[str, ...]
    labels: tuple[str, ...]
    licence: str
    attribution: str
    upstream: str
    tasks: Mapping[str, int]
    notes: tuple[str, ...]


def benchmarks() -> Mapping[str, Path]:
    """Name -> folder of every pack found."""
    from hyperagent.evaluation.pack import find_packs

    return find_packs()


def describe_benchmark(name: str, source: str = "auto") -> PackRow:
    """What ``benchmark show`` says of a pack and one of its data sets."""
    from hyperagent.evaluation.pack import load_pack

    pack = load_pack(name, source)
    upstream = pack.manifest.source(pack.source).upstream
    return PackRow(
        name=pack.name,
        description=pack.description,
        metric=pack.metric,
        source=pack.source,
        sources=tuple(one.name for one in pack.manifest.sources),
        labels=pack.labels,
        licence=upstream.licence if upstream else pack.manifest.licence,
        attribution=upstream.attribution if upstream else "",
        upstream=f"{upstream.url} @ {upstream.commit[:12]}" if upstream else "",
        tasks={split: len(pack.tasks(split)) for split in SPLITS},
        notes=pack.notes,
    )


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
