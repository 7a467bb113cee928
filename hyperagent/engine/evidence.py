"""The evidence folder of a mutation: what the meta agent may know. Train results only, never validation or test."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from random import Random

from hyperagent.engine.evaluate import Evaluator
from hyperagent.engine.inspirations import INSPIRED, choose, chosen_before
from hyperagent.engine.parts import Parts
from hyperagent.types import Evaluation, Json, ProgramTree, Variant

ANCESTORS = 5
ATTEMPTS = 8
MOST_AT_WORK = 64
"""Steps that can be without a result at the same time: the most workers of a campaign."""
DIFF_CHARACTERS = 3000
TRANSCRIPT_CHARACTERS = 2000


class EvidenceBuilder:
    """Builds the folder for a parent; runs the parent on its train tasks first where that has not happened yet."""

    def __init__(self, parts: Parts, evaluator: Evaluator) -> None:
        self._parts = parts
        self._evaluator = evaluator

    def build(
        self, parent: Variant, iterations_left: int, before_step: int, report: Callable[[str], None] = lambda _: None
    ) -> ProgramTree:
        """Evidence files for the mutation of ``parent`` that becomes ``before_step``.

        Only siblings of earlier steps count as attempts, so that the folder can be built again on a resume.
        """
        evaluations = self._evaluator.split(parent, "train", report)
        lines: list[str] = []
        summaries = []
        for evaluation in evaluations:
            rows = self._rows(evaluation)
            lines += [json.dumps(row, sort_keys=True, ensure_ascii=False) for row in rows]
            score = sum(row["score"] for row in rows) / len(rows) if rows else 0.0
            summaries.append(
                {"name": evaluation.benchmark, "metric": "accuracy", "train_score": score, "train_tasks": len(rows)}
            )
        summary = {
            "iterations_left": iterations_left,
            "benchmarks": summaries,
            "program": {"step": parent.step, "generation": parent.generation},
            "ancestors": self._ancestors(parent),
            "attempts": self._attempts(parent, before_step),
        }
        if self._parts.config.search.inspirations:
            summary["inspirations"] = [self._edit(one) for one in self._inspirations(parent, before_step)]
        return {
            "summary.json": json.dumps(summary, sort_keys=True, ensure_ascii=False, indent=1).encode(),
            "train.jsonl": "".join(line + "\n" for line in lines).encode(),
        }

    def _rows(self, evaluation: Evaluation) -> list[dict[str, Json]]:
        benchmark = next(b for _, b in self._parts.benchmarks if b.name == evaluation.benchmark)
        tasks = {task.id: task for task in benchmark.tasks("train")}
        rows = []
        for outcome in self._parts.archive.outcomes(evaluation.id):
            task = tasks[outcome.task]
            transcript = ""
            if outcome.transcript_blob:
                transcript = self._parts.archive.get_blob(outcome.transcript_blob).decode(errors="replace")
            feedback: Mapping[str, Json] = benchmark.feedback(task)
            rows.append(
                {
                    "id": task.id,
                    "benchmark": benchmark.name,
                    "input": dict(task.input),
                    "prediction": json.loads(outcome.prediction),
                    "score": outcome.score,
                    "status": outcome.status,
                    "error": outcome.error,
                    "transcript": transcript[-TRANSCRIPT_CHARACTERS:],
                    **feedback,
                }
            )
        return rows

    def _ancestors(self, variant: Variant) -> list[dict[str, Json]]:
        archive = self._parts.archive
        rows: list[dict[str, Json]] = []
        current = variant
        while current.parent and len(rows) < ANCESTORS:
            parent = archive.variant(current.parent)
            rows.append(
                {"step": current.step, "train_score": self._train_score(current), **self._told(parent, current)}
            )
            current = parent
        return rows

    def _told(self, parent: Variant, child: Variant) -> dict[str, Json]:
        diff = self._parts.archive.diff(parent.commit, child.commit)
        return {"summary": child.summary[:300], "diff": diff[:DIFF_CHARACTERS]}

    def _inspirations(self, parent: Variant, before_step: int) -> list[Variant]:
        archive, config = self._parts.archive, self._parts.config
        chosen = chosen_before(archive, parent.campaign, before_step)
        if chosen is None:
            source = Random(f"{config.seed}/{before_step}/inspirations")
            variants = archive.variants(parent.campaign)
            chosen = choose(variants, parent, before_step, config.search.inspirations, source)
            payload = {"step": before_step, "inspirations": [one.id for one in chosen]}
            archive.append_event(parent.campaign, INSPIRED, payload)
        return chosen

    def _edit(self, variant: Variant) -> dict[str, Json]:
        """What a variant's edit was, and what it gained on train tasks: null where one of the two never ran there."""
        parent = self._parts.archive.variant(variant.parent or "")
        before, after = self._train_score(parent), self._train_score(variant)
        gain = None if before is None or after is None else after - before
        return {"step": variant.step, "train_gain": gain, **self._told(parent, variant)}

    def _train_score(self, variant: Variant) -> float | None:
        scores = [
            e.score for e in self._parts.archive.evaluations(variant.id) if e.split == "train" and e.score is not None
        ]
        return sum(scores) / len(scores) if scores else None

    def _attempts(self, parent: Variant, before_step: int) -> list[dict[str, Json]]:
        """Earlier children: what they tried and whether it could be evaluated at all, never how they scored."""
        archive = self._parts.archive
        words = dict.fromkeys(("evaluated", "screened_out", "raced_out", "pending"), "evaluated")
        rows: list[dict[str, Json]] = []
        tried = []
        for child in archive.children(parent.id, before=before_step, most=ATTEMPTS + MOST_AT_WORK):
            if child.campaign != parent.campaign or child.status == "mutating":
                continue
            tried.append(child)
        for child in tried[-ATTEMPTS:]:
            diff = archive.diff(parent.commit, child.commit)[:DIFF_CHARACTERS] if child.commit else ""
            rows.append({"summary": child.summary[:300], "status": words.get(child.status, child.status), "diff": diff})
        return rows
