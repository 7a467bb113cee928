"""What the engine works with, and the conditions under which scores are compared."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hyperagent.config import BenchmarkConfig, Config
from hyperagent.engine.examination import canonical
from hyperagent.errors import HyperagentError
from hyperagent.protocols import Archive, Benchmark, Broker, Sandbox
from hyperagent.types import Examiner, Json, Limits, SandboxInfo, Split


class Cancelled(HyperagentError):
    """The user asked twice to stop; nothing finished is lost."""

    exit_code = 130


@dataclass(frozen=True)
class Parts:
    """Everything the engine works with, handed in by ``assembly``."""

    archive: Archive
    broker: Broker
    sandbox: Sandbox
    benchmarks: Sequence[tuple[BenchmarkConfig, Benchmark]]
    config: Config


def limits_of(config: Config) -> Limits:
    limits = config.limits
    return Limits(
        memory_mb=limits.memory_mb,
        processes=limits.processes,
        cpus=limits.cpus,
        tmpfs_mb=limits.tmpfs_mb,
        output_bytes=limits.program_kb * 1024 + 2_000_000,
    )


def sandbox_of(parts: Parts, benchmark: Benchmark) -> SandboxInfo:
    """What a benchmark's programs and their examiner run in here."""
    sandbox, examiner = parts.sandbox, benchmark.examiner
    examined_in = sandbox.image(examiner.needs.packages) if examiner is not None else ""
    return replace(sandbox.info, image=sandbox.image(benchmark.needs.packages), examiner=examined_in)


def context_of(parts: Parts, benchmark: Benchmark, split: Split, tasks: Sequence[str]) -> str:
    """Hash over everything a score depends on but the program (hex, 64 characters)."""
    models, needs = parts.config.models, benchmark.needs
    limits = needs.over(limits_of(parts.config))
    seconds = needs.seconds or parts.config.limits.task_seconds
    facts: dict[str, Json] = {
        "benchmark": benchmark.name,
        "split": split,
        "tasks": list(tasks),
        "model": models.evaluation,
        "temperature": models.evaluation_temperature,
        "max_tokens": models.max_tokens,
        "limits": [seconds, limits.memory_mb, limits.processes, limits.cpus, limits.tmpfs_mb],
        "sandbox": [parts.sandbox.info.backend, parts.sandbox.image(needs.packages)],
    }
    if needs.repeats > 1:
        facts["repeats"] = needs.repeats
    if benchmark.examiner is not None:
        facts["examiner"] = examiner_digest(benchmark.examiner)
    return hashlib.sha256(canonical(facts).encode()).hexdigest()


def examiner_digest(examiner: Examiner) -> str:
    """Hash over everything that an examination depends on but what is examined (hex, 64 characters)."""
    needs = examiner.needs
    texts = {name: data.decode("latin-1") for name, data in examiner.program.items()}
    return hashlib.sha256(
        canonical([texts, list(needs.packages), needs.seconds, dict(needs.limits)]).encode()
    ).hexdigest()
