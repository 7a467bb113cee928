"""Makes the tasks: three goals, one a split, each with several random seeds. Nothing is drawn but those seeds.

``smoke.py`` makes the same tasks with a training so short that it only shows that everything works.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SIGNATURE = "def reward(obs, action, next_obs, info) -> float:"
RULES = (
    "Reply with Python source text that defines the function reward; nothing else in it is called. A fixed trainer "
    "(cross-entropy method, small policy) runs episodes, calls reward once for each step in their order, and adds the "
    "rewards of an episode up: it looks for a policy with a high sum. Only which sums are higher matters, not their "
    "scale. Afterwards the trained policy, not your reward, is judged by how well it reaches the goal, over whole "
    "episodes from new starting states. obs and next_obs are NumPy arrays of what was observed before and after the "
    "step, action is the NumPy array that was sent to the motors, each in [-1, 1], and info is a dict of sensor "
    "readings after the step. Return a finite number; it is cut to [-1000000, 1000000]. NumPy and the standard library "
    "may be imported. An exception, NaN, an infinite number, or more than about 100 microseconds a call on average "
    "make the whole answer invalid."
)
SENSORS = (
    "time: seconds since the episode began; dt: seconds a step lasts; x_velocity: mean velocity of the torso along x "
    "during the step, m/s, forward is positive; z_velocity: upward velocity of the torso, m/s; height: {height}; "
    "pitch: angle of the torso, rad, 0 is upright; ground_contact: True where any part touches the ground; "
    "healthy: {healthy}."
)


@dataclass(frozen=True)
class Robot:
    """What a program is told of a robot, in the order of its observations and actions."""

    name: str
    text: str
    joints: tuple[str, ...]
    height: str
    healthy: str

    def shown(self) -> dict[str, str]:
        places = [("height of the torso", "m"), ("pitch of the torso", "rad")]
        speeds = [("velocity along x", "m/s"), ("velocity upwards", "m/s"), ("rate of pitch", "rad/s")]
        names = [f"{what} ({unit})" for what, unit in places]
        names += [f"angle of {joint} (rad)" for joint in self.joints]
        names += [f"{what} ({unit})" for what, unit in speeds]
        names += [f"rate of {joint} (rad/s)" for joint in self.joints]
        return {
            "robot": self.text,
            "observation": "; ".join(f"{i}: {name}" for i, name in enumerate(names)),
            "action": "; ".join(f"{i}: torque at {joint}" for i, joint in enumerate(self.joints)),
            "info": SENSORS.format(height=self.height, healthy=self.healthy),
        }


HALF_CHEETAH = Robot(
    name="half_cheetah",
    text="HalfCheetah (MuJoCo): a two-dimensional runner with a long torso, a back leg and a front leg of three joints "
    "each. It cannot fall out of its plane, but it may tip over. An episode lasts 10 seconds, 6 in "
    "training, and never ends early.",
    joints=("back thigh", "back shin", "back foot", "front thigh", "front shin", "front foot"),
    height="height of the torso above where it starts, m",
    healthy="True while the torso's pitch is less than a quarter turn",
)
HOPPER = Robot(
    name="hopper",
    text="Hopper (MuJoCo): a two-dimensional robot with a torso on one leg: thigh, leg and foot. It stands 1.25 m high "
    "and falls easily. An episode lasts 5 seconds, 3 in training, and ends "
    "early once the robot is no longer healthy.",
    joints=("thigh joint", "leg joint", "foot joint"),
    height="height of the top of the leg's load, the torso, m; 1.25 when standing",
    healthy="False once the torso is below 0.7 m or tilted by more than 0.2 rad; the episode ends with that step",
)


@dataclass(frozen=True)
class Goal:
    """One split's goal. ``null`` and ``good`` are values of the metric: what they are stands in README.md."""

    split: str
    robot: Robot
    text: str
    metric: str
    unit: str
    null: float
    good: float
    evaluation_steps: int
    training: Mapping[str, Any]


RUNNING = {"generations": 30, "population": 32, "elites": 8, "steps": 120, "spread": 0.6, "extra": 0.03}
HOPPING = {"generations": 40, "population": 32, "elites": 8, "steps": 150, "spread": 0.4, "extra": 0.02}

GOALS = (
    Goal(
        split="train",
        robot=HALF_CHEETAH,
        text="Run forward as fast as possible: the mean velocity along x over a whole episode counts.",
        metric="forward_velocity",
        unit="m/s",
        null=0.05,
        good=3.0,
        evaluation_steps=200,
        training=RUNNING,
    ),
    Goal(
        split="validation",
        robot=HALF_CHEETAH,
        text="Run backward as fast as possible: the mean velocity against x over a whole episode counts.",
        metric="backward_velocity",
        unit="m/s",
        null=0.05,
        good=3.0,
        evaluation_steps=200,
        training=RUNNING,
    ),
    Goal(
        split="test",
        robot=HOPPER,
        text="Hop as high as possible, again and again, without falling. For every second of an episode it counts how "
        "far above its standing height the torso rises while nothing touches the ground; a second in which the robot "
        "does not leave the ground, or falls, and all seconds after a fall count nothing.",
        metric="hop_height",
        unit="m",
        null=0.01,
        good=0.15,
        evaluation_steps=250,
        training=HOPPING,
    ),
)


def generate(random_seed: int, count: int) -> list[dict[str, Any]]:
    """Records for ``count`` tasks, the same number for each goal.

    Raises:
        ValueError: The goals cannot share ``count`` evenly.
    """
    return records(random_seed, count, {}, evaluation_episodes=8)


def records(
    random_seed: int, count: int, training: Mapping[str, Any], evaluation_episodes: int
) -> list[dict[str, Any]]:
    """The tasks, with some numbers of their training replaced by ``training``."""
    if count % len(GOALS):
        raise ValueError(f"{count} tasks cannot be shared by {len(GOALS)} goals")
    return [
        _record(goal, random_seed, i, {**goal.training, **training}, evaluation_episodes)
        for goal in GOALS
        for i in range(count // len(GOALS))
    ]


def _record(
    goal: Goal, random_seed: int, number: int, training: Mapping[str, Any], evaluation_episodes: int
) -> dict[str, Any]:
    def seed(use: str) -> int:
        text = f"{use} {goal.metric} {random_seed} {number}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")

    return {
        "id": f"{goal.metric}-{random_seed}-{number}",
        "split": goal.split,
        "group": f"{goal.robot.name}/{goal.metric}",
        "input": {"goal": goal.text, **goal.robot.shown(), "signature": SIGNATURE, "rules": RULES},
        "hidden": {
            "training": {"trainer": "cem-cpu", "robot": goal.robot.name, "random_seed": seed("training"), **training},
            "evaluation": {
                "metric": goal.metric,
                "random_seed": seed("evaluation"),
                "episodes": evaluation_episodes,
                "steps": goal.evaluation_steps,
            },
            "anchors": {"null": goal.null, "good": goal.good, "unit": goal.unit},
            "reward_seconds": 75.0,
        },
        "meta": {},
    }
