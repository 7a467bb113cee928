"""Verbs for a fresh machine: ``init``, ``doctor``, ``verify``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyperagent.cli.boundary import Guarded
from hyperagent.cli.context import ArchiveOption, JsonOption, context_of
from hyperagent.cli.output import emit, say, write
from hyperagent.errors import ArchiveDamaged, PrerequisiteError, UsageError
from hyperagent.report.table import table
from hyperagent.report.text import clean

if TYPE_CHECKING:
    from hyperagent.assembly import Check

DEFAULT_CONFIG = "hyperagent.toml"
_UNCUT = 1000
"""Columns for what must be read whole: the terminal wraps it."""


def register(app: typer.Typer) -> None:
    for name, function in (("init", init), ("doctor", doctor), ("verify", verify)):
        app.command(name, cls=Guarded)(function)


def init(
    path: Annotated[Path, typer.Argument(help="File to write, or a directory for hyperagent.toml.")] = Path(
        DEFAULT_CONFIG
    ),
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a commented configuration file that runs as it is."""
    from hyperagent.config import render_template

    target = path / DEFAULT_CONFIG if path.is_dir() else path
    try:
        with target.open("w" if force else "x", encoding="utf-8") as file:
            file.write(render_template())
    except FileExistsError:
        raise UsageError(f"{target} exists already", hint="--force overwrites it, or name another file") from None
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}", hint="name a file you may write") from error
    say(f"wrote {target}; next: `hyperagent doctor`, then `hyperagent run {target}`")


def doctor(ctx: typer.Context, json: JsonOption = False, archive: ArchiveOption = None) -> None:
    """Check everything that a campaign needs; exit code 3 where something is missing."""
    context = context_of(ctx)
    show_checks(context.assembly.doctor(context.archive_path(archive)), json)


def show_checks(checks: Sequence[Check], json: bool) -> None:
    """Show them; exit with 3 where one is missing."""
    missing = [check for check in checks if check.state == "missing"]
    if json:
        members = [
            {"name": check.name, "state": check.state, "detail": check.detail, "fix": check.fix} for check in checks
        ]
        emit(ok=not missing, checks=members)
    else:
        rows = [(check.state, clean(check.name, 40), clean(check.detail, 300)) for check in checks]
        write(table(("state", "check", "found"), rows, _UNCUT))
        fixes = [check for check in checks if check.state != "ok" and check.fix]
        if fixes:
            write(["", *(f"{check.name}: {clean(check.fix, 500)}" for check in fixes)])
    if missing:
        raise typer.Exit(PrerequisiteError.exit_code)


def verify(
    ctx: typer.Context,
    mend: Annotated[bool, typer.Option("--mend", help="Mend first what recovery can mend.")] = False,
    json: JsonOption = False,
    archive: ArchiveOption = None,
) -> None:
    """Check that rows, git objects, blobs and the journal agree; exit code 7 where they do not."""
    with context_of(ctx).archive(archive, write=mend) as home:
        mended = home.recover() if mend else ()
        problems = home.verify()
    if json:
        emit(ok=not problems, mended=mended, problems=problems)
    else:
        for line in mended:
            say(f"mended: {clean(line, 300)}")
        rows = [
            (clean(found.where, 60), "yes" if found.mendable else "no", clean(found.what, 300)) for found in problems
        ]
        write(table(("where", "mendable", "problem"), rows, _UNCUT) if rows else ["the archive is sound"])
    if problems:
        raise typer.Exit(ArchiveDamaged.exit_code)
