"""Jobs, their limits, and how they ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from hyperagent.types.basic import Json, ProgramTree


@dataclass(frozen=True)
class Limits:
    """Hard limits of one job's sandbox; the per-run wall clock is in ``RunRequest``."""

    memory_mb: int = 512
    processes: int = 64
    cpus: float = 1.0
    tmpfs_mb: int = 128
    output_bytes: int = 4_000_000
    """Most bytes accepted back from the sandbox, per frame and per copied-out tree."""


@dataclass(frozen=True)
class JobSpec:
    """Everything one sandbox session needs. A job belongs to exactly one variant.

    Attributes:
        job: Unique id, ``[a-z0-9-/]+``; also the identity under which model calls are recorded.
        program: The code that runs.
        evidence: Read-only files for the meta agent (train results only).
        model_directory: Host directory holding ``model.sock``; None = no model in this job.
        environment: Extra variables for the program's processes (never a key).
        packages: Pinned Python packages (``name==version``) that must be importable inside; the backend was told of
            them in ``Sandbox.prepare``.
        subject: The files that a ``meta`` run edits a copy of, where they are not those of ``program`` itself.
    """

    job: str
    program: ProgramTree
    evidence: ProgramTree = field(default_factory=dict)
    model_directory: Path | None = None
    limits: Limits = field(default_factory=Limits)
    environment: Mapping[str, str] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    subject: ProgramTree | None = None


@dataclass(frozen=True)
class Needs:
    """What one run for a benchmark may use.

    Attributes:
        packages: Pinned Python packages (``name==version``) that the sandbox holds.
        seconds: Wall clock of one run; 0 = as the campaign's config says.
        limits: Member of :class:`Limits` -> value; what is missing is as the config says.
        stochastic: Whether equal programs may score differently.
        repeats: Runs of every task, whose mean is its score; above 1 only where ``stochastic``.
    """

    packages: tuple[str, ...] = ()
    seconds: float = 0.0
    limits: Mapping[str, float] = field(default_factory=dict)
    stochastic: bool = False
    repeats: int = 1

    def over(self, base: Limits) -> Limits:
        """``base`` with what is asked for here in place of it."""
        kinds = {name: type(getattr(base, name)) for name in self.limits}
        return replace(base, **{name: kinds[name](value) for name, value in self.limits.items()})


@dataclass(frozen=True)
class Examiner:
    """A pack's grading program. It runs in a fresh sandbox that holds no agent program and no model.

    Attributes:
        program: The pack's ``examiner/`` folder, whose ``examiner.py`` defines ``examine(inputs) -> verdict``, and what
            ``hyperagent/examining/`` adds to every examiner.
        needs: ``seconds`` is the wall-clock limit of one examination.
    """

    program: ProgramTree
    needs: Needs = field(default_factory=Needs)


@dataclass(frozen=True)
class RunRequest:
    """One run inside a session: a fresh process.

    Attributes:
        kind: ``task`` calls ``TaskAgent.forward(arguments["inputs"])``; ``meta`` calls
            ``MetaAgent.forward(repo, evidence, arguments["iterations_left"])`` on a working copy of the program;
            ``check`` imports the program and its entry points; ``select`` calls
            ``ParentSelector.forward(arguments["variants"], arguments["random"])``.
        arguments: ``{"model": str, ...}``, see ``kind``.
        seconds: Wall-clock limit; the whole process tree is killed when it is over.
        workspace: For ``task``: files of a folder that the program may work in; ``inputs["workspace"]`` names its
            path inside, and its content comes back in ``RunResult.tree``. None = no folder.
    """

    kind: Literal["task", "meta", "check", "select"]
    arguments: Mapping[str, Json]
    seconds: float
    workspace: ProgramTree | None = None


@dataclass(frozen=True)
class RunResult:
    """How one run ended. Anything but ``ok`` is the program's own doing.

    An infrastructure failure is no result: it raises :class:`~hyperagent.errors.SandboxLost`.

    Attributes:
        value: For ``task``: the prediction (JSON). For ``select``: the variant it chose.
            For ``check``: ``{"modules": [...]}``. Else None.
        tree: With status ``ok``: the edited program for ``meta``, the workspace for ``task`` where there was one.
        transcript: The chat history the program wrote, at most 1 MB.
        error: Last lines of a traceback or a one-line reason; empty for ``ok``.
    """

    status: Literal["ok", "error", "timeout", "memory", "killed", "output"]
    value: Json = None
    tree: ProgramTree | None = None
    error: str = ""
    transcript: str = ""
    stdout: str = ""
    seconds: float = 0.0
    peak_mb: float = 0.0


@dataclass(frozen=True)
class SandboxInfo:
    """Which sandbox ran a job; stored with every evaluation.

    ``image`` and ``examiner`` are what :meth:`~hyperagent.protocols.Sandbox.image` says of the sandbox that ran the
    program and of the one that examined what it made; empty where there was none.
    """

    backend: str
    isolation: str
    image: str = ""
    warnings: tuple[str, ...] = ()
    examiner: str = ""
