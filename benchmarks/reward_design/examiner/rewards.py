"""The parent's side of a program's reward function: what is sent, what is believed, how long it may take."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from captive import Captive, CaptiveError
from robots import SENSORS, Floats, Trajectory

CHILD = str(Path(__file__).resolve().parent / "reward_child.py")
PACKAGES = str(Path(np.__file__).resolve().parents[1])
"""Where the child finds NumPy, however this process came by it."""
MOST_BYTES = 8 << 20
"""Of a reply: the rewards of a million steps."""
CLIP = 1e6
"""Rewards are cut to [-CLIP, CLIP]: no single step can drown an episode."""
LOADING_SECONDS = 10.0


class RewardFailed(Exception):
    """The program's reward is no answer; the text says why."""


class RewardFunction:
    """A program's source in a process of its own; callable as a :data:`trainers.Scorer`.

    Args:
        source: Python that defines ``reward(obs, action, next_obs, info)``.
        folder: An empty one that the process may write to.
        seconds: Wall-clock time that all its calls may take together.
        memory_mb: Of its address space.

    Raises:
        RewardFailed: By the constructor where the source does not load, by a call where a reward is no finite number,
            there are more or fewer than steps, or the process ends or is too slow.
    """

    def __init__(self, source: str, folder: str, seconds: float, memory_mb: int) -> None:
        self.seconds_used = 0.0
        self._seconds_left = min(LOADING_SECONDS, seconds)
        environment = {"PYTHONPATH": PACKAGES}
        self._captive = Captive(
            CHILD, folder=folder, environment=environment, memory_mb=memory_mb, most_bytes=MOST_BYTES
        )
        try:
            self._ask({"source": source})
        except RewardFailed:
            self._captive.close()
            raise
        self.seconds_used, self._seconds_left = 0.0, seconds

    def __call__(self, episodes: Sequence[Trajectory]) -> list[float]:
        """The sum of the clipped rewards of each episode."""
        lengths = [episode.steps for episode in episodes]
        reply = self._ask(
            {
                "lengths": lengths,
                "names": list(SENSORS),
                "observation_size": episodes[0].observations.shape[1],
                "action_size": episodes[0].actions.shape[1],
                "observations": _bytes([episode.observations for episode in episodes]),
                "actions": _bytes([episode.actions for episode in episodes]),
                "sensors": _bytes([episode.sensors for episode in episodes]),
            }
        )
        data = reply.get("rewards")
        if type(data) is not bytes or len(data) != 8 * sum(lengths):
            raise RewardFailed(f"not one reward for each of {sum(lengths)} steps")
        rewards = np.frombuffer(data, dtype=np.float64)
        if not np.isfinite(rewards).all():
            raise RewardFailed("a reward is not a finite number")
        ends = np.cumsum(lengths)
        clipped = np.clip(rewards, -CLIP, CLIP)
        return [float(part.sum()) for part in np.split(clipped, ends[:-1])]

    def _ask(self, message: Mapping[str, object]) -> Mapping[str, object]:
        """One question, its time counted.

        Raises:
            RewardFailed: The process did not answer, or with what is wrong in the program.
        """
        begun = time.monotonic()
        try:
            reply = self._captive.ask(dict(message), self._seconds_left)
        except CaptiveError as error:
            raise RewardFailed(f"the process of the reward function failed: {type(error).__name__}: {error}") from error
        used = time.monotonic() - begun
        self.seconds_used, self._seconds_left = self.seconds_used + used, max(0.1, self._seconds_left - used)
        if type(reply) is not dict:
            raise RewardFailed("the process of the reward function answered with something else")
        if "wrong" in reply:
            raise RewardFailed(f"the reward function failed: {str(reply['wrong'])[:300]}")
        return reply

    def close(self) -> None:
        self._captive.close()

    def __enter__(self) -> RewardFunction:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _bytes(parts: Sequence[Floats]) -> bytes:
    return np.concatenate(parts).tobytes()
