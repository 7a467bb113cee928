"""From trained adapters to the offer: proposals of every model, comparison, manifests; taken up where it broke off."""

from __future__ import annotations

import json
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from hyperagent.assembly import distilling
from hyperagent.assembly.distilling import DistilOptions, DistilPlan, judge_adapters, training_set_of
from hyperagent.distil import compare
from hyperagent.distil.history import first_children, read_history
from hyperagent.errors import ModelLost
from hyperagent.models import known_model
from hyperagent.models.adapters import Adapter, read_adapter, write_manifest

NAME = "smollm2-135m+0123456789"
NAMES = {"adapter": NAME, "control": f"{NAME}-control"}


@pytest.fixture
def plan(scene, tmp_path, monkeypatch):
    monkeypatch.setenv("HYPERAGENT_MODELS", str(tmp_path / "models"))
    past = scene.history([5, 6])
    held = tuple(first_children(read_history(scene.archive, past.id)).values())
    for role, name in NAMES.items():
        sha = known_model("smollm2-135m").sha256
        write_manifest(Adapter(name, "smollm2-135m", sha, "0" * 64, role, "ab" * 32, 9, ("past",), {}, 1.0))

    @contextmanager
    def wired(config, archive, observer, candidates):
        assert set(candidates) == set(NAMES.values())
        yield SimpleNamespace(parts=scene.parts(config), preflight=lambda: None)

    monkeypatch.setattr(distilling, "Wiring", wired)
    options = DistilOptions(proposals=1)
    return DistilPlan(options, scene.config(), ("past",), 9, 9, 9, 9, held, {"adapter": (), "control": ()}, NAMES)


def better_adapter(request):
    return json.dumps({"skill": 8 if request.model.endswith(NAME) else 3})


def judge(scene, plan):
    return judge_adapters(scene.archive, plan, {}, SimpleNamespace(message=lambda text: None), lambda *told: None)


def test_a_better_adapter_is_offered_where_there_are_parents_enough(scene, plan, monkeypatch):
    scene.reply = better_adapter
    found = judge(scene, plan)
    assert [(arm.role, arm.improved.estimate) for arm in found.arms] == [("base", 0), ("adapter", 1), ("control", 0)]
    assert [(c.first, c.second, c.difference.estimate) for c in found.comparisons] == [
        ("base", "adapter", 1.0), ("base", "control", 0.0), ("control", "adapter", 1.0),
    ]  # fmt: skip
    assert not read_adapter(NAME).offered
    assert "2 held-out parents" in read_adapter(NAME).why

    monkeypatch.setattr(compare, "FEWEST_PARENTS", 2)
    scene.reply = lambda request: AssertionError("everything is recorded")
    assert judge(scene, plan).adapter == read_adapter(NAME)
    assert read_adapter(NAME).offered
    assert read_adapter(NAME).evaluation["improved"]["adapter"]["estimate"] == 1
    assert not read_adapter(f"{NAME}-control").offered
    names = {campaign.name: campaign.state for campaign in scene.archive.campaigns()}
    assert names == {"past": "finished", **dict.fromkeys(
        [f"distil-0123456789-{role}" for role in ("base", "adapter", "control")], "finished"
    )}  # fmt: skip


def test_an_equal_adapter_is_not_offered_and_says_so(scene, plan, monkeypatch):
    monkeypatch.setattr(compare, "FEWEST_PARENTS", 2)
    scene.reply = lambda request: json.dumps({"skill": 8})
    found = judge(scene, plan)
    assert (found.comparisons[0].difference.estimate, found.adapter.offered) == (0, False)
    assert "not shown to be better" in read_adapter(NAME).why


def test_what_was_proposed_before_a_failure_is_not_asked_again(scene, plan):
    asked = []

    def reply(request):
        asked.append(request.model)
        return ModelLost("the server fell over") if len(asked) == 2 else better_adapter(request)

    scene.reply = reply
    with pytest.raises(ModelLost):
        judge(scene, plan)
    (campaign,) = (one for one in scene.archive.campaigns() if one.name.endswith("-base"))
    assert campaign.state == "stopped"
    judge(scene, plan)
    assert len(asked) == 3 * 2 + 1  # the lost one was asked again, and nothing else
    assert len(scene.archive.campaigns()) == 4


def test_the_training_set_is_found_by_the_recorded_name(plan):
    assert training_set_of(f"local/{NAME}") == "ab" * 32
    assert training_set_of("local/smollm2-135m+9999999999") == training_set_of("openai/x") == ""
