"""What the sandboxes cost: starts, tasks, model calls, and a whole evaluation beside the usual ways to run one.

Every figure is a median of at least ``--rounds`` with the 10th and 90th percentile. Run it on a machine that does
nothing else: everything here is latency.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench_facts import machine, milliseconds, table
from bench_rivals import rivals

from hyperagent.engine.budget import FreeMeter
from hyperagent.errors import SandboxUnavailable
from hyperagent.models import LocalBroker, MemoryRecorder, ScriptedClient
from hyperagent.protocols import Sandbox
from hyperagent.sandbox import BubblewrapSandbox, DockerSandbox, ProcessSandbox, policy
from hyperagent.sandbox.container import DockerTransport
from hyperagent.sandbox.session import FramedSession
from hyperagent.types import JobSpec, Json, RunRequest

AGENT = b"""
class TaskAgent:
    def __init__(self, model, chat_history_file):
        pass

    def forward(self, inputs):
        return len(inputs["text"]), ""
"""
MODEL_AGENT = b"""
import http.client, json, os, socket, time

class Direct(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/run/model/model.sock")

class TaskAgent:
    def __init__(self, model, chat_history_file):
        self.body = json.dumps({"model": model, "messages": [{"role": "user", "content": "2 + 2"}]})

    def ask(self, connection):
        began = time.perf_counter()
        connection.request("POST", "/v1/chat/completions", self.body, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        assert reply.status == 200, reply.read()
        reply.read()
        return time.perf_counter() - began

    def forward(self, inputs):
        host = os.environ["OPENAI_BASE_URL"].split("/")[2]
        make = (lambda: Direct("model")) if inputs["direct"] else (lambda: http.client.HTTPConnection(host))
        kept = make()
        seconds = []
        for _ in range(inputs["calls"] + 5):
            connection = kept if inputs["kept"] else make()
            seconds.append(self.ask(connection))
            if not inputs["kept"]:
                connection.close()
        return seconds[5:], ""
"""
PROGRAM = {"task_agent.py": AGENT}
TASK = RunRequest("task", {"model": "", "inputs": {"text": "hello"}}, 30)
TASKS = 20
OWNER = "bench"
PARTS = ("starts", "steps", "throughput", "calls", "rivals")

STARTS = """Targets: from the pool at most 15 ms at up to 4 jobs a second, bubblewrap at most 30 ms for its start
(without the runtime's), at most 25 ms for a task that is not the session's first. Without a pool the first task waits
for the fork server to finish loading; a session's opening waits for Python and for the runtime."""
STEPS = """What the pool does ahead is everything but the program's files and the tasks; removal is done behind."""
THROUGHPUT = """Target: at least 10 a second on 2 cores. `started`: nothing is waited for but the engine. `loaded`:
Python, the runtime and the fork server's modules are up. Each ends when all are removed."""
CALLS = """Target: at most 1 ms above the model's own time. The scripted model answers at once; the calls are
recorded and metered as ever, in memory. `loopback port` is what `OPENAI_BASE_URL` names, `socket` what
stands behind it."""
RIVALS = f"""{TASKS} tasks that do nothing, start and end of every sandbox included. The rivals in Docker get the same
limits and the same profile; nothing of theirs is framed, watched or cut. With `docker exec` all tasks share one file
system and whatever processes the earlier ones left."""

Timed = Callable[[], object]


def elapsed(what: Timed) -> float:
    began = time.perf_counter()
    what()
    return time.perf_counter() - began


def once(sandbox: Sandbox, tasks: int = 1) -> None:
    """A whole job: a fresh sandbox, its tasks, its end."""
    with sandbox.session(JobSpec("bench", PROGRAM)) as session:
        for _ in range(tasks):
            result = session.run(TASK)
            if result.value != 5:
                raise SystemExit(f"a task ended with {result.status}: {result.error}")


# -- starts and tasks


def job(sandbox: Sandbox) -> tuple[float, float, float]:
    """Seconds until a session is open, of its first task, of its second."""
    began = time.perf_counter()
    with sandbox.session(JobSpec("bench", PROGRAM)) as session:
        times = [time.perf_counter()]
        for _ in range(2):
            session.run(TASK)
            times.append(time.perf_counter())
    return times[0] - began, times[1] - times[0], times[2] - times[1]


def at_rate(sandbox: Sandbox, per_second: float, rounds: int) -> list[tuple[float, float, float]]:
    """Jobs that come at a steady rate, each in a thread of its own, whether the earlier ones have ended or not."""
    found: list[tuple[float, float, float]] = []
    threads = []
    began = time.monotonic()
    for number in range(rounds):
        time.sleep(max(0.0, began + number / per_second - time.monotonic()))
        threads.append(threading.Thread(target=lambda: found.append(job(sandbox))))
        threads[-1].start()
    for thread in threads:
        thread.join()
    return found


def starts(backends: Mapping[str, Sandbox], pooled: Sandbox | None, rounds: int) -> str:
    rows: list[Sequence[object]] = []

    def row(name: str, found: Sequence[tuple[float, float, float]]) -> None:
        rows.append((name, len(found), *(milliseconds(column) for column in zip(*found, strict=True))))

    for name, sandbox in backends.items():
        job(sandbox)
        row(f"{name}, one after the other", [job(sandbox) for _ in range(rounds)])
    if pooled is not None:
        for per_second in (1, 2, 4):
            at_rate(pooled, per_second, 4)  # the pool learns the rate
            row(f"docker from the pool, {per_second} jobs/s", at_rate(pooled, per_second, rounds))
    return table(("backend", "jobs", "session open (ms)", "first task (ms)", "second task (ms)"), rows)


def steps(sandbox: DockerSandbox, rounds: int) -> str:
    """Where the time of one container goes that nobody started ahead."""
    names = ("create", "attach", "start", "open: runner up, program in", "first task", "second task", "remove")
    columns: list[list[float]] = [[] for _ in names]
    kind = sandbox._kind(JobSpec("bench", PROGRAM))
    for _ in range(rounds):
        times = [time.perf_counter()]
        container = sandbox._engine.create(
            kind.image,
            policy.COMMAND,
            user=policy.USER,
            environment=policy.ENVIRONMENT,
            labels={"hyperagent.owner": OWNER},
            mounts=policy.mounts(None),
            options=policy.host_options(kind.limits),
        )
        times.append(time.perf_counter())
        transport = DockerTransport(sandbox._engine, container)
        transport._socket = sandbox._engine.attach(container)
        times.append(time.perf_counter())
        sandbox._engine.start(container)
        times.append(time.perf_counter())
        session = FramedSession(transport, JobSpec("bench", PROGRAM))
        session.open(
            JobSpec("bench", PROGRAM),
            {"base": policy.BASE, "shared_memory": "/dev/shm", "model_socket": "", "port": policy.MODEL_PORT},
        )
        times.append(time.perf_counter())
        for _ in range(2):
            session.run(TASK)
            times.append(time.perf_counter())
        transport.destroy()
        times.append(time.perf_counter())
        for column, before, after in zip(columns, times, times[1:], strict=False):
            column.append(after - before)
    return table(("step", "ms"), zip(names, map(milliseconds, columns), strict=True))


def per_second(one: Timed, last: Timed, workers: int, rounds: int) -> tuple[int, float]:
    """How many were done, and how many per second, until the ``last`` thing is done, too."""
    left = iter(range(max(rounds, 5 * workers)))
    lock = threading.Lock()
    count = 0

    def work() -> None:
        nonlocal count
        while True:
            with lock:
                if next(left, None) is None:
                    return
                count += 1
            one()

    threads = [threading.Thread(target=work) for _ in range(workers)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    last()
    return count, count / (time.perf_counter() - began)


def throughput(sandbox: DockerSandbox, rounds: int) -> str:
    """Hardened containers per second, their removal included, and those made ahead for nobody."""
    spec = JobSpec("bench", PROGRAM)
    kind = sandbox._kind(spec)
    loads: dict[str, Timed] = {
        "started, removed": lambda: sandbox._start(kind, spec.job, None).destroy(),
        "started, loaded, removed": lambda: sandbox._warm(kind).destroy(),
        "a whole job of one task, pool": lambda: once(sandbox),
    }
    rows = []
    for name, one in loads.items():
        for workers in (1, 2, 4):
            count, rate = per_second(one, sandbox.reap, workers, rounds)
            rows.append((name, workers, count, f"{rate:.1f}"))
    return table(("what", "at once", "containers", "per second"), rows)


# -- model


def model_calls(backends: Mapping[str, Sandbox], calls: int) -> str:
    rows: list[Sequence[object]] = []
    for name, sandbox in backends.items():
        for direct in (False, True):
            if direct and name == "process":
                continue  # its socket has another path
            for kept in (False, True):
                seconds, own = _calls(sandbox, {"direct": direct, "kept": kept, "calls": calls})
                door = "socket" if direct else "loopback port"
                row = (name, door, "kept" if kept else "new each", len(seconds))
                rows.append((*row, milliseconds(seconds), f"{1000 * own:.2f}"))
    return table(("backend", "door", "connection", "calls", "round trip (ms)", "of it the model (ms)"), rows)


def _calls(sandbox: Sandbox, inputs: Mapping[str, Json]) -> tuple[list[float], float]:
    """Round trips seen by the program, and the scripted model's own median."""
    own: list[float] = []

    def reply(request: object) -> str:
        began = time.perf_counter()
        text = "4"
        own.append(time.perf_counter() - began)
        return text

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ha-")))
        folder.chmod(0o755)
        broker = LocalBroker(
            ScriptedClient(reply), MemoryRecorder(), runtime_directory=folder, timeout=5, retries=0, reuse=False
        )
        channel = stack.enter_context(
            broker.channel(
                "bench",
                campaign="c",
                variant="v",
                purpose="evaluate",
                model="scripted/m",
                meter=FreeMeter(),
                defaults={"max_tokens": 16, "temperature": 0.0},
            )
        )
        spec = JobSpec("bench", {"task_agent.py": MODEL_AGENT}, model_directory=channel.directory)
        session = stack.enter_context(sandbox.session(spec))
        channel.begin("t")
        result = session.run(RunRequest("task", {"model": "scripted/m", "inputs": dict(inputs)}, 60))
        channel.end()
    if not isinstance(result.value, list):
        raise SystemExit(f"the model calls ended with {result.status}: {result.error}")
    return [float(str(value)) for value in result.value], statistics.median(own)


# -- side by side


def side_by_side(backends: Mapping[str, Sandbox], pooled: Sandbox | None, image: str, rounds: int) -> str:
    """Every way once per round, in turn: what else the machine does strikes all alike."""
    with rivals(AGENT, TASKS, OWNER, image) as others:
        ways: dict[str, Timed] = {f"hyperagent, {name}": partial(once, one, TASKS) for name, one in backends.items()}
        if pooled is not None:
            ways["hyperagent, docker from the pool"] = partial(once, pooled, TASKS)
        ways.update(others)
        found: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(rounds + 1):
            for name, way in ways.items():
                seconds = elapsed(way)
                if number:  # the first round fills caches and the pool
                    found[name].append(seconds)
    rows = [
        (name, len(times), milliseconds(times), f"{1000 * statistics.median(times) / TASKS:.1f}")
        for name, times in sorted(found.items(), key=lambda item: statistics.median(item[1]))
    ]
    head = ("way", "rounds", f"one program, {TASKS} tasks (ms)", "per task (ms)")
    return table(head, rows)


# -- all


def available() -> Iterator[tuple[str, Sandbox]]:
    """The backends that work here."""
    makers: dict[str, Callable[[], Sandbox]] = {
        "docker": lambda: DockerSandbox(OWNER),
        "bubblewrap": lambda: BubblewrapSandbox(OWNER),
        "process": lambda: ProcessSandbox(OWNER),
    }
    for name, make in makers.items():
        try:
            sandbox = make()
            sandbox.prepare()
        except SandboxUnavailable as error:
            print(f"not measured: {name}: {error.message}", file=sys.stderr)
            continue
        yield name, sandbox


def say(title: str, text: str, figures: str) -> None:
    print(f"\n## {title}\n\n{text}\n\n{figures}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench sandbox", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="of each measurement, at least 2 (default 20)")
    parser.add_argument("--only", choices=PARTS, help="one part instead of all")
    arguments = parser.parse_args()
    rounds = max(2, arguments.rounds)
    wanted = {arguments.only} if arguments.only else set(PARTS)
    backends = dict(available())
    docker = backends.get("docker")
    pooled = DockerSandbox(OWNER, pool=-1) if docker else None
    engine = ""
    try:
        if pooled is not None:
            pooled.prepare()
            engine = f", Docker {pooled._version}"
        print("# What a sandbox costs\n")
        print(f"Measured with `scripts/bench sandbox --rounds {rounds}` on {machine()}{engine}.")
        print("Medians, with the 10th and 90th percentile.")
        if "starts" in wanted:
            say("Start of a session, and tasks in it", STARTS, starts(backends, pooled, rounds))
        if isinstance(docker, DockerSandbox) and pooled is not None:
            if "steps" in wanted:
                say("Where a container's time goes without the pool", STEPS, steps(docker, rounds))
            if "throughput" in wanted:
                say("Fresh hardened containers, sustained", THROUGHPUT, throughput(pooled, 3 * rounds))
        if "calls" in wanted:
            say("Model calls through the broker", CALLS, model_calls(backends, 5 * rounds))
        image = docker._image_id if isinstance(docker, DockerSandbox) else ""
        if "rivals" in wanted:
            say("One evaluated program, side by side", RIVALS, side_by_side(backends, pooled, image, rounds))
    finally:
        if pooled is not None:
            pooled.reap()
    return 0


if __name__ == "__main__":
    sys.exit(main())
