"""The command line. The only room that prints; nothing here computes.

Nothing heavy is imported at module level (``--help`` answers at once): rich, SQLAlchemy, Docker and numpy come in with
``hyperagent.assembly``, inside the commands that need them.
"""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Annotated

import typer

from hyperagent import __version__
from hyperagent.cli import (
    benching,
    campaigns,
    checking,
    comparing,
    costs,
    distilling,
    hindsight,
    lineage,
    looking,
    pages,
    replaying,
    resources,
    searching,
    sharing,
    showing,
    skills,
    starting,
    watching,
)
from hyperagent.cli.boundary import INTERRUPTED, install_signals
from hyperagent.cli.context import context_of

__all__ = ["app", "main"]

app = typer.Typer(
    name="hyperagent",
    help="Evolves agents that rewrite themselves: sandboxed, scored, archived, replayable.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
starting.register(app)
campaigns.register(app)
looking.register(app)
lineage.register(app)
hindsight.register(app)
showing.register(app)
costs.register(app)
replaying.register(app)
pages.register(app)
sharing.register(app)
checking.register(app)
comparing.register(app)
benching.register(app)
resources.register(app)
searching.register(app)
distilling.register(app)
watching.register(app)
skills.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"hyperagent {__version__}")
        raise typer.Exit


@app.callback()
def options(
    ctx: typer.Context,
    archive: Annotated[
        Path | None, typer.Option("--archive", help="Archive home; else $HYPERAGENT_ARCHIVE, else ./archive.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    context = context_of(ctx)
    context.home = archive or context.home
    context.debug = debug or context.debug


def main() -> None:
    """Entry point of the console script."""
    # The modules that a command loads are thousands of objects that stay: looking through them over and over for
    # garbage took a sixth of the time of a verb that only reads.
    gc.set_threshold(100_000, 20, 20)
    install_signals()
    try:
        app()
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
