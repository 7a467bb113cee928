"""What each search mode takes away from the loop, on real parts but for the model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from test_campaign import BETTER, META_AGENT, PROGRAM, TASK_AGENT, Bench, bench

from hyperagent.config import Config, to_json
from hyperagent.config.schema import MODES as NAMES
from hyperagent.engine.budget import CampaignMeter
from hyperagent.engine.campaign import CampaignRunner
from hyperagent.engine.modes import FIXED, MODES, mode_of
from hyperagent.engine.parts import Parts
from hyperagent.engine.replay import Replayer
from hyperagent.engine.selection import SELECTORS
from hyperagent.errors import ConfigError
from hyperagent.sandbox import InProcessSandbox
from hyperagent.types import Caps, Json, ProgramTree, Variant

__all__ = ["bench"]

TRAIL = b"""
import pathlib
from task_agent import ask

TRAIL = "."


class MetaAgent:
    def __init__(self, model, chat_history_file):
        pass

    def forward(self, repo_path, eval_path, iterations_left=None):
        own = pathlib.Path(repo_path, "meta_agent.py")
        own.write_text(own.read_text().replace('TRAIL = "', 'TRAIL = "' + ask("mutate")[1:-1]))
        task = pathlib.Path(repo_path, "task_agent.py")
        task.write_text(task.read_text() + "\\nEDITS = %r\\n" % iterations_left)
        return "trail " + TRAIL
"""
"""Writes a marker into its own code; what it says shows how many markers the code that runs has."""


def mode_config(bench: Bench, mode: str, **budget: Json) -> Config:
    config = bench.config(**budget)
    named = replace(config, search=replace(config.search, mode=mode))
    return mode_of(named).applied(named)


def parts(bench: Bench, config: Config, *, processes: bool = False, replay: bool = False) -> Parts:
    """In this process where nothing hangs on the wall between programs: the rules of a mode are the same there."""
    found = bench.parts(config, replay=replay)
    return found if processes else replace(found, sandbox=InProcessSandbox())


def run(
    bench: Bench, mode: str, program: ProgramTree = PROGRAM, *, processes: bool = False, **budget: Json
) -> Sequence[Variant]:
    """A campaign of that mode, wired as the assembly does; its variants."""
    config = mode_config(bench, mode, **budget)
    config = replace(config, models=replace(config.models, mutation="scripted/m"))
    bench.campaign = bench.archive.create_campaign("modes", config.seed, to_json(config))
    caps = Caps(config.budget.variants)
    meter = CampaignMeter(caps, bench.archive.spend(bench.campaign.id))
    selector = SELECTORS[config.search.selection]()
    start = mode_of(config).generation0(program)
    wired = parts(bench, config, processes=processes)
    CampaignRunner(bench.campaign, wired, start, selector, meter, bench.observer).run()
    return bench.variants()


def tree(bench: Bench, variant: Variant) -> Mapping[str, bytes]:
    return bench.archive.read_tree(variant.commit)


def test_every_name_in_the_config_has_a_mode() -> None:
    assert tuple(MODES) == NAMES


def test_a_meta_agent_uses_two_generations_later_what_it_wrote_into_itself(bench: Bench) -> None:
    bench.edits = ['"*"']
    program = {**PROGRAM, "meta_agent.py": TRAIL}
    _, first, second, third = run(bench, "dgm-h", program, processes=True, variants=3)
    assert [v.generation for v in (first, second, third)] == [1, 2, 3]
    assert [v.summary for v in (first, second, third)] == ["trail .", "trail *.", "trail **."]
    assert b'TRAIL = "***."' in tree(bench, third)["meta_agent.py"]


def test_without_self_improvement_the_same_marker_is_never_used(bench: Bench) -> None:
    bench.edits = ['"*"']
    program = {**PROGRAM, "meta_agent.py": TRAIL}
    variants = run(bench, "no-self-improve", program, processes=True, variants=3)[1:]
    assert [v.generation for v in variants] == [1, 2, 3]
    assert {v.summary for v in variants} == {"trail ."}
    assert {tree(bench, v)["meta_agent.py"] for v in variants} == {TRAIL}


def test_without_self_improvement_an_edit_of_the_meta_agent_alone_is_no_effect(bench: Bench) -> None:
    bench.edits = [{"meta_agent.py": ['"did "', '"MARK did "']}, {**BETTER, "meta_agent.py": ['"did "', '"MARK "']}]
    _, dropped, child = run(bench, "no-self-improve", variants=1)
    assert (dropped.status, dropped.reason) == ("no_effect", "changes nothing")
    assert (child.status, child.score) == ("evaluated", 0.75)
    assert tree(bench, child)["meta_agent.py"] == META_AGENT
    assert tree(bench, child)["task_agent.py"] == TASK_AGENT.replace(b"SKILL = 0", b"SKILL = 3")


CURIOUS = META_AGENT.replace(
    b"class MetaAgent",
    b"""
try:
    from extra import WORD
except ImportError:
    WORD = ""


class MetaAgent""",
).replace(b'"did "', b'WORD + "did "')


@pytest.mark.parametrize(
    ("mode", "said"), [("no-self-improve", "did task_agent.py"), ("no-archive", "EXTRA did task_agent.py")]
)
def test_a_new_file_of_a_variant_does_not_get_into_the_frozen_meta_agent(bench: Bench, mode: str, said: str) -> None:
    """A file that no list names stays with the variant; the frozen meta agent runs from files of its own."""
    bench.edits = [
        {"task_agent.py": ["SKILL = 0", "SKILL = 1"], "extra.py": ["", "WORD = 'EXTRA '"]},
        {"task_agent.py": ["SKILL = 1", "SKILL = 3"]},
    ]
    _, first, second = run(bench, mode, {**PROGRAM, "meta_agent.py": CURIOUS}, variants=2, steps=2)
    assert tree(bench, first)["extra.py"] == b"WORD = 'EXTRA '"
    assert (second.parent, second.score, second.summary) == (first.id, 0.75, said)


def test_the_program_tells_which_files_are_the_meta_agents(bench: Bench) -> None:
    manifest = b'[ownership]\ntask = ["task_agent.py"]\nmeta = ["meta_agent.py", "notes/"]\n'
    program = {**PROGRAM, "program.toml": manifest, "notes/plan.txt": b"old", "free.txt": b"old"}
    bench.edits = [
        {"task_agent.py": ["SKILL = 0", "SKILL = 1"], "notes/plan.txt": ["old", "new"], "free.txt": ["old", "new"]}
    ]
    _, child = run(bench, "no-self-improve", program, variants=1)
    assert (tree(bench, child)["notes/plan.txt"], tree(bench, child)["free.txt"]) == (b"old", b"new")


def test_no_archive_is_a_chain_that_retries_from_the_last_valid_one(bench: Bench) -> None:
    bench.edits = [
        {"task_agent.py": ["SKILL = 0", "SKILL = 3"]},
        {"task_agent.py": ["SKILL = 3", "SKILL ="]},
        {"task_agent.py": ["SKILL = 3", "SKILL = 1"]},
        {"task_agent.py": ["SKILL = 1", "SKILL = 2"]},
    ]
    seed, good, broken, worse, last = run(bench, "no-archive", variants=3, steps=4)
    assert broken.status == "invalid"
    assert [v.parent for v in (good, broken, worse, last)] == [seed.id, good.id, good.id, worse.id]
    assert (good.score, worse.score) == (0.75, 0.25)


def test_best_of_n_starts_every_step_from_generation_0(bench: Bench) -> None:
    bench.edits = [{"task_agent.py": ["SKILL = 0", f"SKILL = {n}"]} for n in (1, 3, 2)]
    seed, *tries = run(bench, "best-of-n", variants=3)
    assert [(v.parent, v.generation) for v in tries] == [(seed.id, 1)] * 3
    assert [v.score for v in tries] == [0.25, 0.75, 0.5]


def test_random_edits_asks_no_model_whatever_is_configured(bench: Bench) -> None:
    config = mode_config(bench, "random-edits")
    assert (config.models.mutation, config.models.editing) == ("random/uniform", "constrained")
    assert mode_of(config).applied(config) == config


LLM = b"""
from task_agent import ask


def chat(model, messages, history=None, **parameters):
    return {"role": "assistant", "content": ask(messages[-1]["content"])}
"""
SHOWS = META_AGENT.replace(
    b'edit = json.loads(ask("mutate"))',
    b'told = json.loads(pathlib.Path(eval_path, "summary.json").read_text())["diagnosis"]\n'
    b'        edit = json.loads(ask("mutate"))',
).replace(b'"did "', b'told + ": did "')


def test_dgm_asks_for_a_diagnosis_first_and_edits_with_it(bench: Bench) -> None:
    bench.edits = [{**BETTER, FIXED: ["GOAL = ", "GOOL = "], "meta_agent.py": ["did", "DID"]}]
    program = {**PROGRAM, "meta_agent.py": SHOWS, "llm.py": LLM}
    seed, child = run(bench, "dgm", program, variants=1)
    asked = [text for text in bench.asked if not text.startswith("task")]
    assert "Do not edit anything yet" in asked[0]
    assert "SKILL = 0" in asked[0]
    assert asked[1:] == ["mutate"]
    assert child.summary.startswith("pardon?: did task_agent.py")
    assert (child.score, tree(bench, child)[FIXED]) == (0.75, tree(bench, seed)[FIXED])
    assert tree(bench, child)["meta_agent.py"] == SHOWS


def test_dgm_needs_a_client_to_ask_with(bench: Bench) -> None:
    mode = mode_of(mode_config(bench, "dgm"))
    with pytest.raises(ConfigError, match="no llm"):
        mode.generation0(PROGRAM)
    once = mode.generation0({**PROGRAM, "llm.py": LLM})
    assert mode.generation0(once) == once


@pytest.mark.parametrize("mode", NAMES)
def test_a_mutation_of_every_mode_is_journalled_and_replayed(bench: Bench, mode: str) -> None:
    bench.edits = [{**BETTER, "meta_agent.py": ['"did "', '"DID "']}]
    program = {**PROGRAM, "llm.py": LLM}
    child = run(bench, mode, program, variants=1)[1]
    assert bench.campaign is not None
    started = [e.payload for e in bench.archive.events(bench.campaign.id) if e.kind == "step_started"]
    assert json.loads(json.dumps(started[-1]))["mode"] == mode
    config = replace(mode_config(bench, mode), models=bench.config().models)
    report = Replayer(parts(bench, config, replay=True), lambda text: None).mutation(child)
    assert (report.identical, report.divergence) == (True, "")
