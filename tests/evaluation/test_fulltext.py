"""The importer of full texts: what it takes out, how it splits, and what it refuses."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from hyperagent.errors import DataUnavailable, UsageError
from hyperagent.evaluation.fulltext import assign_splits, import_fulltext
from hyperagent.evaluation.scrubbing import scrub

WORDS = [f"{a}{b}{c}" for a in "bdfgk" for b in "aeiou" for c in ("lor", "mun", "pesk", "tiv")]
ACCEPTED = """Published as a conference paper at NOWHERE 2031

# A Study of Things

Ada Example*, Bo Muster
University of Somewhere
{{ada,bo}}@somewhere.edu

ABSTRACT

{abstract}

1 INTRODUCTION

{body} Code is available at https://github.com/ada/things and www.things.org/code. We will release more upon acceptance.

Published as a conference paper at NOWHERE 2031
12

{body} See Muster et al. (arXiv:2101.01234v2). The camera-ready version fixes a slip. We thank the anonymous reviewers.

Published as a conference paper at NOWHERE 2031

ACKNOWLEDGEMENTS

We are grateful to our funders, grant 123.

REFERENCES

Bo Muster. Things. arXiv preprint arXiv:2101.01234, 2031.

A PROOFS

{proof}
"""
REJECTED = """Under review as a conference paper at NOWHERE 2031

# A Study of Things

Anonymous authors
Paper under double-blind review

ABSTRACT

{abstract}

1 INTRODUCTION

{body}

Under review as a conference paper at NOWHERE 2031
12

{body} See Muster et al. (arXiv:2101.01234v2).

Under review as a conference paper at NOWHERE 2031

REFERENCES

Someone. Nothing. 2030.

A PROOFS

{proof}
"""


def sentences(chance: random.Random, count: int) -> str:
    return " ".join(" ".join(chance.choices(WORDS, k=8)).capitalize() + "." for _ in range(count))


def papers(count: int, seed: int = 0, planted: str = "") -> list[dict[str, Any]]:
    """Every third one accepted; ``planted`` goes into the accepted ones' bodies."""
    chance = random.Random(seed)
    made = []
    for number in range(count):
        accepted = number % 3 == 0
        text = (ACCEPTED if accepted else REJECTED).format(
            abstract=sentences(chance, 3),
            body=sentences(chance, 6) + (f" {planted}" if accepted and planted else ""),
            proof=sentences(chance, 2),
        )
        decision = "Accept (Poster)" if accepted else "Reject"
        made.append({"id": f"p{number}", "title": f"Title {number}", "text": text, "decision": decision})
    return made


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_what_gives_a_paper_away_is_taken_out() -> None:
    accepted = scrub(ACCEPTED.format(abstract="An abstract that says enough.", body="The matter.", proof="The proof."))
    for word in ("published", "nowhere", "ada", "somewhere", "@", "github", "www", "arxiv:", "camera", "reviewers",
                 "funders", "upon acceptance", "preprint", "\n12\n"):  # fmt: skip
        assert word not in accepted.text.casefold(), word
    for word in ("An abstract that says enough.", "INTRODUCTION", "The matter.", "A PROOFS", "The proof."):
        assert word in accepted.text, word
    assert set(accepted.removed) == {
        "page header", "page number", "author block", "acknowledgements", "references", "link",
        "note on review or authorship", "arXiv id",
    }  # fmt: skip
    rejected = scrub(REJECTED.format(abstract="An abstract that says enough.", body="The matter.", proof="The proof."))
    assert "review" not in rejected.text.casefold()
    assert "anonymous" not in rejected.text.casefold()
    assert "The matter." in rejected.text


def test_without_a_heading_the_lines_of_authors_go() -> None:
    found = scrub("Ada Example, University of Somewhere\nada@somewhere.edu\nThings are studied here.\nThey are many.")
    assert found.text == "Things are studied here.\nThey are many."


def test_tables_and_numbers_of_the_matter_stay() -> None:
    table = "| a | 12 |\n| a | 12 |\n| a | 12 |\nIn the blind spot 3 things were published in 1990."
    assert scrub(f"Abstract\n\nWe study here what can be said of the things.\n\n{table}").text.endswith(table)


def test_scrubbing_twice_changes_nothing() -> None:
    once = scrub(ACCEPTED.format(abstract="An abstract that says enough.", body="The matter.", proof="The proof.")).text
    assert scrub(once).text == once


def test_an_import_scrubs_splits_and_reports(tmp_path: Path) -> None:
    rows = [{**row, "ratings": [3, 6.0]} for row in papers(90)] + [
        {"id": "w", "title": "Gone", "text": "x", "decision": "Withdrawn"}
    ]
    report = import_fulltext(write(tmp_path / "in.jsonl", rows), tmp_path / "new" / "out.jsonl", canary="c")
    records = [json.loads(line) for line in report.target.read_text().splitlines()]
    assert report.before.words.estimate > 0.99
    assert report.after.words.estimate < 0.70
    assert report.left_out == {"neither accepted nor rejected": 1, "more of one label than of the other": 30}
    counts = Counter((record["split"], record["hidden"]["label"]) for record in records)
    assert counts == {
        (split, label): n
        for split, n in (("train", 10), ("validation", 5), ("test", 15))
        for label in ("accept", "reject")
    }
    assert report.splits == {"train": 20, "validation": 10, "test": 30}
    assert report.removed["author block"] == 90
    first = records[0]
    assert set(first["input"]) == {"title", "abstract", "manuscript"}
    assert first["input"]["manuscript"].startswith("1 INTRODUCTION")
    assert first["hidden"]["mean_rating"] == 4.5
    assert first["meta"] == {"canary": "c"}
    assert not any("ADA" in json.dumps(record["input"]).upper() for record in records)


def test_a_leak_that_is_left_is_refused_with_its_words(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", papers(60, planted="This zebra was liked by everybody."))
    with pytest.raises(DataUnavailable, match=r"AUC of \d.\d+ \[.*above the bound of 0.70.*zebra \(\+\)") as caught:
        import_fulltext(source, tmp_path / "out.jsonl")
    assert caught.value.exit_code == 3
    assert caught.value.message.count("(+)") + caught.value.message.count("(-)") == 20
    assert not (tmp_path / "out.jsonl").exists()
    assert import_fulltext(source, tmp_path / "out.jsonl", bound=1.0).after.words.estimate > 0.99


def test_same_input_same_bytes(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", papers(60))
    first = import_fulltext(source, tmp_path / "a.jsonl").target.read_bytes()
    assert import_fulltext(source, tmp_path / "b.jsonl").target.read_bytes() == first
    assert import_fulltext(source, tmp_path / "c.jsonl", random_seed=1).target.read_bytes() != first


def test_papers_of_one_title_or_group_share_a_split(tmp_path: Path) -> None:
    rows = papers(90)
    for index, row in enumerate(rows):
        row["title"] = f"Things, {index // 2}" if index % 2 else f"THINGS {index // 2}"
    for row in rows[:30]:
        row["group"] = "authors of one house"
    report = import_fulltext(write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl")
    homes = defaultdict(set)
    for line in report.target.read_text().splitlines():
        record = json.loads(line)
        homes[record["group"]].add(record["split"])
        homes[record["input"]["title"].replace(",", "").upper()].add(record["split"])
    assert all(len(splits) == 1 for splits in homes.values())


def test_splits_follow_names_and_not_the_order_of_lines() -> None:
    rows = [(f"g{index}", "accept" if index % 2 else "reject") for index in range(60)]
    home = dict(zip(rows, assign_splits(rows, 0), strict=True))
    backwards = rows[::-1]
    assert dict(zip(backwards, assign_splits(backwards, 0), strict=True)) == home
    assert Counter(home.values()) == {"train": 20, "validation": 10, "test": 30}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("nonsense", "line 1: no JSON"),
        ("[]", "line 1: must be an object"),
        ('{"id": "a", "title": "t", "text": "", "decision": "Accept"}', "line 1: must be an object"),
        ('{"id": "a", "title": "t", "text": "x", "decision": "Accept", "ratings": ["6"]}', "ratings must be"),
        ('{"id": "a", "title": "t", "text": "x", "decision": "Accept"}\n' * 2, "line 2: the id 'a' stands twice"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path: Path, line: str, why: str) -> None:
    (tmp_path / "in.jsonl").write_text(line)
    with pytest.raises(UsageError, match=why):
        import_fulltext(tmp_path / "in.jsonl", tmp_path / "out.jsonl")


def test_too_few_papers_and_bad_arguments(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", papers(6))
    with pytest.raises(DataUnavailable, match="cannot be measured"):
        import_fulltext(source, tmp_path / "out.jsonl")
    with pytest.raises(UsageError, match="bound"):
        import_fulltext(source, tmp_path / "out.jsonl", bound=0.5)
    with pytest.raises(UsageError, match="cannot be read"):
        import_fulltext(tmp_path / "none.jsonl", tmp_path / "out.jsonl")
