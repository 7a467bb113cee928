"""``test``: the hidden split, where it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hyperagent.cli.boundary import Guarded
from hyperagent.cli.comparing import show_pair
from hyperagent.cli.context import ArchiveOption, JsonOption, context_of
from hyperagent.cli.live import watcher
from hyperagent.cli.showing import VariantArgument

if TYPE_CHECKING:
    pass


def register(app: typer.Typer) -> None:
    app.command("test", cls=Guarded)(hidden_test)


def hidden_test(
    ctx: typer.Context,
    variant: VariantArgument,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the first N tasks of the split.")] = None,
    json: JsonOption = False,
    archive: ArchiveOption = None,
) -> None:
    """Score a variant and its seed program on the hidden split; recorded, and never seen by the search."""
    context = context_of(ctx)
    with context.archive(archive, write=True) as home, watcher(plain=True) as observer:
        found = home.variant(variant)
        seed = home.variants(found.campaign)[0]
        context.assembly.evaluate_test([seed, found] if seed.id != found.id else [found], home, observer, limit)
        show_pair(context, home, seed, found, "test", json)
