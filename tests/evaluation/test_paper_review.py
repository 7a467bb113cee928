"""The pack paper_review: its generator's labels are true and cannot be guessed, its real data is what it says."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from string import Formatter
from types import ModuleType
from typing import Any

import pytest

from hyperagent.errors import DataUnavailable
from hyperagent.evaluation.fetch import fetch, read_ids
from hyperagent.evaluation.leaks import Leak, measure_leak
from hyperagent.evaluation.manifest import load_module, read_manifest
from hyperagent.evaluation.pack import load_pack

Record = dict[str, Any]
CELL = re.compile(r"([\d.]+) \[([\d.]+), ([\d.]+)\]")


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    return load_module(read_manifest("paper_review"), "generator.py")


@pytest.fixture(scope="module")
def records(generator: ModuleType) -> list[Record]:
    made: list[Record] = generator.generate(7, 1200)
    return made


def leak_of(records: list[Record], longest: int) -> Leak:
    texts = ["\n".join(record["input"].values()) for record in records]
    accepted = [record["hidden"]["label"] == "accept" for record in records]
    return measure_leak(texts, accepted, [record["group"] for record in records], longest=longest)


def with_flaw(records: list[Record], kind: str) -> list[tuple[Record, str]]:
    return [(r, flaw["span"]) for r in records for flaw in r["hidden"]["flaws"] if flaw["kind"] == kind]


def twins(records: list[Record]) -> list[tuple[Record, Record]]:
    """(accepted, rejected) of each group."""
    pairs = zip(records[::2], records[1::2], strict=True)
    return [(a, b) if a["hidden"]["label"] == "accept" else (b, a) for a, b in pairs]


def table(record: Record) -> dict[str, list[tuple[float, float, float]]]:
    rows = [line.strip("| ").split(" | ") for line in record["input"]["manuscript"].split("\n") if line[:1] == "|"]
    cells = {row[0]: [CELL.fullmatch(cell) for cell in row[1:]] for row in rows[1:]}
    return {
        name: [tuple(float(figure) for figure in match.groups()) for match in row if match]  # type: ignore[misc]
        for name, row in cells.items()
    }


# -- the generator ---------------------------------------------------------------------------------


def test_same_seed_same_records(generator: ModuleType) -> None:
    assert generator.generate(3, 60) == generator.generate(3, 60)
    assert generator.generate(3, 60) != generator.generate(4, 60)


@pytest.mark.parametrize("count", [0, 1, 7, 12, 100, 600])
def test_makes_as_many_as_asked_for(generator: ModuleType, count: int) -> None:
    made = generator.generate(1, count)
    assert len(made) == count
    assert len({record["id"] for record in made}) == count


def test_labels_are_balanced_in_every_split_and_group(records: list[Record]) -> None:
    counts = Counter((record["split"], record["hidden"]["label"]) for record in records)
    for split, n in (("train", 200), ("validation", 100), ("test", 300)):
        assert counts[split, "accept"] == counts[split, "reject"] == n
    for accepted, rejected in twins(records):
        assert accepted["group"] == rejected["group"]
        assert accepted["split"] == rejected["split"]
        assert rejected["hidden"]["label"] == "reject"
    assert set(Counter(record["group"] for record in records).values()) == {2}
    assert len({record["input"]["manuscript"] for record in records}) == len(records)


def test_neither_the_id_nor_the_place_in_the_group_shows_the_label(records: list[Record]) -> None:
    first = [record["hidden"]["label"] for record in records if record["id"].endswith("/0")]
    assert 250 < first.count("accept") < 350


def test_the_label_follows_from_the_worst_flaw(records: list[Record], generator: ModuleType) -> None:
    for record in records:
        hidden = record["hidden"]
        worst = {flaw["severity"] for flaw in hidden["flaws"]}
        assert (hidden["label"] == "reject") == ("major" in worst)
        assert hidden["checklist"] == {
            kind: any(flaw["kind"] == kind for flaw in hidden["flaws"]) for kind in generator.FLAWS
        }
        assert (hidden["mean_rating"] > 5) == (hidden["label"] == "accept")
    accepted = [record for record in records if record["hidden"]["label"] == "accept"]
    assert 0.5 < sum(bool(record["hidden"]["flaws"]) for record in accepted) / len(accepted) < 0.9


def test_every_kind_is_planted(records: list[Record], generator: ModuleType) -> None:
    counts = Counter(flaw["kind"] for record in records for flaw in record["hidden"]["flaws"])
    assert set(counts) == set(generator.FLAWS)
    assert len(generator.MAJOR) >= 10
    assert min(counts.values()) >= 20


def test_every_span_stands_once_and_verbatim_in_the_manuscript(records: list[Record]) -> None:
    for record in records:
        manuscript, hidden = record["input"]["manuscript"], record["hidden"]
        assert hidden["spans"] == [flaw["span"] for flaw in hidden["flaws"]]
        assert all(manuscript.count(span) == 1 and len(span) >= 20 for span in hidden["spans"])
        places = [manuscript.index(span) for span in hidden["spans"]]
        assert all(a <= b for a, b in pairwise(places))


def test_manuscripts_have_the_length_and_the_parts_of_one(records: list[Record]) -> None:
    for record in records:
        given = record["input"]
        assert 150 <= len(" ".join(given.values()).split()) <= 450
        headings = [part for part in given["manuscript"].split("\n\n") if " " not in part]
        assert headings == ["Method", "Experiments", "Results", "Limitations"]
        assert "{" not in json.dumps(given)[1:-1]


def test_sound_and_flawed_wordings_hold_the_same_words(generator: ModuleType) -> None:
    def words(form: str) -> list[str]:
        bare = re.sub(r"\{\w+\}", "", form).casefold()
        return sorted(re.findall(r"[\w.]+", bare.rstrip(".")))

    def slots(form: str) -> set[str]:
        return {name for _, name, _, _ in Formatter().parse(form) if name}

    folds = {"fit", "tune", "final", "second", "other"}  # names drawn anew for every study
    for flaw in generator.FLAWS.values():
        for sound, flawed in flaw.forms:
            assert words(sound) == words(flawed), flaw.kind
            assert slots(sound) ^ slots(flawed) <= folds, flaw.kind


# -- are the flaws what they say? A reader that redoes the check finds each of them, and none in the sound twin. -----


def test_folds(records: list[Record]) -> None:
    for kind in ("leakage", "test_tuning"):
        for record, span in with_flaw(records, kind):
            final = re.search(r"Table 1: .* on fold (\w),", record["input"]["manuscript"])
            assert final
            if "fold" in span:
                assert f"fold {final[1]}" in span


def test_the_strongest_method_is_missing_exactly_where_that_is_planted(records: list[Record]) -> None:
    claim = re.compile(r"(?:task is|So far) (\w+)(?:,| has)")
    for record in records:
        if match := claim.search(record["input"]["manuscript"]):
            assert (match[1] not in table(record)) == record["hidden"]["checklist"]["missing_baseline"]


def test_many_comparisons(records: list[Record]) -> None:
    for record in records:
        match = re.search(r"p = ([\d.]+)\d", record["input"]["manuscript"])
        number = re.search(r"(\d+) subgroups", record["input"]["manuscript"])
        if match and number:
            corrected = float(match[1]) * int(number[1]) < 0.05
            assert corrected != record["hidden"]["checklist"]["many_comparisons"]


def test_intervals_overlap_exactly_where_that_is_planted(records: list[Record]) -> None:
    for record in records:
        rows = list(table(record).values())
        rival, ours = rows[1][0], rows[2][0]
        assert ours[0] > rival[0]
        assert (ours[1] <= rival[2]) == record["hidden"]["checklist"]["overlapping_intervals"]


def test_the_gain_in_the_text_is_the_tables_unless_planted(records: list[Record]) -> None:
    for record in records:
        rows = list(table(record).values())
        stated = re.search(r"([\d.]+) points", record["input"]["abstract"])
        assert stated
        same = abs(float(stated[1]) - (rows[2][0][0] - rows[1][0][0])) < 0.05
        assert same != record["hidden"]["checklist"]["inconsistent_numbers"]


def test_the_table_shows_the_metric_of_the_abstract_unless_planted(records: list[Record]) -> None:
    for record in records:
        caption = re.search(r"Table 1: (.*) in points", record["input"]["manuscript"])
        assert caption
        same = caption[1].casefold() in record["input"]["abstract"].casefold()
        assert same != record["hidden"]["checklist"]["metric_mismatch"]
    assert all(span.startswith("Table 1: ") for _, span in with_flaw(records, "metric_mismatch"))


def test_a_copied_number_is_the_tables_unless_planted(records: list[Record]) -> None:
    for record in records:
        match = re.search(r"(\w+) (?:has|reaches) (\d\d\.\d) on", record["input"]["manuscript"])
        if match:
            same = float(match[2]) == table(record)[match[1]][1][0]
            assert same != record["hidden"]["checklist"]["copying_slip"]


# -- the three leaks: groups, words, length --------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1])
def test_words_and_length_do_not_give_the_label_away(generator: ModuleType, seed: int) -> None:
    leak = leak_of(generator.generate(seed, 480), longest=1)
    assert leak.words.estimate < 0.58
    assert 0.45 < leak.length.estimate < 0.55


def test_pairs_of_words_tell_little(generator: ModuleType) -> None:
    """Some flaws are made of word order, so not nothing."""
    assert leak_of(generator.generate(0, 300), longest=2).words.estimate < 0.70


def test_generated_pack_keeps_what_is_hidden_out_of_the_input(no_data: Path) -> None:
    pack = load_pack("paper_review")
    assert pack.source == "generated"
    seen = [task for split in ("train", "validation", "test") for task in pack.tasks(split)]  # type: ignore[arg-type]
    assert [len(pack.tasks(split)) for split in ("train", "validation", "test")] == [200, 100, 300]  # type: ignore[arg-type]
    for task in seen:
        assert set(task.input) == {"title", "abstract", "manuscript", "instructions", "answers"}
        shown = task.input["title"] + task.input["abstract"] + task.input["manuscript"]
        assert not re.search(r"\b(?:accept|reject)", shown, re.IGNORECASE)
        assert not any(re.search(rf"\b{kind}\b", shown) for kind in task.hidden["checklist"])
    task = seen[0]
    right = task.hidden["label"]
    assert pack.grade(task, {"response": right, "confidence": 0.9, "citations": list(task.hidden["spans"])}).score == 1
    assert pack.grade(task, right.upper()).score == 1
    assert not pack.grade(task, f"I would {right} it").valid


def test_the_manifest_says_what_a_confidence_is_about(no_data: Path) -> None:
    manifest = read_manifest("paper_review")
    assert manifest.positive == "accept"
    assert manifest.rating_field == "mean_rating"
    assert [source.name for source in manifest.sources] == ["iclr2022", "fulltext", "generated"]
    assert all(source.labels == ("accept", "reject") for source in manifest.sources)
    assert [source.length_field for source in manifest.sources] == ["abstract", "manuscript", "manuscript"]


def test_without_a_mirror_the_abstracts_cannot_be_had_and_that_is_said(tmp_path: Path, no_data: Path) -> None:
    with pytest.raises(DataUnavailable) as caught:
        fetch("paper_review", "iclr2022", cache=tmp_path)
    assert "--from DIR" in caught.value.hint


def test_the_id_list_is_balanced_in_size_and_says_no_label() -> None:
    pairs = read_ids(read_manifest("paper_review").path / "iclr2022_ids.txt")
    assert Counter(split for _, split in pairs) == {"train": 100, "validation": 100, "test": 134}
    assert len(dict(pairs)) == 334


@pytest.fixture
def iclr(mirror: Path, tmp_path: Path) -> Path:
    """A cache with the abstracts, made of the mirror's file."""
    fetch("paper_review", "iclr2022", from_directory=mirror, cache=tmp_path)
    return tmp_path


@pytest.mark.data
def test_real_abstracts_are_balanced_grouped_and_bare(iclr: Path) -> None:
    pack = load_pack("paper_review", "iclr2022", data=iclr)
    groups: set[str] = set()
    for split, n in (("train", 100), ("validation", 100), ("test", 134)):
        tasks = pack.tasks(split)  # type: ignore[arg-type]
        assert Counter(task.hidden["label"] for task in tasks) == {"accept": n // 2, "reject": n // 2}
        assert not groups & {task.group for task in tasks}
        groups |= {task.group for task in tasks}
        for task in tasks:
            assert set(task.input) == {"title", "abstract", "instructions", "answers"}
            shown = f"{task.input['title']} {task.input['abstract']}"
            assert not re.search(
                r"double.blind|under review|published as|anonymous authors|@\w+\.", shown, re.IGNORECASE
            )
            assert 1 <= task.hidden["mean_rating"] <= 10


@pytest.mark.data
def test_words_of_real_abstracts_tell_next_to_nothing(iclr: Path) -> None:
    pack = load_pack("paper_review", "iclr2022", data=iclr)
    tasks = [task for split in ("train", "validation", "test") for task in pack.tasks(split)]  # type: ignore[arg-type]
    leak = measure_leak(
        [f"{task.input['title']}\n{task.input['abstract']}" for task in tasks],
        [task.hidden["label"] == "accept" for task in tasks],
        [task.group for task in tasks],
    )
    assert leak.words.estimate < 0.6
    assert 0.4 < leak.length.estimate < 0.6


@pytest.mark.data
def test_a_label_written_into_the_abstracts_would_be_seen(iclr: Path) -> None:
    pack = load_pack("paper_review", "iclr2022", data=iclr)
    tasks = pack.tasks("test")
    telling = {"accept": "Published as a conference paper.", "reject": "Under double-blind review."}
    leak = measure_leak(
        [f"{task.input['abstract']} {telling[task.hidden['label']]}" for task in tasks],
        [task.hidden["label"] == "accept" for task in tasks],
        [task.group for task in tasks],
    )
    assert leak.words.estimate > 0.99
