"""What the archive knows about one variant, about two, and about campaigns. Only reads; loads no pack."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from hyperagent.assembly.reports import interval
from hyperagent.errors import NotFoundError, UsageError
from hyperagent.protocols import Archive
from hyperagent.report.changes import changes
from hyperagent.types import (
    Comparison,
    Details,
    Evaluation,
    Json,
    ModelCall,
    Outcome,
    Paired,
    ProgramTree,
    Scores,
    Spend,
    Split,
    Turn,
    Variant,
)

MUTATION = "mutation"
"""Name under which a mutation's own conversation is asked for, beside those of tasks."""
_FEW_TASKS = 10


def compare_variants(archive: Archive, a: Variant, b: Variant, split: Split, benchmark: str = "") -> Comparison:
    """B against A on the tasks that both ran.

    Args:
        benchmark: Only that one; empty = all.

    Raises:
        UsageError: They share no task of that split.
    """
    from hyperagent.evaluation.comparing import paired

    left, right = (_outcomes(archive, one, split) for one in (a, b))
    names = [name for name in left if name in right and benchmark in ("", name)]
    pairs: dict[str, list[tuple[Outcome, Outcome]]] = {}
    for name in names:
        other = {outcome.task: outcome for outcome in right[name][1]}
        shared = [(outcome, other[outcome.task]) for outcome in left[name][1] if outcome.task in other]
        if shared:
            pairs[name] = shared
    if not pairs:
        what = f"{split} task of {benchmark}" if benchmark else f"{split} task"
        raise UsageError(
            f"variants {a.id} and {b.id} share no {what}",
            hint="evaluate both on the same benchmark first" if split != "test" else "`hyperagent test` both first",
        )

    def of(name: str, shared: Sequence[tuple[Outcome, Outcome]]) -> Paired:
        tasks = [first.task for first, _ in shared]
        return paired(name, tasks, [first.score for first, _ in shared], [second.score for _, second in shared])

    every = [pair for shared in pairs.values() for pair in shared]
    only = next(iter(pairs)) if len(pairs) == 1 else ""
    return Comparison(
        a,
        b,
        split,
        of(only, every),
        () if only else tuple(of(name, shared) for name, shared in pairs.items()),
        (_spend(first for first, _ in every), _spend(second for _, second in every)),
        (sum(first.seconds for first, _ in every), sum(second.seconds for _, second in every)),
    )


def _spend(outcomes: Iterable[Outcome]) -> Spend:
    return sum((outcome.spend for outcome in outcomes), Spend())


def _outcomes(archive: Archive, variant: Variant, split: Split) -> dict[str, tuple[Evaluation, list[Outcome]]]:
    """Benchmark -> its newest evaluation of that split, and its outcomes but those that our side lost."""
    found = {}
    for evaluation in archive.evaluations(variant.id):
        if evaluation.split == split:
            ran = [outcome for outcome in archive.outcomes(evaluation.id) if outcome.status != "lost"]
            found[evaluation.benchmark] = (evaluation, ran)
    return found


# -- one variant ---------------------------------------------------------------------------------


def variant_details(archive: Archive, variant: Variant) -> Details:
    """Everything but hidden-test results, which are shown where they are asked for."""
    campaign = archive.campaign(variant.campaign)
    parent = archive.variant(variant.parent) if variant.parent else None
    program = archive.read_tree(variant.commit) if variant.commit else {}
    before = archive.read_tree(parent.commit) if parent is not None and parent.commit else {}
    spends = {"mutate": Spend(), "evaluate": Spend()}
    models: dict[str, None] = {}
    for call in archive.calls(variant=variant.id):
        if call.purpose == "mutate":
            models[call.model] = None
        if call.purpose in spends:
            used = Spend(0, 1) if call.cached else Spend(1, 0, call.prompt_tokens, call.completion_tokens, call.cost)
            spends[call.purpose] += used
    validation = _outcomes(archive, variant, "validation")
    against = None
    if parent is not None and validation and _outcomes(archive, parent, "validation").keys() & validation.keys():
        against = compare_variants(archive, parent, variant, "validation")
    scores = [
        _scores(evaluation, outcomes)
        for split in ("validation", "train")
        for evaluation, outcomes in _outcomes(archive, variant, split).values()
    ]
    return Details(
        variant,
        campaign,
        interval(archive, variant),
        parent,
        tuple(archive.children(variant.id)),
        tuple(models),
        spends["mutate"],
        spends["evaluate"],
        tuple(sorted(program)),
        changes(before, program) if program and parent is not None else (),
        tuple(scores),
        against,
        tuple(_signals(archive, variant, validation)),
        checkout(archive, variant) if variant.commit else "",
    )


def _scores(evaluation: Evaluation, outcomes: Sequence[Outcome]) -> Scores:
    from hyperagent.evaluation.comparing import mean

    return Scores(
        evaluation.benchmark,
        evaluation.split,
        evaluation.state,
        len(evaluation.tasks),
        len(outcomes),
        mean([outcome.score for outcome in outcomes]),
        Counter(outcome.status for outcome in outcomes),
        _spend(outcomes),
        sum(outcome.seconds for outcome in outcomes),
    )


def _signals(archive: Archive, variant: Variant, validation: dict[str, tuple[Evaluation, list[Outcome]]]) -> list[str]:
    """What the archive alone gives reason to doubt; controls need the pack's data, see ``scorecards``."""
    found = []
    for name, (evaluation, outcomes) in validation.items():
        found += [f"{name}: the sandbox {warning}" for warning in evaluation.sandbox.warnings]
        answers = {outcome.prediction for outcome in outcomes if outcome.status == "scored"}
        failed = sum(outcome.status == "agent_error" for outcome in outcomes)
        if len(answers) == 1 and len(outcomes) > 1:
            found.append(f"{name}: every answer is the same one, whatever the task")
        if failed:
            found.append(f"{name}: {failed} of {len(outcomes)} tasks ended in an error and count as 0")
        if 0 < len(outcomes) < _FEW_TASKS:
            found.append(f"{name}: only {len(outcomes)} tasks, too few for any interval to be trusted")
        if outcomes and not any(outcome.spend.calls or outcome.spend.cached_calls for outcome in outcomes):
            found.append(f"{name}: no model was asked: the answers are the program's own rules")
        if evaluation.state == "screened_out":
            found.append(f"{name}: failed the screen; scored on the {len(outcomes)} tasks that ran")
    reads = sum(
        event.payload.get("variant") == variant.id for event in archive.events_of(variant.campaign, "test_read")
    )
    if reads:
        times = "once" if reads == 1 else f"{reads} times"
        found.append(f"the hidden test was read {times} for this variant: see `compare --split test`")
    return found


def checkout(archive: Archive, variant: Variant) -> str:
    """A shell command that writes the program into the folder ``DIR`` and changes nothing in the archive."""
    repository = shlex.quote(str((archive.path / "lineage.git").absolute()))
    return f"mkdir DIR && git --git-dir={repository} archive {variant.commit} | tar -x -C DIR"


def export_program(archive: Archive, variant: Variant, directory: Path) -> int:
    """Write a variant's program into a new or empty folder; returns the number of files.

    The folder then holds the variant's tree and nothing else: it is what ``--program`` of ``benchmark run`` takes.

    Raises:
        UsageError: The variant has no program, or the folder holds something or cannot be written.
    """
    if not variant.commit:
        raise UsageError(f"variant {variant.id} has no program: {variant.status.replace('_', ' ')}")
    return write_program(archive.read_tree(variant.commit), directory)


def write_program(tree: ProgramTree, directory: Path) -> int:
    """Write a program into a new or empty folder; returns the number of files.

    Raises:
        UsageError: The folder holds something or cannot be written.
    """
    try:
        if directory.is_symlink() or (directory.exists() and (not directory.is_dir() or any(directory.iterdir()))):
            raise UsageError(f"{directory} is not an empty folder", hint="name a new one")
        for path, data in tree.items():
            target = directory / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
    except OSError as error:
        raise UsageError(f"{directory} cannot be written: {error.strerror}", hint="name another folder") from error
    return len(tree)


def conversations(archive: Archive, variant: Variant) -> dict[str, str]:
    """``mutation`` and ``benchmark/split/task`` -> digest of the recorded conversation; hidden tests left out."""
    found = {}
    for event in archive.events_of(variant.campaign, "mutation_described"):
        if event.payload.get("variant") == variant.id and event.payload.get("transcript_blob"):
            found[MUTATION] = str(event.payload["transcript_blob"])
    for split in ("train", "validation"):
        for name, (_, outcomes) in _outcomes(archive, variant, split).items():
            for outcome in outcomes:
                if outcome.transcript_blob:
                    found[f"{name}/{split}/{outcome.task}"] = outcome.transcript_blob
    return found


def conversation(archive: Archive, variant: Variant, task: str) -> str:
    """The text of one conversation, as the program wrote it.

    Args:
        task: ``mutation``, a task's id, or any unique end of a name in :func:`conversations`.

    Raises:
        NotFoundError: None, or more than one; the hint lists some.
    """
    every = conversations(archive, variant)
    names = [name for name in every if name == task] or [name for name in every if name.endswith(f"/{task}")]
    if len(names) > 1:  # of one task, validation counts
        names = [name for name in names if "/validation/" in name] or names
    if len(names) != 1:
        listed = ", ".join([name for name in every if task in name][:5] or list(every)[:5]) or "none at all"
        raise NotFoundError(f"no conversation {task!r} of variant {variant.id}", hint=f"there is {listed}")
    return archive.get_blob(every[names[0]]).decode("utf-8", "replace")


def turns(archive: Archive, variant: Variant, task: str) -> list[Turn]:
    """The recorded model calls of one task, or of the ``mutation``, in order.

    Raises:
        NotFoundError: The variant made no call there.
    """
    if task == MUTATION:
        jobs, wanted = [f"{variant.campaign}/{variant.step}/mutate"], ""
    else:
        start, wanted = f"{variant.campaign}/{variant.step}", task
        jobs = [f"{start}/{name}/validation" for name in _outcomes(archive, variant, "validation")]
        jobs += [f"{start}/{name}/train" for name in _outcomes(archive, variant, "train")]
    calls = next(filter(None, (_calls(archive, job, wanted) for job in jobs)), [])
    if not calls:
        raise NotFoundError(
            f"variant {variant.id} has no recorded model call of {task!r}",
            hint=f"`hyperagent show {variant.id[:8]} --transcript` lists its conversations",
        )
    found: list[Turn] = []
    before: list[Json] = []
    for call in calls:
        request = json.loads(archive.get_blob(call.request_blob)) if call.request_blob else {}
        reply = json.loads(archive.get_blob(call.reply_blob)) if call.reply_blob else {}
        messages = request.get("messages") or []
        new = messages[len(before) :] if messages[: len(before)] == before else messages
        answer = reply.get("message")
        tokens = call.prompt_tokens + call.completion_tokens
        found.append(Turn(call.model, tuple(new), answer, tokens, call.seconds, call.cached, call.error))
        before = [*messages, answer] if answer else messages
    return found


def _calls(archive: Archive, job: str, task: str) -> list[ModelCall]:
    """Those that a replay would be served: of each number the newest."""
    found = [call for call in archive.calls(job=job) if task in ("", call.key.task) and call.state != "reserved"]
    return [call for _, call in sorted({(call.key.task, call.key.sequence): call for call in found}.items())]
