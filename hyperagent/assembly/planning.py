"""What a campaign would do at worst, before it does anything (``run --dry-run``)."""

from __future__ import annotations

import json
from dataclasses import dataclass

from hyperagent.assembly.costs import check_prices
from hyperagent.assembly.wiring import load_benchmarks, model_client, resolve_models
from hyperagent.config import Config
from hyperagent.config.schema import AllowanceConfig
from hyperagent.protocols import ModelClient
from hyperagent.types import ChatRequest, Plan, Task

MUTATION_PROMPT_TOKENS = 8000
"""Assumed upper bound of one prompt while rewriting; evidence and tool results are cut to stay below it."""


@dataclass(frozen=True)
class _Size:
    calls: int = 0
    tokens: int = 0
    cost: float = 0.0

    def __add__(self, other: _Size) -> _Size:
        return _Size(self.calls + other.calls, self.tokens + other.tokens, self.cost + other.cost)

    def __mul__(self, times: int) -> _Size:
        return _Size(self.calls * times, self.tokens * times, self.cost * times)

    def within(self, caps: AllowanceConfig) -> _Size:
        return _Size(
            min(self.calls, caps.calls or self.calls),
            min(self.tokens, caps.tokens or self.tokens),
            min(self.cost, caps.cost or self.cost),
        )


def plan(config: Config) -> Plan:
    """Worst cases, computed without any model call.

    Every task counts one call, as the seed program makes it, with its prompt at the upper bound and the reply at
    ``models.max_tokens``; every attempt counts ``limits.mutation_calls`` calls; every variant becomes a parent once.
    """
    config = resolve_models(config, None)
    benchmarks = load_benchmarks(config, None)
    with model_client(config) as client:
        check_prices(client, config)
        validation = [task for entry, pack in benchmarks for task in pack.tasks("validation", entry.validation)]
        train = [task for entry, pack in benchmarks for task in pack.tasks("train", entry.train)]
        evaluation = _tasks(client, config, [*validation, *train])
        mutation = _mutation(client, config)
    steps = config.budget.steps or 4 * config.budget.variants
    attempts_each = max(1, steps // max(config.budget.variants, 1))
    limits = config.budget.variant
    whole = evaluation.within(limits) * (config.budget.variants + 1) + mutation.within(limits) * steps
    each = evaluation.within(limits) + mutation.within(limits) * attempts_each
    affordable = _affordable(config, evaluation.within(limits), each)
    writers = " or ".join(config.models.mutation_models)
    notes = [f"programs are rewritten by {writers}, tasks are solved by {config.models.evaluation}"]
    if affordable < config.budget.variants:
        notes.append(f"at worst the caps afford {affordable} of the {config.budget.variants} variants wanted")
    return Plan(
        variants=affordable,
        steps=steps,
        tasks_per_variant=len(validation),
        train_tasks=len(train),
        model_calls=whole.calls,
        tokens=whole.tokens,
        cost=whole.cost,
        notes=tuple(notes),
    )


def _tasks(client: ModelClient, config: Config, tasks: list[Task]) -> _Size:
    from hyperagent.models.wire import prompt_bound

    size = _Size()
    for task in tasks:
        content = json.dumps(dict(task.input), ensure_ascii=False)
        request = ChatRequest(config.models.evaluation, ({"role": "user", "content": content},))
        prompt = prompt_bound(request)
        cost = client.price(request, prompt, config.models.max_tokens)
        one = _Size(1, prompt + config.models.max_tokens, cost)
        size += one.within(config.budget.task)
    return size


def _mutation(client: ModelClient, config: Config) -> _Size:
    models = [model for model in config.models.mutation_models if not model.startswith("random/")]
    if not models:
        return _Size()
    requests = [ChatRequest(model, ({"role": "user", "content": ""},)) for model in models]
    cost = max(client.price(request, MUTATION_PROMPT_TOKENS, config.models.max_tokens) for request in requests)
    return _Size(1, MUTATION_PROMPT_TOKENS + config.models.max_tokens, cost) * config.limits.mutation_calls


def _affordable(config: Config, seed: _Size, each: _Size) -> int:
    """How many variants the caps on tokens, cost and calls pay for, after the seed program."""
    count = config.budget.variants
    if config.budget.tokens:
        count = min(count, max(config.budget.tokens - seed.tokens, 0) // max(each.tokens, 1))
    if config.budget.cost and each.cost:
        count = min(count, int(max(config.budget.cost - seed.cost, 0.0) / each.cost))
    if config.budget.calls:
        count = min(count, max(config.budget.calls - seed.calls, 0) // max(each.calls, 1))
    return count
