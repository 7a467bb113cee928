"""Which model rewrites a program, where a campaign has several: the one whose edits gain most for what they cost."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

from hyperagent.engine.parts import Parts
from hyperagent.protocols import Archive
from hyperagent.types import Variant

MODEL_CHOSEN = "mutation_model_chosen"
"""Event: ``variant``, ``step``, ``model``, ``unit`` and the ``arms`` as they stood."""
LEAST_COST = 0.01
"""Share of the dearest model's mean cost that every model costs at least: one that is free is not infinitely good."""


@dataclass(frozen=True)
class Try:
    """A finished mutation: its gain over its parent, in [-1, 1] (0 where it made no program), and what it used."""

    model: str
    gain: float
    tokens: int
    dollars: float


@dataclass(frozen=True)
class Arm:
    """A model as the choice sees it.

    Attributes:
        tries: Mutations, those in flight included.
        gain: Mean over finished ones of max(0, gain), in [0, 1]: a loss costs nothing more, the parent is still there.
        cost: Mean of what a finished one used, in the choice's unit.
        index: What is compared; None before the first has finished.
    """

    model: str
    tries: int
    gain: float
    cost: float
    index: float | None


def arms(models: Sequence[str], tries: Sequence[Try], in_flight: Mapping[str, int]) -> tuple[list[Arm], str]:
    """Every model's index, and the unit of cost: dollars where all models that were tried cost some, else tokens.

    ``(g / G + sqrt(2 ln t / n)) / (c / C)``: the bound of UCB1 (Auer, Cesa-Bianchi and Fischer 2002, Machine Learning
    47:235-256) over the cost, as fractional KUBE has it (Tran-Thanh, Chapman, Rogers and Jennings 2012, AAAI). g is the
    mean gain, n the tries, t the tries of all models, c the mean cost so far where KUBE knows it, C the dearest
    model's. G is the largest gain seen: gains are some hundredths, and UCB1 wants rewards that use [0, 1].
    """
    by_model = {model: [one for one in tries if one.model == model] for model in models}
    paid = [sum(one.dollars for one in made) for made in by_model.values() if made]
    unit = "dollars" if paid and all(paid) else "tokens"
    largest = max((one.gain for one in tries), default=0.0)
    costs = {
        model: sum(getattr(one, unit) for one in made) / len(made) if made else 0.0 for model, made in by_model.items()
    }
    dearest = max(costs.values(), default=0.0)
    total = len(tries) + sum(in_flight.values())
    found = []
    for model, made in by_model.items():
        count = len(made) + in_flight.get(model, 0)
        gain = sum(max(0.0, one.gain) for one in made) / len(made) if made else 0.0
        index = None
        if made:
            share = max(costs[model] / dearest, LEAST_COST) if dearest else 1.0
            scaled = gain / largest if largest > 0 else 0.0
            index = (scaled + math.sqrt(2 * math.log(total) / count)) / share
        found.append(Arm(model, count, gain, costs[model], index))
    return found, unit


def pick(found: Sequence[Arm]) -> str:
    """The first model never tried; else the highest index; while nothing has finished, the one tried least.

    Equals go to the one that is named first.
    """
    fresh = next((arm.model for arm in found if not arm.tries), None)
    if fresh is not None:
        return fresh
    known = [arm for arm in found if arm.index is not None]
    if not known:
        return min(found, key=lambda arm: arm.tries).model
    return max(known, key=lambda arm: arm.index or 0.0).model


class ModelChooser(Protocol):
    """Says which model rewrites a program; who mutates knows no more of it. Calls may come from several threads."""

    def model(self, variant: Variant) -> str:
        """The model of the step that makes ``variant``: the same one on every call, resume and replay."""


class Fixed:
    """One model for all steps."""

    def __init__(self, model: str) -> None:
        self._model = model

    def model(self, variant: Variant) -> str:
        return self._model


class Bandit:
    """Chooses from the finished steps of a campaign, journals the choice, and repeats it when it is asked again.

    Thread-safe. A choice is a function of the journal and the outcomes so far, without chance.
    """

    def __init__(self, archive: Archive, models: Sequence[str]) -> None:
        self._archive = archive
        self._models = models
        self._lock = threading.Lock()
        self._tries: dict[str, Try] = {}

    def model(self, variant: Variant) -> str:
        with self._lock:
            events = self._archive.events_of(variant.campaign, MODEL_CHOSEN)
            chosen = {str(event.payload["variant"]): str(event.payload["model"]) for event in events}
            if variant.id not in chosen:
                found, unit = arms(self._models, *self._history(variant.campaign, chosen))
                chosen[variant.id] = pick(found)
                payload = {"variant": variant.id, "step": variant.step, "model": chosen[variant.id], "unit": unit}
                told = {**payload, "arms": [asdict(arm) for arm in found]}
                self._archive.append_event(variant.campaign, MODEL_CHOSEN, told)
            return chosen[variant.id]

    def _history(self, campaign: str, chosen: Mapping[str, str]) -> tuple[list[Try], dict[str, int]]:
        """Finished tries in step order, and model -> how many are under way."""
        tries, in_flight = [], dict.fromkeys(self._models, 0)
        for one in self._archive.variants(campaign):
            model = chosen.get(one.id)
            if model is None:
                continue
            if one.status in ("mutating", "pending"):
                in_flight[model] = in_flight.get(model, 0) + 1
                continue
            if one.id not in self._tries:
                self._tries[one.id] = self._try(one, model)
            tries.append(self._tries[one.id])
        return tries, in_flight

    def _try(self, variant: Variant, model: str) -> Try:
        calls = [one for one in self._archive.calls(variant=variant.id) if one.purpose == "mutate"]
        tokens = sum(one.prompt_tokens + one.completion_tokens for one in calls)
        return Try(model, paired_gain(self._archive, variant), tokens, sum(one.cost for one in calls))


def paired_gain(archive: Archive, variant: Variant) -> float:
    """Mean over benchmarks of the mean difference to the parent on validation tasks that both ran; 0 without any."""
    if not variant.parent or variant.score is None:
        return 0.0
    before, after = (_scores(archive, one) for one in (variant.parent, variant.id))
    means = []
    for name in before.keys() & after.keys():
        shared = before[name].keys() & after[name].keys()
        if shared:
            means.append(math.fsum(after[name][task] - before[name][task] for task in shared) / len(shared))
    return math.fsum(means) / len(means) if means else 0.0


def _scores(archive: Archive, variant: str) -> dict[str, dict[str, float]]:
    return {
        one.benchmark: {found.task: found.score for found in archive.outcomes(one.id) if found.status != "lost"}
        for one in archive.evaluations(variant)
        if one.split == "validation"
    }


def make_chooser(parts: Parts) -> ModelChooser:
    models = parts.config.models.mutation_models
    return Bandit(parts.archive, models) if len(models) > 1 else Fixed(models[0])
