"""Full-text papers of one's own to records of a pack: scrubbed, split, and refused where words give the label away."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperagent.errors import DataUnavailable, UsageError
from hyperagent.evaluation.leaks import Leak, measure_leak
from hyperagent.evaluation.scrubbing import scrub
from hyperagent.types import Interval, Split

LEAK_BOUND = 0.70
"""Highest AUC of the bag-of-words classifier that an import accepts, unless told otherwise."""
SHARES: Mapping[Split, int] = {"train": 2, "validation": 1, "test": 3}
"""Shares of the splits, in sixths."""
LABELS = ("accept", "reject")
FIELDS = ("title", "abstract", "manuscript")
_INTRODUCTION = re.compile(r"^[#*\s]*(?:(?:1|I)\.?\s+)?introduction\b", re.IGNORECASE | re.MULTILINE)
_LONGEST_ABSTRACT = 5_000
"""Where no introduction begins within so many characters, the abstract's end is unknown."""
_SIXTHS = sum(SHARES.values())
_WORDS_SHOWN = 20


@dataclass(frozen=True)
class ImportReport:
    """What an import did.

    Attributes:
        target: The record file.
        splits: Records in each split; half of them accepted, but for what a group cannot be parted for.
        left_out: Reason -> papers that are in no split.
        removed: Rule of :func:`~hyperagent.evaluation.scrubbing.scrub` -> how often it took something out.
        before: The leak of title and text as they came.
        after: The leak of what programs will see; its AUC is at most ``bound``.
    """

    target: Path
    splits: Mapping[Split, int]
    left_out: Mapping[str, int]
    removed: Mapping[str, int]
    before: Leak
    after: Leak
    bound: float


def import_fulltext(
    source: Path, target: Path, *, bound: float = LEAK_BOUND, random_seed: int = 0, canary: str = ""
) -> ImportReport:
    """Make a record file of full-text papers, or refuse.

    Args:
        source: One JSON object a line: ``{"id", "title", "text", "decision"}`` and optionally ``"ratings"`` (numbers)
            and ``"group"`` (papers that must share a split; by default those of one title). ``decision`` begins with
            accept or reject; papers with another one are left out.
        target: The record file to write, as ``docs/packs.md`` describes; the fields are
            ``title``, ``abstract`` and ``manuscript``.
            Nothing is written where the data is refused.
        bound: Highest leak AUC to accept, in (0.5, 1].
        random_seed: Decides which groups go into which split and share a fold; the same for the same seed.
        canary: Put into each record's ``meta``.

    Raises:
        UsageError: A line cannot be read, or an argument is out of its range.
        DataUnavailable: The bag-of-words classifier tells accepted from rejected papers too well, or there are too few
            papers to say.
    """
    if not 0.5 < bound <= 1:
        raise UsageError(f"the bound on the leak AUC must be above 0.5 and at most 1, not {bound}")
    papers = _read(source)
    decided = [paper for paper in papers if paper["label"]]
    left_out = Counter({"neither accepted nor rejected": len(papers) - len(decided)})
    removed: Counter[str] = Counter()
    for paper in decided:
        scrubbed = scrub(paper["text"])
        removed.update(scrubbed.removed)
        paper["abstract"], paper["manuscript"] = _parted(scrubbed.text)
    before = _leak(decided, ("title", "text"), source, random_seed)
    after = _leak(decided, FIELDS, source, random_seed)
    if after.words.estimate > bound:
        raise DataUnavailable(_refusal(source, after, bound), hint=_HINT)
    home = assign_splits([(paper["group"], paper["label"]) for paper in decided], random_seed)
    kept = [(paper, split) for paper, split in zip(decided, home, strict=True) if split]
    left_out["more of one label than of the other"] = len(decided) - len(kept)
    lines = [json.dumps(_record(paper, split, canary), sort_keys=True, ensure_ascii=False) for paper, split in kept]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}") from error
    counts = Counter(split for _, split in kept)
    return ImportReport(
        target=target,
        splits={split: counts[split] for split in SHARES},
        left_out={reason: count for reason, count in left_out.items() if count},
        removed=dict(removed),
        before=before,
        after=after,
        bound=bound,
    )


def assign_splits(papers: Sequence[tuple[str, str]], random_seed: int) -> list[Split | None]:
    """Split of each ``(group, label)``: whole groups, in the order of a hash, as many of one label as of the other.

    Each split takes its share of the rarer label and as many of the other one; what is over is in no split (None).
    Which split a group goes into depends on nothing but the groups' names, labels and the seed.
    """
    members: dict[str, list[int]] = {}
    for index, (group, _) in enumerate(papers):
        members.setdefault(group, []).append(index)
    each = min(Counter(label for _, label in papers)[label] for label in LABELS)
    room: dict[tuple[Split, str], int] = {}
    for label in LABELS:
        taken = shares = 0
        for split, share in SHARES.items():
            shares += share
            room[split, label] = each * shares // _SIXTHS - taken
            taken += room[split, label]
    result: list[Split | None] = [None] * len(papers)

    def key(group: str) -> bytes:
        return hashlib.sha256(f"{random_seed}/{group}".encode()).digest()

    for group in sorted(members, key=key):
        brings = Counter(papers[index][1] for index in members[group])

        def fits(split: Split, brings: Counter[str] = brings) -> int:
            return sum(min(room[split, label], count) for label, count in brings.items())

        split = max(SHARES, key=lambda split: (fits(split), sum(room[split, label] for label in brings)))
        for index in members[group]:
            label = papers[index][1]
            if room[split, label]:
                room[split, label] -= 1
                result[index] = split
    return result


def _read(source: Path) -> list[dict[str, Any]]:
    """Papers with ``group`` and ``label`` (empty where the decision is neither)."""
    try:
        lines = source.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{source} cannot be read: {error}") from error
    papers, seen = [], set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        paper = _paper(line, f"{source}, line {number}")
        if paper["id"] in seen:
            raise UsageError(f"{source}, line {number}: the id {paper['id']!r} stands twice")
        seen.add(paper["id"])
        papers.append(paper)
    return papers


def _paper(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{where}: no JSON: {error}") from error
    wanted = ("id", "title", "text", "decision")
    if not isinstance(row, dict) or not all(isinstance(row.get(key), str) and row[key].strip() for key in wanted):
        raise UsageError(f"{where}: must be an object with the texts {', '.join(wanted)}")
    ratings = row.get("ratings") or []
    if not isinstance(ratings, list) or not all(type(rating) in (int, float) for rating in ratings):
        raise UsageError(f"{where}: ratings must be a list of numbers")
    decision = row["decision"].strip().casefold()
    label = next((label for label in LABELS if decision.startswith(label)), "")
    # The same paper submitted twice must not stand in two splits: papers of one title belong together.
    title = " ".join(re.findall(r"\w+", row["title"].casefold()))
    return {**row, "label": label, "group": str(row.get("group") or title), "ratings": ratings}


def _parted(text: str) -> tuple[str, str]:
    """Abstract and body of a scrubbed text, which begins with the abstract; the former is empty where none is found."""
    heading = _INTRODUCTION.search(text, 0, _LONGEST_ABSTRACT)
    return (text[: heading.start()].strip(), text[heading.start() :].strip()) if heading else ("", text)


def _leak(papers: Sequence[Mapping[str, Any]], members: Sequence[str], source: Path, random_seed: int) -> Leak:
    texts = ["\n".join(paper[member] for member in members) for paper in papers]
    accepted = [paper["label"] == "accept" for paper in papers]
    try:
        return measure_leak(texts, accepted, [paper["group"] for paper in papers], random_seed=random_seed)
    except ValueError as error:
        raise DataUnavailable(
            f"{source}: whether words give the label away cannot be measured: {error}", hint="Give more papers."
        ) from error


def _record(paper: Mapping[str, Any], split: Split, canary: str) -> dict[str, Any]:
    ratings = paper["ratings"]
    rated = {"ratings": ratings, "mean_rating": sum(ratings) / len(ratings)} if ratings else {}
    return {
        "id": f"fulltext/{paper['id']}",
        "domain": "paper_review",
        "source": "fulltext",
        "split": split,
        "group": f"fulltext/{hashlib.sha256(paper['group'].encode()).hexdigest()[:16]}",
        "input": {field: paper[field] for field in FIELDS},
        "hidden": {"label": paper["label"], "decision": paper["decision"], **rated},
        "meta": {"canary": canary} if canary else {},
    }


_HINT = "Take out of the texts what these words come from; if they are about the matter itself, give another bound."


def _refusal(source: Path, leak: Leak, bound: float) -> str:
    words = ", ".join(f"{word} ({'+' if weight > 0 else '-'})" for word, weight in leak.telling[:_WORDS_SHOWN])
    return (
        f"{source} is refused: words alone tell accepted from rejected papers with an AUC of {_figure(leak.words)}, "
        f"above the bound of {bound:.2f}. Most telling (+ accepted, - rejected): {words}"
    )


def _figure(interval: Interval) -> str:
    return f"{interval.estimate:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
