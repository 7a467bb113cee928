"""Verbs about what variants have invented: ``skills list``, ``show``, ``export``, ``graft``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyperagent.cli.boundary import Guarded
from hyperagent.cli.context import ArchiveOption, CampaignArgument, JsonOption, context_of, find_campaign
from hyperagent.cli.output import columns, emit, record, say, write, write_head
from hyperagent.errors import UsageError
from hyperagent.report.table import DASH, facts, short, signed, table
from hyperagent.report.text import clean, clean_block

if TYPE_CHECKING:
    from hyperagent.types import Interval, Skill

_WIDE = 130
"""Columns from which on a table shows a second difference."""
SkillArgument = Annotated[str, typer.Argument(metavar="ID", help="A unique beginning of its id, or its name.")]
CampaignOption = Annotated[
    str | None, typer.Option("--campaign", help="Look there only; omitted: the newest campaign that has it.")
]


def register(app: typer.Typer) -> None:
    sub = typer.Typer(
        help="Functions, classes, tools and prompts that variants invented.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    verbs: dict[str, Callable[..., None]] = {"list": skills_list, "show": skills_show, "export": skills_export}
    for name, function in {**verbs, "graft": graft}.items():
        sub.command(name, cls=Guarded)(function)
    app.add_typer(sub, name="skills")


def skills_list(
    ctx: typer.Context, campaign: CampaignArgument = None, json: JsonOption = False, archive: ArchiveOption = None
) -> None:
    """What the variants of a campaign have that their parents had not, and how its carriers score."""
    context = context_of(ctx)
    with context.archive(archive) as home:
        found = find_campaign(home, campaign)
        skills = context.assembly.campaign_skills(home, found)
    if json:
        emit(campaign=found.name, skills=[record(one) for one in skills])
        return
    if not skills:
        say(f"no variant of {clean(found.name, 60)} has a function, class, tool or prompt that its parent had not")
        return
    wide = columns() >= _WIDE
    headers = ("id", "kind", "step", "have it", "against parent", *(["against others"] if wide else []), "skill")
    write(table(headers, [_row(one, wide) for one in skills], columns(), frozenset({"step", "have it"})))
    say("an edit changes more than one thing, and carriers are chosen for scores: differences are hints, not proofs")


def _row(skill: Skill, wide: bool) -> tuple[str, ...]:
    where = skill.name if skill.kind == "tool" else f"{skill.name} in {skill.file}"
    copied = f", copy of {clean(skill.copied_from, 80)}" if skill.copied_from else ""
    others = [_difference(skill.against_others)] if wide else []
    have = str(len(skill.carriers))
    gain = _difference(skill.against_parent)
    return (short(skill.id), skill.kind, str(skill.step), have, gain, *others, clean(where, 80) + copied)


def _difference(value: Interval | None) -> str:
    return DASH if value is None else signed(value)


def skills_show(
    ctx: typer.Context,
    skill: SkillArgument,
    campaign: CampaignOption = None,
    json: JsonOption = False,
    archive: ArchiveOption = None,
) -> None:
    """One skill: its code, where it came from, who has it, and how they score."""
    context = context_of(ctx)
    with context.archive(archive) as home:
        where, found = context.assembly.find_skill(home, skill, campaign)
        source = context.assembly.skill_source(home, where, found, alone=False)
    if json:
        emit(campaign=where.name, skill=found, text=source.text)
        return
    write_head(f"{found.kind} {clean(found.name, 80)} {short(found.id)}")
    about = [
        ("from", f"{clean(where.name, 60)}/{found.step} {short(found.variant)}, {clean(found.file, 80)}"),
        ("what it says", clean(found.about, columns() - 18)),
        ("copied from", clean(found.copied_from, 80)),
        ("invented at", _steps(found.origins)),
        ("carried by", _steps(found.carriers)),
        ("changed by", _steps(found.modified)),
        ("against its parent", _difference(found.against_parent)),
        ("against the others", _difference(found.against_others)),
    ]
    write([*facts(about), "", *clean_block(source.text).splitlines()])


def _steps(steps: Sequence[int]) -> str:
    shown = ", ".join(map(str, steps[:20]))
    what = "step" if len(steps) == 1 else "steps"
    return f"{what} {shown}{f' and {len(steps) - 20:,} more' if len(steps) > 20 else ''}" if steps else ""


def skills_export(
    ctx: typer.Context,
    skill: SkillArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file; - = stdout.")],
    campaign: CampaignOption = None,
    json: JsonOption = False,
    archive: ArchiveOption = None,
) -> None:
    """Write a skill with what it needs of its file as a module of its own."""
    context = context_of(ctx)
    with context.archive(archive) as home:
        where, found = context.assembly.find_skill(home, skill, campaign)
        text = context.assembly.skill_source(home, where, found, alone=True).text
    if str(file) == "-":
        write(clean_block(text).splitlines())
        return
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}", hint="name a new file") from error
    if json:
        emit(skill=found.id, file=file, characters=len(text))
        return
    write([f"{found.kind} {clean(found.name, 80)} in {clean(str(file), 300)}"])


def graft(
    ctx: typer.Context,
    skill: SkillArgument,
    into: Annotated[
        Path, typer.Option("--into", metavar="PROGRAM", help="A program's folder, seed, or a config: its program.")
    ],
    directory: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="A new or empty folder.")],
    callers: Annotated[
        bool, typer.Option("--callers", help="Also what uses it in the variant that invented it.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Take the skill's version where the program has another.")
    ] = False,
    campaign: CampaignOption = None,
    json: JsonOption = False,
    archive: ArchiveOption = None,
) -> None:
    """Write a program that has a skill of another one, ready for `program = "DIR"`; tried in a sandbox first."""
    context = context_of(ctx)
    with context.archive(archive) as home:
        found = context.assembly.find_skill(home, skill, campaign)
        done = context.assembly.graft(
            home, found, into, directory, callers=callers, replace=replace, environment=context.environment
        )
    if json:
        emit(**record(done))
        return
    write(facts([("added", _names(done.added)), ("replaced", _names(done.replaced))]))
    write([f"{done.files} files in {clean(str(directory), 300)}; loads in a sandbox ({done.sandbox})"])
    say(f'  program = "{clean(str(directory), 300)}"')


def _names(names: Sequence[str]) -> str:
    return ", ".join(clean(name, 80) for name in names)
