"""What a large archive costs, as Markdown: ``scripts/bench archive [--variants 100000] [--tasks 10] [--archive DIR]``.

Fills an archive through the store's own tables, seals and journal (many rows to a transaction; variants share a few
commits), then measures what a session and the verbs that look do with it. Nothing in it was ever run.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

from bench_facts import machine, milliseconds, table

from hyperagent.archive import open_archive, records
from hyperagent.archive.digests import canonical
from hyperagent.archive.schema import Row, Transaction, sealed
from hyperagent.archive.store import Store
from hyperagent.assembly.wiring import load_program, pack_program
from hyperagent.config import load_config, to_json
from hyperagent.engine.likeness import PROGRAM_FORM
from hyperagent.engine.selection.proportional import ScoreChildProportional
from hyperagent.types import Outcome, SandboxInfo

CONFIG = Path(__file__).parent.parent / "benchmarks" / "planted" / "planted.toml"
NAME, MODEL = "large", "planted/useless"
COMMITS, AT_ONCE = 64, 1000
VERBS = ("ls", f"status {NAME}", f"lineage {NAME} --ancestors {NAME}/{{last}}", f"show {NAME}/{{last}}")


def fill(home: Path, variants: int, tasks: int) -> None:
    """One campaign of so many scored variants, ``tasks`` outcomes each; parents are drawn from the 500 before."""
    chance = random.Random(1)
    config = load_config(CONFIG, environment={}, settings=[f"name={NAME}", f"budget.variants={variants}"])
    with open_archive(home, write=True, create=True) as archive:
        program = load_program("program", CONFIG.parent)
        blob = archive.put_blob(pack_program(program))
        campaign = archive.create_campaign(NAME, 1, {**to_json(config), "program_files": blob})
        trees, above = [], ""
        for number in range(COMMITS):
            files = {**program, "note.py": f"NUMBER = {number}\n".encode()}
            above, tree = archive._lineage.commit(files, above, NAME, number, "made")
            trees.append((above, tree))
        made: list[dict[str, Any]] = []
        for first in range(0, variants, AT_ONCE):
            _batch(archive, campaign.id, made, range(first, min(first + AT_ONCE, variants)), tasks, trees, chance)
            made = made[-500:]
        lines = (f"{trees[n % COMMITS][0]} refs/variants/{NAME}/{n}\n" for n in range(COMMITS, variants))
        (home / "lineage.git" / "packed-refs").write_text("# pack-refs with: sorted \n" + "".join(sorted(lines)))
        archive.set_campaign_state(campaign.id, "stopped", "made to be measured")


def _batch(
    archive: Store,
    campaign: str,
    made: list[dict[str, Any]],
    steps: range,
    tasks: int,
    trees: Sequence[tuple[str, str]],
    chance: random.Random,
) -> None:
    """Rows and journal of some steps, as their evaluation would have left them."""
    variants, evaluations, outcomes = [], [], []
    names = [f"task-{number}" for number in range(tasks)]
    sandbox = canonical(asdict(SandboxInfo("process", "none")))
    for step in steps:
        parent = chance.choice(made) if made else None
        commit, tree = trees[step % COMMITS]
        won = [float(chance.random() < 0.5) for _ in names]
        score = sum(won) / tasks
        row: dict[str, Any] = {
            "id": f"{step:012x}",
            "campaign": campaign,
            "step": step,
            "generation": parent["generation"] + 1 if parent else 0,
            "parent": parent["id"] if parent else None,
            "status": "evaluated",
            "commit": commit,
            "tree": tree,
            "score": score,
            "reason": "",
            "summary": f"sets number {step % COMMITS} and looks at the last line first",
            "seconds": 1.0,
            "created": time.time(),
        }
        variants.append(row)
        made.append(row)
        shared = {"benchmark": "planted", "split": "validation", "tasks": canonical(names), "screen": 1}
        ended = {"context": "made", "state": "finished", "sandbox": sandbox, "score": score}
        evaluations.append({"id": step + 1, "variant": row["id"], **shared, **ended})
        for number, (name, right) in enumerate(zip(names, won, strict=True)):
            outcome = records.outcome_row(Outcome(name, "scored", right, '"yes"', seconds=0.1, peak_mb=30.0))
            outcomes.append({**outcome, "id": step * tasks + number + 1, "evaluation": step + 1})
    with archive._database.write() as rows:
        events = []
        for kind, name, many in (
            ("program_committed", "variant", variants),
            ("evaluation_finished", "evaluation", evaluations),
            ("outcome_added", "outcome", outcomes),
            ("variant_finished", "variant", []),
        ):
            found = _inserted(rows, name, many) if many else rows.find("variant", id=tuple(v["id"] for v in variants))
            events += [(kind, {name: row["id"]}, f"{name}:{row['id']}", row["seal"]) for row in found]
        forms = [{"variant": row["id"], "form": f"{row['step']:064x}"} for row in variants]
        events += [(PROGRAM_FORM, payload, "", "") for payload in forms]  # else a session parses every program
        rows.journal_all(campaign, events)


def _inserted(rows: Transaction, table: str, many: list[Row]) -> list[Row]:
    """Add rows at once; returns them sealed."""
    found = [sealed(table, row) for row in many]
    rows.insert_all(table, found)
    return found


def session(home: Path, repeats: int) -> None:
    """What a resumed campaign does, without its sandboxes; runs in a process of its own for its memory's sake."""
    from hyperagent import assembly

    class Silent:
        def progress(self, progress: object) -> None: ...

        def message(self, text: str) -> None: ...

    taken: dict[str, list[float]] = {name: [] for name in ("select", "record")}
    select, finish = ScoreChildProportional.select, Store.finish_variant

    def timed(name: str, action: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return action(*arguments, **named)
            finally:
                taken[name].append(time.perf_counter() - began)

        return run

    ScoreChildProportional.select = timed("select", select)  # type: ignore[method-assign]
    Store.finish_variant = timed("record", finish)  # type: ignore[method-assign]
    began = time.perf_counter()
    with open_archive(home, write=True) as archive:
        campaign = archive.campaign(NAME)
        more = _count(archive) + repeats - 1
        running = assembly.resume_campaign(
            campaign,
            archive,
            Silent(),
            lambda config: replace(
                config,
                budget=replace(config.budget, variants=more),
                models=replace(config.models, mutation=MODEL, evaluation=MODEL),
            ),
        )
        try:
            running.run()
        finally:
            running.close()
    whole = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**taken, "whole": whole, "memory": memory}))


def _count(archive: Store) -> int:
    with archive._database.read() as rows:
        return int(rows.query("SELECT count(*) AS n FROM variant")[0]["n"])


def seconds_of(words: Sequence[str], repeats: int) -> tuple[float, float]:
    """Median wall-clock and processor seconds of a command."""
    walls, used = [], []
    for _ in range(repeats):
        before, began = os.times(), time.perf_counter()
        subprocess.run([sys.executable, "-m", "hyperagent", *words], check=True, capture_output=True)
        walls.append(time.perf_counter() - began)
        after = os.times()
        used.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return median(walls), median(used)


def measure(home: Path, repeats: int) -> list[tuple[str, str]]:
    """What is asked of the archive, and what that takes."""
    rows = []
    start = seconds_of(["--version"], repeats)
    with open_archive(home) as archive:
        last = _count(archive) - 1
    for verb in VERBS:
        wall, used = seconds_of([*verb.format(last=last).split(), "--archive", str(home)], repeats)
        rows.append((f"`{verb.format(last=last)}`", f"{wall:.2f} s, {used:.2f} s of processor"))
    rows.append(("`--version` (of which the above holds as much)", f"{start[0]:.2f} s, {start[1]:.2f} s of processor"))
    command = [sys.executable, __file__, "--archive", str(home), "--session", "--repeats", str(20)]
    found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    rows.append(("parent selection", milliseconds(found["select"]) + " ms"))
    rows.append(("recording a finished variant", milliseconds(found["record"]) + " ms"))
    rows.append(("a resumed session of 20 variants, whole", f"{found['whole']:.1f} s"))
    rows.append(("most resident memory of that session", f"{found['memory']:.0f} MB"))
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variants", type=int, default=100_000)
    parser.add_argument("--tasks", type=int, default=10, help="outcomes of each (default 10)")
    parser.add_argument("--archive", type=Path, help="folder to keep it in; filled where there is none")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--session", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.session:
        session(arguments.archive, arguments.repeats)
        return 0
    with tempfile.TemporaryDirectory(prefix="bench-archive-") as temporary:
        home = arguments.archive or Path(temporary) / "archive"
        began = time.perf_counter()
        if not (home / "archive.db").is_file():
            fill(home, arguments.variants, arguments.tasks)
            print(f"filled in {time.perf_counter() - began:.0f} s", file=sys.stderr)
        size = sum(file.stat().st_size for file in home.rglob("*") if file.is_file()) / 1e6
        rows = measure(home, arguments.repeats)
    print(f"{machine()}\n\n{arguments.variants:,} variants of {arguments.tasks} outcomes, {size:.0f} MB on disk\n")
    print(table(("what", "takes"), rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
