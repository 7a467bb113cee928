"""Measures a served model and prints Markdown: ``scripts/bench gpu``. On a machine without a GPU the same, small.

Speed is measured over HTTP on `hyperagent model serve` with the transformers engine. The limits it is compared with are
measured on the same device by a copy and a matrix product, not looked up. Needs the packages of `hyperagent[gpu]`.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import torch
from bench_facts import machine, table

from hyperagent.assembly.serving import ServeWishes, serve_model
from hyperagent.models.serving import ModelServer, plan_server
from hyperagent.models.serving.batching import Generation
from hyperagent.models.serving.bench import Rate, first_token, question, rate
from hyperagent.models.serving.face import HOST
from hyperagent.models.serving.torch_engine import TorchEngine, converted, hush

SEED = Path(__file__).parent.parent / "hyperagent" / "seed"
sys.path.insert(0, str(SEED))  # the seed's modules know each other by bare names
import edits  # noqa: E402
from evidence import Evidence  # noqa: E402

PROPOSAL_TOKENS = 120
TRIALS = 5
WORDS = ("mean", "error", "sum", "proof", "minus", "angle")


class Limits(NamedTuple):
    """What the device does at best: bytes moved and floating-point operations per second."""

    bandwidth: float
    flops: float


class Size(NamedTuple):
    """``read``: bytes of weights that one step reads; ``parameters``: weights that take part in one token."""

    read: int
    parameters: int


def limits(device: str, dtype: torch.dtype, copied: int, side: int) -> Limits:
    """Bandwidth of a copy of ``copied`` bytes (read and written), operations of a product of two squares."""

    def best(work: Callable[[], object]) -> float:
        seconds = []
        for _ in range(TRIALS):
            _settle(device)
            began = time.perf_counter()
            work()
            _settle(device)
            seconds.append(time.perf_counter() - began)
        return min(seconds)

    source = torch.ones(copied, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    bandwidth = 2 * copied / best(lambda: target.copy_(source))
    a = torch.randn(side, side, device=device).to(dtype)
    return Limits(bandwidth, 2 * side**3 / best(lambda: a @ a))


def _settle(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def size_of(engine: TorchEngine) -> Size:
    """The table of input embeddings is not read but looked up, unless it is the output's table, too."""
    model = engine.model
    inputs, outputs = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    looked_up = 0 if inputs is outputs else inputs.numel()
    parameters = sum(tensor.numel() for tensor in model.parameters()) - looked_up
    return Size(parameters * inputs.element_size(), parameters)


# -- speed -----------------------------------------------------------------------------------------


def speed(rates: Sequence[Rate], size: Size, limit: Limits) -> str:
    rows = []
    for one in rates:
        steps = one.tokens_per_second / one.batch
        computed = 2 * size.parameters * (one.completion_tokens + one.prompt_tokens) / one.seconds
        rows.append(
            (
                one.batch,
                f"{one.tokens_per_second:.1f}",
                f"{steps:.1f}",
                f"{100 * steps * size.read / limit.bandwidth:.1f}%",
                f"{100 * computed / limit.flops:.1f}%",
            )
        )
    return table(("at once", "tokens/s", "each", "of the bandwidth", "of the compute"), rows)


def proposals(server: ModelServer, at_once: int) -> str:
    """Edits of the seed program in the seed's own schema, all asked for at once."""
    files = edits.read_files(SEED)
    tasks = [
        {"input": {"problem": f"Problem {n}: {word}", "answers": ["right", "wrong"]}, "target": "wrong", "score": n % 2}
        for n, word in enumerate(WORDS)
    ]
    evidence = Evidence({}, [{**task, "id": str(n), "prediction": "right"} for n, task in enumerate(tasks)])
    schema = edits.schema(files, evidence)
    prompt = f"Improve this program by one edit, as JSON.\n\n{files[edits.TASK]}"

    def propose(number: int) -> bool:
        body = {
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0.8,
            "seed": number,
            "max_tokens": PROPOSAL_TOKENS,
            "response_format": {"type": "json_schema", "json_schema": {"name": "edit", "schema": schema}},
        }
        connection = http.client.HTTPConnection(HOST, server.order.port, timeout=3600)
        connection.request("POST", "/v1/chat/completions", json.dumps(body))
        reply = json.loads(connection.getresponse().read())
        connection.close()
        try:
            edits.apply(json.loads(reply["choices"][0]["message"]["content"]), files, evidence)
        except (edits.EditError, ValueError, KeyError):
            return False
        return True

    with ThreadPoolExecutor(at_once) as pool:
        began = time.perf_counter()
        usable = sum(pool.map(propose, range(at_once)))
        seconds = time.perf_counter() - began
    return (
        f"{at_once} proposals asked for at once took {seconds:.1f} s: **{60 * at_once / seconds:.1f} proposals per "
        f"minute**; {usable} of {at_once} can be applied to the seed program as they are."
    )


# -- equality --------------------------------------------------------------------------------------


class Reference(NamedTuple):
    """A greedy reply in float32 and, per token, its lead over the second and its logit."""

    tokens: list[int]
    gaps: list[float]
    tops: list[float]


def reference(engine: TorchEngine, request: Generation) -> Reference:
    (tokens,) = engine.continuations([request])
    prompt = engine.tokens_of(request)
    with torch.inference_mode():
        logits = engine.model(torch.tensor([prompt + tokens], device=engine.device)).logits[0, len(prompt) - 1 : -1]
    best = logits.float().topk(2, dim=-1).values
    return Reference(tokens, (best[:, 0] - best[:, 1]).tolist(), best[:, 0].abs().tolist())


def equality(references: Sequence[Reference], others: Sequence[list[int]], dtype: torch.dtype) -> str:
    """How far replies agree. A tie: the two best logits are closer than ``dtype`` resolves at their size."""
    step = torch.finfo(dtype).eps
    whole = tied = 0
    before = []
    for number, (known, other) in enumerate(zip(references, others, strict=True)):
        ties = [place for place, gap in enumerate(known.gaps) if gap <= step * known.tops[place]]
        first_tie = ties[0] if ties else len(known.tokens)
        pairs = enumerate(zip(known.tokens, other, strict=False))
        differs = next((place for place, (a, b) in pairs if a != b), None)
        if differs is None and len(known.tokens) == len(other):
            whole += 1
        elif differs is None or differs >= first_tie:
            tied += 1
        else:
            before.append(f"prompt {number}, token {differs}: lead {known.gaps[differs]:.3f}")
    said = "; ".join(before) or "none"
    return (
        f"{whole} of {len(others)} replies are equal throughout, {tied} up to the first tie or beyond it, "
        f"{len(before)} differ before it ({said})."
    )


# -- the whole -------------------------------------------------------------------------------------


def arguments() -> argparse.Namespace:
    on_gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(prog="scripts/bench gpu", description=__doc__)
    parser.add_argument("--model", default="qwen2.5-coder-1.5b" if on_gpu else "smollm2-135m")
    parser.add_argument("--batches", default="1,8,32,128" if on_gpu else "1,8")
    parser.add_argument("--tokens", type=int, default=256 if on_gpu else 16, help="of each reply")
    parser.add_argument("--prompts", type=int, default=20, help="compared with float32 on the CPU; 0 = none")
    parser.add_argument("--compared", type=int, default=64 if on_gpu else 16, help="tokens compared of each reply")
    parser.add_argument("--proposals", type=int, default=128 if on_gpu else 8, help="at once; 0 = none")
    return parser.parse_args()


def main() -> int:
    asked = arguments()
    hush()
    batches = [int(part) for part in asked.batches.split(",")]
    on_gpu = torch.cuda.is_available()
    label = torch.cuda.get_device_name() if on_gpu else "CPU, small size"
    words = " ".join(sys.argv[1:])
    print(f"# A served model: {asked.model} ({label})\n")
    print(
        f"Measured with `scripts/bench gpu{' ' + words if words else ''}` on {machine()}, PyTorch {torch.__version__}."
    )
    if not on_gpu:
        print("**No GPU was there: the same measurements on the CPU at small size. They say nothing of a GPU.**")
    wishes = ServeWishes(engine="transformers", batch=max(batches), context=0 if on_gpu else 1024)
    with serve_model(asked.model, wishes, lambda text: print(text, file=sys.stderr, flush=True)) as server:
        plan = server.order.plan
        first = first_token(server.order.port, asked.model)
        rates = [rate(server.order.port, asked.model, batch, asked.tokens) for batch in batches]
        proposed = proposals(server, asked.proposals) if asked.proposals else ""
    order = plan_server(asked.model)
    directory = converted(Path(order.weights), order.sha256, order.name)
    dtype = getattr(torch, plan.dtype)
    limit = limits(plan.device, dtype, 2**32 if on_gpu else 2**28, 8192 if on_gpu else 1024)
    engine = TorchEngine(directory, device=plan.device, dtype=plan.dtype, context=1024)
    print(f"\n## Speed\n\n{SPEED.format(plan=plan, limit=limit, first=first, tokens=asked.tokens)}\n")
    print(speed(rates, size_of(engine), limit))
    if proposed:
        print(f"\n## Mutation proposals\n\n{proposed}", flush=True)
    if asked.prompts:
        narrow = plan.dtype if on_gpu else "bfloat16"  # what a GPU would compute in
        if narrow != plan.dtype:
            engine = TorchEngine(directory, device=plan.device, dtype=narrow, context=1024)
        requests = [_greedy(number, asked.compared) for number in range(asked.prompts)]
        found = engine.continuations(requests)
        exact = TorchEngine(directory, device="cpu", dtype="float32", context=1024)
        known = [reference(exact, request) for request in requests]
        print(f"\n## Equality\n\n{EQUALITY.format(dtype=narrow, device=plan.device, tokens=asked.compared)}\n")
        print(equality(known, found, getattr(torch, narrow)))
    return 0


def _greedy(number: int, tokens: int) -> Generation:
    return Generation([{"role": "user", "content": question(number)}], {"temperature": 0, "max_tokens": tokens})


SPEED = """\
`model serve --engine transformers` in {plan.dtype} on {plan.device}; replies of {tokens} tokens, temperature 0. First
token of an idle server: {first:.3f} s. The device copies {limit.bandwidth:.3g} bytes/s (read and written) and
multiplies matrices at {limit.flops:.3g} operations/s. Of the bandwidth: the weights once per step. Of the compute:
two operations per weight and token, prompts included."""
EQUALITY = """\
Greedy replies of {tokens} tokens, all prompts in one batch in {dtype} on {device}, against float32 on the CPU one by
one, from the same weights. A tie is a token whose two best logits in float32 are closer than {dtype} resolves at their
size (its machine epsilon times the larger one)."""


if __name__ == "__main__":
    sys.exit(main())
