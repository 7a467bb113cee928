"""The whole scorecard: what stands in it, what it warns of, and that nothing breaks it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from hyperagent.evaluation.answers import read_answer
from hyperagent.evaluation.scorecard import scorecard
from hyperagent.evaluation.statistics import mean_interval, wilson
from hyperagent.types import Grade, Json, Outcome, Scorecard, Spend, Task

YES_NO = ("yes", "no")
POINTS = {"correct": 7.0, "almost": 6.0, "partial": 1.0, "incorrect": 0.0}


def task(place: int, label: Json, group: str = "", split: str = "test", **hidden: Json) -> Task:
    text = {"text": "x" * (10 + place % 7), "instructions": "judge"}
    return Task(f"{split}{place}", "toy", "test", group or str(place), text, {"label": label, **hidden})


def outcome(place: int, prediction: Json, score: float | None = None, right: Json = "yes") -> Outcome:
    response = prediction.get("response") if isinstance(prediction, dict) else prediction
    valid = response in (*YES_NO, *POINTS)
    found = float(response == right) if score is None else score
    return Outcome(
        f"test{place}", "scored" if valid else "agent_error", found if valid else 0.0, json.dumps(prediction)
    )


def card_of(
    truth: Sequence[str], predictions: Sequence[Json], groups: Sequence[str] = (), **others: object
) -> Scorecard:
    tasks = [task(place, label, groups[place] if groups else "") for place, label in enumerate(truth)]
    outcomes = [
        outcome(place, prediction, right=label)
        for place, (label, prediction) in enumerate(zip(truth, predictions, strict=True))
    ]
    labels = {"labels": YES_NO, "metric": "accuracy", "train": [task(n, "yes", split="train") for n in range(5)]}
    return scorecard(tasks, outcomes, **{**labels, **others})  # type: ignore[arg-type]


def value(card: Scorecard, name: str) -> float:
    return card.measures[name].interval.estimate


def mixed(n: int, labels: Sequence[str] = YES_NO, skill: float = 0.6) -> tuple[list[str], list[Json]]:
    generator = np.random.default_rng(n)
    truth = [str(label) for label in generator.choice(labels, n)]
    said = [label if generator.random() < skill else str(generator.choice(labels)) for label in truth]
    return truth, [{"response": label, "confidence": float(generator.random())} for label in said]


# -- the score -------------------------------------------------------------------------------------


def test_missing_and_invalid_answers_are_zeros_and_never_dropped() -> None:
    card = card_of(["yes"] * 4, ["yes", None, "perhaps", {"response": None, "abstain": True}])
    assert card.measures["accuracy"].interval == wilson(1, 4)
    assert card.measures["accuracy"].kind == "score"
    assert value(card, "invalid") == 0.5
    assert value(card, "abstained") == 0.25
    assert card.measures["accuracy_of_answered"].interval == wilson(1, 1)
    assert card.confusion == {"yes": {"yes": 1, "no": 0, "": 3}, "no": {"yes": 0, "no": 0, "": 0}}
    assert value(card, "balanced_accuracy") == 0.25


def test_lost_outcomes_say_nothing_about_a_program() -> None:
    with pytest.raises(ValueError, match=r"1 outcomes are lost.*test1"):
        scorecard([task(0, "a"), task(1, "a")], [outcome(0, "yes"), Outcome("test1", "lost", 0.0)])


def test_tasks_and_outcomes_must_be_pairs() -> None:
    with pytest.raises(ValueError, match="same order"):
        scorecard([task(0, "a"), task(1, "a")], [outcome(1, "yes"), outcome(0, "yes")])
    with pytest.raises(ValueError, match="same order"):
        scorecard([task(0, "a")], [])


def test_order_of_the_figures() -> None:
    kinds = [measure.kind for measure in card_of(*mixed(20), length_field="text").measures.values()]
    assert kinds == sorted(kinds, key=["score", "metric", "control"].index)
    assert kinds[0] == "score"
    assert kinds.count("score") == 1


def test_groups_widen_the_interval_of_the_score() -> None:
    groups = [str(place // 5) for place in range(100)]
    truth = ["yes"] * 100
    together = [{"response": "yes" if (place // 5) % 2 else "no"} for place in range(100)]
    card = card_of(truth, together, groups)
    single, by_groups = card.measures["accuracy"].interval, card.measures["accuracy_by_groups"].interval
    assert by_groups.estimate == single.estimate == 0.5
    assert by_groups.high - by_groups.low > 1.8 * (single.high - single.low)
    assert "accuracy_by_groups" not in card_of(truth, together).measures


# -- metrics ---------------------------------------------------------------------------------------


def test_figures_of_a_label_pack_are_those_of_scikit_learn() -> None:
    truth, predictions = mixed(80)
    card = card_of(truth, predictions)
    said = [prediction["response"] for prediction in predictions]
    sure = [p["confidence"] if p["response"] == "yes" else 1 - p["confidence"] for p in predictions]
    right = [float(a == b) for a, b in zip(truth, said, strict=True)]
    expected = {
        "accuracy": sk.accuracy_score(truth, said),
        "balanced_accuracy": sk.balanced_accuracy_score(truth, said),
        "macro_f1": sk.f1_score(truth, said, average="macro"),
        "matthews": sk.matthews_corrcoef(truth, said),
        "kappa": sk.cohen_kappa_score(truth, said),
        "auc": sk.roc_auc_score([label == "yes" for label in truth], sure),
        "brier": sk.brier_score_loss(right, [p["confidence"] for p in predictions]),
        "log_loss": sk.log_loss(right, [p["confidence"] for p in predictions]),
    }
    assert {name: value(card, name) for name in expected} == pytest.approx(expected)
    for name in expected:
        interval = card.measures[name].interval
        assert interval.low < interval.estimate < interval.high
    other = card_of(truth, predictions, positive="no")
    assert value(other, "auc") == pytest.approx(value(card, "auc"))


def test_labels_with_points() -> None:
    labels = list(POINTS)
    truth, predictions = mixed(60, labels)
    card = card_of(truth, predictions, labels=labels, points=POINTS, train=[task(n, "partial") for n in range(3)])
    said = [prediction["response"] for prediction in predictions]
    off = sk.mean_absolute_error([POINTS[a] for a in truth], [POINTS[b] for b in said]) / 7
    assert value(card, "nmae") == pytest.approx(off)
    assert card.measures["nmae"].direction == "lower"
    steady = np.mean([abs(POINTS[a] - 1) / 7 for a in truth])
    assert value(card, "nmae_constant") == pytest.approx(steady)
    assert card.measures["nmae_constant"].kind == "control"
    assert "auc" not in card.measures


def test_agreement_with_ratings_leaves_unrated_tasks_out() -> None:
    tasks = [task(place, "yes" if place > 4 else "no", mean_rating=float(place)) for place in range(10)]
    tasks[3] = task(3, "no", mean_rating=None)
    confident = [{"response": "yes", "confidence": place / 10} for place in range(10)]
    outcomes = [outcome(place, prediction) for place, prediction in enumerate(confident)]
    card = scorecard(tasks, outcomes, labels=YES_NO, rating_field="mean_rating")
    assert value(card, "rating_spearman") == pytest.approx(1)
    assert card.measures["rating_pearson"].interval.n == 9


def test_invalid_answers_are_at_the_wrong_end_of_every_ranking() -> None:
    truth = ["yes", "yes", "no", "no"]
    sure: list[Json] = [{"response": label, "confidence": 0.9} for label in truth]
    assert value(card_of(truth, sure), "auc") == 1
    assert value(card_of(truth, [None, *sure[1:]]), "auc") == 0.5
    assert value(card_of(truth, [None, None, None, {"response": "no", "confidence": 0.9}]), "auc") == 0


def test_a_single_class_has_values_that_claim_nothing() -> None:
    card = card_of(["yes"] * 12, [{"response": "yes", "confidence": 1.0}] * 12)
    assert [value(card, name) for name in ("accuracy", "balanced_accuracy", "macro_f1")] == [1, 1, 1]
    assert [value(card, name) for name in ("matthews", "kappa", "auc")] == [0, 0, 0.5]


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("labels", [(), YES_NO])
def test_no_tasks_and_one_task(n: int, labels: tuple[str, ...]) -> None:
    hidden = {"mean_rating": 3.0, "spans": ["x" * 10]}
    card = scorecard(
        [task(place, "yes", **hidden) for place in range(n)],
        [outcome(place, {"response": "yes", "confidence": 0.8, "citations": ["x" * 12]}) for place in range(n)],
        train=[task(1, "yes", split="train")],
        labels=labels,
        points=dict.fromkeys(labels, 1.0),
        length_field="text",
        rating_field="mean_rating",
    )
    assert value(card, "score") == n
    assert sound(card)
    assert card.warnings[0].startswith(f"only {n} task")


def test_confidence_figures_are_over_the_answers_that_carry_one_and_say_how_many() -> None:
    truth = ["yes"] * 20
    said: list[Json] = [{"response": "yes", "confidence": 0.9}] * 15 + ["yes"] * 5
    card = card_of(truth, said)
    assert value(card, "confidence_given") == 0.75
    assert card.measures["brier"].interval.n == 15
    assert value(card, "ece") == pytest.approx(0.1)
    null = card.measures["ece_if_calibrated"].interval
    assert 0 < null.estimate < null.high < 0.3
    assert card.risk_coverage[-1] == (1.0, 0.0)
    bare = card_of(truth, ["yes"] * 20)
    assert not {"brier", "ece", "aurc", "auc"} & bare.measures.keys()
    assert bare.risk_coverage == ()


def test_citations() -> None:
    tasks = [
        Task(
            "test0",
            "toy",
            "test",
            "0",
            {"text": "the data leaks into the test set"},
            {"spans": ["leaks into the test"]},
        ),
        Task(
            "test1", "toy", "test", "1", {"text": "no baseline was ever compared with"}, {"spans": ["no baseline was"]}
        ),
        Task("test2", "toy", "test", "2", {"text": "a paper without any fault at all"}, {"spans": []}),
    ]
    said = [["data leaks into the"], ["made up evidence"], ["a paper without any", "fault at all"]]
    outcomes = [
        Outcome(f"test{n}", "scored", 1.0, json.dumps({"response": 1, "citations": q})) for n, q in enumerate(said)
    ]
    card = scorecard(tasks, outcomes)
    expected = {
        "citations_grounded": 3 / 4,
        "answers_with_evidence": 2 / 3,
        "citations_located": 1 / 2,
        "span_precision": 1 / 2,
        "span_recall": 1 / 2,
    }
    assert {name: value(card, name) for name in expected} == pytest.approx(expected)
    assert "span_recall" not in card_of(["yes"], [{"response": "yes", "citations": ["x" * 12]}]).measures
    assert "citations_grounded" not in card_of(["yes"], ["yes"]).measures


def test_what_it_took() -> None:
    spend = Spend(calls=1, prompt_tokens=70, completion_tokens=30, cost=0.02)
    outcomes = [Outcome("test0", "scored", 1.0, seconds=3.0, spend=spend), Outcome("test1", "scored", 0.0, seconds=1.0)]
    card = scorecard([task(0, 1), task(1, 1)], outcomes)
    found = [value(card, f"{name}_per_task") for name in ("seconds", "tokens", "dollars")]
    assert found == pytest.approx([2, 50, 0.01])
    assert card.measures["seconds_per_task"].direction == "lower"


# -- controls and warnings -------------------------------------------------------------------------


def test_controls_of_a_label_pack() -> None:
    train = [task(n, label, split="train") for n, label in enumerate(["no", "no", "no", "yes"])]
    truth, predictions = mixed(40)
    groups = [str(place // 2) for place in range(40)]
    card = card_of(truth, predictions, groups, train=train, length_field="text")
    assert value(card, "random") == 0.5
    assert card.measures["constant"].interval == wilson(truth.count("no"), 40)
    said = [prediction["response"] for prediction in predictions]
    expected = sum(truth.count(label) * said.count(label) for label in YES_NO) / 1600
    assert value(card, "shuffled") == pytest.approx(expected)
    pairs = [truth[place : place + 2] for place in range(0, 40, 2)]
    alike = sum(a == b for a, b in pairs) / len(pairs)
    assert value(card, "group_majority") == alike  # the other one's label
    assert value(card, "group_majority_bound") == alike + (1 - alike) / 2  # one of each pair, at least
    assert "length" in card.measures
    assert "group_majority" not in card_of(truth, predictions).measures


def test_what_groups_are_worth_is_shown_but_no_program_must_beat_it() -> None:
    groups = [str(place // 4) for place in range(80)]
    truth = [("yes", "no")[place // 4 % 2] for place in range(80)]
    predictions: list[Json] = [label if place % 5 else "yes" for place, label in enumerate(truth)]
    card = card_of(truth, predictions, groups)
    assert value(card, "group_majority") == value(card, "group_majority_bound") == 1 > value(card, "accuracy")
    assert card.warnings == ()


def test_controls_speak_the_scale_of_the_packs_own_grader() -> None:
    def near(task: Task, prediction: Json) -> Grade:
        return Grade(1 - abs(POINTS[task.hidden["label"]] - POINTS[prediction]) / 7)

    truth, predictions = mixed(30, list(POINTS))
    options = {"labels": list(POINTS), "grade": near, "metric": "credit", "train": [task(0, "partial", split="train")]}
    card = card_of(truth, predictions, **options)
    steady = [near(task(0, label), "partial").score for label in truth]
    assert value(card, "constant") == pytest.approx(np.mean(steady))
    anything = [np.mean([near(task(0, label), other).score for other in POINTS]) for label in truth]
    assert value(card, "random") == pytest.approx(np.mean(anything))


def test_controls_of_open_answers() -> None:
    def exact(task: Task, prediction: Json) -> Grade:
        return Grade(float(prediction == task.hidden["label"]))

    tasks = [task(place, place % 3) for place in range(12)]
    outcomes = [outcome(place, place % 3, 1.0) for place in range(12)]
    train = [task(place, 2, split="train") for place in range(3)]
    card = scorecard(tasks, outcomes, train=train, grade=exact)
    assert value(card, "constant") == pytest.approx(1 / 3)
    assert 0 < value(card, "shuffled") < 0.6
    assert not [m for m in scorecard(tasks, outcomes, train=train).measures.values() if m.kind == "control"]


def warned(card: Scorecard, word: str) -> bool:
    return any(word in warning for warning in card.warnings)


def test_a_good_program_is_warned_of_nothing() -> None:
    truth, predictions = mixed(100, skill=0.95)
    assert card_of(truth, predictions).warnings == ()


def test_equal_answers_are_warned_of() -> None:
    truth, _ = mixed(50)
    card = card_of(truth, [{"response": "Yes ", "confidence": place / 50} for place in range(50)])
    assert warned(card, "all answers are equal")
    assert not warned(card, "unrelated")
    open_tasks, same = (
        [task(n, 1) for n in range(20)],
        [Outcome(f"test{n}", "scored", 0.5, '{"response":[1]}') for n in range(20)],
    )
    assert warned(scorecard(open_tasks, same), "all answers are equal")
    edited = [
        Outcome(f"test{n}", "scored", 0.5, json.dumps({"response": "done", "files": {"a": str(n)}})) for n in range(20)
    ]
    assert not warned(scorecard(open_tasks, edited), "all answers are equal")


def test_answers_that_do_not_depend_on_the_input_are_warned_of() -> None:
    truth, _ = mixed(100)
    blind = [str(label) for label in np.random.default_rng(4).choice(YES_NO, 100)]
    card = card_of(truth, blind)
    assert value(card, "shuffled_p") > 0.05
    assert warned(card, "unrelated to the input")
    assert warned(card, "not shown to beat the best control")


def test_a_control_that_does_as_well_is_warned_of() -> None:
    truth, predictions = mixed(100, skill=0.95)
    scores = [float(label == prediction["response"]) for label, prediction in zip(truth, predictions, strict=True)]
    card = card_of(truth, predictions, others={"seed": scores})
    assert card.measures["seed"].kind == "control"
    assert card.measures["seed"].interval == mean_interval(scores)
    assert warned(card, "best control, seed")
    with pytest.raises(ValueError, match="100 tasks but 1 scores of seed"):
        card_of(truth, predictions, others={"seed": [1.0]})


def test_many_invalid_answers_are_warned_of() -> None:
    truth, predictions = mixed(50, skill=1)
    assert warned(card_of(truth, [None] * 11 + predictions[11:]), "22% of the answers")
    assert not warned(card_of(truth, [None] * 10 + predictions[10:]), "missing or invalid")


def test_lower_may_be_better() -> None:
    truth = ["yes", "no"] * 20
    predictions: list[Json] = [{"response": label} for label in truth]
    bad = card_of(truth, predictions, direction="lower")
    good = card_of(truth, [{"response": "no" if label == "yes" else "yes"} for label in truth], direction="lower")
    assert bad.measures["accuracy"].direction == bad.measures["constant"].direction == "lower"
    assert warned(bad, "not shown to beat")
    assert good.warnings == ()


# -- hostile ---------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["yes", "no"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["response", "confidence", "citations", "abstain", "files", "x"]), inner)
    ),
    max_leaves=10,
)
texts = st.one_of(st.text(), json_values.map(json.dumps), st.sampled_from(["[" * 100_000, "9" * 5000, "NaN", ""]))


def sound(card: Scorecard) -> bool:
    intervals = [measure.interval for measure in card.measures.values()]
    return all(
        math.isfinite(i.low + i.estimate + i.high) and i.low - 1e-9 <= i.estimate <= i.high + 1e-9 for i in intervals
    )


@given(st.lists(texts, min_size=1, max_size=6), st.booleans())
@settings(max_examples=60, deadline=None)
def test_nothing_that_a_program_says_is_a_reason_to_fail(said: list[str], scored: bool) -> None:
    tasks = [task(place, YES_NO[place % 2], spans=["x" * 12]) for place in range(len(said))]
    outcomes = [
        Outcome(f"test{place}", "scored" if scored else "agent_error", 0.0, text) for place, text in enumerate(said)
    ]
    assert sound(scorecard(tasks, outcomes, labels=YES_NO))


@pytest.mark.parametrize("confidence", [True, "0.5", -0.1, 1.1, float("nan"), float("inf"), [0.5], 10**400])
def test_nonsense_is_no_confidence(confidence: Json) -> None:
    answer = read_answer(outcome(0, {"response": "yes", "confidence": confidence}), YES_NO)
    assert answer.confidence is None


def test_an_answer_that_abstains_states_neither_label_nor_confidence() -> None:
    answer = read_answer(outcome(0, {"response": "yes", "confidence": 0.9, "abstain": True}), YES_NO)
    assert (answer.label, answer.confidence, answer.abstained, answer.invalid) == (None, None, True, False)
    assert not read_answer(outcome(0, {"response": "yes", "abstain": "no"}), YES_NO).abstained
