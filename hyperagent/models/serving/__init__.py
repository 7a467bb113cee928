"""Model servers: an OpenAI-compatible server for a local model, on the GPU or the CPU.

``plan`` chooses engine, dtype and batch size; ``process`` starts and ends the server, whose inside is ``main``:
vLLM, xllamacpp's own server, or ``face`` + ``batching`` + ``torch_engine``. ``client`` is what a campaign asks.
Importing this loads neither torch nor llama.cpp.
"""

from __future__ import annotations

from pathlib import Path

from hyperagent.errors import ModelUnavailable
from hyperagent.models.catalogue import known_model, model_directory
from hyperagent.models.local import default_threads
from hyperagent.models.serving.client import ServedModels
from hyperagent.models.serving.facts import find_machine
from hyperagent.models.serving.gguf import read_shape
from hyperagent.models.serving.order import Order
from hyperagent.models.serving.plan import ENGINES, WIDTHS, Plan, Wishes, make_plan
from hyperagent.models.serving.process import ModelServer, choose_port

__all__ = ["ENGINES", "WIDTHS", "ModelServer", "Order", "Plan", "ServedModels", "Wishes", "default_log", "plan_server"]


def plan_server(name: str, wishes: Wishes | None = None, port: int = 0) -> Order:
    """What serving a model of the catalogue on this machine comes to.

    Args:
        port: 0 = any that is free.

    Raises:
        NotFoundError: No such model.
        ModelUnavailable: Its weights are not here, or it cannot be served as wished.
        UsageError: A wish is not one of the choices, or the port is taken.
    """
    model = known_model(name.removeprefix("local/"))
    weights = model_directory() / model.file
    if not weights.is_file():
        raise ModelUnavailable(
            f"the weights of {model.name} are not in {weights.parent}",
            hint=f"Run `hyperagent model pull {model.name}`.",
        )
    plan = make_plan(model.name, read_shape(weights), find_machine(), model.slots, model.context, wishes)
    return Order(model.name, str(weights), model.sha256, plan, choose_port(port), default_threads())


def default_log(name: str) -> Path:
    """Where a server's output goes unless somebody says otherwise: beside the weights."""
    return model_directory() / f"serve-{name}.log"
