"""Votes of several programs, and edits after which a lineage got worse."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from hyperagent.evaluation.regressions import holm, regressions, sign_flip
from hyperagent.evaluation.votes import greedy, shared_tasks, vote
from hyperagent.types import Json, Outcome, Variant

LABELS = ("yes", "no")


def said(answer: Json, confidence: float | None = None, status: str = "scored") -> Outcome:
    prediction = answer if confidence is None else {"response": answer, "confidence": confidence}
    return Outcome("t", status, 1.0, json.dumps(prediction))  # type: ignore[arg-type]


def test_most_members_win_and_the_earliest_of_equals() -> None:
    assert vote([said("no"), said("yes"), said("yes")], LABELS, "majority") == "yes"
    assert vote([said("no"), said("yes")], LABELS, "majority") == "no"


def test_confidence_weighs_where_it_is_asked_to() -> None:
    answers = [said("no", 0.9), said("yes", 0.3), said("yes", 0.4)]
    assert vote(answers, LABELS, "confidence") == {"response": "no", "confidence": 0.9}
    assert vote(answers, LABELS, "majority") == {"response": "yes", "confidence": 0.3}


def test_crashes_abstentions_and_nonsense_do_not_vote() -> None:
    useless = [said("no", status="agent_error"), said("perhaps"), Outcome("t", "scored", 1.0, '{"abstain": true}')]
    assert vote([*useless, said("yes")], LABELS, "majority") == "yes"
    assert vote(useless, LABELS, "majority") is None


def test_open_answers_are_told_apart_by_their_text() -> None:
    assert vote([said("7"), said("8"), said("8")], (), "majority") == "8"


def test_greedy_finds_members_that_help_only_together() -> None:
    right = {"a": {0, 1, 2, 3}, "b": {0, 1, 4}, "c": {2, 3, 4}, "d": set()}

    def score(members: Sequence[str]) -> list[float]:
        count = [sum(task in right[member] for member in members) for task in range(5)]
        return [
            float(votes > len(members) / 2 or (votes * 2 == len(members) and t in right[members[0]]))
            for t, votes in enumerate(count)
        ]

    chosen, scores = greedy(["a", "b", "c", "d"], score, 4)
    assert (sorted(chosen), sum(scores)) == (["a", "b", "c"], 5)
    assert greedy(["a", "b"], score, 1)[0] == ["a"]
    assert greedy([], score, 3) == ([], [])


def test_only_tasks_that_all_ran_are_compared() -> None:
    one = {"t1": said("a"), "t2": said("a")}
    assert shared_tasks({"x": one, "y": {"t2": said("b")}}) == ["t2"]
    assert shared_tasks({}) == []


def test_holm_and_sign_flips_agree_with_scipy() -> None:
    values = [0.01, 0.04, 0.03, 0.5]
    assert holm(values) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    differences = np.random.default_rng(2).normal(0.2, 1, 30)
    exact = stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=20_000, rng=1)
    assert sign_flip(differences) == pytest.approx(exact.pvalue, abs=0.015)
    assert sign_flip(np.zeros(5)) == 1.0


def test_a_planted_loss_is_found_at_the_edit_that_made_it() -> None:
    def one(step: int, parent: int | None) -> Variant:
        return Variant(f"v{step}", "c", step, step, None if parent is None else f"v{parent}", "evaluated", score=0.0)

    variants = [one(0, None), one(1, 0), one(2, 1), one(3, 2), one(4, 1), one(5, None)]
    good = {("b", str(task)): float(task < 24) for task in range(30)}
    bad = {("b", str(task)): float(task < 6) for task in range(30)}
    found = regressions(variants, {"v0": good, "v1": good, "v2": bad, "v3": bad, "v4": good, "v5": {}})
    worst = found[0]
    assert (worst.child.id, worst.parent.id, worst.family) == ("v2", "v1", 2)
    assert worst.difference.estimate == pytest.approx(-0.6)
    assert worst.corrected < 0.01
    assert [one.child.id for one in found] == ["v2", "v1"]  # the edit above carries it on half of its family
    assert not regressions(variants, {"v0": bad, "v1": good})
