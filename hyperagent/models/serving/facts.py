"""What this machine offers for serving, found without importing anything heavy."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

from hyperagent.models.catalogue import available_memory_mb
from hyperagent.models.serving.plan import Gpu, Machine

_QUERY = ("--query-gpu=name,memory.free,memory.total,compute_cap", "--format=csv,noheader,nounits")
_SECONDS = 20.0
_ENGINE = ("torch", "transformers", "gguf", "accelerate", "llguidance")
"""What ``torch_engine`` imports, itself or through transformers."""


def find_machine() -> Machine:
    """Memory, GPU and installed engines of this machine."""
    return Machine(
        memory=available_memory_mb() * 1024 * 1024,
        gpu=_gpu(),
        vllm=_installed("vllm"),
        transformers=all(map(_installed, _ENGINE)),
        torch_gpu=_torch_gpu(),
    )


def parse_gpus(text: str) -> list[Gpu]:
    """The lines of ``nvidia-smi`` for :data:`_QUERY`; a GPU in an error state, which says no figures, is left out."""
    found = []
    for line in text.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) == 4 and all(re.fullmatch(r"\d+(\.\d+)?", part) for part in parts[1:]):
            free, total = (int(float(part)) * 1024 * 1024 for part in parts[1:3])
            found.append(Gpu(parts[0], free, total, float(parts[3])))
    return found


def _gpu() -> Gpu | None:
    command = shutil.which("nvidia-smi")
    if command is None:
        return None
    try:
        done = subprocess.run([command, *_QUERY], capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    gpus = parse_gpus(done.stdout) if done.returncode == 0 else []
    return max(gpus, key=lambda gpu: gpu.free, default=None)


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _torch_gpu() -> bool:
    """Whether PyTorch was built for GPUs, as its ``version.py`` says: importing it would take seconds."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return False
    try:
        text = (Path(found.origin).parent / "version.py").read_text(encoding="utf-8")
    except OSError:
        return False
    return re.search(r"^(cuda|hip)\b[^=\n]*=\s*['\"]", text, re.MULTILINE) is not None
