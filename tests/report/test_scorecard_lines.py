from __future__ import annotations

from typing import Literal

from hyperagent.report.scorecard import lines, number
from hyperagent.report.text import to_ascii, width
from hyperagent.types import Interval, Measure, Scorecard


def measure(
    kind: Literal["score", "metric", "control"],
    estimate: float,
    low: float | None = None,
    high: float | None = None,
    direction: Literal["higher", "lower"] = "higher",
) -> Measure:
    low, high = estimate if low is None else low, estimate if high is None else high
    return Measure(Interval(estimate, low, high, 105), kind, direction)


CARD = Scorecard(
    measures={
        "accuracy": measure("score", 0.41, 0.32, 0.505),
        "nmae": measure("metric", 0.31, 0.25, 0.37, "lower"),
        "ece": measure("metric", 0.098, direction="lower"),
        "constant": measure("control", 0.371, 0.285, 0.467),
    },
    confusion={"yes": {"yes": 30, "no": 20, "": 5}, "no": {"yes": 37, "no": 13, "": 0}},
    risk_coverage=((0.05, 0.2), (0.1, 0.3), (0.3, 0.4), (0.8, 0.5), (1.0, 0.59)),
    warnings=("the answers may be unrelated to the input: dealt out blindly they score as much", "second"),
)

GOLDEN = """\
figure      value  95% interval      n     what it is (^ higher is better, v lower)
score:
  accuracy  0.410  0.320 to 0.505  105  ^  right answers
metrics:
  nmae      0.310  0.250 to 0.370  105  v  mean error in points over their range
  ece       0.098  -               105  v  calibration error, bins of equal width
controls:
  constant  0.371  0.285 to 0.467  105  ^  the one answer best on train

true \\ answered  yes  no  (none)
  yes             30  20       5
  no              37  13       0

surest answers   risk
  10%           0.300
  30%           0.400
  80%           0.500
  100%          0.590

WARNING: the answers may be unrelated to the input: dealt out blindly they score
         as much
WARNING: second"""


def test_a_scorecard() -> None:
    assert to_ascii("\n".join(lines(CARD, 86))).splitlines()[:18] == GOLDEN.splitlines()[:18]
    assert to_ascii("\n".join(lines(CARD, 80))).splitlines()[-3:] == GOLDEN.splitlines()[-3:]


def test_nothing_but_a_score() -> None:
    found = lines(Scorecard({"score": measure("score", 0.5, 0.4, 0.6)}), 100)
    assert len(found) == 3
    assert not any("WARNING" in line for line in found)


def test_lines_keep_to_the_width() -> None:
    for columns in (40, 60, 100):
        assert all(width(line) <= columns for line in lines(CARD, columns))


def test_hostile_names_move_no_cursor_and_break_no_line() -> None:
    evil = "\x1b[2J\nscore: 1.000\u202e" + "x" * 300
    card = Scorecard({evil: measure("score", 0.1)}, {evil: {evil: 1, "": 0}}, (), (evil,))
    found = lines(card, 80)
    assert all(line.isprintable() and width(line) <= 80 for line in found)
    assert not any(line.startswith("score: 1.000") for line in found)


def test_numbers_keep_what_matters() -> None:
    assert [number(value) for value in (0.5, -0.25, 0.0, 0.0012, 0.00002, 12.3456, 12345.6)] == [
        "0.500",
        "-0.250",
        "0.000",
        "0.0012",
        "2.0e-05",
        "12.346",
        "12,346",
    ]
