"""``model serve`` and ``model bench``: a local model behind an OpenAI-compatible port, and how fast it is."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated, Any

import typer

from hyperagent.cli.context import Context, JsonOption, context_of
from hyperagent.cli.output import columns, emit, progress, record, write
from hyperagent.errors import UsageError
from hyperagent.report.table import facts, table
from hyperagent.report.text import clean

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A model of `model list`.")]
EngineOption = Annotated[
    str, typer.Option("--engine", help="vllm, transformers or llama.cpp; else the best for this machine.")
]
PortOption = Annotated[int, typer.Option("--port", help="Port on loopback; 0 = any that is free.")]
DtypeOption = Annotated[str, typer.Option("--dtype", help="float32, bfloat16 or float16; else what the GPU has.")]
BatchOption = Annotated[int, typer.Option("--batch", help="Requests computed at once; 0 = as many as fit.")]
ContextOption = Annotated[int, typer.Option("--context", help="Tokens of one request; 0 = as many as fit.")]
LogOption = Annotated[Path | None, typer.Option("--log", help="The server's log; else beside the weights.")]
_MOST_AT_ONCE = 512


def model_serve(
    ctx: typer.Context,
    name: NameArgument,
    engine: EngineOption = "",
    port: PortOption = 0,
    dtype: DtypeOption = "",
    batch: BatchOption = 0,
    context: ContextOption = 0,
    log: LogOption = None,
    json: JsonOption = False,
) -> None:
    """Serve a local model on loopback until Ctrl-C, in the OpenAI wire format."""
    around = context_of(ctx)
    wishes = around.assembly.ServeWishes(engine, dtype, batch, context, port, log)
    with contextlib.closing(around.assembly.serve_model(name, wishes, progress)) as server:
        order = server.order
        if json:
            emit(
                model=order.name,
                base_url=server.base_url,
                pid=server.pid,
                log=server.log,
                config={"models.model": f"openai/{order.name}", "models.api_base": server.base_url},
                **record(order.plan),
            )
        else:
            rows = [("base URL", server.base_url), ("log", clean(str(server.log), 200)), ("process", str(server.pid))]
            write([*facts(rows), "", *_use(order.name, server.base_url), "", "Ctrl-C ends it."])
        server.wait()


def model_bench(
    ctx: typer.Context,
    name: NameArgument,
    batches: Annotated[str, typer.Option("--batches", help="Requests at once, one measurement each.")] = "1,8",
    tokens: Annotated[int, typer.Option("--tokens", min=1, help="Most tokens of a reply.")] = 64,
    engine: EngineOption = "",
    port: PortOption = 0,
    dtype: DtypeOption = "",
    batch: BatchOption = 0,
    context: ContextOption = 0,
    log: LogOption = None,
    json: JsonOption = False,
) -> None:
    """Serve a local model, and measure tokens per second and the time to the first token."""
    sizes = _sizes(batches)
    around: Context = context_of(ctx)
    wishes = around.assembly.ServeWishes(engine, dtype, batch or max(sizes), context, port, log)
    found = around.assembly.bench_model(name, wishes, sizes, tokens, progress)
    if json:
        rates = [{**record(one), "tokens_per_second": one.tokens_per_second} for one in found.rates]
        emit(**{**record(found), "rates": rates})
        return
    how = f"{found.engine}, {found.device}, {found.dtype}, {found.batch} at once, {found.context} tokens each"
    write([*facts([("model", found.model), ("served by", how), ("first token", f"{found.first_token:.3f} s")]), ""])
    head = ("at once", "tokens/s", "each", "tokens", "seconds")
    write(table(head, [_row(one) for one in found.rates], columns(), frozenset(head)))


def _row(one: Any) -> tuple[str, ...]:
    speed = one.tokens_per_second
    return (
        str(one.batch),
        f"{speed:.1f}",
        f"{speed / one.batch:.1f}",
        str(one.completion_tokens),
        f"{one.seconds:.2f}",
    )


def _use(name: str, base_url: str) -> list[str]:
    return [
        "To use it in a campaign:",
        "  [models]",
        f'  model = "openai/{name}"',
        f'  api_base = "{base_url}"',
    ]


def _sizes(text: str) -> list[int]:
    try:
        sizes = [int(part) for part in text.split(",")]
    except ValueError:
        sizes = []
    if not sizes or not all(1 <= size <= _MOST_AT_ONCE for size in sizes):
        raise UsageError(f"--batches {text!r}: not numbers from 1 to {_MOST_AT_ONCE}", hint="e.g. --batches 1,8,32")
    return sizes
