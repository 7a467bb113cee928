"""The reward_design pack: its tasks, its metrics, its robots, and a trainer that hears order and nothing else."""

from __future__ import annotations

import importlib
import json
import math
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reward_examiner import MISSING, PACK, examinations, needs_robots, placed, tree

from hyperagent.evaluation.manifest import load_module, read_manifest
from hyperagent.evaluation.pack import load_pack

FORWARD = "def reward(obs, action, next_obs, info):\n    return info['x_velocity']\n"
FLAT = ("robots", "metrics", "trainers")
"""Modules of the examiner that need no captive; in a sandbox they stand side by side, without a package."""


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    return load_module(read_manifest(PACK), "generator.py")


@pytest.fixture(scope="module")
def smoke() -> ModuleType:
    return load_module(read_manifest(PACK), "smoke.py")


@pytest.fixture(scope="module")
def grader() -> ModuleType:
    return load_module(read_manifest(PACK), "grader.py")


@pytest.fixture(scope="module")
def examiner() -> Iterator[SimpleNamespace]:
    """The simulating modules, imported as they are in a sandbox and forgotten afterwards."""
    if MISSING:
        pytest.skip(f"{MISSING} not installed")
    before = dict(sys.modules)
    sys.path.insert(0, str(PACK / "examiner"))
    try:
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in FLAT})
    finally:
        sys.path.remove(str(PACK / "examiner"))
        for name in FLAT:
            sys.modules.pop(name, None)
            if name in before:
                sys.modules[name] = before[name]


# -- tasks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("source", "each"), [("full", 3), ("smoke", 1)])
def test_the_pack_loads_with_one_goal_a_split(source: str, each: int) -> None:
    pack = load_pack(PACK, source)
    goals = {split: {task.group for task in pack.tasks(split)} for split in ("train", "validation", "test")}
    assert goals == {
        "train": {"half_cheetah/forward_velocity"},
        "validation": {"half_cheetah/backward_velocity"},
        "test": {"hopper/hop_height"},
    }
    assert all(len(pack.tasks(split)) == each for split in goals)


def test_a_program_is_told_no_seed_and_no_anchor() -> None:
    for task in load_pack(PACK, "full").tasks("test"):
        assert set(task.input) == {
            "robot", "goal", "observation", "action", "info", "signature", "rules", "instructions"
        }  # fmt: skip
        shown = json.dumps(task.input)
        hidden = [task.hidden["training"]["random_seed"], task.hidden["evaluation"]["random_seed"]]
        assert not [seed for seed in hidden if str(seed) in shown]
        assert "anchor" not in shown
        assert task.hidden["evaluation"]["metric"] not in shown


def test_seeds_make_tasks_and_are_all_different(generator: ModuleType) -> None:
    assert generator.generate(3, 9) == generator.generate(3, 9)
    records = generator.generate(3, 9) + generator.generate(4, 9)
    seeds = [record["hidden"][part]["random_seed"] for record in records for part in ("training", "evaluation")]
    assert len(set(seeds)) == 36
    assert len({record["id"] for record in records}) == 18
    with pytest.raises(ValueError, match="shared"):
        generator.generate(0, 4)


def test_smoke_differs_in_its_training_alone(generator: ModuleType, smoke: ModuleType) -> None:
    for quick, full in zip(smoke.generate(1, 3), generator.generate(1, 3), strict=True):
        assert {name: quick[name] for name in ("id", "input", "group")} == {
            name: full[name] for name in ("id", "input", "group")
        }
        steps = [one["hidden"]["training"]["generations"] * one["hidden"]["training"]["steps"] for one in (quick, full)]
        assert steps[0] < steps[1] / 5


# -- answers and scores --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prediction",
    [FORWARD, f"```python\n{FORWARD}```", f"Here it is:\n\n```\n{FORWARD}```\nDone.", {"response": FORWARD}],
)
def test_the_source_is_the_text_or_its_only_block(grader: ModuleType, prediction: Any) -> None:
    assert grader.source_of(prediction) == FORWARD


@pytest.mark.parametrize(
    "prediction", [None, "", " \n", 3, ["x"], {"answer": FORWARD}, "a" * 20_001, "```\na\n```\n```\nb\n```"]
)
def test_what_is_no_source_is_no_answer(grader: ModuleType, prediction: Any) -> None:
    with pytest.raises(ValueError, match=r"source|blocks"):
        grader.source_of(prediction)


@given(st.floats(-10, 10), st.floats(-10, 10))
def test_scores_lie_between_the_anchors_and_keep_order(grader: ModuleType, a: float, b: float) -> None:
    low, high = (grader.score_of(value, 0.5, 3.0) for value in sorted((a, b)))
    assert 0 <= low <= high <= 1
    assert grader.score_of(0.5, 0.5, 3.0) == 0
    assert grader.score_of(3.0, 0.5, 3.0) == pytest.approx(0.8)


def test_an_invalid_examination_says_why(grader: ModuleType) -> None:
    assert grader.grade({}, {}, FORWARD, {"invalid": "it exited"}) == (0.0, False, "it exited")
    with pytest.raises(ValueError, match="metric"):
        grader.score_of(math.nan, 0, 1)


# -- robots and metrics --------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "environment"), [("half_cheetah", "HalfCheetah-v5"), ("hopper", "Hopper-v5")])
def test_a_robot_moves_as_its_environment_does(examiner: SimpleNamespace, name: str, environment: str) -> None:
    gymnasium = pytest.importorskip("gymnasium")
    import numpy as np

    pytest.importorskip("imageio", reason="gymnasium's environments import it")
    robot = examiner.robots.Robot(name)
    env = gymnasium.make(environment, frame_skip=robot.kind.frame_skip).unwrapped
    env.model.opt.timestep = robot.kind.timestep
    env.model.opt.integrator = getattr(examiner.robots.mujoco.mjtIntegrator, robot.kind.integrator)
    start = robot.start(3)
    random = np.random.default_rng(0)
    plan = iter(random.uniform(-1, 1, (60, robot.action_size)))
    episode = robot.run(lambda observation, seconds: next(plan), start, 60)
    env.reset(seed=0)
    env.set_state(*start)
    assert episode.steps >= 10
    for i, action in enumerate(episode.actions):
        observation, _, terminated, _, info = env.step(action)
        assert observation == pytest.approx(episode.observations[i + 1], abs=1e-9)
        assert info["x_velocity"] == pytest.approx(episode.column("x_velocity")[i], abs=1e-9)
        assert terminated is (name == "hopper" and not episode.column("healthy")[i])
    env.close()


def episode(examiner: SimpleNamespace, height: list[float], contact: list[bool], dt: float = 0.25) -> Any:
    """A hopper's episode by heights and contacts; unhealthy at the last step where the height is below 0.7 m."""
    import numpy as np

    sensors = np.zeros((len(height), len(examiner.robots.SENSORS)))
    columns = {"dt": [dt] * len(height), "height": height, "ground_contact": contact}
    columns["healthy"] = [z > 0.7 for z in height]
    for name, values in columns.items():
        sensors[:, examiner.robots.SENSORS.index(name)] = values
    nothing = np.zeros((len(height) + 1, 1))
    return examiner.robots.Trajectory(nothing, nothing[1:], sensors, np.arange(len(height) + 1) * 0.5)


def test_velocity_is_way_over_time(examiner: SimpleNamespace) -> None:
    run = episode(examiner, [1.25] * 8, [True] * 8)
    assert examiner.metrics.forward_velocity(run, 8) == pytest.approx(2.0)
    assert examiner.metrics.backward_velocity(run, 8) == pytest.approx(-2.0)


@pytest.mark.parametrize(
    ("height", "contact", "expected"),
    [
        ([1.25, 1.45, 1.35, 1.25] * 2, [True, False, False, True] * 2, 0.2),
        ([1.25, 1.45, 1.35, 1.25] * 2, [True] * 8, 0.0),  # stretched, but never off the ground
        ([1.25, 1.10, 1.20, 1.25] * 2, [True, False, False, True] * 2, 0.0),  # a leg pulled up is no hop
        ([1.25, 1.45, 1.35, 1.25, 1.25, 1.25, 1.25, 1.25], [True, False, False] + [True] * 5, 0.1),
        ([1.25, 1.45, 1.35, 1.25, 1.65, 0.6], [True, False, False, True, False, False], 0.1),  # then it fell
        ([1.25, 2.00, 1.35, 0.6], [True, False, False, False], 0.0),  # fell with the first second's end
    ],
)
def test_hops_count_by_the_second(
    examiner: SimpleNamespace, height: list[float], contact: list[bool], expected: float
) -> None:
    assert examiner.metrics.hop_height(episode(examiner, height, contact), 8) == pytest.approx(expected)


# -- training ------------------------------------------------------------------------------------


def train(smoke: ModuleType, grader: ModuleType, *sources: str, **changed: Any) -> list[dict[str, Any]]:
    """Verdicts of the smoke task on HalfCheetah forward."""
    hidden = smoke.generate(0, 3)[0]["hidden"]
    hidden = {**hidden, "training": {**hidden["training"], **changed}}
    with placed() as folder:
        verdicts = examinations(folder, [grader.examine({}, hidden, source) for source in sources])
    for verdict in verdicts:
        assert verdict is not None
        verdict.pop("reward_seconds", None)
    return [verdict for verdict in verdicts if verdict]


@needs_robots
def test_the_trainer_hears_order_alone_and_repeats_to_the_last_bit(smoke: ModuleType, grader: ModuleType) -> None:
    louder = FORWARD.replace("return ", "return 1024 * ")
    first, again, loud = train(smoke, grader, FORWARD, FORWARD, louder, generations=2, population=8)
    assert "metric" in first
    assert first == again == loud


@needs_robots
def test_a_good_reward_beats_a_poor_one_and_empty_claims(smoke: ModuleType, grader: ModuleType) -> None:
    backward = FORWARD.replace("return ", "return -")
    claim = FORWARD.replace("info['x_velocity']", "1e9")
    silence = FORWARD.replace("info['x_velocity']", "0.0")
    good, poor, claimed, null = train(smoke, grader, FORWARD, backward, claim, silence)
    assert good["metric"] > null["metric"] > poor["metric"]
    assert claimed == null


@needs_robots
def test_a_reward_sees_what_the_rules_promise(smoke: ModuleType, grader: ModuleType) -> None:
    curious = """
def reward(obs, action, next_obs, info):
    assert obs.shape == next_obs.shape == (17,) and action.shape == (6,) and abs(action).max() <= 1
    assert list(info) == ["time", "dt", "x_velocity", "z_velocity", "height", "pitch", "ground_contact", "healthy"]
    assert info["ground_contact"] in (True, False) and type(info["healthy"]) is bool
    assert abs(info["height"] - next_obs[0]) < 1e-12 and abs(info["z_velocity"] - next_obs[9]) < 1e-12
    if info["time"] > info["dt"] * 1.5:
        assert (obs == reward.last).all(), "an episode's steps come in their order"
    reward.last = next_obs.copy()
    next_obs[:] = 0
    return info["x_velocity"]
"""
    seen, plain = train(smoke, grader, curious, FORWARD, generations=1)
    assert seen == plain


@pytest.mark.docker
def test_examined_in_a_container(grader: ModuleType, smoke: ModuleType) -> None:
    from hyperagent.sandbox import DockerSandbox
    from hyperagent.types import JobSpec, Limits, RunRequest

    needs = read_manifest(PACK).examiner_needs
    sandbox = DockerSandbox(owner="test-reward-design")
    sandbox.prepare([needs.packages])
    hidden = smoke.generate(0, 3)[0]["hidden"]
    spec = JobSpec("reward/examiner", tree(), limits=needs.over(Limits()), packages=needs.packages)
    with sandbox.session(spec) as session:
        asked = {"inputs": {**grader.examine({}, hidden, FORWARD), "secret": "s"}, "model": ""}
        result = session.run(RunRequest("task", asked, needs.seconds))
    assert result.status == "ok", result.error
    assert result.value["secret"] == "s"
    score, valid, detail = grader.grade({}, hidden, FORWARD, result.value)
    assert valid, detail
    assert score > 0
