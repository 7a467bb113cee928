"""Upstream files to records, for ``hyperagent benchmark fetch``. No text of the data stands here."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

Record = dict[str, Any]
CALCULATOR = re.compile(r"<<[^>]*>>")


def records(source: str, files: Mapping[str, bytes]) -> list[Record]:
    """Every record that a source's upstream files hold; which of them are used is up to the id list."""
    make = {"gsm8k": gsm8k, "imo_gradingbench": imo_gradingbench}[source]
    return [record for content in files.values() for record in make(content.decode("utf-8"))]


def gsm8k(text: str) -> Iterator[Record]:
    """One record per question and solving model. The number of a line (from 0) is the question's number."""
    for number, line in enumerate(text.split("\n")):
        if not line:
            continue
        row = json.loads(line)
        for author, attempt in row.items():
            if author in ("question", "ground_truth"):
                continue
            yield {
                "id": f"gsm8k-test/{number}/{author}",
                "group": f"gsm8k/{number}",
                "input": {"problem": row["question"], "student_answer": CALCULATOR.sub("", attempt["solution"])},
                "hidden": {
                    "label": "correct" if attempt["is_correct"] else "incorrect",
                    "author_model": author,
                    "reference_solution": CALCULATOR.sub("", row["ground_truth"]),
                },
            }


def imo_gradingbench(text: str) -> Iterator[Record]:
    """One record per graded proof; the problem is the group."""
    for row in csv.DictReader(io.StringIO(text, newline="")):
        yield {
            "id": row["Grading ID"],
            "group": row["Problem ID"],
            "input": {
                "problem": row["Problem"],
                "reference_solution": row["Solution"],
                "grading_guidelines": row["Grading guidelines"],
                "student_answer": row["Response"],
            },
            "hidden": {"label": row["Reward"].lower(), "points": int(row["Points"])},
        }
