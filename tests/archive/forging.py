"""What somebody with a text editor, or with this project's own source, can make of a bundle."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hyperagent.archive import open_archive
from hyperagent.archive.digests import canonical, event_digest
from hyperagent.protocols import Archive
from hyperagent.types import CallKey, ModelCall, Outcome, SandboxInfo, Variant

Rows = dict[str, list[dict[str, Any]]]
Parts = dict[str, bytes]
SANDBOX = SandboxInfo("process", "none")
TRANSCRIPT = b"a conversation \x1b[2J" * 2000


def make_campaign(archive: Archive, name: str = "demo") -> Variant:
    """Seed, a child with calls, blobs, hostile predictions and a hidden test, a second child; returns the child."""
    campaign = archive.create_campaign(name, 1, {"budget": {"cost": 1.0}})
    seed = _program(archive, campaign.id, 0, None)
    child = _program(archive, campaign.id, 1, seed.id)
    _program(archive, campaign.id, 2, seed.id)
    archive.set_campaign_state(campaign.id, "finished")
    return child


def _program(archive: Archive, campaign: str, step: int, parent: str | None) -> Variant:
    variant = archive.start_step(campaign, step, parent, {})
    evidence = archive.put_blob(b'{"results.json": "%d"}' % step)
    archive.append_event(
        campaign, "mutation_started", {"variant": variant.id, "evidence": evidence, "iterations_left": 3}
    )
    tree = {"task_agent.py": b"a = %d\n" % step, "tools/bash.py": b"b\r\n\x00\xff", "tools/deep/x.txt": b"", "c": b"c"}
    archive.commit_program(variant.id, tree, "edit")
    transcript = archive.put_blob(TRANSCRIPT + b"%d" % step)
    archive.describe_mutation(variant.id, summary="I did \ud800 \0 it", seconds=2.5, transcript_blob=transcript)
    for split in ("train", "validation", "test"):
        _evaluate(archive, campaign, variant, split, transcript)
    return archive.finish_variant(variant.id, "evaluated", score=0.5)


def _evaluate(archive: Archive, campaign: str, variant: Variant, split: Any, transcript: str) -> None:
    evaluation = archive.start_evaluation(variant.id, "m", split, ["a", "b"], 0, "c", SANDBOX)
    job = f"{campaign}/{variant.step}/m/{split}"
    for number, task in enumerate(evaluation.tasks):
        call = ModelCall(
            CallKey(job, task, 0), campaign, variant.id, "evaluate", "m", f"h{job}{task}", "reserved", 9, 9, 0.5
        )
        archive.reserve_call(call)
        settled = ModelCall(call.key, campaign, variant.id, "evaluate", "m", call.request_hash, "settled", 3, 2, 0.01)
        archive.settle_call(settled, f"ask {job} {task}".encode(), b"same reply")
        prediction = json.dumps(f"=1+1 \x1b[2J {split} {task}")
        archive.add_outcome(
            evaluation.id,
            Outcome(task, "scored", float(number), prediction, "\ud800", 0.5, transcript_blob=transcript),
        )
    archive.finish_evaluation(evaluation.id, "finished", 0.5)


def export(home: Path, file: Path, campaign: str = "demo", **options: Any) -> Path:
    with open_archive(home) as archive, file.open("wb") as stream:
        archive.export_bundle(stream, campaign, **options)
    return file


def members(file: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(file) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def rows_of(parts: dict[str, bytes]) -> Rows:
    names = [name for name in parts if name.startswith("rows/")]
    return {
        name[5:-6]: [json.loads(line) for line in parts[name].splitlines()]  # rows/<table>.jsonl
        for name in names
    }


def dumps(value: Any) -> bytes:
    """What seals are taken over, but with NaN, which no honest row holds."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def reseal(rows: Rows) -> None:
    """Make every seal and the whole chain fit again, as only somebody who knows how can."""
    newest = {}
    for table in rows.keys() - {"event"}:
        for row in rows[table]:
            content = {key: value for key, value in row.items() if key != "seal"}
            row["seal"] = hashlib.sha256(dumps([table, content])).hexdigest()
            newest[f"{table}:{row['id']}"] = row["seal"]
    previous = ""
    last = {event["subject"]: event["sequence"] for event in rows["event"]}
    for number, event in enumerate(rows["event"], 1):
        if last[event["subject"]] == event["sequence"]:
            event["sealed"] = newest.get(event["subject"], event["sealed"])
        event["sequence"] = number
        event["previous"] = previous
        content = {key: value for key, value in event.items() if key not in ("previous", "digest")}
        previous = event["digest"] = event_digest(previous, content)


def write(file: Path, parts: dict[str, bytes], *, manifest: bool = True) -> Path:
    """A bundle of these members; with ``manifest`` its hashes are made to fit."""
    if manifest:
        about = json.loads(parts["manifest.json"])
        about["members"] = {
            name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in parts.items()
            if name != "manifest.json"
        }
        parts["manifest.json"] = canonical(about).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in parts.items():
            packed.writestr(name, data)
    file.write_bytes(buffer.getvalue())
    return file


def forge(source: Path, file: Path, change: Callable[[Rows, dict[str, bytes]], object], *, sealed: bool = True) -> Path:
    """A copy of a bundle with changed rows or members, whose hashes all fit (seals and chain only if ``sealed``)."""
    parts = members(source)
    rows = rows_of(parts)
    change(rows, parts)
    if sealed:
        reseal(rows)
    for table, found in rows.items():
        parts[f"rows/{table}.jsonl"] = b"".join(dumps(row) + b"\n" for row in found)
    return write(file, parts)


def first(rows: Rows, table: str, **changes: Any) -> None:
    rows[table][0].update(changes)


def evil_tree(entries: bytes) -> Callable[[Rows, Parts], None]:
    """Give the seed another tree, with a commit and hashes that fit."""

    def change(rows: Rows, parts: Parts) -> None:
        seed = rows["variant"][0]
        old = parts.pop(f"git/{seed['commit']}")
        for name in [name for name in parts if name.startswith("git/")]:
            del parts[name]
        rows["variant"] = [seed]
        for table in ("evaluation", "outcome", "model_call"):
            rows[table] = []
        rows["event"] = [one for one in rows["event"] if one["subject"] in ("", f"variant:{seed['id']}")]
        rows["event"] = [
            one for one in rows["event"] if json.loads(one["payload"]).get("variant") in (None, seed["id"])
        ]
        rows["event"].append({**rows["event"][0], "subject": f"campaign:{seed['campaign']}", "sequence": 10**6})
        tree = git_object(parts, b"tree", entries)
        body = old.split(b"\0", 1)[1].replace(seed["tree"].encode(), tree.encode())
        seed.update(tree=tree, commit=git_object(parts, b"commit", body))
        parts.update({name: data for name, data in parts.items() if not name.startswith("blobs/")})
        for name in [name for name in parts if name.startswith("blobs/") and name[6:] not in json.dumps(rows)]:
            del parts[name]

    return change


def git_object(parts: Parts, kind: bytes, content: bytes) -> str:
    packed = b"%s %d\0%s" % (kind, len(content), content)
    object_id = hashlib.sha1(packed, usedforsecurity=False).hexdigest()
    parts[f"git/{object_id}"] = packed
    return object_id


def entry(mode: bytes, name: bytes, data: bytes = b"x") -> Callable[[Rows, Parts], None]:
    def change(rows: Rows, parts: Parts) -> None:
        added: Parts = {}
        blob = git_object(added, b"blob", data)
        evil_tree(mode + b" " + name + b"\0" + bytes.fromhex(blob))(rows, parts)
        parts.update(added)

    return change


def of_names(*names: bytes) -> Callable[[Rows, Parts], None]:
    def change(rows: Rows, parts: Parts) -> None:
        added: Parts = {}
        blob = bytes.fromhex(git_object(added, b"blob", b"x"))
        evil_tree(b"".join(b"100644 %s\0%s" % (name, blob) for name in names))(rows, parts)
        parts.update(added)

    return change


def tree_bomb(rows: Rows, parts: Parts) -> None:
    """Ten folders in each of ten folders ...: a few kilobytes that unfold into ten billion files."""
    added: Parts = {}
    kind, below = b"100644", git_object(added, b"blob", b"boom")
    for _ in range(10):
        entries = b"".join(b"%s %d\0" % (kind, number) + bytes.fromhex(below) for number in range(10))
        kind, below = b"40000", git_object(added, b"tree", entries)
    evil_tree(b"40000 d\0" + bytes.fromhex(below))(rows, parts)
    parts.update(added)


def of_another(rows: Rows, parts: Parts) -> None:
    for call in rows["model_call"]:
        call["job"] = "0123456789ab/1/m/validation"


def other_campaign(rows: Rows, parts: Parts) -> None:
    rows["campaign"].append({**rows["campaign"][0], "id": "0123456789ab", "name": "second"})
