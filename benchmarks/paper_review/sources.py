"""Upstream files to records, for ``hyperagent benchmark fetch``. No text of the data stands here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

Record = dict[str, Any]


def records(source: str, files: Mapping[str, bytes]) -> list[Record]:
    """Every record that a source's upstream files hold; which of them are used is up to the id list."""
    make = {"iclr2022": iclr2022}[source]
    return [record for content in files.values() for record in make(content.decode("utf-8"))]


def iclr2022(text: str) -> Iterator[Record]:
    """One record per paper. The venue, which is the same for all, is left out.

    Raises:
        ValueError: A paper's outcome contradicts its decision.
    """
    for line in text.split("\n"):
        if not line:
            continue
        row = json.loads(line)
        hidden = row["hidden"]
        if not hidden["decision"].casefold().startswith(hidden["outcome"]):
            raise ValueError(f"{row['id']}: outcome {hidden['outcome']}, decision {hidden['decision']}")
        yield {
            "id": row["id"],
            "group": row["group"],
            "input": {"title": row["input"]["title"], "abstract": row["input"]["abstract"]},
            "hidden": {
                "label": hidden["outcome"],
                "decision": hidden["decision"],
                "ratings": hidden["ratings"],
                "mean_rating": hidden["mean_rating"],
            },
        }
