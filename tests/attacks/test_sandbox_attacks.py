"""Every attack of the catalogue against every real backend, and proof that the judge can fail."""

from __future__ import annotations

import ast
import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hyperagent.assembly import checks
from hyperagent.cli import app
from hyperagent.errors import SandboxLost, SandboxUnavailable, UsageError
from hyperagent.protocols import Sandbox
from hyperagent.sandbox import (
    BubblewrapSandbox,
    DockerSandbox,
    ProcessSandbox,
    bubblewrap_status,
    bwrap,
    reaper,
    seccomp,
)
from hyperagent.sandbox.attacks import ATTACKS, Attack, Drill, Finding, Scene, applicable, judges, run_suite
from hyperagent.sandbox.attacks.drill import program
from hyperagent.sandbox.docker import Engine
from hyperagent.sandbox.limits import Limiter
from hyperagent.types import RunRequest, RunResult, SandboxInfo

OK = RunResult("ok", value=[], tree={"kept": b"kept"}, seconds=1.5)


def named(name: str) -> Attack:
    return next(attack for attack in ATTACKS if attack.name == name)


# -- the real thing


@pytest.fixture(scope="module", params=[pytest.param("docker", marks=pytest.mark.docker), "bubblewrap"])
def drill(request: pytest.FixtureRequest) -> Iterator[Drill]:
    sandbox: Sandbox = DockerSandbox("attacks")
    if request.param == "bubblewrap":
        sandbox = bubblewrap()
    sandbox.prepare()
    with Scene() as scene, Drill(sandbox, scene) as made:
        yield made
    assert sandbox.reap() == 0
    assert scene.survivors() == []


def bubblewrap() -> BubblewrapSandbox:
    works, reason, _ = bubblewrap_status()
    if not works:
        pytest.skip(reason)
    return BubblewrapSandbox("attacks")


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_the_attack_is_contained(drill: Drill, attack: Attack) -> None:
    finding = drill.run(attack)
    assert finding.outcome == "contained", finding.detail


@pytest.mark.docker
def test_gvisor_contains_them_all() -> None:
    sandbox = DockerSandbox("attacks", runtime="runsc")
    try:
        sandbox.prepare()
    except SandboxUnavailable as error:
        pytest.skip(error.message)
    findings = run_suite(sandbox, applicable(ATTACKS, sandbox))
    assert [finding for finding in findings if finding.outcome != "contained"] == []


@pytest.mark.docker
def test_nothing_is_left_in_the_engine() -> None:
    """After the attacks of this file, which pytest runs before this one."""
    DockerSandbox("attacks").reap()
    found = Engine().list(f"{reaper.OWNER}=attacks")
    assert [labels for _, labels in found if labels[reaper.DRIVER] == reaper.driver_name()] == []


# -- the judge can fail


HARMLESS = ("host files", "local sockets", "set the clock")


def test_a_sandbox_that_isolates_nothing_contains_little() -> None:
    findings = run_suite(ProcessSandbox("attacks"), map(named, HARMLESS))
    assert [finding.outcome for finding in findings] == ["NOT contained"] * 3, findings
    files, sockets, clock = (finding.detail for finding in findings)
    assert "label through /" in files
    assert "files were made on the host" in files, "the host sees it, too"
    assert "the host's listener was reached by" in sockets
    assert "settimeofday" in clock


WALLS = {
    "network": ["host's listeners", "local sockets", "any route"],
    "processes": ["host processes"],
    "filter": [
        "io_uring",
        "new namespaces",
        "mount",
        "key rings",
        "bpf",
        "ptrace",
        "set the clock",
        "administration",
        "32-bit calls",
        "AF_NETLINK and others",
    ],
    "limits": ["threads", "memory bomb of many", "fork bomb"],
    "files": ["host files", "keys", "local sockets"],
}
"""What a bubblewrap sandbox can do without -> attacks that then get through."""


def weaken(sandbox: BubblewrapSandbox, wall: str, scene: Scene, patch: pytest.MonkeyPatch) -> None:
    """Take one wall of a prepared backend away."""
    if wall == "network":
        patch.setattr(bwrap, "ISOLATION", (*bwrap.ISOLATION, "--share-net"))
    elif wall == "processes":
        others = ("--unshare-net", "--unshare-ipc", "--unshare-uts")
        kept = (word for word in bwrap.ISOLATION if word not in ("--unshare-all", "--as-pid-1"))
        patch.setattr(bwrap, "ISOLATION", (*others, *kept))
    elif wall == "filter":
        patch.setattr(sandbox, "_seccomp", struct.pack("<HBBI", 6, 0, 0, seccomp.ALLOW))
    elif wall == "limits":
        patch.setattr(sandbox, "_limiter", Limiter(None, processes=False))
        patch.setattr(Limiter, "command", lambda self, command, limits: list(command))
    else:
        patch.setattr(sandbox, "_mounts", {**sandbox._mounts, str(scene.folder): str(scene.folder)})


@pytest.mark.parametrize("wall", WALLS)
def test_without_a_wall_its_attacks_get_through(wall: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that none of them is contained only because it does nothing."""
    sandbox = bubblewrap()
    sandbox.prepare()
    with Scene() as scene, Drill(sandbox, scene) as drill:
        weaken(sandbox, wall, scene, monkeypatch)
        findings = [drill.run(named(name)) for name in WALLS[wall]]
    assert [(one.attack, one.outcome) for one in findings] == [(name, "NOT contained") for name in WALLS[wall]], (
        findings
    )


class Scripted:
    """A sandbox whose runs end as the test says: the attack's, then those of the runs after it."""

    info = SandboxInfo("scripted", "container")

    def __init__(self, *ends: RunResult | Exception, sessions: int = 9) -> None:
        self.ends = list(ends)
        self.sessions = sessions
        self.asked: list[str] = []

    @contextmanager
    def session(self, spec: object) -> Iterator[Scripted]:
        self.sessions -= 1
        if self.sessions < 0:
            raise SandboxLost("no more")
        yield self

    def run(self, request: RunRequest) -> RunResult:
        inputs: Any = request.arguments["inputs"]
        self.asked.append(inputs["attack"])
        end = self.ends.pop(0) if self.ends else OK
        if isinstance(end, Exception):
            raise end
        return end


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Scene() as made:
        yield made


def judged(scene: Scene, attack: Attack, *ends: RunResult | Exception, sessions: int = 9) -> Finding:
    with Drill(Scripted(*ends, sessions=sessions), scene) as drill:  # type: ignore[arg-type]
        return drill.run(attack)


GONE, LATE = RunResult("killed", error="gone"), RunResult("timeout")
PLAIN, RUINOUS = named("identity"), named("kill everything")


@pytest.mark.parametrize(
    ("attack", "ends", "outcome", "word"),
    [
        (PLAIN, [], "contained", ""),
        (PLAIN, [replace(OK, value=["got out"])], "NOT contained", "got out"),
        (PLAIN, [replace(OK, value="nonsense")], "NOT contained", "nonsense"),
        (PLAIN, [RunResult("error", error="bad")], "NOT contained", "ended as error"),
        (PLAIN, [OK, GONE], "NOT contained", "run after it ended as killed"),
        (PLAIN, [OK, replace(OK, value=["a file"])], "NOT contained", "a file"),
        (PLAIN, [OK, OK, LATE], "NOT contained", "door"),
        (PLAIN, [SandboxLost("dead")], "NOT contained", "the machine's fault"),
        (RUINOUS, [GONE, GONE], "contained", ""),
        (RUINOUS, [GONE, SandboxLost("dead")], "NOT contained", "the machine's fault"),
        (PLAIN, [OK, SandboxLost("dead")], "NOT contained", "the machine's fault"),
        (RUINOUS, [GONE, GONE, GONE], "NOT contained", "run after it"),
        (RUINOUS, [OK], "NOT contained", "ended as ok"),
        (named("patched clocks"), [replace(OK, seconds=0.1)], "NOT contained", "counted"),
        (named("forge frames"), [replace(OK, value=["forged"])], "NOT contained", "forged"),
    ],
)
def test_the_judge(
    scene: Scene, attack: Attack, ends: Sequence[RunResult | Exception], outcome: str, word: str
) -> None:
    finding = judged(scene, attack, *ends)
    assert (finding.outcome, word in finding.detail) == (outcome, True), finding


def test_an_engine_that_is_gone_is_no_verdict(scene: Scene) -> None:
    assert judged(scene, PLAIN, sessions=0).outcome == "could not run"
    assert judged(scene, PLAIN, SandboxLost("dead"), sessions=1).outcome == "could not run"


def test_a_process_that_stays_is_seen_and_ended(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyperagent.sandbox.attacks.scene._DYING_SECONDS", 0.0)
    command = ["/bin/sh", "-c", "read line", scene.marker]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as stayed:
        finding = judged(scene, PLAIN)
        assert stayed.wait(10) == -signal.SIGKILL
    assert "outlived" in finding.detail
    assert judged(scene, PLAIN).outcome == "contained"


def test_a_run_that_ends_late_is_not_contained(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyperagent.sandbox.attacks.drill._SLACK_SECONDS", -PLAIN.seconds)
    assert "were allowed" in judged(scene, PLAIN).detail


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"kept": b"kept", "fifo": b""},
        {"kept": b"kept", "../x": b""},
        {"kept": b"kept", "swapped": b"canary-" + b"0" * 32},
        {"kept": b"kept", "swapped": b"root:x:0:0"},
        {"kept": b"x" * 1_000_001},
    ],
)
def test_the_judge_of_trees(tree: dict[str, bytes]) -> None:
    assert judges.only_kept(OK) == []
    assert judges.only_kept(replace(OK, tree=tree))


def test_bombs_that_came_out_open_are_seen() -> None:
    assert judges.bombs_unopened(replace(OK, tree={"kept": b"kept", "bomb.zip": b"PK"})) == []
    assert judges.bombs_unopened(replace(OK, tree={"kept": b"kept", "escaped": b""}))


def test_a_reader_that_takes_hostile_members_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert judges.hostile_archives_refused(OK) == []
    monkeypatch.setattr(judges, "unpack", lambda data, limit: {})
    assert len(judges.hostile_archives_refused(OK)) == 8


def test_the_host_notices_what_was_done_to_it() -> None:
    with Scene() as scene:
        assert scene.harm() == []
        (scene.folder / "target").write_text("changed")
        (scene.folder / "new").touch()
        os.kill(int(str(scene.inputs()["victim"])), 9)
        scene._victim.wait()
        said = "; ".join(scene.harm())
    assert "file of the host was changed" in said
    assert "new" in said
    assert "process of the host was killed" in said
    assert not scene.folder.exists()
    assert scene.bait not in os.environ.values()


def test_no_attack_is_told_the_secret(scene: Scene) -> None:
    assert scene.bait not in json.dumps(scene.inputs())
    assert all(scene.bait.encode() not in data for data in program().values())


# -- the catalogue


def test_each_attack_exists_once_and_every_function_is_an_attack() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) > 50
    assert all(attack.tries and attack.stops for attack in ATTACKS)
    functions = set()
    for name, text in program().items():
        module = Path(name).stem
        if name.endswith(".py") and module not in ("__init__", "agent", "common"):
            tree = ast.parse(text)
            functions |= {
                f"{module}.{node.name}"
                for node in tree.body
                if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
            }
    assert functions - {"aftermath.clean", "model.works"} == {attack.function for attack in ATTACKS}


def test_the_attacking_program_stands_alone() -> None:
    for name, text in program().items():
        for node in ast.walk(ast.parse(text)) if name.endswith(".py") else ():
            if isinstance(node, ast.Import):
                assert all(alias.name.split(".")[0] in sys.stdlib_module_names for alias in node.names), name
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 1 or (node.module or "").split(".")[0] in sys.stdlib_module_names, name


def test_gvisor_is_not_asked_for_what_its_own_kernel_answers() -> None:
    class Gvisor(Scripted):
        info = SandboxInfo("docker", "container/runsc")

    left = applicable(ATTACKS, Gvisor())  # type: ignore[arg-type]
    assert 0 < len(left) < len(ATTACKS)
    assert not [attack for attack in left if attack.host_kernel]


# -- the verb


@pytest.mark.parametrize(("outcome", "code"), [("contained", 0), ("NOT contained", 1), ("could not run", 3)])
def test_the_verb_exits_by_the_worst(monkeypatch: pytest.MonkeyPatch, outcome: Any, code: int) -> None:
    findings = [Finding("one", "contained", "a wall"), Finding("two", outcome, "a door", "the reason")]

    def attack_sandbox(backend: str, report: Any) -> checks.AttackReport:
        report(2, 2)
        return checks.AttackReport(SandboxInfo(backend, "container"), findings)

    monkeypatch.setattr(checks, "attack_sandbox", attack_sandbox)
    result = CliRunner().invoke(app, ["sandbox", "doctor", "--attack", "--backend", "docker"])
    assert result.exit_code == code, result.output
    assert "a wall" in result.stdout
    assert "the reason" in result.stdout
    said = json.loads(CliRunner().invoke(app, ["sandbox", "doctor", "--attack", "--json"]).stdout)
    assert said["ok"] is (code == 0)
    assert said["attacks"][1] == {**said["attacks"][1], "attack": "two", "outcome": outcome, "stops": "a door"}


def test_the_verb_knows_the_names_of_sandboxes() -> None:
    with pytest.raises(UsageError, match="nonsense"):
        checks.attack_sandbox("nonsense", lambda done, all_: None)
    assert CliRunner().invoke(app, ["sandbox", "doctor", "--backend", "docker"]).exit_code == 2
