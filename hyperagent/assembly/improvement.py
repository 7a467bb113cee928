"""How good a meta agent is at improving: imp@k, what it makes of the initial agent in k tries (``imp``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hyperagent.assembly.reports import evaluate_test
from hyperagent.assembly.transfer import source_variant
from hyperagent.assembly.wiring import CampaignSession, new_campaign, resume_campaign, stored_config
from hyperagent.config import Config, OriginConfig
from hyperagent.errors import ConfigError, HyperagentError
from hyperagent.protocols import Archive, Observer
from hyperagent.types import Campaign, Interval, Spend, Variant

MEASURED = "imp_measured"
ENDED = ("finished", "budget_reached")


class MeasurementStopped(HyperagentError):
    """Not all tries were made; the same command goes on there."""


@dataclass(frozen=True)
class Improvement:
    """imp@k.

    Attributes:
        source: ``campaign/step`` of the variant whose meta agent it is.
        campaign: Where the tries are archived.
        k: Tries that were made: fewer than asked for where a cap was reached.
        made: Of these, how many ended in an agent with a validation score.
        picked: Step of the one that is best on validation; None where there is none.
        gain: Test score of the picked agent minus the initial one's, with its 95% interval.
    """

    source: str
    campaign: str
    k: int
    made: int
    picked: int | None
    picked_test: float
    initial_test: float
    gain: Interval
    spend: Spend


class ImprovementRunner:
    """Measures one meta agent; ``run`` once. ``request_stop`` and ``cancel`` may come from a signal.

    The initial agent is the task agent of generation 0 and the meta agent to be measured. That meta agent rewrites it k
    times, each time from the start (mode ``best-of-n``), so no edit of the meta agent is ever used: it is frozen.

    Args:
        source: See :func:`~hyperagent.assembly.transfer.source_variant`.
        config: Where it is measured; None = as the source's campaign was configured.
    """

    def __init__(self, source: str, config: Config | None, archive: Archive, observer: Observer, *, k: int) -> None:
        self._archive, self._observer, self._k = archive, observer, k
        self._source = source_variant(archive, source)
        self._given = config
        self._session: CampaignSession | None = None

    def run(self) -> Improvement:
        """Make the tries that are missing, read the hidden test for those that matter, compute.

        Raises:
            ConfigError: A measurement of this meta agent was begun in another configuration.
            MeasurementStopped: It was stopped, or waits for tasks that infrastructure lost.
        """
        campaign = self._campaign()
        variants = self._archive.variants(campaign.id)[: self._k + 1]
        found = self._measured(campaign, variants)
        payload = {"source": self._source.id, "k": found.k, "gain": found.gain.estimate}
        self._archive.append_event(campaign.id, MEASURED, {**payload, "interval": [found.gain.low, found.gain.high]})
        return found

    def request_stop(self) -> None:
        if self._session is not None:
            self._session.request_stop()

    def cancel(self) -> None:
        if self._session is not None:
            self._session.cancel()

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def _campaign(self) -> Campaign:
        """The campaign of the tries, with at least k of them."""
        config = self._config()
        existing = next((one for one in self._archive.campaigns() if one.name == config.name), None)
        if existing is not None:
            self._check_same(config, existing)
            tried = sum(variant.step > 0 for variant in self._archive.variants(existing.id))
            if existing.state in ENDED and tried >= self._k:
                return existing
        try:
            if existing is None:
                self._session = new_campaign(config, self._archive, self._observer, program=self._initial())
            else:
                more = max(self._k, stored_config(existing).budget.variants)
                self._session = resume_campaign(existing, self._archive, self._observer, lambda old: _tries(old, more))
            result = self._session.run()
        finally:
            self.close()
        if result.campaign.state not in ENDED:
            raise MeasurementStopped(
                f"campaign {config.name} is {result.campaign.state} {result.campaign.reason}".strip(),
                hint="the same command goes on there",
            )
        return result.campaign

    def _config(self) -> Config:
        base = self._given or stored_config(self._archive.campaign(self._source.campaign))
        where = f"-{base.name}" if self._given else ""
        search = replace(base.search, mode="best-of-n")
        origin = OriginConfig(self._source.id, "meta")
        return _tries(replace(base, name=f"imp-{self._source.id[:8]}{where}", search=search, origin=origin), self._k)

    def _initial(self) -> dict[str, bytes] | None:
        """Generation 0 of the source's campaign, as archived; None = as the given config names it."""
        if self._given is not None:
            return None
        first = self._archive.variant(f"{self._source.campaign}/0")
        return dict(self._archive.read_tree(first.commit))

    def _check_same(self, config: Config, existing: Campaign) -> None:
        stored = stored_config(existing)
        if (stored.limits, stored.seed, stored.models.model) != (config.limits, config.seed, config.models.model):
            raise ConfigError(
                f"campaign {existing.name} measured this meta agent with another seed, model or limits",
                hint="use another --archive, or another name in the config",
            )

    def _measured(self, campaign: Campaign, variants: Sequence[Variant]) -> Improvement:
        from hyperagent.evaluation.statistics import winners

        initial, tries = variants[0], variants[1:]
        by_id = {variant.id: variant for variant in variants}
        agents = [by_id.get(one.reason, one) if one.status == "duplicate" else one for one in tries]
        scores = [agent.score for agent in agents]
        samples = winners(scores)
        best = max(
            (i for i, one in enumerate(scores) if one is not None), key=lambda i: (scores[i] or 0, -i), default=None
        )
        # Only who can win a resample is worth a reading of the hidden test.
        wanted = {agents[i].id: agents[i] for i in {*samples, best} if i is not None}
        evaluate_test([initial, *wanted.values()], self._archive, self._observer)
        start = self._test(initial)
        gains = {i: self._test(agents[i]) - start if i is not None else 0.0 for i in {*samples, best}}
        low, high = _percentiles([gains[i] for i in samples])
        gain = Interval(gains[best], min(low, gains[best]), max(high, gains[best]), len(tries))
        source = self._archive.campaign(self._source.campaign)
        return Improvement(
            source=f"{source.name}/{self._source.step}",
            campaign=campaign.name,
            k=len(tries),
            made=sum(one is not None for one in scores),
            picked=None if best is None else agents[best].step,
            picked_test=start + gains[best],
            initial_test=start,
            gain=gain,
            spend=self._archive.spend(campaign.id),
        )

    def _test(self, variant: Variant) -> float:
        found = [e.score for e in self._archive.evaluations(variant.id) if e.split == "test" and e.score is not None]
        return sum(found) / len(found) if found else 0.0


def _percentiles(values: Sequence[float]) -> tuple[float, float]:
    import numpy as np

    low, high = np.quantile(np.asarray(values), (0.025, 0.975))
    return float(low), float(high)


def _tries(config: Config, k: int) -> Config:
    """Every attempt counts, one that fails too: so many steps, and no more."""
    return replace(config, budget=replace(config.budget, variants=k, steps=k))
