"""Which recorded mutations a model is trained on, and which parents it is judged on. Pure: no archive, no model.

What a pair holds is what the meta agent sent and got in one recorded call, and nothing else: such a call is made in a
sandbox that holds train evidence only. Of validation results one bit enters: did the mutation improve on its parent?
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hyperagent.types import Json

AT_RANDOM = "at random"
"""How the seed's meta agent begins its summary where no reply fitted and it drew an edit itself."""


@dataclass(frozen=True)
class Mutation:
    """One mutation of the archive's history, with what came of it.

    Attributes:
        variant: Id of the child.
        parent: Id of the parent; ``parent_tree`` is its program: equal programs of several campaigns are one parent.
        messages: The conversation to which the last reply was given.
        reply: The edit that was made, as one line of JSON; empty where no reply of the model made it.
        improved: More right than the parent on the validation tasks that both ran.
    """

    variant: str
    parent: str
    parent_tree: str
    messages: tuple[Mapping[str, Json], ...]
    reply: str
    improved: bool


@dataclass(frozen=True)
class Pair:
    """What one training example is made of. Only the reply is learnt."""

    messages: tuple[Mapping[str, Json], ...]
    reply: str


def made_edit(reply: str, summary: str) -> str:
    """The edit of a reply as one line of JSON where the meta agent's summary says that this edit was made; else empty.

    One line, because prompts show edits on one line, and white space is nothing to learn.
    """
    try:
        edit = json.loads(reply)
    except ValueError:
        return ""
    if not isinstance(edit, dict) or not edit or summary.startswith(AT_RANDOM):
        return ""
    words = " ".join(summary.split())
    said = all(" ".join(str(value).split()) in words for value in edit.values())
    return json.dumps(edit, ensure_ascii=False) if said else ""


def split_by_parent(mutations: Sequence[Mutation], share: float, seed: int) -> tuple[list[Mutation], list[Mutation]]:
    """Mutations to train on, and those of held-out parents: no program is the parent of both.

    Args:
        share: Of the parents that are held out, in (0, 1); at least one is, and one is left.

    Raises:
        ValueError: Fewer than two different parents.
    """
    trees = sorted({one.parent_tree for one in mutations}, key=lambda tree: _draw(seed, tree))
    if len(trees) < 2:
        raise ValueError(f"{len(trees)} different parents cannot be divided")
    held = set(trees[: min(len(trees) - 1, max(1, round(share * len(trees))))])
    return (
        [one for one in mutations if one.parent_tree not in held],
        [one for one in mutations if one.parent_tree in held],
    )


def _draw(seed: int, text: str) -> bytes:
    return hashlib.sha256(f"{seed}/{text}".encode()).digest()


def training_pairs(mutations: Sequence[Mutation]) -> list[Pair]:
    """The pairs of mutations that improved, each once.

    Imitating what worked and nothing else (rejection sampling: Zelikman et al. 2022, arXiv 2203.14465). Weights by the
    size of the gain would let in more of the validation results than their sign, and on some tens of tasks sizes are
    mostly noise.
    """
    found = {_key(pair): pair for one in mutations if one.improved and one.reply and (pair := _pair(one))}
    return list(found.values())


def shuffled(mutations: Sequence[Mutation], seed: int) -> list[Mutation]:
    """The control: the same mutations, as many of them said to have improved, which ones is drawn by lot."""
    usable = [one for one in mutations if one.reply]
    labels = [one.improved for one in usable]
    random.Random(f"{seed}/shuffled").shuffle(labels)
    return [replace(one, improved=label) for one, label in zip(usable, labels, strict=True)]


def digest_of(pairs: Sequence[Pair]) -> str:
    """SHA-256 over a training set: its pairs in order."""
    return hashlib.sha256("\n".join(_key(pair) for pair in pairs).encode()).hexdigest()


def _pair(mutation: Mutation) -> Pair:
    return Pair(mutation.messages, mutation.reply)


def _key(pair: Pair) -> str:
    members: dict[str, Any] = {"messages": [dict(message) for message in pair.messages], "reply": pair.reply}
    return json.dumps(members, sort_keys=True)
