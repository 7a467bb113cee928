"""Verbs that carry things between archives and out of them: ``export``, ``import``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyperagent.cli.boundary import Guarded
from hyperagent.cli.context import ArchiveOption, Context, JsonOption, context_of
from hyperagent.cli.output import emit, say, write
from hyperagent.cli.views import label
from hyperagent.errors import NotFoundError, UsageError
from hyperagent.report.table import facts, short
from hyperagent.report.text import clean

if TYPE_CHECKING:
    from hyperagent.protocols import Archive
    from hyperagent.types import Campaign, Variant


def register(app: typer.Typer) -> None:
    for name, function in (("export", export), ("import", import_)):
        app.command(name, cls=Guarded)(function)


def export(
    ctx: typer.Context,
    reference: Annotated[
        str,
        typer.Argument(metavar="CAMPAIGN|ID", help="A campaign; or a variant: its program, or it and its ancestors."),
    ],
    directory: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Of a variant: write its program here, ready to run.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE.hyb", help="One bundle that `import` takes in.")
    ] = None,
    outcomes: Annotated[
        Path | None, typer.Option("--outcomes", metavar="FILE", help="One row per task: .csv, .jsonl or .parquet.")
    ] = None,
    lineage: Annotated[
        str | None, typer.Option("--lineage", metavar="ID", help="Only this variant of the campaign and its ancestors.")
    ] = None,
    no_calls: Annotated[
        bool, typer.Option("--no-calls", help="A bundle without recorded calls: small, and no replay.")
    ] = False,
    with_test: Annotated[
        bool, typer.Option("--with-test", help="Rows of the hidden test as well, where `test` was run.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    json: JsonOption = False,
    archive: ArchiveOption = None,
) -> None:
    """Write a campaign into a bundle (-o), outcomes into a table (--outcomes), or a variant's program into a folder."""
    context = context_of(ctx)
    if sum(one is not None for one in (directory, output, outcomes)) != 1:
        raise UsageError(
            "export needs one place to write to", hint="DIR for a program, -o FILE.hyb for a bundle, or --outcomes FILE"
        )
    with context.archive(archive) as home:
        if directory is not None:
            _program(context, home, home.variant(reference), directory, json)
            return
        campaign, last = _meant(home, reference, lineage)
        if output is not None:
            made = context.assembly.export_bundle(home, campaign, output, lineage=last, calls=not no_calls, force=force)
            if json:
                emit(
                    file=output,
                    campaign=campaign.name,
                    lineage=made["lineage"],
                    calls=made["calls"],
                    counts=made["counts"],
                )
            else:
                counts = made["counts"]
                say(
                    f"wrote {counts['variant']:,} variants, {counts['outcome']:,} outcomes and "
                    f"{counts['model_call']:,} calls to {output} ({output.stat().st_size / 1e6:.1f} MB)"
                )
        elif outcomes is not None:
            count = context.assembly.export_outcomes(
                home, campaign, outcomes, lineage=last, with_test=with_test, force=force
            )
            if json:
                emit(file=outcomes, campaign=campaign.name, rows=count)
            else:
                say(f"wrote {count:,} outcomes to {outcomes}")


def _meant(archive: Archive, reference: str, lineage: str | None) -> tuple[Campaign, Variant | None]:
    """The campaign, and the variant whose ancestors are wanted: a variant's own reference means them, too."""
    try:
        campaign = archive.campaign(reference)
    except NotFoundError as error:
        try:
            found = archive.variant(lineage or reference)
        except NotFoundError:
            raise error from None
        return archive.campaign(found.campaign), found
    last = archive.variant(lineage) if lineage is not None else None
    if last is not None and last.campaign != campaign.id:
        raise UsageError(f"variant {last.id} is not of the campaign {campaign.name!r}", hint="see `hyperagent ls`")
    return campaign, last


def _program(context: Context, archive: Archive, variant: Variant, directory: Path, json: bool) -> None:
    files = context.assembly.export_program(archive, variant, directory)
    if json:
        emit(variant=variant.id, tree=variant.tree, directory=directory, files=files)
        return
    write([f"{files} files in {clean(str(directory), 300)}"])
    say(f"  hyperagent benchmark run NAME --program {clean(str(directory), 300)}")


def import_(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE.hyb", help="What `export -o` wrote.")],
    name: Annotated[str, typer.Option("--as", metavar="NAME", help="What to call the campaign here.")] = "",
    json: JsonOption = False,
    archive: ArchiveOption = None,
) -> None:
    """Check a bundle and take its campaign in, all of it or nothing. A taken name gets -2, -3 ... appended."""
    context = context_of(ctx)
    if not file.is_file():
        raise NotFoundError(f"there is no bundle {file}", hint="`hyperagent export CAMPAIGN -o FILE.hyb` makes one")
    with context.archive(archive, write=True, create=True) as home:
        campaign = context.assembly.import_bundle(home, file, name)
        variants = home.variants(campaign.id)
        best = context.assembly.best(home, campaign.id)
    if json:
        emit(campaign=campaign, variants=len(variants))
        return
    write(
        facts(
            [
                ("campaign", f"{clean(campaign.name, 60)} ({short(campaign.id)})"),
                ("state", campaign.state.replace("_", " ")),
                ("variants", f"{len(variants):,}"),
                ("best", f"{best.score:.3f}  {label(campaign, best)}" if best and best.score is not None else ""),
            ]
        )
    )
    if best is not None:
        say(f"  hyperagent replay {short(best.id)}  the same bytes again, from the calls that came along")
