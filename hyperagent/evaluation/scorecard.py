"""Everything that can be said about the outcomes of a benchmark without running anything, beside its score.

The score is the mean of the outcomes' scores; a missing or invalid answer scores 0 and is never dropped. All figures
and the values they take where there is nothing to measure are described in ``docs/metrics.md``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from hyperagent.evaluation import calibration, citations, controls, metrics
from hyperagent.evaluation.answers import Direction, Sheet
from hyperagent.evaluation.statistics import Floats, mean_interval
from hyperagent.types import Interval, Measure, Outcome, Scorecard, Task

FEW_TASKS = 10
MANY_INVALID = 0.2
UNRELATED_P = 0.05

Measures = dict[str, Measure]


def scorecard(
    tasks: Sequence[Task],
    outcomes: Sequence[Outcome],
    *,
    train: Sequence[Task] = (),
    metric: str = "score",
    direction: Direction = "higher",
    labels: Sequence[str] = (),
    points: metrics.Points | None = None,
    positive: str = "",
    length_field: str = "",
    rating_field: str = "",
    grade: controls.Regrade | None = None,
    others: Mapping[str, Sequence[float]] | None = None,
) -> Scorecard:
    """Score, metrics, controls and warnings over paired tasks and outcomes.

    Args:
        train: Tasks that control rules are fitted on.
        metric: Name of the mean score.
        direction: Whether higher or lower scores are better.
        labels: Answers allowed; empty = open answers. Each task then has its ``hidden["label"]``.
        points: Label -> points, where labels are grades on a scale.
        positive: The label that ``auc`` and the agreement are about where there are two; empty = the first.
        length_field: The member of the input that the length rule looks at; empty = no such control.
        rating_field: A numeric member of ``hidden`` that answers should agree with; tasks without it are left out.
        grade: Scores any answer on the host. Controls of packs whose labels can score between 0 and 1 need it, and
            those of open answers. None = a label scores 1 where it is the right one.
        others: Name -> scores on the same tasks of something else to compare with, such as the seed program.

    Raises:
        ValueError: Tasks and outcomes are not of the same tasks in the same order, an outcome is ``lost`` (it says
            nothing about the program), or scores of ``others`` are not as many as the tasks.
    """
    if [task.id for task in tasks] != [outcome.task for outcome in outcomes]:
        raise ValueError("tasks and outcomes must be of the same tasks in the same order")
    lost = [outcome.task for outcome in outcomes if outcome.status == "lost"]
    if lost:
        raise ValueError(f"{len(lost)} outcomes are lost, the first of task {lost[0]}: run them again first")
    sheet = Sheet(
        tasks,
        outcomes,
        train,
        metric,
        direction,
        tuple(labels),
        points or {},
        positive,
        length_field,
        rating_field,
        grade,
    )
    rivals = _rivals(sheet)
    for name, scores in (others or {}).items():
        if len(scores) != len(tasks):
            raise ValueError(f"{len(tasks)} tasks but {len(scores)} scores of {name}")
        rivals[name] = np.asarray(scores, dtype=float)
    found: Measures = {metric: sheet.measure(mean_interval(sheet.scores.tolist()), "score")}
    parts = [_answers, _label_metrics, _agreement, _confidence, _citations, _totals]
    for part in [*(compute(sheet) for compute in parts), _controls(sheet, rivals)]:
        for name, measure in part.items():
            found.setdefault(name, measure)
    some = any(confidence is not None for confidence in sheet.confidences)
    return Scorecard(
        measures=found,
        confusion=sheet.cells.table() if sheet.labels else {},
        risk_coverage=calibration.RiskCoverage(sheet.confidences, sheet.scores).curve() if some else (),
        warnings=tuple(_warnings(sheet, found, rivals)),
    )


# -- metrics -------------------------------------------------------------------------------------


def _answers(sheet: Sheet) -> Measures:
    """How many answers there are, and what the score is worth apart from those that are missing."""
    answers = sheet.answers
    given = np.array([not (answer.invalid or answer.abstained) for answer in answers], dtype=float)
    found = {
        "invalid": Measure(mean_interval([float(answer.invalid) for answer in answers]), "metric", "lower"),
        "abstained": Measure(mean_interval([float(answer.abstained) for answer in answers]), "metric", "lower"),
    }
    if len(given) and not given.all():
        answered = [float(score) for score, is_given in zip(sheet.scores, given, strict=True) if is_given]
        found[f"{sheet.metric}_of_answered"] = sheet.measure(mean_interval(answered))
    if sheet.resamples.clustered:
        found[f"{sheet.metric}_by_groups"] = sheet.measure(sheet.resamples.mean(sheet.scores))
    return found


def _label_metrics(sheet: Sheet) -> Measures:
    if not sheet.labels:
        return {}
    cells, resamples = sheet.cells, sheet.resamples
    right = (cells.truth == cells.answered).astype(float).tolist()

    stack = resamples.each(cells.confusion)

    def of(statistic: Callable[[Floats], Floats], low: float = 0.0) -> Measure:
        return Measure(resamples.interval_of(statistic(stack), low), "metric")

    found = {
        "accuracy": Measure(mean_interval(right), "metric"),
        "balanced_accuracy": of(metrics.balanced_accuracy),
        "macro_f1": of(metrics.macro_f1),
        "matthews": of(metrics.matthews, -1.0),
        "kappa": of(metrics.kappa, -1.0),
    }
    if sheet.points:
        squares = metrics.squared_error(sheet.points, sheet.labels)
        error = metrics.absolute_error(sheet.points, sheet.labels)
        found["kappa_weighted"] = of(lambda confusion: metrics.kappa(confusion, squares), -1.0)
        found["nmae"] = Measure(resamples.mean(error[cells.truth, cells.answered]), "metric", "lower")
    if len(sheet.labels) == 2 and any(confidence is not None for confidence in sheet.confidences):
        area = resamples.interval(lambda weights: metrics.rank_auc(sheet.leaning, sheet.is_positive, weights))
        found["auc"] = Measure(area, "metric")
    return found


def _agreement(sheet: Sheet) -> Measures:
    """Correlations with a number that people gave, over the tasks that have one."""
    if not sheet.rating_field or not (sheet.points or len(sheet.labels) == 2):
        return {}
    values = metrics.points_answered(sheet.points, sheet.cells) if sheet.points else sheet.leaning
    ratings = [task.hidden.get(sheet.rating_field) for task in sheet.tasks]
    rated = [index for index, rating in enumerate(ratings) if isinstance(rating, (int, float))]
    numbers, given = np.array([ratings[index] for index in rated], dtype=float), values[rated]
    resamples = sheet.resamples_of(rated)
    ranks = resamples.interval(lambda weights: metrics.spearman(given, numbers, weights), -1.0)
    linear = resamples.interval(lambda weights: metrics.pearson(given, numbers, weights), -1.0)
    return {"rating_spearman": Measure(ranks, "metric"), "rating_pearson": Measure(linear, "metric")}


def _confidence(sheet: Sheet) -> Measures:
    """Calibration over the answers that carry a confidence, and how well confidences rank all of them."""
    with_one = [index for index, confidence in enumerate(sheet.confidences) if confidence is not None]
    if not with_one:
        return {}
    said = np.array([sheet.confidences[index] for index in with_one], dtype=float)
    got = sheet.scores[with_one]
    resamples = sheet.resamples_of(with_one)
    given = [float(confidence is not None) for confidence in sheet.confidences]
    losses = resamples.mean(calibration.log_loss_terms(said, got), high=calibration.MOST_LOG_LOSS)
    found = {
        "confidence_given": Measure(mean_interval(given), "metric"),
        "brier": Measure(resamples.mean(calibration.brier_terms(said, got)), "metric", "lower"),
        "log_loss": Measure(losses, "metric", "lower"),
    }
    for name, bins in (("ece", calibration.equal_width(said)), ("ece_equal_mass", calibration.equal_mass(said))):
        error = float(calibration.ece(said, got, bins))
        null = calibration.ece_null(said, bins)
        found[name] = Measure(Interval(error, error, error, len(said)), "metric", "lower")
        found[f"{name}_if_calibrated"] = Measure(
            Interval(null.mean, 0.0, null.percentile95, len(said)), "metric", "lower"
        )
    area = sheet.resamples.interval(calibration.RiskCoverage(sheet.confidences, sheet.scores).area)
    found["aurc"] = Measure(area, "metric", "lower")
    return found


def _citations(sheet: Sheet) -> Measures:
    quotes = [citations.quotes_of(answer.prediction) for answer in sheet.answers]
    with_spans = np.array([bool(task.hidden.get("spans")) for task in sheet.tasks], dtype=float)
    if not any(quotes) and not with_spans.any():
        return {}
    checked = [citations.check_citations(task, given) for task, given in zip(sheet.tasks, quotes, strict=True)]
    given, grounded = np.array([c.quotes for c in checked]), np.array([c.grounded for c in checked])
    ratio = sheet.resamples.ratio
    evidence = [float(number > 0) for number in grounded]
    found = {
        "citations_grounded": Measure(ratio(grounded, given), "metric"),
        "answers_with_evidence": Measure(mean_interval(evidence), "metric"),
    }
    if with_spans.any():
        located, hit = np.array([c.located for c in checked]), np.array([c.hit for c in checked])
        spans = np.array([c.spans for c in checked])
        tasks = [float(number > 0) for number, has in zip(located, with_spans, strict=True) if has]
        found["citations_located"] = Measure(mean_interval(tasks), "metric")
        found["span_precision"] = Measure(ratio(located, given * with_spans), "metric")
        found["span_recall"] = Measure(ratio(hit, spans), "metric")
    return found


def _totals(sheet: Sheet) -> Measures:
    columns = {
        "seconds_per_task": [outcome.seconds for outcome in sheet.outcomes],
        "tokens_per_task": [float(outcome.spend.tokens) for outcome in sheet.outcomes],
        "dollars_per_task": [outcome.spend.cost for outcome in sheet.outcomes],
    }
    means = {name: sheet.resamples.mean(values, high=0.0) for name, values in columns.items()}
    return {name: Measure(interval, "metric", "lower") for name, interval in means.items()}


# -- controls ------------------------------------------------------------------------------------


def _rivals(sheet: Sheet) -> dict[str, Floats]:
    """Control -> its score on each task: what a program has to beat to have shown anything."""
    if not sheet.labels:
        return _open_rivals(sheet)
    table, sign = sheet.table, sheet.sign
    found = {"random": table.mean(axis=1)}
    if sheet.train:
        on_train = sign * controls.score_table(sheet.train, sheet.labels, sheet.grade)
        found["constant"] = table[:, controls.best_column(on_train)]
        if sheet.length_field:
            rule = controls.LengthRule(_lengths(sheet.train, sheet.length_field), on_train)
            found["length"] = table[np.arange(len(table)), rule.judge(_lengths(sheet.tasks, sheet.length_field))]
    found["shuffled"] = controls.dealt(table, sheet.cells.answered)
    return found


def _open_rivals(sheet: Sheet) -> dict[str, Floats]:
    """For open answers that the host can grade: the most frequent train answer, and answers to other tasks."""
    if sheet.grade is None:
        return {}
    found = {}
    targets = Counter(json.dumps(task.hidden["label"]) for task in sheet.train if "label" in task.hidden)
    if targets:
        answer = json.loads(targets.most_common(1)[0][0])
        found["constant"] = np.array([sheet.grade(task, answer).score for task in sheet.tasks])
    moved = controls.dealt_open(sheet.tasks, [answer.prediction for answer in sheet.answers], sheet.grade)
    if moved is not None:
        found["shuffled"] = moved
    return found


def _controls(sheet: Sheet, rivals: Mapping[str, Floats]) -> Measures:
    found = {name: sheet.measure(mean_interval(scores.tolist()), "control") for name, scores in rivals.items()}
    if not sheet.labels:
        return found
    blind = controls.blind_deals(sheet.table, sheet.cells.answered, sheet.sign)
    mean = float(rivals["shuffled"].sum()) / max(1, len(sheet.tasks))
    dealt = Interval(mean, min(mean, blind.low), max(mean, blind.high), len(sheet.tasks))
    found["shuffled"] = sheet.measure(dealt, "control")
    found["shuffled_p"] = Measure(
        Interval(blind.p_value, blind.p_value, blind.p_value, len(sheet.tasks)), "control", "lower"
    )
    if sheet.resamples.clustered:
        # No rivals: a program does not see the labels of other tasks. They say what a leak of groups would be worth.
        for name, leave_out in (("group_majority", True), ("group_majority_bound", False)):
            worth = sheet.sign * controls.group_majority(sheet.sign * sheet.table, sheet.groups, leave_out)
            found[name] = sheet.measure(mean_interval(worth.tolist()), "control")
    if sheet.points and sheet.train:
        error = metrics.absolute_error(sheet.points, sheet.labels)
        places = {label: index for index, label in enumerate(sheet.labels)}
        on_train = error[[places[str(task.hidden["label"])] for task in sheet.train]][:, :-1]
        steady = error[sheet.cells.truth, controls.best_column(-on_train)]
        found["nmae_constant"] = Measure(sheet.resamples.mean(steady), "control", "lower")
    return found


def _lengths(tasks: Sequence[Task], field: str) -> list[int]:
    return [len(str(task.input[field])) for task in tasks]


# -- warnings ------------------------------------------------------------------------------------


def _warnings(sheet: Sheet, found: Measures, rivals: Mapping[str, Floats]) -> Iterator[str]:
    """Lines that a person must read before believing the score."""
    n = len(sheet.tasks)
    if n < FEW_TASKS:
        yield f"only {n} task{'s' * (n != 1)}: no figure here means much"
    if n < 2:
        return
    invalid = found["invalid"].interval.estimate
    if invalid > MANY_INVALID:
        yield f"{invalid:.0%} of the answers are missing or invalid (scored 0)"
    p_value = found["shuffled_p"].interval.estimate if "shuffled_p" in found else 0.0
    if len({answer.said for answer in sheet.answers}) == 1:
        yield "all answers are equal: they do not depend on the input"
    elif p_value > UNRELATED_P:
        yield (
            f"the answers may be unrelated to the input: dealt out to the tasks blindly they score as much or better "
            f"with probability {p_value:.2f}"
        )
    if rivals:
        name = max(rivals, key=lambda rival: sheet.sign * float(rivals[rival].mean()))
        gain = sheet.resamples.mean(sheet.sign * (sheet.scores - rivals[name]), -1.0)
        if gain.low <= 0:
            yield (
                f"{sheet.metric} is not shown to beat the best control, {name} ({rivals[name].mean():.3f}): "
                f"better by {gain.estimate:+.3f}, 95% interval {gain.low:+.3f} to {gain.high:+.3f}"
            )
