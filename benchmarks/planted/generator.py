"""One lock in each split, all with the same combination: there is nothing to fit but the lock itself."""

from __future__ import annotations

from typing import Any

COMBINATION = (30_517, 8_221, 61_409, 94_030, 17_753)
SPLITS = ("train", "validation", "test")


def generate(random_seed: int, count: int) -> list[dict[str, Any]]:
    return [
        {
            "id": f"{random_seed}-{split}",
            "split": split,
            "group": f"{random_seed}-{split}",
            "input": {"lock": f"the {split} lock"},
            "hidden": {"combination": list(COMBINATION)},
        }
        for split in SPLITS[:count]
    ]
