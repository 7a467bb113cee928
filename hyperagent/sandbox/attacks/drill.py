"""Runs attacks against a backend and judges from the host what came of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from hyperagent.errors import SandboxLost
from hyperagent.protocols import Sandbox, Session
from hyperagent.sandbox.attacks.attack import DESTROYED, Attack, Finding, Outcome
from hyperagent.sandbox.attacks.scene import Scene
from hyperagent.types import JobSpec, Json, Limits, ProgramTree, RunRequest, RunResult

LIMITS = Limits(memory_mb=128, processes=32, cpus=1.0, tmpfs_mb=32, output_bytes=1_000_000)
_SLACK_SECONDS = 20.0
"""How much longer than its wall clock the end of a run may take on the host, clearing up included."""
_BLAMED = "what it did was taken for the machine's fault"
_OTHER_KERNELS = "container/runsc"


def program() -> ProgramTree:
    """The attacking program's files."""
    inside = Path(__file__).parent / "inside"
    files = {f"inside/{path.name}": path.read_bytes() for path in sorted(inside.glob("*.py"))}
    entries = '[entry]\ntask = "inside.agent:TaskAgent"\nmeta = "inside.agent:MetaAgent"\n'
    return {**files, "program.toml": entries.encode()}


def applicable(attacks: Iterable[Attack], sandbox: Sandbox) -> Sequence[Attack]:
    """Without those that ask the host's kernel where a program never speaks to it."""
    elsewhere = sandbox.info.isolation.startswith(_OTHER_KERNELS)
    return [attack for attack in attacks if not (elsewhere and attack.host_kernel)]


def run_suite(
    sandbox: Sandbox, attacks: Iterable[Attack], report: Callable[[Finding], None] = lambda finding: None
) -> list[Finding]:
    """Every attack in turn, against a prepared backend.

    Never raises SandboxLost: an attack that finds no sandbox "could not run".
    """
    found = []
    with Scene() as scene, Drill(sandbox, scene) as drill:
        for attack in applicable(attacks, sandbox):
            found.append(drill.run(attack))
            report(found[-1])
    return found


class Drill:
    """Attacks in one session after another: a session serves until an attack ruins it.

    So every attack also shows that those before it have left nothing.
    """

    def __init__(self, sandbox: Sandbox, scene: Scene) -> None:
        self.sandbox = sandbox
        self._scene = scene
        self._open = ExitStack()
        self._session: Session | None = None
        self._count = 0
        self._lost = False

    def __enter__(self) -> Drill:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def run(self, attack: Attack) -> Finding:
        """One attack, the run after it, and a look at the host."""
        began = time.monotonic()
        self._lost = False
        try:
            wrong = list(self._judged(attack))
        except SandboxLost as error:
            self._close()
            return Finding(attack.name, "could not run", attack.stops, error.message, time.monotonic() - began)
        outcome: Outcome = "NOT contained" if wrong else "contained"
        detail = "; ".join(wrong)
        return Finding(attack.name, outcome, attack.stops, detail, time.monotonic() - began, self._lost)

    def _judged(self, attack: Attack) -> Iterator[str]:
        """What is wrong, in words. Raises SandboxLost where no sandbox can be had."""
        session = self._any_session()
        began = time.monotonic()
        ended: RunResult | None = None
        try:
            ended = session.run(self._request(attack.function, attack.seconds, attack.workspace))
        except SandboxLost as error:  # the program's doing, if the next session can be had
            self._close()
            yield f"{_BLAMED} ({error.message})"
        took = time.monotonic() - began
        if took > attack.seconds + _SLACK_SECONDS:
            yield f"it ended after {took:.0f} s, {attack.seconds:.0f} were allowed"
        if ended is not None:
            yield from _wrong_with(attack, ended)
        ruined = ended is None or attack.ruins or (ended.status in attack.ends and ended.status in DESTROYED)
        yield from self._afterwards(ruined)
        yield from self._scene.harm()
        if survivors := self._scene.end_survivors():
            yield f"{len(survivors)} processes outlived their run"

    def _afterwards(self, ruined: bool) -> Iterator[str]:
        """The run after: in the same session, or in the next one where this one may be gone."""
        after = None
        try:
            after = self._asked("aftermath.clean")
        except SandboxLost as error:
            yield f"{_BLAMED} ({error.message})"
        if after is None or (ruined and after.status != "ok"):
            self._close()
            self._lost = True
            after = self._asked("aftermath.clean")
        if after.status != "ok":
            self._close()
            yield f"the run after it ended as {after.status}: {after.error[-200:]}"
        elif after.value:
            yield f"the run after it found: {after.value}"
        elif (door := self._asked("model.works")).value != []:
            yield f"the model's door is shut for the run after it: {door.value or door.error[-200:]}"

    def _asked(self, function: str) -> RunResult:
        return self._any_session().run(self._request(function, 15.0))

    def _request(self, function: str, seconds: float, workspace: ProgramTree | None = None) -> RunRequest:
        limits: dict[str, Json] = {
            "processes": LIMITS.processes,
            "memory_mb": LIMITS.memory_mb,
            "tmpfs_mb": LIMITS.tmpfs_mb,
            "strangers": 1 << 20 if self.sandbox.info.isolation == "none" else 0,
            "program": ["inside", "program.toml"],
        }
        inputs: dict[str, Json] = {**self._scene.inputs(), **limits, "attack": function}
        return RunRequest("task", {"model": "", "inputs": inputs}, seconds, workspace)

    def _any_session(self) -> Session:
        if self._session is None:
            self._count += 1
            model = self._scene.model_directory
            spec = JobSpec(f"attacks/{self._count}", program(), model_directory=model, limits=LIMITS)
            self._session = self._open.enter_context(self.sandbox.session(spec))
        return self._session

    def _close(self) -> None:
        self._session = None
        self._open.close()


def _wrong_with(attack: Attack, ended: RunResult) -> Iterator[str]:
    """The status, what the program says got through, and what the host sees in the result."""
    if ended.status not in attack.ends:
        yield f"it ended as {ended.status}, not {' or '.join(attack.ends)}: {ended.error[-200:]}"
    elif ended.status == "ok":
        yield from map(str, ended.value if isinstance(ended.value, list) else [f"it answered {ended.value!r}"])
    if attack.judge is not None:
        yield from attack.judge(ended)
