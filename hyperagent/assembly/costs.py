"""What a campaign's model calls cost, the calls themselves as they were recorded, and prices of one's own."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import BinaryIO, Literal

from hyperagent.config import Config
from hyperagent.errors import ConfigError, NotFoundError, UsageError
from hyperagent.protocols import Archive, ModelClient
from hyperagent.types import Campaign, ChatReply, ChatRequest, Json, ModelCall

Breakdown = Literal["model", "purpose", "variant", "day"]
FREE_PROVIDERS = ("local", "random", "scripted", "none")
"""First parts of model strings that nobody sends a bill for."""
SEARCH = ("mutate", "evaluate")
"""Purposes that the search itself pays for; ``test`` is asked for by people."""
_MILLION = 1_000_000


@dataclass(frozen=True)
class CostRow:
    """Sums over calls.

    Attributes:
        name: What the calls have in common; empty for a total.
        calls: Without the cached ones, which cost nothing and are in no other member.
        failed, unsettled: Of ``calls``: those that got no reply; those in flight or cut off, at their reserved size.
        cost: US dollars.
        seconds: Of model time: calls that ran side by side count each.
    """

    name: str = ""
    calls: int = 0
    cached_calls: int = 0
    failed: int = 0
    unsettled: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    seconds: float = 0.0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: CostRow) -> CostRow:
        sums = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self) if f.name != "name"}
        return CostRow(**sums)


@dataclass(frozen=True)
class Costs:
    """Where a campaign's tokens and dollars went.

    Attributes:
        rows: By ``by``; variants by their id, in step order.
        purposes: By purpose: mutate, evaluate, test.
        unsettled: The calls in flight or cut off, which count at their worst case.
        steps: Variant id -> step.
        evaluated: Variants beyond the seed that were scored, in full or in the screen only.
        gain: Best validation score minus the seed's, in points of 0.01; None where one of them is not scored in full.
    """

    campaign: Campaign
    by: Breakdown
    rows: tuple[CostRow, ...]
    total: CostRow
    purposes: tuple[CostRow, ...]
    unsettled: CostRow
    steps: Mapping[str, int]
    evaluated: int
    gain: float | None

    @property
    def search(self) -> CostRow:
        """What the search itself used: the total without the hidden test."""
        return sum((row for row in self.purposes if row.name in SEARCH), CostRow())

    @property
    def shares(self) -> Mapping[str, float]:
        """Purpose -> its share of the dollars; of the tokens where nothing has a price. Empty where nothing is used."""
        sizes = {row.name: row.cost if self.total.cost else float(row.tokens) for row in self.purposes}
        whole = sum(sizes.values())
        return {name: size / whole for name, size in sizes.items()} if whole else {}


def campaign_costs(archive: Archive, campaign: Campaign, by: Breakdown = "purpose") -> Costs:
    """Sums over a campaign's recorded calls. Only reads, so it works while the campaign runs."""
    variants = archive.variants(campaign.id)
    steps = {variant.id: variant.step for variant in variants}
    rows = [CostRow(**row) for row in archive.call_totals(campaign.id, by)]
    if by == "variant":
        rows.sort(key=lambda row: steps.get(row.name, len(steps)))
    purposes = [CostRow(**row) for row in archive.call_totals(campaign.id, "purpose")]
    full = {variant.step: variant.score for variant in variants if variant.status == "evaluated"}
    best = max((score for score in full.values() if score is not None), default=None)
    seed = full.get(0)
    return Costs(
        campaign,
        by,
        tuple(rows),
        sum(purposes, CostRow()),
        tuple(purposes),
        CostRow(**archive.call_totals(campaign.id, "unsettled")[0]),
        steps,
        sum(variant.step > 0 and variant.status in ("evaluated", "screened_out", "raced_out") for variant in variants),
        None if best is None or seed is None else 100 * (best - seed),
    )


# -- recorded calls ------------------------------------------------------------------------------


def recorded_calls(archive: Archive, job: str, task: str | None = None) -> list[ModelCall]:
    """The calls of a job, or of one of its tasks, in the order of their reservation.

    Args:
        job: ``CAMPAIGN/STEP/mutate`` or ``CAMPAIGN/STEP/BENCHMARK/SPLIT``; the campaign by name or id prefix.

    Raises:
        NotFoundError: There are none; the hint lists what there is.
    """
    reference, _, rest = job.partition("/")
    campaign = archive.campaign(reference)
    found = archive.calls(job=f"{campaign.id}/{rest}")
    if not found:
        every = dict.fromkeys(call.key.job.partition("/")[2] for call in archive.calls(campaign=campaign.id))
        near = [name for name in every if name.split("/")[0] == rest.split("/")[0]] or list(every)
        listed = ", ".join(f"{campaign.name}/{name}" for name in near[:8])
        raise NotFoundError(f"no model call is recorded under {job}", hint=f"there is {listed or 'none at all'}")
    of_task = [call for call in found if task is None or call.key.task == task]
    if not of_task:
        tasks = list(dict.fromkeys(call.key.task for call in found))
        more = f" and {len(tasks) - 8} more" if len(tasks) > 8 else ""
        raise NotFoundError(f"no task {task} made a call under {job}", hint=f"there is {', '.join(tasks[:8])}{more}")
    return of_task


def call_record(archive: Archive, call: ModelCall) -> dict[str, Json]:
    """One call as JSON: what it was, what was asked, what came back. The archive holds no key and no header.

    ``request`` and ``reply`` are the recorded JSON (None where there is none); the SHA-256 of ``request`` as JSON with
    sorted keys, without spaces and in ASCII is ``request_hash``.
    """
    members: dict[str, Json] = {"job": call.key.job, "task": call.key.task, "sequence": call.key.sequence}
    plain = ("variant", "purpose", "model", "state", "cached", "prompt_tokens", "completion_tokens", "cost", "seconds")
    members |= {name: getattr(call, name) for name in (*plain, "error", "request_hash")}
    for name, digest in (("request", call.request_blob), ("reply", call.reply_blob)):
        members[name] = json.loads(archive.get_blob(digest)) if digest else None
    return members


def export_calls(archive: Archive, campaign: Campaign, path: Path, *, force: bool = False) -> int:
    """Write every recorded call of a campaign as a JSON line, compressed where the name ends in ``.gz``.

    Equal archives give equal bytes. The file appears when it is complete.

    Returns:
        How many calls there are.

    Raises:
        UsageError: The file exists (and ``force`` is False) or cannot be written.
    """
    if path.exists() and not force:
        raise UsageError(f"{path} exists already", hint="--force overwrites it, or name another file")
    calls = archive.calls(campaign=campaign.id)
    try:
        descriptor, unfinished = tempfile.mkstemp(prefix=".hyperagent-", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file, _packed(file, path.suffix == ".gz") as packed:
                for call in calls:
                    record = call_record(archive, call)
                    packed.write(json.dumps(record, sort_keys=True, separators=(",", ":")).encode() + b"\n")
            os.chmod(unfinished, 0o644)
            os.replace(unfinished, path)
        except BaseException:
            Path(unfinished).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", hint="name a file you may write") from error
    return len(calls)


def _packed(file: BinaryIO, wanted: bool) -> AbstractContextManager[BinaryIO | gzip.GzipFile]:
    # Without name and time in its header, equal calls make an equal file.
    return gzip.GzipFile("", "wb", fileobj=file, mtime=0) if wanted else nullcontext(file)


# -- prices --------------------------------------------------------------------------------------


class PricedClient:
    """A client with prices of one's own, for models that have none: what an hour of one's own machine costs.

    Args:
        prompt, completion: US dollars per million tokens.
    """

    def __init__(self, inner: ModelClient, prompt: float, completion: float) -> None:
        self._inner = inner
        self._prompt, self._completion = prompt, completion

    def complete(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        reply = self._inner.complete(request, timeout=timeout)
        return replace(reply, cost=self.price(request, reply.prompt_tokens, reply.completion_tokens))

    def price(self, request: ChatRequest, prompt_tokens: int, completion_tokens: int) -> float:
        known = self._inner.price(request, prompt_tokens, completion_tokens)
        return known or (prompt_tokens * self._prompt + completion_tokens * self._completion) / _MILLION


def check_prices(client: ModelClient, config: Config) -> None:
    """A cap on dollars holds only where every call has a price.

    Models on this machine cost nothing unless they are given a price, and that is a price.

    Raises:
        ConfigError: There is such a cap, and a model that has no price.
    """
    capped = [name for name, cost in _cost_caps(config).items() if cost]
    models = config.models
    others = [name for name in (*models.fallback_models, models.embedding) if name]
    for model in dict.fromkeys((*models.mutation_models, models.evaluation, *others)):
        free = model.partition("/")[0] in FREE_PROVIDERS
        if capped and not free and not client.price(ChatRequest(model, ()), 1_000_000, 1_000_000):
            raise ConfigError(
                f"{capped[0]} is set, and nobody knows the price of {model}: the cap could not hold",
                hint=f"set models.price_prompt and models.price_completion (US dollars per million tokens), "
                f"or cap tokens instead: remove {capped[0]} and set {capped[0].replace('cost', 'tokens')}",
            )


def _cost_caps(config: Config) -> dict[str, float]:
    budget = config.budget
    return {
        "budget.cost": budget.cost,
        "budget.variant.cost": budget.variant.cost,
        "budget.task.cost": budget.task.cost,
    }
