"""Reads the mutations of finished campaigns back out of an archive, each with what it was worth."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from hyperagent.distil.pairs import Mutation, made_edit
from hyperagent.protocols import Archive
from hyperagent.types import Json, ModelCall, Variant

MUTATE = "mutate"
SCORED = ("evaluated", "screened_out")


def read_history(archive: Archive, campaign: str) -> list[Mutation]:
    """The scored mutations of one campaign that asked for edits by a JSON schema, in step order.

    Mutations without a recorded reply, or in another format (a tool loop is a conversation, not an edit), are left out.
    """
    found = []
    by_id = {variant.id: variant for variant in archive.variants(campaign)}
    calls = last_calls(archive.calls(campaign=campaign))
    for variant in by_id.values():
        parent = by_id.get(variant.parent or "")
        call = calls.get(variant.id)
        if parent is None or call is None or variant.status not in SCORED:
            continue
        mutation = _mutation(archive, variant, parent, call)
        if mutation is not None:
            found.append(mutation)
    return found


def last_calls(calls: Sequence[ModelCall]) -> dict[str, ModelCall]:
    """Variant -> the last settled call of its mutation: the one whose reply was taken, if any was."""
    last: dict[str, ModelCall] = {}
    for call in calls:
        if call.purpose == MUTATE and call.state == "settled" and call.request_blob and call.reply_blob:
            known = last.get(call.variant)
            if known is None or call.key.sequence >= known.key.sequence:
                last[call.variant] = call
    return last


def _mutation(archive: Archive, variant: Variant, parent: Variant, call: ModelCall) -> Mutation | None:
    if call.purpose != MUTATE:  # an evaluation's call holds validation or test tasks: never to be learnt from
        raise ValueError(f"call {call.key} was made to {call.purpose}")
    gain = paired_gain(outcome_scores(archive, parent.id), outcome_scores(archive, variant.id))
    conversation = conversation_of(archive, call)
    if gain is None or conversation is None:
        return None
    messages, reply = conversation
    edit = made_edit(reply, variant.summary)
    return Mutation(variant.id, parent.id, parent.tree, messages, edit, gain > 0)


def conversation_of(archive: Archive, call: ModelCall) -> tuple[tuple[Mapping[str, Json], ...], str] | None:
    """See :func:`read_conversation`."""
    return read_conversation(archive.get_blob(call.request_blob), archive.get_blob(call.reply_blob))


def read_conversation(request: bytes, reply: bytes) -> tuple[tuple[Mapping[str, Json], ...], str] | None:
    """Messages and reply of a recorded call; None where it is no plain chat that a JSON schema bound."""
    try:
        asked, answered = json.loads(request), json.loads(reply)
        messages = [{"role": str(m["role"]), "content": m["content"]} for m in asked["messages"]]
        form = asked["parameters"]["response_format"]["type"]
        content = answered["message"]["content"]
    except (ValueError, LookupError, TypeError):
        return None
    plain = all(isinstance(message["content"], str) for message in messages)
    if form != "json_schema" or not plain or not isinstance(content, str) or not messages:
        return None
    return tuple(messages), content


def outcome_scores(archive: Archive, variant: str) -> dict[tuple[str, str], float]:
    """(benchmark, task) -> score in [0, 1] on the validation split; what our side lost is not among them."""
    return {
        (evaluation.benchmark, outcome.task): outcome.score
        for evaluation in archive.evaluations(variant)
        if evaluation.split == "validation"
        for outcome in archive.outcomes(evaluation.id)
        if outcome.status != "lost"
    }


def paired_gain(parent: Mapping[tuple[str, str], float], child: Mapping[tuple[str, str], float]) -> float | None:
    """Mean of child minus parent over the tasks that both ran, in [-1, 1]; None where they share none."""
    shared = [child[task] - parent[task] for task in sorted(parent.keys() & child.keys())]
    return sum(shared) / len(shared) if shared else None


def first_children(mutations: Sequence[Mutation]) -> dict[str, Mutation]:
    """Parent tree -> its first mutation: the one that was told least about earlier attempts."""
    first: dict[str, Mutation] = {}
    for one in mutations:
        first.setdefault(one.parent_tree, one)
    return first
