"""Campaign configuration: dataclasses that are at once the schema, the defaults and the documentation.

Precedence, lowest first: defaults < TOML file < environment (``HYPERAGENT_SECTION__KEY``) < ``--set section.key=value``
< named flags. Every wrong key or value is one :class:`~hyperagent.errors.ConfigError` that names the key, the file, the
line where known, and the nearest valid key.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


def option(default: Any, doc: str, **limits: Any) -> Any:
    """A documented field. ``limits``: ``minimum``, ``maximum``, ``choices``."""
    metadata = {"doc": doc, **limits}
    if isinstance(default, (list, dict, tuple)):
        return field(default_factory=lambda: default, metadata=metadata)
    return field(default=default, metadata=metadata)


SELECTIONS = ("score_child_prop", "best", "random", "latest")


@dataclass(frozen=True)
class AllowanceConfig:
    tokens: int = option(0, "Model tokens, prompt and completion; 0 = no cap.", minimum=0)
    cost: float = option(0.0, "US dollars for model calls; 0 = no cap.", minimum=0)
    calls: int = option(0, "Model calls; 0 = no cap.", minimum=0)
    seconds: float = option(
        0.0,
        "Seconds that models worked on its calls (they depend on the machine's load: prefer tokens); 0 = no cap.",
        minimum=0,
    )


@dataclass(frozen=True)
class BudgetConfig:
    variants: int = option(16, "Evaluated variants to make beyond the seed program.", minimum=0)
    steps: int = option(0, "Most mutation attempts, failed and ineffective ones included; 0 = 4 x variants.", minimum=0)
    seconds: float = option(0.0, "Wall-clock seconds over all sessions of the campaign; 0 = no cap.", minimum=0)
    tokens: int = option(0, "Model tokens, prompt and completion; 0 = no cap.", minimum=0)
    cost: float = option(0.0, "US dollars for model calls; 0 = no cap.", minimum=0)
    calls: int = option(0, "Model calls; 0 = no cap.", minimum=0)
    variant: AllowanceConfig = field(default_factory=AllowanceConfig)
    task: AllowanceConfig = field(default_factory=AllowanceConfig)


@dataclass(frozen=True)
class SearchConfig:
    workers: int = option(2, "Variants made and evaluated at the same time.", minimum=1, maximum=64)
    selection: str = option(
        "score_child_prop",
        "How a parent is chosen: score_child_prop (the paper's: high score, few children), best, random, latest.",
        choices=SELECTIONS,
    )


@dataclass(frozen=True)
class ModelsConfig:
    model: str = option(
        "local/auto",
        "The one line to change: any LiteLLM string (openai/..., anthropic/..., ollama_chat/..., hosted_vllm/...), "
        "local/NAME (see `hyperagent model list`), or local/auto (small local models that fit this machine).",
    )
    mutation: str = option(
        "", "Another model for rewriting programs; empty = `model`. random/uniform draws edits without a model."
    )
    evaluation: str = option("", "Another model for solving tasks; empty = `model`.")
    serve: str = option(
        "",
        "Serve a local/NAME model with `hyperagent model serve` for the time of the campaign: mutation, evaluation or "
        "both (its GPU, else its CPU); empty = on the CPU, in a process that all jobs share. "
        "[models.mutation] model = ..., serve = true says the same.",
        choices=("", "mutation", "evaluation", "both"),
    )
    editing: str = option(
        "auto",
        "How the seed's meta agent edits: tools (bash and editor), constrained (JSON-schema edits), auto (by model).",
        choices=("auto", "tools", "constrained"),
    )
    mutation_temperature: float = option(0.8, "Sampling temperature while rewriting.", minimum=0, maximum=2)
    evaluation_temperature: float = option(0.0, "Sampling temperature while solving tasks.", minimum=0, maximum=2)
    max_tokens: int = option(4096, "Most completion tokens of one call.", minimum=1)
    timeout: float = option(300.0, "Seconds one model call may take.", minimum=1)
    retries: int = option(4, "Retries of a call after 429, 5xx or a timeout.", minimum=0, maximum=20)
    fallbacks: str = option(
        "", "Models to ask, in this order, where a call's own does not answer after its retries; separated by commas."
    )
    concurrency: int = option(
        0, "Calls of one model at the same time; who waits takes turns by variant. 0 = no limit.", minimum=0
    )
    embedding: str = option("", "Model for embeddings that programs ask for; empty = they are refused.")
    api_base: str = option("", "Base URL of an OpenAI-compatible server; empty = the provider's own.")
    price_prompt: float = option(
        0.0, "US dollars per million prompt tokens, for models without a known price.", minimum=0
    )
    price_completion: float = option(0.0, "US dollars per million completion tokens, likewise.", minimum=0)

    @property
    def served(self) -> tuple[str, ...]:
        """The models that the campaign serves by itself."""
        purposes = ("mutation", "evaluation") if self.serve == "both" else (self.serve,) if self.serve else ()
        return tuple(dict.fromkeys(getattr(self, purpose) or self.model for purpose in purposes))

    @property
    def fallback_models(self) -> tuple[str, ...]:
        """``fallbacks``, one by one."""
        return tuple(filter(None, (name.strip() for name in self.fallbacks.split(","))))


@dataclass(frozen=True)
class BenchmarkConfig:
    name: str = option("math_grading", "Benchmark pack (see `hyperagent benchmark list`).")
    source: str = option("auto", "Data set of the pack; auto = the first real one at hand, else the pack's generator.")
    screen: int = option(
        -1,
        "Validation tasks of the screen; a variant that solves none of them stops there. -1 = as the pack says.",
        minimum=-1,
    )
    validation: int = option(100, "Validation tasks of the full stage, screen included; 0 = all.", minimum=0)
    train: int = option(40, "Train tasks whose results the meta agent sees; 0 = all.", minimum=0)
    test: int = option(150, "Hidden test tasks, read only by reports that are asked for; 0 = all.", minimum=0)


@dataclass(frozen=True)
class LimitsConfig:
    task_seconds: float = option(120.0, "Wall-clock seconds of one task.", minimum=1)
    mutation_seconds: float = option(900.0, "Wall-clock seconds of one mutation.", minimum=1)
    mutation_calls: int = option(40, "Model calls a mutation may make (told to the meta agent).", minimum=1)
    memory_mb: int = option(512, "Memory of one sandbox, swap included.", minimum=64)
    processes: int = option(64, "Processes and threads in one sandbox.", minimum=8)
    cpus: float = option(1.0, "Processor share of one sandbox.", minimum=0.1)
    tmpfs_mb: int = option(128, "Writable space in one sandbox, in memory.", minimum=16)
    program_kb: int = option(1024, "Largest program accepted from a mutation.", minimum=16)


@dataclass(frozen=True)
class SandboxConfig:
    backend: str = option(
        "auto",
        "docker (a container per job), bubblewrap (Linux namespaces: no daemon, no root; limits as good as the control "
        "groups it is given), process (isolates nothing; for tests and like-for-like benchmarks only), or auto = "
        "docker, else bubblewrap.",
        choices=("auto", "docker", "bubblewrap", "process"),
    )
    image: str = option("", "Docker image to use instead of the one `hyperagent sandbox build` makes.")
    pool: int = option(
        -1,
        "Docker: most containers kept ready ahead of need, each used once; -1 = 2 x processors, 0 = none.",
        minimum=-1,
        maximum=256,
    )
    runtime: str = option("", "Runtime of the Docker engine, such as runsc (gVisor); empty = the engine's default.")


@dataclass(frozen=True)
class Config:
    """The whole effective configuration of one campaign."""

    name: str = option("campaign", "Name of the campaign; -2, -3 ... is appended where it is taken.")
    seed: int = option(1, "Random seed of every choice the engine makes.", minimum=0)
    program: str = option("seed", "Generation 0: `seed` = the shipped program, or a directory (relative to this file).")
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    models: ModelsConfig = field(default_factory=ModelsConfig)
    benchmarks: tuple[BenchmarkConfig, ...] = (BenchmarkConfig(),)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    sandbox: SandboxConfig = field(default_factory=SandboxConfig)
