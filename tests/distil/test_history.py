"""From an archive to training pairs, and proposals for parents: on real parts but for the model."""

from __future__ import annotations

import json

from hyperagent.config import to_json
from hyperagent.distil.history import conversation_of, last_calls, paired_gain, read_conversation, read_history
from hyperagent.distil.pairs import training_pairs
from hyperagent.distil.trials import Trials
from hyperagent.engine.budget import CampaignMeter
from hyperagent.types import Caps


def test_history_knows_what_was_done_and_what_it_was_worth(scene):
    campaign = scene.history([5, "gibberish", 2, 6])  # skills 4 -> 5 -> 7 (drawn by the program) -> 2 -> 6
    found = read_history(scene.archive, campaign.id)
    assert [(one.reply, one.improved) for one in found] == [
        ('{"skill": 5}', True),
        ("", True),  # improved, but no reply of the model's did it: nothing to learn from
        ('{"skill": 2}', False),
        ('{"skill": 6}', True),
    ]
    assert [pair.reply for pair in training_pairs(found)] == ['{"skill": 5}', '{"skill": 6}']
    assert len({one.parent_tree for one in found}) == 4


def test_only_train_evidence_stands_in_a_pair(scene):
    campaign = scene.history([5, 6])
    text = json.dumps(
        [[*pair.messages, pair.reply] for pair in training_pairs(read_history(scene.archive, campaign.id))]
    )
    assert "secret of train 0" in text
    assert "secret of validation" not in text
    assert "secret of test" not in text


def test_an_evaluations_call_is_never_a_mutations(scene):
    campaign = scene.history([5])
    calls = scene.archive.calls(campaign=campaign.id)
    assert {call.purpose for call in last_calls(calls).values()} == {"mutate"}
    (call,) = last_calls(calls).values()
    conversation = conversation_of(scene.archive, call)
    assert conversation is not None
    assert conversation[0][0]["role"] == "user"


def test_trials_are_recorded_scored_and_taken_up_again(scene):
    past = scene.history([5, 6])
    parents = read_history(scene.archive, past.id)
    config = scene.config("scripted/better")
    campaign = scene.archive.create_campaign("trials", 1, to_json(config))
    scene.replies = [8, 3, "gibberish", 7]
    scene.asked.clear()

    def run(proposals):
        meter = CampaignMeter(Caps(), scene.archive.spend(campaign.id))
        return Trials(scene.parts(config), meter, campaign, parents).run(proposals)

    trials = run(2)
    assert [(t.proposal, t.own, t.improved) for t in trials] == [
        (0, True, True), (0, True, False), (1, False, False), (1, True, True),
    ]  # fmt: skip
    assert [t.gain for t in trials] == [0.5, -0.25, 0.375, 0.25]  # drawn by the program, so not to the model's credit
    assert trials[3].status == "duplicate"  # the third proposal's program again
    assert scene.asked == ["scripted/better"] * 4
    assert {v.parent for v in scene.archive.variants(campaign.id)} == {one.parent for one in parents}
    assert run(2) == trials
    assert len(scene.asked) == 4  # nothing is asked twice
    assert run(3)[:4] == trials  # more of them are added to those there are
    assert len(scene.asked) == 6


def test_a_program_that_was_evaluated_before_is_not_evaluated_again(scene):
    parents = read_history(scene.archive, scene.history([5, 6]).id)
    config = scene.config("scripted/same")
    campaign = scene.archive.create_campaign("trials", 1, to_json(config))
    scene.replies = [6]  # the second child of the history, four times
    meter = CampaignMeter(Caps(), scene.archive.spend(campaign.id))
    trials = Trials(scene.parts(config), meter, campaign, parents).run(2)
    assert [t.gain for t in trials] == [0.25, 0.125, 0.25, 0.125]
    assert {t.status for t in trials} == {"duplicate"}
    assert not any(scene.archive.evaluations(t.variant) for t in trials)


def test_equal_steps_of_two_campaigns_get_equal_seeds_and_evidence(scene):
    parents = read_history(scene.archive, scene.history([5]).id)
    requests = []
    for name in ("one", "two"):
        config = scene.config(f"scripted/{name}")
        campaign = scene.archive.create_campaign(name, 7, to_json(config))
        Trials(scene.parts(config), CampaignMeter(Caps(), scene.archive.spend(campaign.id)), campaign, parents).run(1)
        (call,) = (call for call in scene.archive.calls(campaign=campaign.id) if call.purpose == "mutate")
        request = json.loads(scene.archive.get_blob(call.request_blob))
        requests.append((request["messages"], request["parameters"]))
    assert requests[0] == requests[1]


def test_a_gain_is_paired():
    assert paired_gain({("b", "1"): 1.0, ("b", "2"): 0.0}, {("b", "2"): 1.0, ("b", "3"): 1.0}) == 1.0
    assert paired_gain({("b", "1"): 1.0}, {("b", "2"): 1.0}) is None


def test_hostile_records_are_no_conversations():
    good = {"messages": [{"role": "user", "content": "x"}], "parameters": {"response_format": {"type": "json_schema"}}}
    reply = b'{"message": {"content": "y"}}'
    assert read_conversation(json.dumps(good).encode(), reply) == (({"role": "user", "content": "x"},), "y")
    for bad in (
        {**good, "messages": []},
        {**good, "messages": [{"role": "user", "content": None}]},
        {**good, "messages": "no"},
        {**good, "parameters": {}},
        [],
    ):
        assert read_conversation(json.dumps(bad).encode(), reply) is None
    assert read_conversation(json.dumps(good).encode(), b'{"message": {}}') is None
    assert read_conversation(b"\xff", reply) is None
