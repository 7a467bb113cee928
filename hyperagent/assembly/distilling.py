"""``hyperagent distil``: campaigns in; out come an adapter of a local model and its control, compared with the base."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hyperagent.assembly.wiring import Wiring, stored_config
from hyperagent.config import BenchmarkConfig, Config, to_json
from hyperagent.distil.compare import Arm, Comparison, compare, summarise, verdict
from hyperagent.distil.history import first_children, read_history
from hyperagent.distil.pairs import Mutation, Pair, digest_of, shuffled, split_by_parent, training_pairs
from hyperagent.distil.training import Settings, Trainer, training_libraries
from hyperagent.errors import HyperagentError, ModelUnavailable, UsageError
from hyperagent.models.adapters import (
    WEIGHTS,
    Adapter,
    Role,
    adapter_folder,
    adapter_name,
    file_sha256,
    list_adapters,
    offer,
    read_adapter,
    write_manifest,
)
from hyperagent.protocols import Archive, Observer
from hyperagent.types import Campaign, CampaignState, Caps, Json

if TYPE_CHECKING:
    from hyperagent.engine.budget import CampaignMeter

__all__ = [
    "Adapter",
    "DistilOptions",
    "DistilPlan",
    "DistilReport",
    "Settings",
    "adapters",
    "judge_adapters",
    "offer_adapter",
    "plan_distil",
    "train_adapters",
    "training_set_of",
]

FEWEST_PAIRS = 8
STARTED = "distil_started"
EVALUATED = "distil_evaluated"

Report = Callable[[str, int, int], None]
"""Told (what is done, how much of it, of how much)."""


@dataclass(frozen=True)
class DistilOptions:
    """What is asked for.

    Attributes:
        model: The local model to fine-tune, ``local/NAME``.
        held_out: Share of the parents that the adapter is judged on and never trained on.
        proposals: Of each model for each held-out parent.
        tasks: First validation tasks that proposals are evaluated on; 0 = as many as the campaign used.
        control: Also train an adapter on shuffled gains.
    """

    model: str = "local/smollm2-135m"
    settings: Settings = dataclasses.field(default_factory=Settings)
    held_out: float = 0.3
    proposals: int = 4
    tasks: int = 0
    control: bool = True


@dataclass(frozen=True)
class DistilPlan:
    """What would be done, computed without a model.

    Attributes:
        mutations: Scored mutations found; ``own`` of them made by a reply, ``improved`` of these did.
        sets: Role -> training pairs; ``names``: role -> the adapter's name.
        parents: Different parents; ``held_out``: one mutation of each that is held out.
    """

    options: DistilOptions
    config: Config
    campaigns: tuple[str, ...]
    mutations: int
    own: int
    improved: int
    parents: int
    held_out: tuple[Mutation, ...]
    sets: Mapping[Role, tuple[Pair, ...]]
    names: Mapping[Role, str]

    @property
    def base(self) -> str:
        """Catalogue name of the base model."""
        return self.options.model.removeprefix("local/")


@dataclass(frozen=True)
class DistilReport:
    """What came of it. ``losses``: role -> mean loss per epoch, nats per token; of this session's training only."""

    adapter: Adapter
    control: Adapter | None
    arms: tuple[Arm, ...]
    comparisons: tuple[Comparison, ...]
    losses: Mapping[str, Sequence[float]]


def plan_distil(archive: Archive, references: Sequence[str], options: DistilOptions) -> DistilPlan:
    """Read the history and divide it.

    Raises:
        NotFoundError: No such campaign, or no such local model.
        UsageError: The campaigns cannot be compared with each other, or hold too little to learn from.
    """
    from hyperagent.models import known_model

    if not options.model.startswith("local/") or "+" in options.model:
        raise UsageError(f"{options.model!r} cannot be fine-tuned", hint="name a local model: local/NAME")
    base = known_model(options.model.removeprefix("local/"))
    campaigns = list({found.id: found for found in map(archive.campaign, references)}.values())
    config = _common_config(campaigns)
    mutations = [one for campaign in campaigns for one in read_history(archive, campaign.id)]
    if len({one.parent_tree for one in mutations}) < 2:
        raise UsageError(
            f"{len(mutations)} scored mutations by typed edits, of fewer than two parents: nothing to learn from",
            hint="distil takes campaigns whose mutation model is small (local/... or random/uniform)",
        )
    seed = options.settings.seed
    train, held = split_by_parent(mutations, options.held_out, seed)
    sets: dict[Role, tuple[Pair, ...]] = {"adapter": tuple(training_pairs(train))}
    if options.control:
        sets["control"] = tuple(training_pairs(shuffled(train, seed)))
    if (few := min(map(len, sets.values()))) < FEWEST_PAIRS:
        raise UsageError(
            f"only {few} of {len(train)} mutations are edits of a model's that improved; {FEWEST_PAIRS} are needed",
            hint="name more campaigns, or a smaller --held-out",
        )
    facts = {"training_set": digest_of(sets["adapter"]), "settings": dataclasses.asdict(options.settings)}
    names: dict[Role, str] = {role: adapter_name(base.name, role, facts) for role in sets}
    return DistilPlan(
        options=options,
        config=config,
        campaigns=tuple(campaign.name for campaign in campaigns),
        mutations=len(mutations),
        own=sum(bool(one.reply) for one in mutations),
        improved=sum(bool(one.reply) and one.improved for one in mutations),
        parents=len({one.parent_tree for one in mutations}),
        held_out=tuple(first_children(held).values()),
        sets=sets,
        names=names,
    )


def _common_config(campaigns: Sequence[Campaign]) -> Config:
    """The first campaign's configuration; the others must have scored the same thing.

    Raises:
        UsageError: They did not.
    """
    configs = [stored_config(campaign) for campaign in campaigns]
    facts = [(config.benchmarks, config.models.evaluation, config.models.evaluation_temperature) for config in configs]
    for campaign, other in zip(campaigns, facts, strict=True):
        if other != facts[0]:
            raise UsageError(
                f"{campaigns[0].name} and {campaign.name} differ in benchmarks or evaluation model",
                hint="gains on different tasks cannot be put together: distil them one by one",
            )
    return configs[0]


def judge_adapters(
    archive: Archive, plan: DistilPlan, losses: Mapping[str, Sequence[float]], observer: Observer, report: Report
) -> DistilReport:
    """Evaluate what is not evaluated yet, and offer the adapter if it is better than its base model.

    Interrupted at any point it is called again with the same plan: finished proposals are kept.

    Args:
        archive: Open for writing.
        losses: What :func:`train_adapters` returned.

    Raises:
        EvaluationsLost, BudgetReached: See :meth:`hyperagent.distil.trials.Trials.run`.
    """
    models = {"base": plan.base, **{str(role): name for role, name in plan.names.items()}}
    arms = _arms(archive, plan, models, observer, report)
    comparisons = [compare(arms["base"], arms["adapter"])]
    if "control" in arms:
        comparisons += [compare(arms["base"], arms["control"]), compare(arms["control"], arms["adapter"])]
    offered, why = verdict(comparisons[0], len(plan.held_out))
    evaluation = _evaluation(plan, arms, comparisons)
    adapter = replace(read_adapter(plan.names["adapter"]), evaluation=evaluation)
    insisted = adapter.offered and not offered  # somebody did, before: evaluating again does not take it away
    adapter = replace(adapter, offered=offered or insisted, why=adapter.why if insisted else why)
    write_manifest(adapter)
    control = read_adapter(plan.names["control"]) if "control" in plan.names else None
    if control is not None:
        control = replace(control, evaluation=evaluation, why="the control: trained on shuffled gains")
        write_manifest(control)
    return DistilReport(adapter, control, tuple(arms.values()), tuple(comparisons), losses)


def _evaluation(plan: DistilPlan, arms: Mapping[str, Arm], comparisons: Sequence[Comparison]) -> dict[str, Json]:
    shares = {role: dataclasses.asdict(arm.improved) for role, arm in arms.items()}
    return {
        "parents": len(plan.held_out),
        "proposals": plan.options.proposals,
        "tasks": plan.options.tasks,
        "improved": shares,
        "comparisons": [dataclasses.asdict(comparison) for comparison in comparisons],
    }


# -- training ------------------------------------------------------------------------------------


def train_adapters(plan: DistilPlan, observer: Observer, report: Report) -> dict[str, Sequence[float]]:
    """Train the adapters that are not here yet; role -> mean loss of each epoch. Needs no archive.

    Raises:
        PrerequisiteError: The packages for training are missing.
        ModelUnavailable: The base model's weights are missing or cannot be loaded.
    """
    from hyperagent.models import known_model, model_path

    missing = [role for role in plan.sets if not _is_trained(plan.names[role])]
    if not missing:
        observer.message("trained already")
        return {}
    training_libraries()  # before anything is read: what is missing shows at once
    base, weights = known_model(plan.base), model_path(plan.base)
    if not weights.is_file() or file_sha256(weights) != base.sha256:
        raise ModelUnavailable(
            f"the weights of {base.name} are not at {weights}, or not whole",
            hint=f"Run `hyperagent model pull {base.name}`.",
        )
    settings = plan.options.settings
    trainer = Trainer(weights, settings)
    observer.message(f"training on the {'GPU' if trainer.device == 'cuda' else 'CPU'}")
    every = {digest_of([pair]): pair for role in missing for pair in plan.sets[role]}
    long = trainer.prepare(list(every.values()), lambda done, total: report("reading", done, total))
    if long:
        observer.message(f"{long} of {len(every)} pairs are too long and are left out")
    losses: dict[str, Sequence[float]] = {}
    for role in missing:
        name, pairs = plan.names[role], plan.sets[role]
        folder = adapter_folder(name)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / WEIGHTS
        losses[role] = trainer.fit(pairs, file, _telling(report, f"training the {role}"))
        write_manifest(
            Adapter(
                name=name,
                base=base.name,
                base_sha256=base.sha256,
                sha256=file_sha256(file),
                role=role,
                training_set=digest_of(pairs),
                pairs=len(pairs),
                campaigns=plan.campaigns,
                settings=dataclasses.asdict(settings),
                created=time.time(),
            )
        )
    return losses


def _telling(report: Report, what: str) -> Callable[[int, int], None]:
    return lambda done, total: report(what, done, total)


def _is_trained(name: str) -> bool:
    try:
        return file_sha256(adapter_folder(name) / WEIGHTS) == read_adapter(name).sha256
    except (HyperagentError, OSError):
        shutil.rmtree(adapter_folder(name), ignore_errors=True)  # broken off, or damaged: it is made again
        return False


# -- evaluation ----------------------------------------------------------------------------------


def _arms(
    archive: Archive, plan: DistilPlan, models: Mapping[str, str], observer: Observer, report: Report
) -> dict[str, Arm]:
    from hyperagent.distil.trials import Trials

    config = replace(
        plan.config, benchmarks=tuple(_fixed(entry, plan.options.tasks) for entry in plan.config.benchmarks)
    )
    arms: dict[str, Arm] = {}
    with Wiring(config, archive, observer, candidates=tuple(plan.names.values())) as wiring:
        for role, name in models.items():
            model = f"local/{name}"
            parts = replace(wiring.parts, config=_trial_config(config, plan, role, model))
            wiring.parts = parts
            wiring.preflight()
            campaign = _campaign(archive, parts.config, plan, role)
            before = len(archive.variants(campaign.id))
            trials = Trials(parts, _meter(archive, campaign, parts.config), campaign, plan.held_out)
            try:
                found = trials.run(plan.options.proposals, _telling(report, f"proposals of the {role}"))
            except BaseException as error:
                state: CampaignState = "budget_reached" if getattr(error, "exit_code", 0) == 4 else "stopped"
                archive.set_campaign_state(campaign.id, state, str(error)[:300])
                raise
            arms[role] = summarise(role, model, found)
            if campaign.state != "finished" or len(found) > before:
                payload = {"model": model, "improved": dataclasses.asdict(arms[role].improved)}
                archive.append_event(campaign.id, EVALUATED, payload)
                archive.set_campaign_state(campaign.id, "finished")
    return arms


def _fixed(entry: BenchmarkConfig, tasks: int) -> BenchmarkConfig:
    """The same validation tasks for every proposal: no screen, and none of the hidden split."""
    return replace(entry, screen=0, validation=tasks or entry.validation)


def _trial_config(config: Config, plan: DistilPlan, role: str, model: str) -> Config:
    """As the campaigns were run, but for the model; `resume` finds nothing to do in it."""
    name = f"distil-{plan.names['adapter'].rpartition('+')[2]}-{role}"
    budget = replace(config.budget, variants=0, steps=1, seconds=0.0)  # the source's wall time was for its own search
    models = replace(config.models, mutation=model, mutations="")
    return replace(config, name=name, seed=plan.options.settings.seed, models=models, budget=budget)


def _campaign(archive: Archive, config: Config, plan: DistilPlan, role: str) -> Campaign:
    """The campaign of these very trials, from an earlier attempt or new."""
    options = plan.options
    facts: dict[str, Json] = {
        "role": role,
        "model": config.models.mutation,
        "parents": [one.variant for one in plan.held_out],
        "tasks": options.tasks,
        "training_set": digest_of(plan.sets["control" if role == "control" else "adapter"]),
        "campaigns": list(plan.campaigns),
    }
    facts = json.loads(json.dumps(facts))
    for campaign in archive.campaigns():
        if not campaign.name.startswith(config.name):
            continue
        begun = next((event.payload for event in archive.events(campaign.id) if event.kind == STARTED), None)
        if begun is not None and dict(begun) == facts:
            return campaign
    program = archive.campaign(plan.campaigns[0]).config["program_files"]
    campaign = archive.create_campaign(config.name, config.seed, {**to_json(config), "program_files": program})
    archive.append_event(campaign.id, STARTED, facts)
    return campaign


def _meter(archive: Archive, campaign: Campaign, config: Config) -> CampaignMeter:
    """The caps that the first campaign had hold for the trials of each model."""
    from hyperagent.engine.budget import CampaignMeter

    budget = config.budget
    return CampaignMeter(
        Caps(0, budget.seconds, budget.tokens, budget.cost),
        archive.spend(campaign.id),
        calls=budget.calls,
        variant=budget.variant,
        task=budget.task,
        ledger=archive,
    )


# -- what is here --------------------------------------------------------------------------------


def adapters() -> Sequence[Adapter]:
    """The adapters of this machine, by age."""
    return list_adapters()


def training_set_of(model: str) -> str:
    """Hash of what an adapter (``local/NAME+adapter``) was trained on; empty where its manifest is not here."""
    try:
        return read_adapter(model.removeprefix("local/")).training_set
    except HyperagentError:
        return ""


def offer_adapter(name: str) -> Adapter:
    """Offer an adapter that was not shown to be better; its manifest keeps saying so.

    Raises:
        NotFoundError: There is none of that name.
        UsageError: It is a control.
    """
    adapter = read_adapter(name.removeprefix("local/"))
    if adapter.role == "control":
        raise UsageError(f"{adapter.name} is a control: it was trained on gains dealt at random, never to be used")
    return adapter if adapter.offered else offer(adapter, f"offered all the same: {adapter.why}")
