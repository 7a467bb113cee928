"""How serving is chosen from what the machine is, and what a weights file says of its model."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperagent.errors import HyperagentError, ModelUnavailable, UsageError
from hyperagent.models.serving import Order, plan_server
from hyperagent.models.serving.facts import parse_gpus
from hyperagent.models.serving.gguf import Shape, read_shape
from hyperagent.models.serving.main import vllm_command
from hyperagent.models.serving.plan import MOST_BATCH, WIDTHS, Gpu, Machine, Plan, Wishes, make_plan

SHAPE = Shape(parameters=1_500_000_000, layers=28, kv_heads=2, head_size=128, context=32_768)
BIG = Gpu("Big", free=80 * 10**9, total=85 * 10**9, capability=9.0)
SMALL = Gpu("Small", free=6 * 10**9, total=8 * 10**9, capability=7.5)
READY = Machine(memory=32 * 10**9, gpu=BIG, transformers=True, torch_gpu=True)
BARE = Machine(memory=8 * 10**9)


def plan(machine: Machine, **wishes: object) -> Plan:
    return make_plan("m", SHAPE, machine, slots=2, context=8192, wishes=Wishes(**wishes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("machine", "engine", "dtype", "why"),
    [
        (BARE, "llama.cpp", "stored", "no GPU"),
        (Machine(1, BIG, vllm=True, transformers=True, torch_gpu=True), "vllm", "bfloat16", "vLLM is installed"),
        (READY, "transformers", "bfloat16", "vLLM is not installed"),
        (Machine(1, SMALL, transformers=True, torch_gpu=True), "transformers", "float16", "Small"),
        (Machine(1, BIG, transformers=True), "llama.cpp", "stored", "built for the CPU"),
        (Machine(1, BIG), "llama.cpp", "stored", "install `hyperagent[gpu]`"),
        (Machine(1, None, vllm=True, transformers=True, torch_gpu=True), "llama.cpp", "stored", "no GPU"),
    ],
)
def test_the_engine_is_the_best_that_can_run_here_and_says_why(
    machine: Machine, engine: str, dtype: str, why: str
) -> None:
    found = plan(machine)
    assert (found.engine, found.dtype) == (engine, dtype)
    assert why in found.reason


def test_on_the_cpu_the_catalogue_decides_unless_somebody_asks() -> None:
    assert (plan(BARE).batch, plan(BARE).context) == (2, 8192)
    asked = plan(BARE, batch=5, context=512)
    assert (asked.batch, asked.context) == (5, 512)


def test_a_large_gpu_takes_the_whole_context_and_a_small_one_fewer_at_once() -> None:
    large, small = plan(READY), plan(Machine(1, SMALL, transformers=True, torch_gpu=True))
    assert (large.context, large.device) == (16_384, "cuda")
    assert large.batch > 8 * small.batch >= 8
    # 80 GB x 0.9 - 3 GB of weights - 1.5 GB beside, by 28 x 2 x 2 x 128 x 2 bytes for each of 16,384 tokens
    assert large.batch == min(MOST_BATCH, (72_000_000_000 - 3_000_000_000 - 1_500_000_000) // (28_672 * 16_384))


def test_a_context_is_shortened_before_a_model_is_refused() -> None:
    tight = Gpu("Tight", free=int(4.65e9 / 0.9), total=8 * 10**9, capability=8.0)
    found = plan(Machine(1, tight, transformers=True, torch_gpu=True))
    assert found.batch == 1
    assert found.context == 4096


@pytest.mark.parametrize(
    ("machine", "wishes", "kind", "message"),
    [
        (BARE, {"engine": "vllm"}, ModelUnavailable, "needs a GPU"),
        (READY, {"engine": "vllm"}, ModelUnavailable, "vLLM is not installed"),
        (BARE, {"engine": "transformers"}, ModelUnavailable, "not installed"),
        (BARE, {"engine": "tgi"}, UsageError, "no such engine"),
        (BARE, {"dtype": "int3"}, UsageError, "no such dtype"),
        (BARE, {"dtype": "bfloat16"}, UsageError, "weights as they are stored"),
        (READY, {"dtype": "stored"}, UsageError, "llama.cpp's"),
        (BARE, {"batch": -1}, UsageError, "negative"),
        (READY, {"batch": 4000}, ModelUnavailable, "for 4000 request"),
        (
            Machine(1, Gpu("Tiny", 2 * 10**9, 2 * 10**9, 8.0), transformers=True, torch_gpu=True),
            {},
            ModelUnavailable,
            "GB",
        ),
    ],
)
def test_what_cannot_be_served_is_refused_with_a_way_out(
    machine: Machine, wishes: dict[str, object], kind: type[HyperagentError], message: str
) -> None:
    with pytest.raises(kind, match=message) as caught:
        plan(machine, **wishes)
    assert caught.value.hint


@given(
    free=st.integers(10**8, 2 * 10**11),
    capability=st.sampled_from([6.1, 7.5, 8.0, 9.0]),
    batch=st.integers(0, 300),
    context=st.integers(0, 70_000),
)
def test_what_is_planned_on_a_gpu_fits_in_it(free: int, capability: float, batch: int, context: int) -> None:
    machine = Machine(1, Gpu("Any", free, free, capability), transformers=True, torch_gpu=True)
    try:
        found = plan(machine, batch=batch, context=context)
    except ModelUnavailable:
        return
    width = WIDTHS[found.dtype]
    assert 1 <= found.context <= SHAPE.context
    assert found.batch == batch or not batch
    assert SHAPE.parameters * width + found.batch * found.context * SHAPE.cache_bytes(width) < free


def test_the_vllm_command_serves_what_was_planned_on_loopback_alone() -> None:
    order = Order("m", "/w/m.gguf", "ab", Plan("vllm", "cuda", "bfloat16", 32, 8192, "why"), 8123, 2)
    command = vllm_command(order, Path("/w/m.safetensors"))
    assert command[1:5] == ["-m", "vllm.entrypoints.cli.main", "serve", "/w/m.safetensors"]
    told = dict(zip(command[5::2], command[6::2], strict=False))
    assert told["--host"] == "127.0.0.1"
    assert told["--port"] == "8123"
    assert (told["--served-model-name"], told["--dtype"]) == ("m", "bfloat16")
    assert (told["--max-num-seqs"], told["--max-model-len"]) == ("32", "8192")
    assert "--enable-auto-tool-choice" in command


def test_an_order_survives_its_way_into_the_process() -> None:
    order = Order("m", "/w/m.gguf", "ab", Plan("llama.cpp", "cpu", "stored", 2, 8192, "why"), 8123, 2)
    assert Order.from_json(order.to_json()) == order


def test_gpus_are_read_from_the_tool_that_lists_them() -> None:
    found = parse_gpus("NVIDIA A, 1000, 2000, 8.6\nNVIDIA B, [N/A], 2000, 9.0\nnonsense\n")
    assert found == [Gpu("NVIDIA A", 1000 * 2**20, 2000 * 2**20, 8.6)]


def test_weights_that_are_not_here_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERAGENT_MODELS", str(tmp_path))
    with pytest.raises(ModelUnavailable, match="are not in") as caught:
        plan_server("local/smollm2-135m")
    assert "model pull smollm2-135m" in caught.value.hint


# -- the weights file ------------------------------------------------------------------------------


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def gguf(*, facts: dict[str, bytes] | None = None, tensors: tuple[tuple[int, ...], ...] = ((10, 20), (5,))) -> bytes:
    """A GGUF file's beginning. Values are their type and their bytes."""
    told = {
        "general.architecture": struct.pack("<I", 8) + text("llama"),
        "tokenizer.ggml.tokens": struct.pack("<IIQ", 9, 8, 2) + text("a") + text("b"),
        "tokenizer.ggml.scores": struct.pack("<IIQ", 9, 6, 3) + bytes(12),
        **{f"llama.{name}": struct.pack("<II", 4, value) for name, value in SIZES.items()},
        **(facts or {}),
    }
    parts = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(told))]
    parts += [text(name) + value for name, value in told.items()]
    for dimensions in tensors:
        parts.append(text("t") + struct.pack(f"<I{len(dimensions)}QIQ", len(dimensions), *dimensions, 0, 0))
    return b"".join(parts)


SIZES = {
    "block_count": 30,
    "embedding_length": 576,
    "attention.head_count": 9,
    "attention.head_count_kv": 3,
    "context_length": 8192,
}


def test_the_shape_is_read_from_the_head_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf() + b"weights")
    shape = read_shape(path)
    assert shape == Shape(parameters=205, layers=30, kv_heads=3, head_size=64, context=8192)
    assert shape.cache_bytes(2) == 2 * 30 * 3 * 64 * 2


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04" + bytes(100),
        gguf()[:60],
        gguf(facts={"general.architecture": struct.pack("<I", 8) + text("other")}),
        gguf(facts={"llama.block_count": struct.pack("<I", 99)}),
        b"GGUF" + struct.pack("<IQQ", 3, 2**60, 2**60),
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**62),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IIQ", 9, 8, 2**60),
    ],
)
def test_a_file_that_is_none_is_refused_and_costs_nothing(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(data)
    with pytest.raises(ModelUnavailable, match="no GGUF file"):
        read_shape(path)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("g") / "m.gguf"
    path.write_bytes(b"GGUF" + data)
    with pytest.raises(ModelUnavailable):
        read_shape(path)
