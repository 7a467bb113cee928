"""What a page is made from: bounded, cleaned, the same figures as everywhere else, nothing of the hidden test."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from page_archive import HOSTILE, TASKS, make_campaign

from hyperagent import assembly
from hyperagent.assembly import pages, results
from hyperagent.protocols import Archive
from hyperagent.report.page import policy, render


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    home = tmp_path_factory.mktemp("home")
    writer = assembly.open_archive(home, write=True, create=True)
    make_campaign(writer)
    writer.close()
    reader = assembly.open_archive(home)
    yield reader
    reader.close()


@pytest.fixture(scope="module")
def data(archive: Archive) -> dict[str, object]:
    return assembly.page_data(archive, archive.campaign("tiny"))


def test_figures_are_those_of_the_other_verbs(archive: Archive, data: dict) -> None:
    columns = data["variants"]
    for index, variant in enumerate(archive.variants("tiny")):
        assert columns["id"][index] == variant.id
        span = assembly.interval(archive, variant)
        assert columns["n"][index] == (span.n if span else 0)
        if span is not None:
            assert columns["low"][index] == pytest.approx(span.low, abs=1e-4)
            assert columns["high"][index] == pytest.approx(span.high, abs=1e-4)
        if columns["against"][index]:
            parent = archive.variant(variant.parent)
            test = assembly.paired(archive, parent, variant, "validation")
            won, lost, n, p = columns["against"][index]
            assert (won, lost, n) == (test.wins, test.losses, test.n)
            assert p == pytest.approx(test.p_value, rel=1e-2)
    assert columns["score"][data["best"]] == max(score for score in columns["score"] if score is not None)
    assert sum(columns["tokens"]) == archive.spend(archive.campaign("tiny").id).tokens
    assert data["against_seed"][:2] == [7, 0]


def test_task_rows(data: dict) -> None:
    validation = data["sets"][0]
    assert (validation["benchmark"], validation["split"]) == ("math_grading", "validation")
    assert len(validation["tasks"]) == len(TASKS)
    assert validation["rows"][0] == "kkkk!!!!!!!!"
    assert validation["rows"][5] == "!!"  # screened out: the rest did not run
    assert validation["rows"][3] == ""  # no effect: nothing ran
    assert validation["scores"][3] is None


def test_hidden_test_is_shown_only_where_asked_for(archive: Archive, data: dict) -> None:
    assert [one["split"] for one in data["sets"]] == ["validation", "train"]
    assert "test-t0" not in json.dumps(data)
    asked = assembly.page_data(archive, archive.campaign("tiny"), hidden=True)
    assert [one["split"] for one in asked["sets"]] == ["validation", "train", "test"]
    assert asked["sets"][2]["rows"][1] == "k" * 12


def test_findings(data: dict) -> None:
    found = {one["text"]: one for one in data["findings"]}
    warning = next(text for text in found if "isolates <nothing>" in text)
    assert found[warning]["level"] == "warn"
    assert any("without an answer that counts" in text for text in found)
    assert any("no controls beside the best score" in text for text in found)  # there is no such data: said, no error


def test_one_answer_to_everything_is_a_finding(tmp_path: Path) -> None:
    from page_archive import add_step

    archive = assembly.open_archive(tmp_path, write=True, create=True)
    try:
        campaign = archive.create_campaign("c", 1, {})
        above = None
        for step in (0, 1, 2, 4, 7, 8):  # steps 7 and 8 answer "yes" to 11 of 12, nobody to all
            above = add_step(archive, campaign, step, above) or above
        assert not _constant(archive, campaign.id)
        steps = archive.variants(campaign.id)
        one = archive.start_evaluation(
            steps[0].id, "other", "validation", TASKS, 0, "x", archive.evaluations(steps[0].id)[0].sandbox
        )
        from hyperagent.types import Outcome

        for task in TASKS:
            archive.add_outcome(one.id, Outcome(task, "scored", 0.0, '"no"'))
        assert _constant(archive, campaign.id) == [0]
    finally:
        archive.close()


def _constant(archive: Archive, campaign: str) -> list[int]:
    found = assembly.page_data(archive, archive.campaign(campaign))["findings"]
    return next((one["steps"] for one in found if "the same answer" in one["text"]), [])


def test_diffs_are_cut_and_fit(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = archive.campaign("tiny")
    whole = assembly.page_data(archive, campaign)["diffs"]
    steps = archive.variants(campaign.id)
    assert whole["1"] == archive.diff(steps[0].commit, steps[1].commit)
    assert len(whole["2"]) < 2 * pages.LONGEST_LINE + 600  # a line of 900,000 characters is in there
    assert "[...]" in whole["2"]
    assert "+answer = 2" in whole["2"]  # and hides nothing
    monkeypatch.setattr(pages, "ALL_DIFFS", 300)
    few = assembly.page_data(archive, campaign)["diffs"]
    assert few.keys() == whole.keys()
    assert sum(map(len, few.values())) <= 300
    assert few["7"]  # the best one's comes first


def test_reasons_fit(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = archive.campaign("tiny")
    notes = assembly.page_data(archive, campaign)["notes"]
    assert notes["texts"][0] == "wrong"
    assert [row[1:] for row in notes["of"]["0"] if row[0] == 0] == [[task, 0] for task in range(4, 12)]
    monkeypatch.setattr(results, "ALL_TEXTS", 10)
    few = assembly.page_data(archive, campaign)["notes"]
    assert few["texts"] == ["wrong"]
    assert few["of"]["0"] == notes["of"]["0"]


def test_many_diffs_are_those_of_one_at_a_time(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    from hyperagent.archive import lineage

    monkeypatch.setattr(lineage, "_BATCH", 2)
    programs = [one for one in archive.variants("tiny") if one.tree]
    pairs = [(a, b) for a in programs for b in programs]
    many = list(archive.diffs([(a.tree, b.tree) for a, b in pairs]))
    assert many == [archive.diff(a.commit, b.commit) for a, b in pairs]
    assert list(archive.diffs([("", programs[0].tree)])) == [archive.diff("", programs[0].commit)]


def test_text_of_programs_cannot_leave_its_block(data: dict) -> None:
    text = render(data, title="<b>tiny</b>")
    block = text.split('<script type="application/json" id="data">')[1].split("</script>")[0]
    assert json.loads(block)["variants"] == data["variants"]
    assert "<" not in block
    assert block.isascii()
    assert "<title>&lt;b&gt;tiny&lt;/b&gt;</title>" in text
    assert text.count("</script>") == 2
    shown = json.dumps(data, ensure_ascii=False)
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x1b\0\ud800-\udfff]", shown)
    assert HOSTILE not in shown


def test_policy_allows_no_request() -> None:
    rules = dict(part.strip().split(" ", 1) for part in policy(served=False).split(";"))
    assert rules["default-src"] == "'none'"
    assert "connect-src" not in rules
    assert "unsafe" not in policy(served=True)
    assert "connect-src 'self'" in policy(served=True)


def test_index(archive: Archive) -> None:
    (row,) = assembly.index_data(archive)["campaigns"]
    assert (row["name"], row["attempts"], row["best"][0]) == ("tiny", 9, 7)
    assert assembly.index_mark(archive) == archive.newest_event(archive.campaign("tiny").id) > 0


def test_a_campaign_without_variants(tmp_path: Path) -> None:
    archive = assembly.open_archive(tmp_path, write=True, create=True)
    try:
        empty = assembly.page_data(archive, archive.create_campaign("none", 1, {}))
        assert (empty["best"], empty["sets"]) == (None, [])
        assert "none" in render(empty, title="none")
    finally:
        archive.close()
