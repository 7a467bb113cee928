"""The ways in which a model can edit a program, and which one suits a model."""

from __future__ import annotations

import re
from random import Random
from typing import Any

import constrained
import edits
import menu
import rewrite
import rounds
from evidence import Evidence

TOOLS = "tools"
BY_SIZE = ((3.0, "menu"), (8.0, "rewrite"))  # parameters in billions, below: the format
UNKNOWN = TOOLS  # a model whose name says no size: a provider's
SMALLEST = "menu"  # a local model whose name says no size, and the control without a model
SIZE = re.compile(r"(?<![\d.])(\d+(?:\.\d+)?)([bm])(?![a-z])")


def format_of(model: str, chosen: str = "auto") -> str:
    """The format to use: the one chosen where there is one of that name, else by the model's size."""
    if chosen == TOOLS or chosen in FORMATS:
        return chosen
    size = size_of(model)
    if size is None:
        return SMALLEST if model.startswith(("local/", "random/")) else UNKNOWN
    return next((name for limit, name in BY_SIZE if size < limit), TOOLS)


def size_of(model: str) -> float | None:
    """Parameters in billions as a model's name tells them, the largest of several; None where it says nothing."""
    sizes = [float(n) / (1000 if unit == "m" else 1) for n, unit in SIZE.findall(model.lower())]
    return max(sizes, default=None)


def ask_typed(files: edits.Files, evidence: Evidence, chance: Random) -> rounds.Request:
    """One typed edit of any kind that fits."""
    prompt = constrained.prompt(files, evidence, chance)
    form = _schema("edit", edits.schema(files, evidence))
    return rounds.Request(
        prompt,
        {"response_format": form, "max_tokens": constrained.MAX_TOKENS},
        lambda reply: rounds.typed(constrained.parse(reply), files, evidence),
    )


def ask_menu(files: edits.Files, evidence: Evidence, chance: Random) -> rounds.Request:
    """The number of one of a few edits."""
    offered = menu.offers(files, evidence, chance)
    if not offered:
        raise edits.EditError("no edit fits this program", "nothing")
    return rounds.Request(
        menu.prompt(offered, files, evidence),
        {"response_format": _schema("choice", menu.schema(offered)), "max_tokens": menu.MAX_TOKENS},
        lambda reply: rounds.typed(menu.pick(reply, offered).edit, files, evidence),
    )


def ask_rewrite(files: edits.Files, evidence: Evidence, chance: Random) -> rounds.Request:
    """One whole function."""
    name = rewrite.choose(files, evidence, chance)
    return rounds.Request(
        rewrite.prompt(name, files, evidence, chance),
        {"max_tokens": rewrite.MAX_TOKENS},
        lambda reply: rounds.rewritten(reply, name, files, evidence),
    )


def _schema(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema}}


FORMATS: dict[str, rounds.Format] = {"rewrite": ask_rewrite, "constrained": ask_typed, "menu": ask_menu}
