from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from hyperagent.errors import ConfigError, DataUnavailable, NotFoundError
from hyperagent.evaluation.manifest import find_packs, read_manifest
from hyperagent.evaluation.pack import Pack, load_pack
from hyperagent.types import Json, Outcome, OutcomeStatus, Task


def edit(pack: Path, old: str, new: str) -> None:
    path = pack / "benchmark.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def main_score(pack: Pack, tasks: Sequence[Task], predictions: Sequence[Json]) -> float:
    """The pack's metric on its scorecard."""
    outcomes = []
    for task, prediction in zip(tasks, predictions, strict=False):
        grade = pack.grade(task, prediction)
        status: OutcomeStatus = "scored" if grade.valid else "agent_error"
        outcomes.append(Outcome(task.id, status, grade.score, json.dumps(prediction)))
    return pack.scorecard(tasks, outcomes).measures[pack.metric].interval.estimate


def test_the_shipped_pack_is_found() -> None:
    assert (find_packs()["math_grading"] / "benchmark.toml").is_file()


def test_packs_of_ones_own(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERAGENT_BENCHMARKS", f"/nowhere:{toy.parent}")
    assert find_packs()["toy"] == toy
    assert "math_grading" in find_packs()
    assert load_pack("toy").name == "toy"


def test_without_data_the_generator_steps_in_and_says_so(no_data: Path) -> None:
    pack = load_pack("math_grading")
    assert pack.source == "generated"
    assert "real data not found: using the generator" in pack.notes[0]


def test_real_data_comes_first(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_pack(toy).source == "made"
    monkeypatch.setenv("HYPERAGENT_BENCHMARK_DATA", str(tmp_path / "mirror"))
    assert load_pack(toy).source == "real"
    assert load_pack(toy, "made").source == "made"
    assert load_pack(toy, data=tmp_path / "elsewhere").source == "made"


def test_a_source_asked_for_must_be_there(toy: Path) -> None:
    with pytest.raises(DataUnavailable, match="the real data of benchmark toy cannot be found") as caught:
        load_pack(toy, "real")
    assert "hyperagent benchmark fetch toy" in caught.value.hint
    assert "HYPERAGENT_BENCHMARK_DATA" in caught.value.hint


def test_a_damaged_file_is_refused_and_never_passed_over(toy: Path, tmp_path: Path) -> None:
    path = tmp_path / "mirror" / "toy" / "real.jsonl"
    path.write_bytes(path.read_bytes().replace(b"yes", b"no "))
    with pytest.raises(DataUnavailable, match=r"real.jsonl is not .*expected SHA-256 .* found [0-9a-f]{64}"):
        load_pack(toy, data=tmp_path / "mirror")


def test_only_declared_fields_reach_a_program(toy: Path) -> None:
    task = load_pack(toy, "made", random_seed=5).tasks("test")[0]
    assert task.id == "5-3"
    assert task.input == {"text": "w", "instructions": "Answer with yes, no.", "answers": ["yes", "no"]}


def test_an_own_grader(toy: Path) -> None:
    edit(toy, 'metric = "accuracy"', 'metric = "credit"\ngrader = "grader.py"')
    (toy / "grader.py").write_text("def grade(input, hidden, prediction):\n    return 0.5 if prediction else 0\n")
    pack = load_pack(toy, "made")
    tasks = pack.tasks("train")
    assert main_score(pack, tasks, ["yes", ""]) == 0.25
    (toy / "grader.py").write_text("")
    with pytest.raises(ConfigError, match="no function grade"):
        load_pack(toy, "made")
    edit(toy, 'grader = "grader.py"', 'grader = "guess"')
    with pytest.raises(ConfigError, match="'guess'"):
        load_pack(toy, "made")


def test_where_lower_is_better_a_score_is_what_is_left_and_no_answer_is_still_the_worst(toy: Path) -> None:
    edit(toy, 'metric = "accuracy"', 'metric = "error"\ndirection = "lower"\ngrader = "grader.py"')
    (toy / "grader.py").write_text(
        "def grade(input, hidden, prediction):\n"
        "    return {'near': 0.25, 'far': 0.75}[prediction] if prediction else (0, False, 'nothing')\n"
    )
    pack = load_pack(toy, "made")
    (task, *_) = pack.tasks("train")
    assert [pack.grade(task, said).score for said in ("near", "far", "")] == [0.75, 0.25, 0.0]
    assert pack.metric == "1 - error"
    assert pack.scorecard([], []).measures["1 - error"].direction == "higher"


def test_open_answers_are_compared_exactly(toy: Path) -> None:
    edit(toy, 'labels = ["yes", "no"]', 'grader = "exact"')
    pack = load_pack(toy, "made")
    tasks = pack.tasks("train")
    assert "answers" not in tasks[0].input
    assert main_score(pack, tasks, ["yes", None]) == 0.5


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('metric = "accuracy"', 'metrik = "accuracy"', "metric is missing"),
        ('canary = "toy-canary"', 'canari = "toy-canary"', "canari is unknown"),
        ('metric = "accuracy"', "metric = 3", "metric must be a str"),
        ('licence = "Apache-2.0"', 'licence = "x"\ndirection = "up"', "direction must be"),
        ("train = 2, ", "", "sources.real.splits must count"),
        ('file = "real.jsonl"', "", "sources.real.file or generator"),
        ('generator = "toy_generator.py"', 'generator = "none.py"', "none.py, which is no Python file"),
        ('commit = "0000000"', "", "sources.real.upstream.commit is missing"),
        ('name = "words.txt"', "", "sources.real.upstream.files.0.name is missing"),
        ('labels = ["yes", "no"]', 'labels = ["yes", 1]', "labels must be a list of strings"),
        ("[sources.made]", "[sources.made]\npoints = { yes = 1 }", "sources.made.points must give"),
        ('name = "toy"', "name = ", "cannot be read"),
    ],
)
def test_a_wrong_manifest_is_one_clear_error(toy: Path, old: str, new: str, says: str) -> None:
    edit(toy, old, new)
    with pytest.raises(ConfigError) as caught:
        load_pack(toy)
    assert says in caught.value.message
    assert "benchmark.toml" in caught.value.message


def test_a_misspelt_key_gets_its_neighbour(toy: Path) -> None:
    edit(toy, 'canary = "toy-canary"', 'canari = "toy-canary"')
    with pytest.raises(ConfigError) as caught:
        read_manifest(toy)
    assert "canary" in caught.value.hint


def test_unknown_packs_get_their_neighbour(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        load_pack("math_gradin")
    assert "'math_grading'" in caught.value.hint
    with pytest.raises(NotFoundError, match="holds no benchmark"):
        load_pack(tmp_path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"split": "reserve"}, "unknown split or label"),
        ({"hidden": {"label": "maybe"}}, "unknown split or label"),
        ({"input": {}}, "a record without 'text'"),
        ({"group": "1", "split": "test"}, "stands in"),
        ({"split": "test"}, "promises"),
    ],
)
def test_wrong_records_are_refused(toy: Path, change: dict[str, object], says: str) -> None:
    code = (toy / "toy_generator.py").read_text()
    (toy / "toy_generator.py").write_text(
        f"import json\n{code}\nmade = generate\n"
        f"def generate(seed, count):\n    records = made(seed, count)\n"
        f"    records[0] |= json.loads('''{json.dumps(change)}''')\n    return records\n"
    )
    with pytest.raises(DataUnavailable, match=says):
        load_pack(toy, "made")


def test_bad_arguments(toy: Path) -> None:
    pack = load_pack(toy)
    with pytest.raises(ValueError, match="no tasks"):
        pack.tasks("search")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no tasks"):
        pack.tasks("train", -1)
    with pytest.raises(ValueError, match="same tasks in the same order"):
        main_score(pack, pack.tasks("train"), ["yes"])
