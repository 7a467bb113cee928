"""What an attack is, and what came of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from hyperagent.types import ProgramTree, RunResult

Judge = Callable[[RunResult], Sequence[str]]
"""What is wrong with how a run ended, seen from the host, in words."""
Outcome = Literal["contained", "NOT contained", "could not run"]
DESTROYED = ("killed", "timeout")


@dataclass(frozen=True)
class Attack:
    """One program that means harm.

    Attributes:
        name: Unique, in words.
        tries: What it tries, one sentence.
        stops: What stops it.
        function: ``module.function`` of the program in ``inside/``; it says itself what got through.
        ends: Statuses that a run of it may end with where the sandbox holds.
        seconds: Its wall clock.
        ruins: The session may be unusable afterwards; the next one must not be.
        host_kernel: It asks the host's kernel; says nothing where another kernel serves the calls (gVisor).
        judge: More to see from the host.
        workspace: Files of a folder that it works in and that is copied out; None = no folder.
    """

    name: str
    tries: str
    stops: str
    function: str
    ends: tuple[str, ...] = ("ok",)
    seconds: float = 15.0
    ruins: bool = False
    host_kernel: bool = False
    judge: Judge | None = None
    workspace: ProgramTree | None = None


@dataclass(frozen=True)
class Finding:
    """What came of one attack.

    Attributes:
        detail: What got through, or why it could not run.
        seconds: With all checks.
        session_lost: The attack has ruined its own session, was charged for it, and the next one was sound.
    """

    attack: str
    outcome: Outcome
    stops: str
    detail: str = ""
    seconds: float = 0.0
    session_lost: bool = False
