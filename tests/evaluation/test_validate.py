"""``benchmark validate`` and ``benchmark init``: the example is sound, and each thing that can be wrong is found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from hyperagent.errors import NotFoundError, UsageError
from hyperagent.evaluation.manifest import find_packs, read_manifest
from hyperagent.evaluation.pack import Pack, load_pack
from hyperagent.evaluation.predictions import read_predictions
from hyperagent.evaluation.probing import duplicates, verbatim
from hyperagent.evaluation.template import write_pack
from hyperagent.evaluation.validate import Check, failed, validate
from hyperagent.types import Grade, Json, Task


@pytest.fixture
def mine(tmp_path: Path, no_data: Path) -> Path:
    return write_pack("mine", tmp_path)


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def found(checks: Sequence[Check], name: str, source: str = "generated") -> tuple[str, str]:
    return next((c.state, c.detail) for c in checks if c.name == name and c.source in (source, ""))


# -- the example ---------------------------------------------------------------------------------


@pytest.mark.parametrize("examiner", [False, True])
def test_the_example_pack_is_sound(examiner: bool, tmp_path: Path, no_data: Path) -> None:
    folder = write_pack("mine", tmp_path, examiner=examiner)
    checks = validate(folder)
    assert {check.state for check in checks} <= ({"ok", "skip"} if examiner else {"ok"}), checks
    pack = load_pack(folder)
    assert sum(len(pack.tasks(split)) for split in ("train", "validation", "test")) == 40
    assert (pack.examiner is not None) == examiner
    assert "<" not in (folder / "benchmark.toml").read_text(), "a word was not filled in"
    assert not failed(checks)


def test_the_example_gives_partial_credit_and_refuses_other_words(mine: Path) -> None:
    pack = load_pack(mine)
    task = pack.tasks("validation")[0]
    right = task.hidden["label"].split(", ")
    swapped = ", ".join([right[1], right[0], *right[2:]])
    assert pack.grade(task, task.hidden["label"]) == Grade(1.0, True, f"{len(right)} of {len(right)} in place")
    assert pack.grade(task, {"response": swapped}).score == (len(right) - 2) / len(right)
    assert not pack.grade(task, "other, words").valid


def test_init_never_overwrites_and_needs_a_proper_name(tmp_path: Path) -> None:
    folder = write_pack("mine", tmp_path)
    (folder / "README.md").write_text("my words")
    with pytest.raises(UsageError, match="exists already"):
        write_pack("mine", tmp_path)
    assert (folder / "README.md").read_text() == "my words"
    for name in ("", "Mine", "../x", "a b", "1st", "x" * 41):
        with pytest.raises(UsageError, match="cannot name"):
            write_pack(name, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        write_pack("mine", tmp_path / "file")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "mine"]


@pytest.mark.parametrize("name", list(find_packs()))
def test_no_shipped_pack_fails(name: str, no_data: Path) -> None:
    assert [check for check in validate(name) if check.state == "fail"] == []


@pytest.mark.data
def test_the_real_data_of_math_grading_does_not_fail() -> None:
    checks = validate("math_grading")
    assert [check for check in checks if check.state == "fail"] == []
    assert found(checks, "controls", "gsm8k")[1].startswith("random 0.500, constant 0.500, length 0.5")


# -- what can be wrong ---------------------------------------------------------------------------


def test_a_broken_manifest_is_told_key_by_key(mine: Path) -> None:
    edit(mine / "benchmark.toml", "screen = 5", 'scren = 5\npackages_ = "x"')
    checks = validate(mine)
    assert [check.name for check in checks] == ["schema"]
    assert "scren is unknown. Did you mean 'screen'?" in checks[0].detail
    assert "packages_ is unknown" in checks[0].detail
    (mine / "benchmark.toml").write_text("name = ")
    assert validate(mine)[0].state == "fail"


def test_a_folder_with_another_name(mine: Path) -> None:
    assert found(validate(mine.rename(mine.parent / "other")), "name") == (
        "fail", "the folder is called other, the pack mine: rename one",
    )  # fmt: skip


def test_a_pack_that_is_not_there() -> None:
    with pytest.raises(NotFoundError, match="no benchmark 'math_gradin'"):
        validate("math_gradin")
    with pytest.raises(NotFoundError, match="no source"):
        validate("math_grading", "nonsense")


BROKEN_GENERATORS = [
    ("raise RuntimeError('no luck')", "data", "generator.py:1: RuntimeError: 'no luck'"),
    ("def generate(random_seed, count):\n    return [{'id': 1}] * count", "data", "a record without 'input'"),
    ("def generate(random_seed, count):\n    return [1] * count", "data", "a record is no object"),
    ("def generate(random_seed, count):\n    return []", "data", "the pack promises"),
    ("nonsense(", "data", "SyntaxError"),
]


@pytest.mark.parametrize(("code", "check", "detail"), BROKEN_GENERATORS)
def test_broken_pack_code_is_a_line_of_the_table(code: str, check: str, detail: str, mine: Path) -> None:
    (mine / "generator.py").write_text(code)
    state, said = found(validate(mine), check)
    assert state == "fail"
    assert detail in said


GENERATOR = """
import random, time
def generate(random_seed, count):
    splits = ["train"] * 16 + ["validation"] * 12 + ["test"] * 12
    return [
        {"id": f"{random_seed}-{n}", "split": splits[n], "group": GROUP, "input": {"words": WORDS},
         "hidden": {"label": "a, b"}} for n in range(count)
    ]
"""


@pytest.mark.parametrize(
    ("group", "words", "state", "detail"),
    [
        ("f'{random_seed} {n}'", "f'{random_seed} {n} {random.random()}'", "fail", "gives different records"),
        ("f'{random_seed} {n}'", "f'{n} ' + ' '.join({'a', 'b', 'c', 'd'})", "fail", "gives different records"),
        ("str((n + 16 * random_seed) % 40)", "f'{random_seed} {n}'", "fail", "are in another split"),
        ("f'{n}'", "f'{random_seed} {n}'", "warn", "share 40 groups"),
    ],
)
def test_a_generator_with_hidden_chance_or_common_groups(
    group: str, words: str, state: str, detail: str, mine: Path
) -> None:
    (mine / "generator.py").write_text(GENERATOR.replace("GROUP", group).replace("WORDS", words))
    result, said = found(validate(mine), "generator")
    assert (result, detail in said) == (state, True), said


@pytest.mark.parametrize(
    ("body", "name", "state", "detail"),
    [
        ("return 0.5", "null", "fail", "scores 0.5 for None"),
        ("return 0.5", "garbage", "fail", "scores 0.5 for"),
        ("return len(prediction)", "null", "warn", "TypeError"),
        ("return float(prediction == 'x')", "reference", "fail", "the right answer"),
    ],
)
def test_a_grader_that_gives_points_away_or_stumbles(body: str, name: str, state: str, detail: str, mine: Path) -> None:
    edit(
        mine / "grader.py", '    response = prediction.get("response")', f"    {body}\n    response = prediction.get()"
    )
    assert found(validate(mine), name)[0] == state
    assert detail in found(validate(mine), name)[1]


def test_a_grader_without_a_reference_is_said_not_to_be_tried(mine: Path) -> None:
    edit(mine / "grader.py", "def reference(", "def another(")
    assert found(validate(mine), "reference")[0] == "skip"


def test_inputs_in_two_splits_and_answers_in_the_question(mine: Path) -> None:
    text = GENERATOR.replace("GROUP", "f'{random_seed} {n}'").replace("WORDS", "'the same for all'")
    (mine / "generator.py").write_text(text.replace('"a, b"', '"the same for all tasks"[:16] + "," * 9'))
    assert found(validate(mine), "duplicates")[0] == "fail"
    (mine / "generator.py").write_text(
        text.replace("'the same for all'", "f'{n} it is a very long label, as one sees'").replace(
            '"a, b"', '"a very long label, as one sees"'
        )
    )
    state, detail = found(validate(mine), "leaks")
    assert (state, "40 records" in detail, "hidden.label" in detail) == ("warn", True, True)


def test_hidden_texts_are_looked_for_in_files_and_within_lists() -> None:
    def task(number: int, split: str, text: str, hidden: Json, files: dict[str, str] | None = None) -> Task:
        return Task(str(number), "b", split, "g", {"text": text}, hidden, files)  # type: ignore[arg-type]

    secret = "assert solution(3) == 7, 'no'"
    tasks = [
        task(1, "train", "clean", {"tests": [{"code": secret}]}, {"stub.py": f"# {secret}"}),
        task(2, "train", "short", {"label": "short"}),
        task(3, "test", "clean", {"tests": [secret]}, {"stub.py": "pass"}),
    ]
    assert verbatim(tasks) == [("1", "tests")]
    across, within = duplicates([tasks[1], task(4, "test", "short", {}), task(5, "train", "short", {})])
    assert (across, within) == ([("2", "4")], [("2", "5")])


def test_records_of_a_file_need_a_canary(toy: Path, tmp_path: Path) -> None:
    assert found(validate(toy, data=tmp_path / "mirror"), "canary", "real") == ("ok", "in all 4 records")
    path = tmp_path / "mirror" / "toy" / "real.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    records[2]["meta"] = {}
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    checks = validate(toy, data=tmp_path / "mirror")
    assert "SHA-256" in found(checks, "data", "real")[1]
    edit(toy / "benchmark.toml", f'sha256 = "{read_manifest(toy).source("real").sha256}"', "")
    edit(toy / "benchmark.toml", "[sources.real.upstream]", "[sources.real.upstream_]")
    assert validate(toy)[0].state == "fail"


def test_data_that_is_not_at_hand_is_skipped_unless_it_was_asked_for(toy: Path) -> None:
    assert found(validate(toy), "data", "real")[0] == "skip"
    assert found(validate(toy, "real"), "data", "real")[0] == "fail"


def test_an_examiner_is_tried_where_there_is_a_way(tmp_path: Path, no_data: Path) -> None:
    folder = write_pack("exam", tmp_path, examiner=True)
    assert found(validate(folder), "reference") == ("skip", "right answers need the examiner's sandbox")
    asked: list[Json] = []

    def grading(pack: Pack, pairs: Sequence[tuple[Task, Json]]) -> list[Grade]:
        asked.extend(prediction for _, prediction in pairs)
        return [Grade(1.0 if prediction == task.hidden["label"] else 0.0) for task, prediction in pairs]

    checks = validate(folder, grading=grading)
    assert {check.state for check in checks} == {"ok"}
    assert None in asked
    assert "((((" * 5000 in asked
    generous = validate(folder, grading=lambda pack, pairs: [Grade(0.1) for _ in pairs])
    assert [check.name for check in generous if check.state == "fail"] == ["null", "garbage", "reference"]


# -- files of predictions ------------------------------------------------------------------------


def test_predictions_are_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"id": "a", "prediction": null}\n\n{"id": "b", "prediction": {"response": 1}, "more": 2}\n')
    assert read_predictions(path, ["a", "b", "c"]) == {"a": None, "b": {"response": 1}}


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("nonsense", ":2: no JSON", "Each line is"),
        ('{"id": 3, "prediction": 1}', ":2: not an object with a text `id`", "Each line is"),
        ('{"id": "a"}', ":2: not an object", "Each line is"),
        ('{"id": "task-a", "prediction": 1}', ":2: task task-a was answered on line 1", "Keep one"),
        ('{"id": "task-aa", "prediction": 1}', ":2: there is no task 'task-aa'", "Did you mean 'task-a'?"),
        ('{"id": "hidden", "prediction": 1}', ":2: task hidden is of another split", "--split test"),
        ("[" * 100_000, ":2: no JSON", "Each line is"),
    ],
)
def test_a_wrong_line_is_named(line: str, message: str, hint: str, tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"id": "task-a", "prediction": 1}\n' + line + "\n")
    with pytest.raises(UsageError) as caught:
        read_predictions(path, ["task-a", "task-b"], {"hidden": "test"})
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_predictions(tmp_path / "none", [])
    (tmp_path / "latin").write_bytes(b"\xe4")
    with pytest.raises(UsageError, match="not UTF-8"):
        read_predictions(tmp_path / "latin", [])
