"""Verbs for a browser: ``report`` writes a campaign's page as one file, ``ui`` serves all of them, live."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyperagent.cli.boundary import Guarded
from hyperagent.cli.context import ArchiveOption, CampaignArgument, Context, JsonOption, context_of, find_campaign
from hyperagent.cli.output import emit, say, write
from hyperagent.errors import PrerequisiteError, UsageError
from hyperagent.report.table import size
from hyperagent.report.text import clean

if TYPE_CHECKING:
    from hyperagent.protocols import Archive
    from hyperagent.types import Json

HiddenOption = Annotated[
    bool, typer.Option("--hidden-test", help="Also show what `test` recorded on the hidden split; runs nothing.")
]


def register(app: typer.Typer) -> None:
    for name, function in (("report", report), ("ui", ui)):
        app.command(name, cls=Guarded)(function)


def report(
    ctx: typer.Context,
    campaign: CampaignArgument = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write; omitted: CAMPAIGN.html here.")
    ] = None,
    hidden: HiddenOption = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    json: JsonOption = False,
    archive: ArchiveOption = None,
) -> None:
    """Write one HTML file about a campaign: lineage, scores, tasks, costs, changes. It opens offline, anywhere."""
    from hyperagent.report.page import render

    context = context_of(ctx)
    with context.archive(archive) as home:
        found = find_campaign(home, campaign)
        path = output or Path(f"{found.name}.html")
        if path.is_dir() or (path.exists() and not force):
            raise UsageError(f"{path} is there already", hint="name another file with -o, or replace it with --force")
        skills = context.assembly.skill_rows(home, found)
        data = context.assembly.page_data(home, found, hidden=hidden, skills=skills)
    written = _write(path, render(data, title=f"{found.name} - hyperagent"))
    if json:
        emit(campaign=found.name, file=path, bytes=written, variants=len(data["variants"].get("id", ())))
    else:
        write([f"{path}: {size(written)}, {len(data['variants']['id']):,} variants"])


def _write(path: Path, text: str) -> int:
    """All of the file or nothing."""
    body = text.encode()
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            try:
                file.write(body)
                file.flush()
                mask = os.umask(0)
                os.umask(mask)
                os.chmod(file.name, 0o666 & ~mask)
                os.replace(file.name, path)
            except BaseException:
                os.unlink(file.name)
                raise
    except OSError as error:
        raise PrerequisiteError(
            f"{path} cannot be written: {error.strerror}", hint="name another file with -o"
        ) from error
    return len(body)


def ui(
    ctx: typer.Context,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 = any free one.")] = 0,
    hidden: HiddenOption = False,
    json: JsonOption = False,
    archive: ArchiveOption = None,
) -> None:
    """Serve all campaigns of an archive to a browser on this machine, live and read-only, until Ctrl-C."""
    from hyperagent.report.page import PageServer

    context = context_of(ctx)
    with context.archive(archive) as home, PageServer(_ArchivePages(context, home, hidden), port=port) as server:
        if json:
            emit(url=server.url, port=server.port, pid=os.getpid())
        else:
            write([server.url])
            say(f"serving {clean(str(home.path), 200)}, read-only; the address holds a secret; Ctrl-C ends it")
        sys.stdout.flush()  # who reads it from a pipe waits for the address
        server.serve()


class _ArchivePages:
    """Implements :class:`hyperagent.report.page.Pages` over an archive."""

    def __init__(self, context: Context, archive: Archive, hidden: bool) -> None:
        self._assembly = context.assembly
        self._archive = archive
        self._hidden = hidden

    def index(self) -> Mapping[str, Json]:
        return self._assembly.index_data(self._archive)

    def index_mark(self) -> int:
        return self._assembly.index_mark(self._archive)

    def campaign(self, campaign: str) -> Mapping[str, Json]:
        return self._assembly.page_data(self._archive, self._archive.campaign(campaign), hidden=self._hidden)

    def campaign_mark(self, campaign: str) -> int:
        return self._archive.newest_event(self._archive.campaign(campaign).id)

    def render(self, data: Mapping[str, Json], live: Mapping[str, str]) -> str:
        from hyperagent.report.page import render

        name = data["campaign"]["name"] if "campaign" in data else "campaigns"
        return render(data, title=f"{name} - hyperagent", live=live)

    def policy(self) -> str:
        from hyperagent.report.page import policy

        return policy(served=True)
