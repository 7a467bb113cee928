"""Chooses how a model is served, from what the machine is: pure functions, which say why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from hyperagent.errors import ModelUnavailable, UsageError
from hyperagent.models.serving.gguf import Shape

Engine = Literal["vllm", "transformers", "llama.cpp"]
ENGINES: tuple[Engine, ...] = ("vllm", "transformers", "llama.cpp")
WIDTHS: Mapping[str, int] = {"float32": 4, "bfloat16": 2, "float16": 2}
"""dtype -> bytes of one number."""
STORED = "stored"
"""The dtype of llama.cpp: the weights stay as the file holds them."""

MOST_BATCH = 128
MOST_CONTEXT = 16_384
LEAST_CONTEXT = 1024
_SHARE = 0.9
"""Share of the free GPU memory that is used; vLLM's own default is the same."""
_WORKSPACE = 1_500_000_000
"""Bytes beside weights and cache: libraries' own, activations of a prompt, logits of a full batch."""
_CPU_BATCH = 8
_INSTALL = "install `hyperagent[gpu]`"


@dataclass(frozen=True)
class Gpu:
    """A GPU: ``free`` and ``total`` bytes of memory; ``capability`` as NVIDIA numbers it (8.0 = Ampere)."""

    name: str
    free: int
    total: int
    capability: float


@dataclass(frozen=True)
class Machine:
    """What serving depends on.

    Attributes:
        memory: Bytes of memory that are free; 0 = unknown.
        gpu: The GPU with the most free memory; None where there is none.
        vllm: vLLM is installed.
        transformers: Everything that the transformers engine imports is installed.
        torch_gpu: The PyTorch that is installed was built for GPUs.
    """

    memory: int
    gpu: Gpu | None = None
    vllm: bool = False
    transformers: bool = False
    torch_gpu: bool = False


@dataclass(frozen=True)
class Wishes:
    """What a person asked for; empty or 0 = choose."""

    engine: str = ""
    dtype: str = ""
    batch: int = 0
    context: int = 0


@dataclass(frozen=True)
class Plan:
    """How a model is served.

    Attributes:
        device: ``cuda`` or ``cpu``.
        dtype: A key of :data:`WIDTHS`, or :data:`STORED`.
        batch: Requests computed at once; more wait.
        context: Tokens of one request, prompt and completion.
        reason: Why, in one line.
    """

    engine: Engine
    device: str
    dtype: str
    batch: int
    context: int
    reason: str


def make_plan(
    name: str, shape: Shape, machine: Machine, slots: int, context: int, wishes: Wishes | None = None
) -> Plan:
    """Choose engine, dtype, batch size and context.

    Args:
        slots: Requests at once on the CPU where nobody asks otherwise.
        context: Tokens of one request on the CPU where nobody asks otherwise.

    Raises:
        UsageError: A wish is not one of the choices.
        ModelUnavailable: What is wished is not installed, or the model does not fit.
    """
    wishes = wishes or Wishes()
    _check(wishes)
    engine, why = _engine(machine, wishes.engine)
    if engine == "llama.cpp":
        if wishes.dtype not in ("", STORED):
            raise UsageError(
                f"--dtype {wishes.dtype}: llama.cpp computes with the weights as they are stored",
                hint="leave --dtype out, or choose --engine transformers",
            )
        return Plan(engine, "cpu", STORED, wishes.batch or slots, wishes.context or context, why)
    dtype = wishes.dtype or _dtype(machine)
    if dtype == STORED:
        raise UsageError(f"--dtype {STORED} is llama.cpp's", hint=f"choose one of {', '.join(WIDTHS)}")
    if engine == "transformers" and not (machine.gpu and machine.torch_gpu):
        return _fit(name, shape, Plan(engine, "cpu", dtype, 0, 0, why), machine.memory, wishes, _CPU_BATCH, context)
    room = int((machine.gpu.free if machine.gpu else 0) * _SHARE)
    longest = min(shape.context, MOST_CONTEXT)
    return _fit(name, shape, Plan(engine, "cuda", dtype, 0, 0, why), room, wishes, MOST_BATCH, longest)


def _check(wishes: Wishes) -> None:
    if wishes.engine and wishes.engine not in ENGINES:
        raise UsageError(f"--engine {wishes.engine}: no such engine", hint=f"one of {', '.join(ENGINES)}")
    if wishes.dtype and wishes.dtype not in (*WIDTHS, STORED):
        raise UsageError(f"--dtype {wishes.dtype}: no such dtype", hint=f"one of {', '.join(WIDTHS)}")
    if wishes.batch < 0 or wishes.context < 0:
        raise UsageError("--batch and --context cannot be negative", hint="0 = as many as fit")


def _engine(machine: Machine, wished: str) -> tuple[Engine, str]:
    gpu = machine.gpu
    if wished == "llama.cpp":
        return "llama.cpp", "asked for"
    if wished == "vllm":
        if gpu is None:
            raise ModelUnavailable("vLLM needs a GPU, and none is found here", hint="use --engine llama.cpp")
        if not machine.vllm:
            raise ModelUnavailable("vLLM is not installed here", hint="install `vllm`, or use --engine transformers")
        return "vllm", f"asked for; {gpu.name}"
    if wished == "transformers":
        if not machine.transformers:
            raise ModelUnavailable("the packages of the transformers engine are not installed", hint=f"{_INSTALL}")
        if gpu is None or not machine.torch_gpu:
            return "transformers", "asked for; on the CPU, where llama.cpp is several times faster"
        return "transformers", f"asked for; {gpu.name}"
    if gpu is None:
        return "llama.cpp", "no GPU is found: llama.cpp on the CPU"
    if machine.vllm:
        return "vllm", f"{gpu.name}, and vLLM is installed"
    if machine.transformers and machine.torch_gpu:
        return "transformers", f"{gpu.name}; vLLM is not installed"
    missing = "PyTorch is built for the CPU" if machine.transformers else f"nothing can use it ({_INSTALL})"
    return "llama.cpp", f"there is a GPU ({gpu.name}), but {missing}: llama.cpp on the CPU"


def _dtype(machine: Machine) -> str:
    if machine.gpu is None or not machine.torch_gpu:
        return "float32"  # what CPUs compute in natively
    return "bfloat16" if machine.gpu.capability >= 8 else "float16"  # bfloat16 since Ampere (CUDA C++ guide, 8.0)


def _fit(name: str, shape: Shape, plan: Plan, room: int, wishes: Wishes, most: int, context: int) -> Plan:
    """Fill in batch and context: the longest context first, shortened only where not even one request fits."""
    width = WIDTHS[plan.dtype]
    weights = shape.parameters * width
    left = room - weights - _WORKSPACE
    context = min(wishes.context or context, shape.context)
    while not wishes.context and context > LEAST_CONTEXT and left < shape.cache_bytes(width) * context:
        context //= 2
    fits = left // (shape.cache_bytes(width) * context) if left > 0 else 0
    batch = wishes.batch or min(most, fits)
    if fits < max(1, wishes.batch) and room:
        needed = weights + _WORKSPACE + shape.cache_bytes(width) * context * max(1, batch)
        raise ModelUnavailable(
            f"{name} in {plan.dtype} needs {needed / 1e9:.1f} GB for {max(1, batch)} request(s) of {context} tokens; "
            f"{room / 1e9:.1f} GB can be used",
            hint="ask for a smaller --batch or --context, or use --engine llama.cpp",
        )
    memory = f"{weights / 1e9:.1f} GB of weights, {fits} requests of {context} tokens fit in {room / 1e9:.0f} GB"
    return Plan(plan.engine, plan.device, plan.dtype, max(1, batch), context, f"{plan.reason}; {memory}")
