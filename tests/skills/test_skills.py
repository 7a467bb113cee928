"""Skills: found in trees, measured by paired scores, carried into other programs."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hyperagent.archive import open_archive
from hyperagent.cli import app
from hyperagent.cli.context import Context
from hyperagent.config import Config, to_json
from hyperagent.skills.definitions import definitions
from hyperagent.skills.effects import Effects
from hyperagent.skills.finding import find_skills
from hyperagent.skills.grafting import Grafting, standalone
from hyperagent.types import Outcome, ProgramTree, SandboxInfo, Skill, Variant

SEED = """import json

LIMIT = 3


def read(text):
    return text


class Agent:
    def forward(self, inputs):
        return read(inputs)
"""
VOTE = """

def vote(text, least=LEAST):
    \"\"\"The most frequent word.\"\"\"
    counts = Counter(split(text))
    return counts.most_common(1)[0][0] if len(counts) > least else ""


def split(text):
    return helper.tidy(text).split()
"""
HELPER = "import re\n\n\ndef tidy(text):\n    return re.sub('[.]', '', text)\n\n\ndef unused():\n    return 1\n"
PROMPT = "PROMPT = 'Answer with one word, and be sure that it is the right one.'\n"
INVENTED: dict[str, str] = {
    "agent.py": "from collections import Counter\nimport helper\n"
    + SEED.replace("return text", "return vote(text)").replace("LIMIT = 3\n", "LIMIT = 3\nLEAST = 1\n")
    + VOTE,
    "helper.py": HELPER,
}


def program(changes: Mapping[str, str] | None = None) -> ProgramTree:
    return {path: text.encode() for path, text in {"agent.py": SEED, **(changes or {})}.items()}


def variants(*parents: int | None) -> list[Variant]:
    """Step n has the parent ``parents[n]``."""
    return [
        Variant(f"v{n}", "c", n, 0, None if parent is None else f"v{parent}", "evaluated", f"c{n}", f"t{n}")
        for n, parent in enumerate(parents)
    ]


def found(parents: Sequence[int | None], trees: Sequence[ProgramTree]) -> dict[str, Skill]:
    skills = find_skills(variants(*parents), lambda one: trees[one.step])
    return {f"{skill.kind} {skill.name}": skill for skill in skills}


def test_new_functions_with_where_they_came_from_and_who_has_them():
    changed = {**INVENTED, "agent.py": INVENTED["agent.py"].replace("most_common(1)", "most_common(2)")}
    gone = program()
    skills = found(
        [None, 0, 1, 1, 1, 0], [program(), program(INVENTED), program(INVENTED), program(changed), gone, gone]
    )
    vote = skills["function vote"]
    assert (vote.step, vote.origins, vote.carriers, vote.modified) == (1, (1,), (1, 2), (3,))
    assert (vote.inherited, vote.about, vote.file) == (1, "The most frequent word.", "agent.py")
    assert {"function split", "function tidy"} <= skills.keys()
    assert "function read" not in skills, "a changed function is no new one"


def test_layout_locals_and_names_make_no_new_skill():
    renamed = SEED.replace("def read", "def understand").replace("return read", "return understand")
    spread = SEED.replace("def read(text):", '# a comment\n\ndef read( text ):\n    """Words."""')
    assert found([None, 0, 0], [program(), program({"agent.py": renamed}), program({"agent.py": spread})]) == {}


def test_a_skill_that_an_heir_renames_is_carried_on():
    renamed = {**INVENTED, "agent.py": INVENTED["agent.py"].replace("vote(", "ballot(")}
    skills = found([None, 0, 1], [program(), program(INVENTED), program(renamed)])
    assert "function ballot" not in skills
    assert (skills["function vote"].carriers, skills["function vote"].modified) == ((1, 2), ())


def test_a_copy_from_another_file_says_so():
    start = program({"measures.py": "def count(text):\n    return len(text)\n"})
    copy = {**start, "agent.py": (SEED + "\n\ndef count(text):\n    return len(text)\n").encode()}
    skill = found([None, 0], [start, copy])["function count"]
    assert (skill.file, skill.copied_from) == ("agent.py", "measures.py:count")


def test_twins_are_one_skill_with_two_origins():
    skills = found([None, 0, 0, 1], [program(), program(INVENTED), program(INVENTED), program(INVENTED)])
    assert (skills["function vote"].origins, skills["function vote"].carriers) == ((1, 2), (1, 2, 3))


def test_kinds():
    more = {
        "agent.py": PROMPT
        + SEED.replace("class Agent:", "class Agent:\n    def check(self):\n        return 1\n")
        + "\n\nclass Judge:\n    def see(self):\n        return 2\n",
        "tools/search.py": "def run(root, arguments):\n    return ''\n",
        "tools/data.txt": "x",
        "words.py": "SHORT = 'yes'\n",
    }
    assert found([None, 0], [program(), program(more)]).keys() == {
        "prompt PROMPT", "method Agent.check", "class Judge", "tool tools/search.py", "tool tools/data.txt",
    }  # fmt: skip


def test_a_prompt_with_other_words_is_a_new_one():
    skills = found([None, 0], [program({"p.py": PROMPT}), program({"p.py": PROMPT.replace("sure", "very sure")})])
    assert skills.keys() == {"prompt PROMPT"}


@pytest.mark.parametrize("text", ["def (", "x = " + "(" * 500, "\0", "x" * 400_000])
def test_hostile_files_define_nothing(text):
    assert definitions({"bad.py": text.encode()}) == {"bad.py": ()}
    assert found([None, 0], [program(), program({"bad.py": text})]) == {}


def test_effects_are_paired_over_tasks():
    family = variants(None, 0, 1, 0)
    trees = [program(), program(INVENTED), program(INVENTED), program()]
    skill = next(one for one in find_skills(family, lambda one: trees[one.step]) if one.name == "vote")
    tasks = [("b", str(n)) for n in range(10)]
    right = [2, 6, 8, 4]
    scores = {one.id: {task: float(n < right[one.step]) for n, task in enumerate(tasks)} for one in family}
    measured = Effects(family, scores).of(skill)
    assert measured.against_parent is not None
    assert measured.against_others is not None
    assert measured.against_parent.estimate == pytest.approx(0.4)
    assert measured.against_others.estimate == pytest.approx(0.7 - 0.3)
    assert measured.against_parent.low < 0.4 < measured.against_parent.high
    scores["v0"] = {("b", "0"): 1.0}  # only what both ran counts
    assert Effects(family, scores).of(skill).against_parent.estimate == 0  # type: ignore[union-attr]
    assert Effects(family, {}).of(skill).against_others is None


# -- grafting --------------------------------------------------------------------------------------


def skill_of(name: str, changes: Mapping[str, str] = INVENTED) -> Skill:
    return next(one for one in found([None, 0], [program(), program(changes)]).values() if one.name == name)


def grafted(target: ProgramTree, name: str = "vote", *, callers: bool = False, replace: bool = False) -> Grafting:
    work = Grafting(program(INVENTED), [program()], target, replace)
    work.want(skill_of(name), callers=callers)
    return work


def ran(files: ProgramTree, expression: str, folder: Path) -> Any:
    import subprocess
    import sys

    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    code = f"import agent, json; print(json.dumps({expression}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_a_graft_takes_what_it_needs_and_nothing_else(tmp_path):
    other = program({"agent.py": SEED + "\nOWN = 1\n"})
    work = grafted(other)
    assert work.conflicts == []
    result = work.result()
    assert b"def unused" not in result["helper.py"]
    assert result["agent.py"].count(b"import Counter") == 1
    assert ran(result, "[agent.vote('b. a a'), agent.read('same'), agent.OWN]", tmp_path) == ["a", "same", 1]


def test_callers_are_brought_up_to_date_where_they_are_older_versions(tmp_path):
    work = grafted(program(), callers=True)
    assert (work.conflicts, work.replaced) == ([], ["agent.py:read"])
    assert ran(work.result(), "agent.read('b. a a')", tmp_path) == "a"


def test_conflicts_are_named_and_only_replaced_on_request():
    target = program({"agent.py": SEED + "\n\ndef split(text):\n    return list(text)\n"})
    assert grafted(target).conflicts == ["agent.py:split"]
    work = grafted(target, replace=True)
    assert work.conflicts == []
    assert b"list(text)" not in work.result()["agent.py"]


def test_an_import_of_another_thing_is_a_conflict_whatever_is_asked():
    target = program({"agent.py": "from mine import Counter\n" + SEED, "mine.py": "Counter = 1\n"})
    assert grafted(target, replace=True).conflicts == ["agent.py:Counter"]


def test_a_tool_comes_as_a_file_with_what_it_imports():
    tool = {"tools/search.py": "import helper\n\n\ndef run():\n    return helper.tidy('')\n", "helper.py": HELPER}
    skill = skill_of("tools/search.py", tool)
    work = Grafting(program(tool), [program()], program(), False)
    work.want(skill, callers=False)
    assert sorted(work.added) == ["helper.py", "tools/search.py"]
    assert work.result()["helper.py"] == HELPER.encode()


def test_standalone_code_has_its_helpers_and_constants():
    text = standalone(program(INVENTED), skill_of("vote"))
    compile(text, "skill", "exec")
    assert all(part in text for part in ("LEAST = 1", "def split", "from collections import Counter", "import helper"))
    assert "class Agent" not in text
    assert text.index("LEAST = 1") < text.index("def vote"), "a default is read when the function is made"


# -- the verbs -------------------------------------------------------------------------------------

TASK = "from parts import read\n\n\nclass TaskAgent:\n    def forward(self, inputs):\n        return read(inputs)\n"
START = {
    "program.toml": "",
    "task_agent.py": TASK,
    "meta_agent.py": "class MetaAgent:\n    def forward(self, repo, evidence, left=None):\n        return ''\n",
    "parts.py": "def read(text):\n    return text\n",
}
BETTER = {
    **START,
    "parts.py": "import re\n\n\ndef read(text):\n    return tidy(text)\n\n\n"
    'def tidy(text):\n    """Tidy \x1b[2J up."""\n    return re.sub(\'a\', \'\', text)\n',
}


def as_tree(files: Mapping[str, str]) -> ProgramTree:
    return {path: text.encode() for path, text in files.items()}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "archive"
    with open_archive(path, write=True, create=True) as archive:
        campaign = archive.create_campaign("first", 1, to_json(Config()))
        parent = None
        for step, files in enumerate((START, BETTER, BETTER | {"notes.md": "x"})):
            variant = archive.start_step(campaign.id, step, parent, {})
            archive.commit_program(variant.id, as_tree(files), "made")
            info = SandboxInfo("process", "none")
            run = archive.start_evaluation(variant.id, "b", "validation", [str(n) for n in range(8)], 0, "x", info)
            for n in range(8):
                archive.add_outcome(run.id, Outcome(str(n), "scored", float(n < 2 + 4 * (step > 0))))
            archive.finish_evaluation(run.id, "finished", 0.5)
            parent = archive.finish_variant(variant.id, "evaluated", score=0.5).id
    return path


def call(home: Path, *words: str) -> Any:
    environment = {"HYPERAGENT_ARCHIVE": str(home), "HYPERAGENT_SANDBOX__BACKEND": "process"}
    return CliRunner().invoke(app, ["skills", *words], obj=Context(environment=environment))


def test_list_and_show(home):
    listed = json.loads(call(home, "list", "--json").stdout)
    (skill,) = listed["skills"]
    assert (skill["name"], skill["carriers"], skill["against_parent"]["estimate"]) == ("tidy", [1, 2], 0.5)
    assert "tidy in parts.py" in call(home, "list").stdout
    shown = call(home, "show", skill["id"][:6])
    assert "re.sub" in shown.stdout
    assert "\x1b" not in shown.stdout
    assert json.loads(call(home, "show", "tidy", "--json").stdout)["text"].startswith("def tidy")
    assert call(home, "show", "nothing").exit_code == 2


def test_graft_makes_a_program_that_says_where_it_is_from(home, tmp_path):
    target = tmp_path / "target"
    for path, text in START.items():
        (target / path).parent.mkdir(exist_ok=True)
        (target / path).write_text(text)
    out = tmp_path / "out"
    done = call(home, "graft", "tidy", "--into", str(target), "-o", str(out), "--callers", "--json")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["added"], told["replaced"]) == (["parts.py:re", "parts.py:tidy"], ["parts.py:read"])
    (entry,) = tomllib.loads((out / "program.toml").read_text())["skills"].values()
    assert (entry["name"], entry["from"]) == ("tidy", "first/1")
    assert not list(out.glob("*probe*"))
    again = call(home, "graft", "tidy", "--into", str(out), "-o", str(tmp_path / "more"))
    assert (again.exit_code, "already" in again.stderr) == (2, True)
    assert call(home, "graft", "tidy", "--into", str(tmp_path / "none"), "-o", str(out)).exit_code == 2


def test_what_does_not_import_is_not_written(home, tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    for path, text in START.items():
        (target / path).write_text(text.replace("def read", "raise ValueError('broken')\ndef read"))
    done = call(home, "graft", "tidy", "--into", str(target), "-o", str(tmp_path / "out"))
    assert "broken" in done.stderr
    assert done.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_export(home, tmp_path):
    file = tmp_path / "skill.py"
    assert call(home, "export", "tidy", str(file)).exit_code == 0
    assert file.read_text().startswith("# Skill ")
    assert "import re" in file.read_text()
    assert call(home, "export", "tidy", str(file)).exit_code == 2, "a file is never overwritten"
