"""Writes to an archive until it is killed, and acknowledges every write on stdout once it is durable.

Arguments: the home; the number of the file operation at which to kill itself, 0 = never.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from hyperagent.archive import open_archive
from hyperagent.types import CallKey, ModelCall, Outcome, SandboxInfo


def say(**promise: object) -> None:
    os.write(1, (json.dumps(promise) + "\n").encode())


def die_at_operation(number: int, home: str) -> None:
    """kill -9 of this process at its ``number``-th file operation inside the archive."""
    seen = itertools.count(1)

    def hook(name: str, arguments: tuple[object, ...]) -> None:
        inside = any(isinstance(one, str | os.PathLike) and os.fspath(one).startswith(home) for one in arguments)
        if name in ("open", "os.rename", "os.remove", "os.mkdir", "os.chmod") and inside and next(seen) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def main(home: str, die_at: int) -> None:
    archive = open_archive(Path(home), write=True, create=True)
    archive.recover()
    names = [one.name for one in archive.campaigns()]
    campaign = archive.campaign("demo") if "demo" in names else archive.create_campaign("demo", 1, {})
    known = archive.variants("demo")
    parent = next((one.id for one in reversed(known) if one.status == "evaluated"), None)
    if die_at:
        die_at_operation(die_at, home)
    for step in itertools.count(len(known)):
        variant = archive.start_step("demo", step, parent, {})
        program = {"n.py": b"%d" % step, "big.bin": os.urandom(2000)}
        variant = archive.commit_program(variant.id, program, "edit")
        say(variant=variant.id, commit=variant.commit)
        call = ModelCall(
            CallKey(f"{step}", "t", 0), campaign.id, variant.id, "evaluate", "m", "h", "reserved", 2, 2, 0.0
        )
        archive.reserve_call(call)
        archive.settle_call(replace(call, state="settled"), b"request", os.urandom(40_000))
        say(call=f"{step}")
        say(blob=archive.put_blob(os.urandom(40_000)))
        running = archive.start_evaluation(variant.id, "m", "train", ["a", "b"], 0, "c", SandboxInfo("process", "none"))
        for task in running.tasks:
            prediction = json.dumps(f"{step} {task}")
            archive.add_outcome(running.id, Outcome(task, "scored", 1.0, prediction))
            say(evaluation=running.id, outcome=task, prediction=prediction)
        archive.finish_evaluation(running.id, "finished", 1.0)
        parent = archive.finish_variant(variant.id, "evaluated", score=1.0).id
        say(finished=parent)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
