"""``export`` and ``import`` as a person types them."""

from __future__ import annotations

import csv
import io
import json
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hyperagent import assembly
from hyperagent.archive import open_archive
from hyperagent.assembly.outcomes import cell
from hyperagent.types import Outcome, SandboxInfo

Invoke = Callable[..., Any]
FORMULAS = ('=HYPERLINK("http://x")', "+1", "-1", "@SUM(1)", "  =1", "\t=1", "\r=1", "＝1", "＋1", "－1", "＠1")  # noqa: RUF001


@pytest.fixture
def real(fake: Any) -> None:
    """The real functions of sharing, on the fake assembly of these tests."""
    for name in ("best", "export_bundle", "export_outcomes", "export_program", "import_bundle"):
        setattr(fake, name, getattr(assembly, name))


pytestmark = pytest.mark.usefixtures("real")


def test_a_campaign_goes_from_one_archive_to_another(invoke: Invoke, home: Path, tmp_path: Path) -> None:
    file, away = tmp_path / "tiny.hyb", tmp_path / "away" / "archive"
    made = invoke("export", "tiny", "-o", str(file))
    assert made.exit_code == 0, made.output
    assert "wrote 4 variants, 40 outcomes and 0 calls" in made.stderr
    taken = invoke("import", str(file), archive=away)
    assert taken.exit_code == 0, taken.output
    assert "variants  4" in taken.stdout
    assert "hyperagent replay" in taken.stderr
    assert invoke("verify", archive=away).exit_code == 0
    here, there = (json.loads(invoke("lineage", "tiny", "--json", archive=one).stdout) for one in (home, away))
    assert here == there
    shown = [invoke("show", "tiny/1", archive=one).stdout.replace(str(one), "HOME") for one in (home, away)]
    assert shown[0] == shown[1]
    again = invoke("import", str(file), "--as", "other", archive=away)
    assert again.exit_code == 2
    assert "in the archive already" in again.stderr
    assert "Traceback" not in again.output


def test_json_says_what_was_written_and_taken(invoke: Invoke, home: Path, tmp_path: Path) -> None:
    file = tmp_path / "tiny.hyb"
    made = json.loads(invoke("export", "tiny", "-o", str(file), "--no-calls", "--json").stdout)
    assert (made["campaign"], made["calls"], made["counts"]["variant"]) == ("tiny", False, 4)
    taken = json.loads(invoke("import", str(file), "--as", "theirs", "--json", archive=tmp_path / "b").stdout)
    assert (taken["campaign"]["name"], taken["variants"]) == ("theirs", 4)


@pytest.mark.parametrize("words", [("tiny", "--lineage", "tiny/3"), ("tiny/3",)])
def test_a_variant_means_it_and_its_ancestors(
    invoke: Invoke, home: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    file = tmp_path / "line.hyb"
    assert invoke("export", *words, "-o", str(file)).exit_code == 0
    invoke("import", str(file), archive=tmp_path / "b")
    found = json.loads(invoke("ls", "tiny", "--json", archive=tmp_path / "b").stdout)["variants"]
    assert [one["step"] for one in found] == [0, 1, 3]
    table = tmp_path / "line.jsonl"
    assert invoke("export", *words, "--outcomes", str(table)).exit_code == 0
    assert {json.loads(line)["step"] for line in table.read_text().splitlines()} == {0, 1}


def test_a_folder_means_the_program(invoke: Invoke, home: Path, tmp_path: Path) -> None:
    done = invoke("export", "tiny/1", str(tmp_path / "program"))
    assert done.exit_code == 0, done.output
    assert (tmp_path / "program" / "task_agent.py").read_bytes().startswith(b"answer = 2\n")
    assert invoke("export", "tiny/1", str(tmp_path / "program")).exit_code == 2
    assert invoke("export", "tiny/2", str(tmp_path / "none")).exit_code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("export tiny", "one place to write to"),
        ("export tiny x -o y", "one place to write to"),
        ("export tinny -o x.hyb", "no campaign 'tinny'"),
        ("export tiny -o no/such/folder/x.hyb", "cannot be written"),
        ("export tiny --outcomes x.xlsx", "no ending that says its format"),
        ("export tiny -o x.hyb --lineage 0123456789ab", "no variant"),
        ("import nowhere.hyb", "there is no bundle"),
    ],
)
def test_wrong_words_name_what_to_do(
    invoke: Invoke, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    done = invoke(*words.split())
    assert (done.exit_code, "Traceback" in done.output) == (2, False)
    assert said in done.stderr
    assert "hint:" in done.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_a_file_is_never_overwritten_unasked(invoke: Invoke, home: Path, tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("mine")
    assert invoke("export", "tiny", "--outcomes", str(file)).exit_code == 2
    assert file.read_text() == "mine"
    assert invoke("export", "tiny", "--outcomes", str(file), "--force").exit_code == 0
    assert len(file.read_text().splitlines()) == 41


def test_a_file_that_is_no_bundle_exits_with_7(invoke: Invoke, home: Path, tmp_path: Path) -> None:
    (tmp_path / "x.hyb").write_bytes(b"PK\x03\x04 nonsense")
    done = invoke("import", str(tmp_path / "x.hyb"))
    assert (done.exit_code, "Traceback" in done.output) == (7, False)
    assert "is no bundle" in done.stderr


# -- tables


@pytest.fixture
def hostile(home: Path) -> Path:
    """The archive with predictions that a spreadsheet, a terminal or UTF-8 would stumble over, and a hidden test."""
    with open_archive(home, write=True) as archive:
        campaign = archive.create_campaign("hostile", 1, {})
        variant = archive.start_step(campaign.id, 0, None, {})
        info = SandboxInfo("process", "none")
        nasty = [*FORMULAS, "\x1b[2J\x1b]0;owned\x07", "\u202eabc", "a\nb", 'say "x", y', "\ud800", "x" * 100_000]
        tasks = [f"t{number}" for number in range(len(nasty))]
        evaluation = archive.start_evaluation(variant.id, "m", "train", tasks, 0, "c", info)
        for task, text in zip(tasks, nasty, strict=True):
            archive.add_outcome(evaluation.id, Outcome(task, "scored", 1.0, text, text))
        hidden = archive.start_evaluation(variant.id, "m", "test", ["h"], 0, "c", info)
        archive.add_outcome(hidden.id, Outcome("h", "scored", 1.0, '"secret"'))
    return home


def test_a_csv_runs_nothing_and_moves_no_cursor(invoke: Invoke, hostile: Path, tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    assert invoke("export", "hostile", "--outcomes", str(file)).exit_code == 0
    text = file.read_bytes().decode()
    assert {unicodedata.category(one) for one in text if one not in "\r\n\t"}.isdisjoint({"Cc", "Cf", "Cs", "Co"})
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) == 17
    for row in rows:
        for value in row.values():
            assert not value.lstrip().startswith(tuple("=+-@＝＋－＠")), value  # noqa: RUF001
    assert rows[0]["prediction"] == '\'=HYPERLINK("http://x")'
    assert rows[13]["prediction"] == "a\nb"
    assert rows[14]["prediction"] == 'say "x", y'
    assert float(rows[0]["score"]) == 1.0


def test_json_lines_keep_every_character_in_ascii(invoke: Invoke, hostile: Path, tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    done = json.loads(invoke("export", "hostile", "--outcomes", str(file), "--json").stdout)
    rows = [json.loads(line) for line in file.read_bytes().decode("ascii").splitlines()]
    assert done["rows"] == len(rows) == 17
    assert rows[11]["prediction"] == "\x1b[2J\x1b]0;owned\x07"
    assert rows[15]["prediction"] == "\ud800"
    assert b"\x1b" not in file.read_bytes()


def test_the_hidden_test_is_written_only_when_asked_for(invoke: Invoke, hostile: Path, tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    invoke("export", "hostile", "--outcomes", str(file))
    assert "secret" not in file.read_text()
    invoke("export", "hostile", "--outcomes", str(file), "--with-test", "--force")
    assert "secret" in file.read_text()


def test_parquet_without_pyarrow_says_what_to_install(
    invoke: Invoke, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # type: ignore[arg-type]
    done = invoke("export", "tiny", "--outcomes", str(tmp_path / "x.parquet"))
    assert done.exit_code == 3
    assert "pip install pyarrow" in done.stderr
    assert not (tmp_path / "x.parquet").exists()


def test_parquet_with_pyarrow_reads_back(invoke: Invoke, hostile: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "x.parquet"
    assert invoke("export", "hostile", "--outcomes", str(file)).exit_code == 0
    rows = parquet.read_table(file).to_pylist()
    assert len(rows) == 17
    assert rows[0]["prediction"] == FORMULAS[0]
    assert rows[0]["parent"] is None
    assert (rows[0]["score"], rows[0]["step"]) == (1.0, 0)


def test_parquet_gets_one_table_a_batch(fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is handed to pyarrow, where it is not installed: typed columns, text that UTF-8 can hold."""
    from hyperagent.assembly import outcomes

    written: list[Any] = []

    class Writer:
        def __init__(self, file: Any, schema: Any) -> None:
            written.append(schema)

        def __enter__(self) -> Writer:
            return self

        def __exit__(self, *_: object) -> None: ...

        def write_table(self, table: Any) -> None:
            written.append(table)

    arrow = SimpleNamespace(
        int64=lambda: "i",
        float64=lambda: "f",
        string=lambda: "s",
        schema=dict,
        Table=SimpleNamespace(from_pylist=lambda rows, schema: list(rows)),
    )
    monkeypatch.setitem(sys.modules, "pyarrow", arrow)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", SimpleNamespace(ParquetWriter=Writer))  # type: ignore[arg-type]
    monkeypatch.setattr(outcomes, "_PARQUET_ROWS", 2)
    row = outcomes.OutcomeRow("c", 0, "v", None, "b", "train", "t", 1.0, "scored", 0.0, 0, 0, 0.0, "\ud800", "")
    assert outcomes.write_outcomes(io.BytesIO(), ".parquet", [row] * 5) == 5
    schema, *batches = written
    assert (schema["step"], schema["score"], schema["parent"]) == ("i", "f", "s")
    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert batches[0][0]["prediction"] == "?"


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_becomes_text(text: str) -> None:
    assert cell(text)[0] in "'\\"


@pytest.mark.parametrize("text", ["plain", '"=1+1"', "1.5", "", "a=b"])
def test_other_text_stays(text: str) -> None:
    assert cell(text) == text
