"""The program's reward function in a process of its own: plain arrays come in, one number a step goes out.

Nothing here is trusted: the source may change whatever it finds in this process. The parent believes nothing but that
these are the rewards that it asked for, and looks at each.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before the import: these arrays are small, and threads are counted
import numpy as np
import plain

Reward = Callable[[Any, Any, Any, dict[str, Any]], Any]

MOST_TEXT = 300
"""Characters of an error that the parent is told."""
FLAGS = ("ground_contact", "healthy")
"""Members of ``info`` that are true or false."""


class Child:
    """Answers the two questions of ``rewards.py``: load this source, and what are the rewards of these steps?"""

    def __init__(self) -> None:
        self._reward: Reward | None = None

    def answer(self, message: Any) -> Any:
        try:
            return self._load(message["source"]) if "source" in message else self._rewards(message)
        except Exception as error:  # noqa: BLE001 - the program's own code, at the edge of its process
            return {"wrong": f"{type(error).__name__}: {error}"[:MOST_TEXT]}

    def _load(self, source: str) -> Any:
        namespace: dict[str, Any] = {"__name__": "reward"}
        exec(compile(source, "reward.py", "exec"), namespace)
        self._reward = namespace.get("reward")
        return {} if callable(self._reward) else {"wrong": "the source defines no function named reward"}

    def _rewards(self, message: Any) -> Any:
        assert self._reward is not None, "asked for rewards before a source was loaded"
        names: list[str] = message["names"]
        flags = [names.index(name) for name in FLAGS]
        # Three arrays of their own, each row handed out once: whatever a reward writes into one reaches no other step.
        before, after = (_array(message["observations"], message["observation_size"]) for _ in range(2))
        actions = _array(message["actions"], message["action_size"])
        sensors = _array(message["sensors"], len(names)).tolist()
        reward, rewards, step, row = self._reward, [], 0, 0
        for length in message["lengths"]:
            for _ in range(length):
                values = sensors[step]
                for flag in flags:
                    values[flag] = bool(values[flag])
                info = dict(zip(names, values, strict=True))
                rewards.append(float(reward(before[row], actions[step], after[row + 1], info)))
                step, row = step + 1, row + 1
            row += 1  # an episode has one observation more than steps
        return {"rewards": np.array(rewards, dtype=np.float64).tobytes()}


def _array(data: bytes, width: int) -> Any:
    return np.frombuffer(data, dtype=np.float64).reshape(-1, width).copy()


if __name__ == "__main__":
    plain.serve(Child().answer)
