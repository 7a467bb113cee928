"""Rules between keys: values that are each valid and together impossible."""

from __future__ import annotations

import re
from collections.abc import Callable

from hyperagent.config.schema import BenchmarkConfig, Config, ModelsConfig, SandboxConfig
from hyperagent.errors import ConfigError

Refuse = Callable[[str, str, str], ConfigError]
"""``(key, problem, hint)`` -> the error to raise."""

_BACKEND = 'sandbox.backend = "docker"'
CONTROL_MODEL = "random/uniform"
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?!\.)){0,62}")


def check_combinations(config: Config, refuse: Refuse) -> None:
    """Raises what ``refuse`` makes for the first rule that is broken."""
    if not _NAME.fullmatch(config.name) or config.name.endswith((".", ".lock")):
        raise refuse(
            "name", f"cannot name a campaign: {config.name!r}", "letters, digits, '-', '_' and '.', at most 63 of them"
        )
    if not config.program.strip():
        raise refuse("program", "is empty", 'write "seed" for the shipped program')
    _check_budget(config, refuse)
    _check_models(config.models, refuse)
    _check_sandbox(config.sandbox, refuse)
    _check_search(config, refuse)
    if not config.benchmarks:
        raise refuse("benchmarks", "is empty: there would be nothing to score", "add a [[benchmarks]] table")
    names = [benchmark.name for benchmark in config.benchmarks]
    for index, benchmark in enumerate(config.benchmarks):
        if benchmark.name in names[:index]:
            raise refuse(f"benchmarks.{index}.name", f"appears twice: {benchmark.name!r}", "name each benchmark once")
        _check_benchmark(benchmark, f"benchmarks.{index}", refuse)


def _check_budget(config: Config, refuse: Refuse) -> None:
    budget = config.budget
    if budget.variants == 0 and budget.steps == 0:
        raise refuse(
            "budget.variants",
            "and budget.steps are both 0: the campaign would do nothing",
            "set budget.variants to 1 or more",
        )
    if 0 < budget.steps < budget.variants:
        raise refuse(
            "budget.steps",
            f"= {budget.steps} attempts can never make {budget.variants} variants",
            "set budget.steps to 0 (4 x variants) or above budget.variants",
        )


def _check_models(models: ModelsConfig, refuse: Refuse) -> None:
    if not models.model.strip():
        raise refuse("models.model", "is empty", 'write "local/auto" for a local model')
    for key, value in (("models.model", models.model), ("models.evaluation", models.evaluation)):
        if value == CONTROL_MODEL:
            raise refuse(key, f"cannot be {CONTROL_MODEL!r}: it only draws edits", "it is for models.mutation")
    for key, value in (
        ("models.model", models.model),
        ("models.mutation", models.mutation),
        ("models.evaluation", models.evaluation),
        *(("models.mutations", name) for name in models.mutation_models),
    ):
        if value in models.served and not value.startswith("local/"):
            raise refuse("models.serve", f"cannot serve {value!r}", "only local/NAME is served; see `model list`")
        if any(character.isspace() for character in value):
            raise refuse(key, f"is not a model string: {value!r}", "e.g. openai/NAME, ollama_chat/NAME, local/NAME")
    if models.mutations.strip(", ") and models.mutation not in ("", *models.mutation_models):
        raise refuse("models.mutation", "and models.mutations name different models", "keep one of the two keys")


def _check_sandbox(sandbox: SandboxConfig, refuse: Refuse) -> None:
    for key, value in (("sandbox.image", sandbox.image), ("sandbox.runtime", sandbox.runtime)):
        if value and sandbox.backend not in ("auto", "docker"):
            raise refuse(
                key, f"= {value!r} is Docker's, the backend is {sandbox.backend}", f"empty it, or set {_BACKEND}"
            )


_FEATURE = re.compile(r"tokens|size|score|[A-Z][A-Z0-9_]*")


def _check_search(config: Config, refuse: Refuse) -> None:
    search, several = config.search, len(config.benchmarks) > 1
    weights = [benchmark.weight for benchmark in config.benchmarks]
    if search.aggregate == "pareto" and (search.selection != "pareto" or not several):
        raise refuse(
            "search.aggregate",
            "= 'pareto' leaves the choice of parents to the front of several benchmarks",
            'set search.selection to "pareto" and add a [[benchmarks]] table, or aggregate by mean, min or weighted',
        )
    if search.selection == "pareto" and search.front == "benchmarks" and not several:
        raise refuse("search.front", "= 'benchmarks' needs more than one", 'set it to "tasks", or add a benchmark')
    if search.aggregate == "weighted" and not any(weights):
        raise refuse("search.aggregate", "= 'weighted', and every weight is 0", "give a benchmark a weight above 0")
    if search.aggregate != "weighted" and any(weight != 1 for weight in weights):
        raise refuse("search.aggregate", f"= {search.aggregate!r} reads no weights", 'set it to "weighted"')
    if search.racing and search.aggregate != "mean":
        raise refuse(
            "search.racing", f"races for a mean, and search.aggregate is {search.aggregate}", "use one of them"
        )
    if search.racing and search.decoupled:
        raise refuse(
            "search.racing", "and selection = clade both decide how much of a variant is evaluated", "use one of them"
        )
    for name in search.grid_features:
        if not _FEATURE.fullmatch(name):
            raise refuse(
                "search.grid", f"knows no feature {name!r}", "tokens, size, score, or a CONSTANT of task_agent.py"
            )
    if search.islands > 1 and search.selection == "latest":
        raise refuse(
            "search.islands", "need a choice of parents, and search.selection is latest", "choose another rule"
        )


def _check_benchmark(benchmark: BenchmarkConfig, key: str, refuse: Refuse) -> None:
    if not benchmark.name.strip():
        raise refuse(f"{key}.name", "is empty", "see `hyperagent benchmark list`")
    if 0 < benchmark.validation < benchmark.screen:
        raise refuse(
            f"{key}.screen",
            f"= {benchmark.screen} tasks is more than the {benchmark.validation} validation tasks it is part of",
            f"set {key}.screen to {benchmark.validation} or less",
        )
