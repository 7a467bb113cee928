"""The bandit over several mutation models: its index by hand, whom it comes to prefer, and that it repeats itself."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperagent import assembly
from hyperagent.config import load_config
from hyperagent.engine.bandit import MODEL_CHOSEN, Arm, Bandit, Try, arms, paired_gain, pick
from hyperagent.errors import ConfigError
from hyperagent.protocols import Archive
from hyperagent.types import Progress

CONFIG = Path(__file__).parents[2] / "benchmarks" / "planted" / "planted.toml"
BOTH = "models.mutations=planted/useless, planted/guide"


class Quiet:
    def progress(self, progress: Progress) -> None: ...

    def message(self, text: str) -> None: ...


def test_the_index_by_hand():
    tries = [Try("a", 0.2, 100, 0.0), Try("a", -0.4, 300, 0.0), Try("b", 0.1, 50, 0.0)]
    (a, b), unit = arms(["a", "b"], tries, {"b": 1})
    assert unit == "tokens"
    assert (a.tries, a.gain, a.cost, b.tries, b.gain, b.cost) == (2, pytest.approx(0.1), 200, 2, 0.1, 50)
    bound = math.sqrt(2 * math.log(4) / 2)
    assert a.index == pytest.approx(0.1 / 0.2 + bound)
    assert b.index == pytest.approx((0.1 / 0.2 + bound) / (50 / 200))
    assert pick([a, b]) == "b"


def test_dollars_count_where_every_tried_model_costs_some():
    assert arms(["a", "b"], [Try("a", 0, 9, 0.5), Try("b", 0, 9, 0.1)], {})[1] == "dollars"
    assert arms(["a", "b"], [Try("a", 0, 9, 0.5), Try("b", 0, 9, 0.0)], {})[1] == "tokens"


def test_every_model_is_tried_once_in_order_and_free_ones_are_not_infinitely_good():
    found, _ = arms(["a", "b"], [], {})
    assert pick(found) == "a"
    assert pick(arms(["a", "b"], [Try("a", 1, 1, 0)], {})[0]) == "b"
    assert pick(arms(["a", "b"], [], {"a": 2, "b": 1})[0]) == "b", "nothing has finished: the one tried least"
    free, _ = arms(["free", "dear"], [Try("free", 0, 0, 0), Try("dear", 0.5, 1000, 0)], {})
    assert all(arm.index is not None and math.isfinite(arm.index) for arm in free)
    assert pick([Arm("a", 3, 0, 0, 1.0), Arm("b", 3, 0, 0, 1.0)]) == "a", "equals go to the first"


@pytest.mark.parametrize(("costs", "winner"), [((100, 100), "good"), ((100, 4000), "bad")])
def test_whom_it_comes_to_prefer_depends_on_gain_and_on_cost(costs, winner):
    """The good model gains 0.1 in half of its edits, the other in a fifth: worth a price, but not any."""
    source = random.Random(7)
    chance = {"bad": 0.2, "good": 0.5}
    price = dict(zip(("bad", "good"), costs, strict=True))
    tries: list[Try] = []
    for _ in range(300):
        model = pick(arms(["bad", "good"], tries, {})[0])
        tries.append(Try(model, 0.1 if source.random() < chance[model] else -0.1, price[model], 0.0))
    last = Counter(one.model for one in tries[100:])
    assert last[winner] > 0.6 * last.total()


@pytest.fixture
def home(archive_path: Path) -> Iterator[Archive]:
    archive = assembly.open_archive(archive_path, write=True, create=True)
    yield archive
    archive.close()


def run(home: Archive, *settings: str) -> str:
    config = load_config(CONFIG, environment={}, settings=["budget.variants=24", BOTH, *settings])
    session = assembly.new_campaign(config, home, Quiet())
    try:
        return session.run().campaign.id
    finally:
        session.close()


def test_a_campaign_prefers_the_guide_journals_why_and_repeats_itself(home):
    first, second = run(home), run(home)
    events = home.events_of(first, MODEL_CHOSEN)
    told = [event.payload for event in events]
    assert [one["step"] for one in told] == list(range(1, len(told) + 1))
    again = [event.payload for event in home.events_of(second, MODEL_CHOSEN)]
    assert [{**one, "variant": ""} for one in told] == [{**one, "variant": ""} for one in again]
    counts = Counter(one["model"] for one in told)
    assert counts["planted/guide"] > counts["planted/useless"] > 0
    for one in told:  # the journal's numbers are enough to make the choice again
        assert pick([Arm(**arm) for arm in one["arms"]]) == one["model"]
    for variant in home.variants(first)[1:]:
        asked = {call.model for call in home.calls(variant=variant.id) if call.purpose == "mutate"}
        assert asked == {told[variant.step - 1]["model"]}


def test_a_resume_and_a_replay_take_the_recorded_choice(home):
    campaign = run(home, "budget.variants=6", "budget.steps=6")
    variant = next(one for one in reversed(home.variants(campaign)) if one.tree)
    before = home.events_of(campaign, MODEL_CHOSEN)
    again = Bandit(home, ["planted/guide", "planted/useless"])
    chosen = {event.payload["variant"]: event.payload["model"] for event in before}
    assert {one.id: again.model(one) for one in home.variants(campaign)[1:]} == chosen
    replayer = assembly.replayer(home)
    assert replayer.mutation(variant).identical
    replayer.close()
    assert len(home.events_of(campaign, MODEL_CHOSEN)) == len(before)


def test_the_gain_is_paired_with_the_parent(home):
    campaign = run(home, "budget.variants=6", "budget.steps=8")
    by_id = {one.id: one for one in home.variants(campaign)}
    scored = [one for one in by_id.values() if one.parent and one.status == "evaluated"]
    assert any(paired_gain(home, one) for one in scored)
    for one in scored:
        assert paired_gain(home, one) == pytest.approx((one.score or 0) - (by_id[one.parent or ""].score or 0))
    assert paired_gain(home, by_id[home.variants(campaign)[0].id]) == 0


def test_one_model_is_no_bandit(home):
    config = load_config(CONFIG, environment={}, settings=["budget.variants=2"])
    session = assembly.new_campaign(config, home, Quiet())
    campaign = session.run().campaign.id
    session.close()
    assert not home.events_of(campaign, MODEL_CHOSEN)


def test_two_keys_that_disagree_are_refused():
    with pytest.raises(ConfigError, match=r"models\.mutation"):
        load_config(CONFIG, environment={}, settings=[BOTH, "models.mutation=planted/other"])
    with pytest.raises(ConfigError, match=r"models\.mutations"):
        load_config(CONFIG, environment={}, settings=["models.mutations=one two, three"])
