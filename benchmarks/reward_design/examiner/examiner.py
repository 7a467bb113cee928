"""Trains a policy with the program's reward and measures it by the task's own metric.

The reward function runs in a captive process that is shown observations, actions and sensors of finished episodes and
answers with numbers. Simulation, training and measuring stay here.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy: the cores are for simulations, and sums must not be split
from metrics import METRICS
from rewards import RewardFailed, RewardFunction
from trainers import TRAINERS, ClockedPolicy, Crew, Plan

REWARD_MEMORY_MB = 1024


def examine(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Train and measure.

    Args:
        inputs: ``source`` (the program's), ``training`` (:class:`trainers.Plan`), ``evaluation`` (``metric``, a name;
            ``random_seed``, ``episodes``, ``steps``) and ``reward_seconds``.

    Returns:
        ``{"metric": mean over episodes, "episodes": metric of each, "reward_seconds": time spent in rewards}``, or
        ``{"invalid": why}`` where the reward is no answer.
    """
    plan = Plan(**inputs["training"])
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        try:
            with RewardFunction(inputs["source"], folder, inputs["reward_seconds"], REWARD_MEMORY_MB) as reward:
                policy = TRAINERS[plan.trainer](plan, reward)
                seconds = reward.seconds_used
        except RewardFailed as error:
            return {"invalid": str(error)}
    return {**measure(policy, plan.robot, inputs["evaluation"]), "reward_seconds": round(seconds, 3)}


def measure(policy: ClockedPolicy, robot: str, evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """The fixed metric of a policy over episodes that training has not seen."""
    steps = evaluation["steps"]
    starts = [(evaluation["random_seed"], 2, i) for i in range(evaluation["episodes"])]
    crew = Crew(robot)
    try:
        episodes = crew.run([(policy.parameters, start) for start in starts], steps)
    finally:
        crew.close()
    values = [METRICS[evaluation["metric"]](episode, steps) for episode in episodes]
    return {"metric": sum(values) / len(values), "episodes": values}
