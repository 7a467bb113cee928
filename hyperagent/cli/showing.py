"""``show``: everything about one variant on one screen, and its conversations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from hyperagent.cli.boundary import Guarded
from hyperagent.cli.completion import complete_variant
from hyperagent.cli.context import ArchiveOption, Context, JsonOption, context_of
from hyperagent.cli.output import columns, emit, record, say, write, write_head
from hyperagent.cli.views import label
from hyperagent.errors import DataUnavailable, UsageError
from hyperagent.report.comparing import flips, more, verdict
from hyperagent.report.scorecard import lines as scorecard_lines
from hyperagent.report.table import DASH, duration, facts, interval, score, short, signed, spending, table, wrapped
from hyperagent.report.text import clean, clean_block, fit

if TYPE_CHECKING:
    from hyperagent.protocols import Archive
    from hyperagent.types import Details, FileChange, Scorecard, Variant

VariantArgument = Annotated[
    str, typer.Argument(metavar="ID", help="Unique id prefix, or CAMPAIGN/STEP.", autocompletion=complete_variant)
]
_MOST_FILES = 8


def register(app: typer.Typer) -> None:
    app.command("show", cls=Guarded)(show)


def show(
    ctx: typer.Context,
    variant: VariantArgument,
    task: Annotated[
        str | None, typer.Argument(metavar="[TASK]", help="With --transcript: of which task; `mutation` = its making.")
    ] = None,
    transcript: Annotated[bool, typer.Option("--transcript", help="Read a recorded conversation.")] = False,
    metrics: Annotated[
        bool, typer.Option("--metrics", help="Every metric, and what cannot solve tasks scores on the same ones.")
    ] = False,
    json: JsonOption = False,
    archive: ArchiveOption = None,
) -> None:
    """Everything about one variant, except its hidden-test results (see `test`)."""
    if task is not None and not transcript:
        raise UsageError(f"show takes one variant, and {clean(task, 60)!r} behind it", hint="add --transcript")
    context = context_of(ctx)
    with context.archive(archive) as home:
        found = home.variant(variant)
        if transcript:
            _transcript(context, home, found, task, json)
            return
        details = context.assembly.variant_details(home, found)
        cards = scorecards(context, home, found) if metrics and details.scores else {}
    if json:
        emit(**_members(details, cards))
        return
    _show(details)
    for benchmark, card in cards.items():
        write(
            ["", f"{clean(benchmark, 40)} validation", *(f"  {line}" for line in scorecard_lines(card, columns() - 2))]
        )
    if details.scores and not metrics:
        say("\nall metrics, and what cannot solve tasks scores on the same ones: add --metrics")


def scorecards(context: Context, archive: Archive, variant: Variant) -> Mapping[str, Scorecard]:
    try:
        return context.assembly.scorecards(archive, variant, "validation")
    except DataUnavailable as error:  # an archive may be read on a machine that lacks the benchmark's data
        say(f"no metrics: {clean(error.message, 300)}")
        return {}


def _members(details: Details, cards: Mapping[str, Scorecard]) -> dict[str, object]:
    members = dict(record(details))
    members["parent"] = label(details.campaign, details.parent) if details.parent else None
    members["children"] = [f"{one.step}:{short(one.id)}" for one in details.children]
    members["evaluations"] = members.pop("scores")
    against = members.pop("against_parent")
    members["against_parent"] = (
        None if against is None else {**against, "a": against["a"]["id"], "b": against["b"]["id"]}
    )
    return {**members, "metrics": record(cards)}


def _show(details: Details) -> None:
    found, campaign = details.variant, details.campaign
    width = columns()
    write_head(fit(f"{label(campaign, found)}  {score(found, details.interval)}", width))
    status = found.status.replace("_", " ") + (f": {clean(found.reason, 300)}" if found.reason else "")
    pairs = [
        ("status", status),
        ("parent", label(campaign, details.parent) if details.parent else "none: the seed program"),
        ("", _against(details)),
        ("children", more([f"{one.step}:{short(one.id)}" for one in details.children], width - 12)),
        ("generation", str(found.generation)),
        ("made by", _made_by(details)),
        ("says", clean(found.summary, 600)),
        ("changed", _changed(details.changes) if found.commit and details.parent else ""),
    ]
    write(wrapped(pairs, width))
    if details.changes:
        write(f"    {line}" for line in _files(details.changes, width - 4))
    if details.scores:
        write(["", *_scores(details, width)])
    if details.against_parent is not None:
        write(["", *flips(details.against_parent, width)])
    if details.signals:
        write(["", "before you believe the score"])
        write(line for text in details.signals for line in wrapped([("  -", clean(text, 400))], width))
    if found.commit:
        write(["", *facts([("commit", found.commit), ("tree", found.tree)])])
        write(["code    " + clean(details.checkout, 2000)])


def _against(details: Details) -> str:
    if details.against_parent is None:
        return ""
    overall = details.against_parent.overall
    return f"{signed(overall.difference)} against it on {overall.difference.n} tasks: {verdict(overall, 'it')}"


def _made_by(details: Details) -> str:
    if not details.variant.step:
        return ""
    models = ", ".join(_model(model) for model in details.models) or "no model"
    return f"{models}: {spending(details.mutation)}, {duration(details.variant.seconds)}"


def _model(model: str) -> str:
    """A model's name; of an adapter also what it was trained on, where its manifest is here."""
    if not (model.startswith("local/") and "+" in model):
        return clean(model, 60)
    from hyperagent.assembly.distilling import training_set_of

    found = training_set_of(model)
    return clean(model, 100) + (f" (adapter; training set {clean(found[:16], 16)})" if found else " (adapter)")


def _changed(changes: Sequence[FileChange]) -> str:
    added, removed = sum(change.added for change in changes), sum(change.removed for change in changes)
    files = "1 file" if len(changes) == 1 else f"{len(changes)} files"
    return f"{files}, {added} lines added, {removed} removed" if changes else "nothing"


def _files(changes: Sequence[FileChange], width: int) -> list[str]:
    rows = []
    for change in changes[:_MOST_FILES]:
        functions = clean(" ".join(change.functions) or change.note, 300)
        rows.append((clean(change.path, 60), f"+{change.added} -{change.removed}", functions))
    if len(changes) > _MOST_FILES:
        rows.append((f"and {len(changes) - _MOST_FILES} more", "", ""))
    return table(("file", "lines", "functions: + new, ~ changed, - gone"), rows, width)


def _scores(details: Details, width: int) -> list[str]:
    rows = []
    for one in details.scores:
        counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in one.statuses.items()) or DASH
        ran = str(one.ran) if one.ran == one.tasks else f"{one.ran}/{one.tasks}"
        rows.append((interval(one.interval), ran, one.split, clean(one.benchmark, 30), duration(one.seconds), counts))
    headers = ("score", "tasks", "split", "benchmark", "time", "outcomes")
    return table(headers, rows, width, frozenset({"tasks", "time"}))


# -- conversations -------------------------------------------------------------------------------


def _transcript(context: Context, archive: Archive, variant: Variant, task: str | None, json: bool) -> None:
    if task is None:
        names = list(context.assembly.conversations(archive, variant))
        if json:
            emit(variant=variant.id, conversations=names)
            return
        write(clean(name, 200) for name in names)
        say(f"\n{len(names)} conversations; read one with `show {short(variant.id)} --transcript NAME`")
        return
    text = context.assembly.conversation(archive, variant, task)
    if json:
        emit(variant=variant.id, task=task, transcript=text)
    else:
        write(clean_block(text).splitlines())
