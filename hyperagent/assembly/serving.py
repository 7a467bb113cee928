"""Model servers for the command line and for campaigns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hyperagent.models.serving import ModelServer, ServedModels
    from hyperagent.models.serving.bench import Rate


@dataclass(frozen=True)
class ServeWishes:
    """What a person asked of a model server; empty or 0 = choose, by what the machine is."""

    engine: str = ""
    dtype: str = ""
    batch: int = 0
    context: int = 0
    port: int = 0
    log: Path | None = None


@dataclass(frozen=True)
class ServerBench:
    """What a server did, and how it was made. Seconds to the first token with an otherwise idle server."""

    model: str
    engine: str
    device: str
    dtype: str
    batch: int
    context: int
    first_token: float
    rates: Sequence[Rate]


def serve_model(name: str, wishes: ServeWishes, report: Callable[[str], None]) -> ModelServer:
    """Start a server for a model of the catalogue and wait until it answers.

    Args:
        report: Is told what is started, before the wait.
    """
    from hyperagent.models.serving import ModelServer, Wishes, default_log, plan_server

    wanted = Wishes(wishes.engine, wishes.dtype, wishes.batch, wishes.context)
    order = plan_server(name, wanted, wishes.port)
    plan = order.plan
    report(
        f"serving {order.name} with {plan.engine} ({plan.device}, {plan.dtype}, {plan.batch} at once, "
        f"{plan.context} tokens each)"
    )
    report(f"  because: {plan.reason}")
    return ModelServer(order, wishes.log or default_log(order.name))


def served_models(report: Callable[[str], None] | None) -> ServedModels:
    """The client of the models that a campaign serves by itself; nothing starts before the first call."""
    from hyperagent.models.serving import ServedModels

    return ServedModels(lambda name: serve_model(name, ServeWishes(), report or (lambda _: None)))


def bench_model(
    name: str, wishes: ServeWishes, batches: Sequence[int], tokens: int, report: Callable[[str], None]
) -> ServerBench:
    """Serve a model, measure it over HTTP, and end the server.

    Args:
        batches: Requests at once, one measurement each.
        tokens: Most tokens of a reply.
    """
    from hyperagent.models.serving.bench import first_token, rate

    with serve_model(name, wishes, report) as server:
        order, plan = server.order, server.order.plan
        first = first_token(order.port, order.name)
        rates = []
        for batch in batches:
            rates.append(rate(order.port, order.name, batch, tokens))
            report(f"{batch} at once: {rates[-1].tokens_per_second:.1f} tokens/s")
    return ServerBench(order.name, plan.engine, plan.device, plan.dtype, plan.batch, plan.context, first, tuple(rates))
