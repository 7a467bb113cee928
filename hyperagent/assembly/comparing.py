"""The search modes side by side on equal budgets: ``compare-modes``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hyperagent.assembly.reports import best, evaluate_test
from hyperagent.assembly.wiring import CampaignSession, new_campaign, resume_campaign, stored_config
from hyperagent.config import Config
from hyperagent.errors import ConfigError, HyperagentError
from hyperagent.protocols import Archive, Observer
from hyperagent.types import Campaign, Interval, PairedTest, Progress, Spend, Split, Variant

REFERENCE = "dgm-h"
CONTROL = "random-edits"
ENDED = ("finished", "budget_reached")


class ComparisonStopped(HyperagentError):
    """A repeat did not come to its end; the same command goes on there."""


@dataclass(frozen=True)
class Repeat:
    """One campaign. ``score`` is that of the variant that was best on validation; ``start`` that of generation 0."""

    seed: int
    campaign: str
    variants: int
    score: float
    start: float
    spend: Spend


@dataclass(frozen=True)
class ModeResult:
    """One mode over all repeats.

    Attributes:
        median, start: Medians over repeats of the chosen variant and of generation 0, with their 95% intervals.
        gain: Wilcoxon of the chosen variants against their own generation 0.
    """

    mode: str
    repeats: tuple[Repeat, ...]
    median: Interval
    start: Interval
    gain: PairedTest
    spend: Spend


@dataclass(frozen=True)
class ModePair:
    """The reference against one other mode, paired by seed.

    Attributes:
        difference: Median of reference minus other, with its 95% interval.
        test: Wilcoxon; wins are repeats in which the reference was better.
        adjusted: Its p-value by Holm, over all pairs of this comparison.
    """

    reference: str
    other: str
    difference: Interval
    test: PairedTest
    adjusted: float


@dataclass(frozen=True)
class Comparison:
    split: Split
    modes: tuple[ModeResult, ...]
    pairs: tuple[ModePair, ...]


class ModeComparison:
    """Runs every mode with every seed, reusing campaigns that the archive has under their names.

    ``run`` once. ``request_stop`` and ``cancel`` may come from a signal.

    Args:
        config: Its mode is replaced, and its seed counted up.
        modes: In the order wanted; the reference and the control are added where they are missing.
        repeats: As many seeds, from that of the config on.
        split: Where the variant that is best on validation is scored for the comparison.
    """

    def __init__(
        self,
        config: Config,
        archive: Archive,
        observer: Observer,
        *,
        modes: Sequence[str],
        repeats: int,
        split: Split,
    ) -> None:
        self._config, self._archive, self._observer = config, archive, _Quieter(observer)
        self._modes = tuple(dict.fromkeys([REFERENCE, *modes, CONTROL]))
        self._repeats, self._split = repeats, split
        self._session: CampaignSession | None = None
        self._stopped = False

    def run(self) -> Comparison:
        """Everything that is not in the archive yet, then the figures.

        Raises:
            ConfigError: A campaign of that name exists with another configuration.
            ComparisonStopped: A campaign was stopped, or waits for tasks that infrastructure lost.
        """
        names = {campaign.name: campaign for campaign in self._archive.campaigns()}
        total, done = len(self._modes) * self._repeats, 0
        found: dict[str, list[Repeat]] = {mode: [] for mode in self._modes}
        first = self._config.seed
        for seed in range(first, first + self._repeats):  # modes inside: what is there so far is balanced
            for mode in self._modes:
                config = self._of(mode, seed)
                campaign = self._campaign(config, names.get(config.name))
                found[mode].append(self._repeat(seed, campaign))
                done += 1
                self._observer.message(f"{done}/{total} {campaign.name}: {found[mode][-1].score:.3f}")
        return compared(found, self._split)

    def request_stop(self) -> None:
        """Finish what is in flight, begin no other campaign."""
        self._stopped = True
        if self._session is not None:
            self._session.request_stop()

    def cancel(self) -> None:
        """Break off what is in flight, too."""
        self._stopped = True
        if self._session is not None:
            self._session.cancel()

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def _of(self, mode: str, seed: int) -> Config:
        search = replace(self._config.search, mode=mode)
        return replace(self._config, name=f"{self._config.name}-{mode}-{seed}", seed=seed, search=search)

    def _campaign(self, config: Config, existing: Campaign | None) -> Campaign:
        if self._stopped:
            raise ComparisonStopped("stopped before every repeat was done", hint="the same command goes on there")
        if existing is not None:
            self._check_same(config, existing)
            if existing.state in ENDED:
                return existing
        try:
            if existing is None:
                self._session = new_campaign(config, self._archive, self._observer)
            else:
                self._session = resume_campaign(existing, self._archive, self._observer)
            result = self._session.run()
        finally:
            self.close()
        if result.campaign.state not in ENDED:
            raise ComparisonStopped(
                f"campaign {config.name} is {result.campaign.state} {result.campaign.reason}".strip(),
                hint="the same command goes on there",
            )
        return result.campaign

    def _check_same(self, config: Config, existing: Campaign) -> None:
        """What a person set has to be what was run; what was filled in (models, data set) may differ."""
        stored = stored_config(existing)
        asked = (config.seed, config.search.mode, config.budget, config.limits, config.origin.keep)
        ran = (stored.seed, stored.search.mode, stored.budget, stored.limits, stored.origin.keep)
        tasks = [(one.validation, one.train, one.test) for one in config.benchmarks]
        if asked != ran or tasks != [(one.validation, one.train, one.test) for one in stored.benchmarks]:
            raise ConfigError(
                f"campaign {existing.name} exists with another seed, mode, budget, limits or numbers of tasks",
                hint="give the comparison another `name` (--set name=...), or another --archive",
            )

    def _repeat(self, seed: int, campaign: Campaign) -> Repeat:
        variants = self._archive.variants(campaign.id)
        chosen = best(self._archive, campaign.id) or variants[0]
        if self._split == "test":
            evaluate_test([variants[0], chosen], self._archive, self._observer)
        scored = sum(variant.step > 0 and variant.score is not None for variant in variants)
        spend = self._archive.spend(campaign.id)
        return Repeat(seed, campaign.name, scored, self._score(chosen), self._score(variants[0]), spend)

    def _score(self, variant: Variant) -> float:
        """Mean over benchmarks, in [0, 1]."""
        found = [
            e.score for e in self._archive.evaluations(variant.id) if e.split == self._split and e.score is not None
        ]
        return sum(found) / len(found) if found else 0.0


class _Quieter:
    """Passes on what a person should read, each line once: a comparison opens many campaigns that say the same."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._said: set[str] = set()

    def progress(self, progress: Progress) -> None:
        self._observer.progress(progress)

    def message(self, text: str) -> None:
        if text not in self._said and not text.startswith("hidden test of step"):
            self._said.add(text)
            self._observer.message(text)


def compared(found: dict[str, list[Repeat]], split: Split) -> Comparison:
    """Medians, intervals and paired tests of the first mode against each other one."""
    from hyperagent.evaluation.statistics import holm, median_interval, wilcoxon

    modes = []
    for mode, repeats in found.items():
        scores, starts = [one.score for one in repeats], [one.start for one in repeats]
        spend = sum((one.spend for one in repeats), Spend())
        gain = wilcoxon(starts, scores)
        modes.append(ModeResult(mode, tuple(repeats), median_interval(scores), median_interval(starts), gain, spend))
    reference, *others = modes
    own = [one.score for one in reference.repeats]
    tests = [wilcoxon([one.score for one in other.repeats], own) for other in others]
    pairs = []
    for other, test, adjusted in zip(others, tests, holm([test.p_value for test in tests]), strict=True):
        differences = [x - y.score for x, y in zip(own, other.repeats, strict=True)]
        pairs.append(ModePair(reference.mode, other.mode, median_interval(differences, -1.0), test, adjusted))
    return Comparison(split, tuple(modes), tuple(pairs))
