"""The server process: ``python -m hyperagent.models.serving.main ORDER`` with an :class:`Order` as JSON.

It serves until its standard input ends, which happens however its parent dies.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from hyperagent.errors import HyperagentError
from hyperagent.models.serving.face import HOST
from hyperagent.models.serving.order import Order

_STOP_SECONDS = 8.0
_QUIET = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
"""Nothing is fetched and nothing is told to anybody: all that is needed is on the disk."""
_WARNINGS = 2
_PROMPT_CACHE_MB = 2048


def vllm_command(order: Order, directory: Path) -> list[str]:
    """The command that serves ``directory`` with vLLM. Its own sampling defaults hold, not the model's."""
    plan = order.plan
    options = {
        "--host": HOST,
        "--port": str(order.port),
        "--served-model-name": order.name,
        "--dtype": plan.dtype,
        "--max-model-len": str(plan.context),
        "--max-num-seqs": str(plan.batch),
        "--generation-config": "vllm",
        "--tool-call-parser": "hermes",  # the form in which Qwen 2.5 was taught to call tools
    }
    flat = [part for pair in options.items() for part in pair]
    return [
        sys.executable,
        "-m",
        "vllm.entrypoints.cli.main",
        "serve",
        str(directory),
        *flat,
        "--enable-auto-tool-choice",
    ]


def _serve_vllm(order: Order) -> None:
    from hyperagent.models.serving.torch_engine import converted

    directory = converted(Path(order.weights), order.sha256, order.name)
    process = subprocess.Popen(vllm_command(order, directory), stdin=subprocess.DEVNULL)
    _until_parent_ends(lambda: _end(process))
    sys.exit(process.wait())


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(0, signal.SIGKILL)  # workers that vLLM started, too, and this process


def _serve_transformers(order: Order) -> None:
    from hyperagent.models.serving.batching import Batcher
    from hyperagent.models.serving.face import LoopbackServer
    from hyperagent.models.serving.torch_engine import TorchEngine, converted, hush

    _until_parent_ends(lambda: None)
    hush()
    plan = order.plan
    directory = converted(Path(order.weights), order.sha256, order.name)
    engine = TorchEngine(directory, device=plan.device, dtype=plan.dtype, context=plan.context)
    LoopbackServer(order.port, order.name, Batcher(engine.generate, plan.batch), plan.context)
    threading.Event().wait()


def _serve_llama(order: Order) -> None:
    import xllamacpp

    _until_parent_ends(lambda: None)
    parameters = xllamacpp.CommonParams()
    parameters.model.path = order.weights
    parameters.model_alias = {order.name}
    parameters.hostnames = [HOST]
    parameters.port = order.port
    parameters.cors_origins = f"http://{HOST}:{order.port}"  # else any web page in a browser here could ask it
    parameters.ui = False
    parameters.n_ctx = order.plan.context * order.plan.batch
    parameters.n_parallel = order.plan.batch
    parameters.cpuparams.n_threads = order.threads
    parameters.cpuparams_batch.n_threads = order.threads
    parameters.cache_ram_mib = _PROMPT_CACHE_MB
    parameters.warmup = False
    parameters.verbosity = _WARNINGS
    server = xllamacpp.Server(parameters)
    threading.Event().wait()
    del server  # kept until here: its end would end the serving


_SERVE: dict[str, Callable[[Order], None]] = {
    "vllm": _serve_vllm,
    "transformers": _serve_transformers,
    "llama.cpp": _serve_llama,
}


def _until_parent_ends(before: Callable[[], None]) -> None:
    """End this process when standard input ends, on a thread of its own; ``before`` is called first."""

    def watch() -> None:
        # Not through sys.stdin: a reader inside its lock would hold up the interpreter's end.
        while os.read(0, 4096):
            pass
        before()
        os._exit(0)  # a computation in progress would hold up an ordinary exit; nobody waits for it any more

    threading.Thread(target=watch, name="parent", daemon=True).start()


def main(arguments: list[str]) -> None:
    """Serve until standard input ends."""
    order = Order.from_json(arguments[0])
    os.environ.update(_QUIET)
    try:
        _SERVE[order.plan.engine](order)
    except (HyperagentError, OSError, RuntimeError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")  # the last line of the log: the parent shows it
        sys.stderr.flush()
        os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
