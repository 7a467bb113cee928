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


EDITING = ("auto", "tools", "rewrite", "constrained", "menu")
SIMPLE_RULES = ("score_child_prop", "score_child_prop_code", "score_prop", "best", "random", "latest", "seed")
RULES = (*SIMPLE_RULES, "clade", "pareto")
SELECTIONS = (*RULES, "program")
MODES = ("dgm-h", "no-self-improve", "no-archive", "dgm", "random-edits", "best-of-n")
KEPT = ("meta", "task", "both")


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
        "How a parent is chosen: score_child_prop (the paper's: high score, few children), score_child_prop_code (as "
        "the code released with it), score_prop (score alone), best, random, latest, seed (generation 0), clade "
        "(promising descendants), pareto (no other is better everywhere), program (the newest variant's own "
        "parent_selection.py).",
        choices=SELECTIONS,
    )
    fallback: str = option(
        "score_child_prop", "selection = program: the rule where a program's own fails.", choices=RULES
    )
    portion: int = option(
        4,
        "selection = clade: validation tasks per benchmark that a variant is evaluated on at a time, after its screen; "
        "0 = all at once, before anything else is chosen.",
        minimum=0,
    )
    front: str = option("tasks", "selection = pareto: better on every one of these.", choices=("tasks", "benchmarks"))
    aggregate: str = option(
        "mean",
        "How the scores of several benchmarks become one: mean, min, weighted (by benchmarks.weight), or pareto (not "
        "at all: selection = pareto decides; tables show the mean).",
        choices=("mean", "min", "weighted", "pareto"),
    )
    islands: int = option(1, "Populations that develop apart, in a ring; 1 = no islands.", minimum=1, maximum=64)
    migration: int = option(20, "Steps between two visits of an island's best on the next island.", minimum=1)
    grid: str = option(
        "",
        "Features of a quality-diversity grid, separated by commas: tokens (per task), size (of the program), score, "
        "or a constant of task_agent.py in capitals. Only the best variant of each cell is a parent. Empty = no grid.",
    )
    mode: str = option(
        "dgm-h",
        "What searches: dgm-h (variants rewrite themselves), or with one part taken away: no-self-improve (the seed's "
        "meta agent rewrites all), no-archive (only the latest is branched from), dgm (a fixed diagnose-then-edit "
        "mechanism), random-edits (edits drawn without a model), best-of-n (every step starts from the seed).",
        choices=MODES,
    )
    racing: bool = option(
        False,
        "Validation tasks run in an order of each variant's own, and end as soon as it is clear that it will not be "
        "chosen; in place of the screen (see docs/racing.md).",
    )
    racing_alpha: float = option(
        0.05, "Racing: the most that the chance of calling off a race that would have been won may be.",
        minimum=1e-6, maximum=0.5,
    )  # fmt: skip
    racing_top: int = option(1, "Racing: a variant has to exceed the k-th best score; 1 = the best.", minimum=1)
    racing_above: str = option(
        "finish",
        "Racing: a variant that is clearly above runs its other tasks all the same (finish: its score is exact), or "
        "not (stop: it is an estimate).",
        choices=("finish", "stop"),
    )
    reuse_evaluations: bool = option(
        True,
        "Outcomes of an equal program under equal conditions, from whatever campaign, are taken over instead of run "
        "again (never on the hidden test, never where the pack is stochastic).",
    )
    inspirations: int = option(
        0,
        "High-scoring variants of other lineages whose edits a mutation is shown, with their gains on train tasks; "
        "0 = none.",
        minimum=0,
        maximum=4,
    )
    plateau_steps: int = option(
        0, "Steps without an improvement of the best beyond its interval that make a plateau; 0 = none.", minimum=0
    )
    plateau_action: str = option(
        "temperature",
        "At a plateau: raise the temperature of mutations, switch to the other selection, take the next step from the "
        "seed program (restart), or stop.",
        choices=("temperature", "selection", "restart", "stop"),
    )
    plateau_temperature: float = option(0.2, "What a plateau adds to it, up to 2.", minimum=0, maximum=2)
    plateau_selection: str = option("random", "The other selection.", choices=SIMPLE_RULES)

    @property
    def grid_features(self) -> tuple[str, ...]:
        """``grid``, one by one."""
        return tuple(filter(None, (name.strip() for name in self.grid.split(","))))

    @property
    def decoupled(self) -> bool:
        """Whether variants are evaluated in portions, as far as they are promising."""
        return self.selection == "clade" and self.portion > 0


@dataclass(frozen=True)
class OriginConfig:
    variant: str = option(
        "",
        "A variant of another campaign to start from: an id, CAMPAIGN/STEP, or CAMPAIGN = CAMPAIGN/best, the one whose "
        "descendants gained most. Empty = start from `program` alone.",
    )
    keep: str = option(
        "both",
        "What is kept of it: its meta agent, its task agent, or both; the rest is as in `program`.",
        choices=KEPT,
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
    mutations: str = option(
        "",
        "Several models for rewriting programs, separated by commas: each step takes the one whose edits have gained "
        "most for what they cost (see docs/search.md). Empty = `mutation` alone.",
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
        "How the seed's meta agent edits: tools (bash and editor), rewrite (one whole function), constrained (a typed "
        "edit by a JSON schema), menu (one of a few measured edits), auto (by the model's size; `model test` tells).",
        choices=EDITING,
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
    def mutation_models(self) -> tuple[str, ...]:
        """Every model that may rewrite programs, each once."""
        several = tuple(dict.fromkeys(filter(None, (name.strip() for name in self.mutations.split(",")))))
        return several or (self.mutation or self.model,)

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
    weight: float = option(1.0, "Share of this benchmark's score where search.aggregate = weighted.", minimum=0)
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
        "groups it is given), process (isolates nothing; for tests and like-for-like benchmarks only), inprocess (not "
        "even a process: only for programs that no model wrote a line of), or auto = docker, else bubblewrap.",
        choices=("auto", "docker", "bubblewrap", "process", "inprocess"),
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
    origin: OriginConfig = field(default_factory=OriginConfig)
    models: ModelsConfig = field(default_factory=ModelsConfig)
    benchmarks: tuple[BenchmarkConfig, ...] = (BenchmarkConfig(),)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    sandbox: SandboxConfig = field(default_factory=SandboxConfig)
