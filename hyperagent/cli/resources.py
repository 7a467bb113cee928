"""Groups of verbs about what campaigns use: ``benchmark``, ``model``, ``sandbox``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyperagent.cli.boundary import Guarded
from hyperagent.cli.context import JsonOption, context_of
from hyperagent.cli.output import columns, emit, progress, say, write
from hyperagent.cli.starting import show_checks
from hyperagent.report.table import facts, size, table
from hyperagent.report.text import clean

if TYPE_CHECKING:
    from hyperagent.types import Split

SPLITS: tuple[Split, ...] = ("train", "validation", "test")

NameArgument = Annotated[str, typer.Argument(metavar="NAME")]
SourceOption = Annotated[str, typer.Option("--source", help="Data set of the pack; auto = the first real one at hand.")]


def register(app: typer.Typer) -> None:
    groups: tuple[tuple[str, str, dict[str, Callable[..., None]]], ...] = (
        (
            "benchmark",
            "Benchmark packs and their data.",
            {"list": benchmark_list, "show": benchmark_show, "fetch": benchmark_fetch},
        ),
        (
            "model",
            "Local models, and a test of any model.",
            {"list": model_list, "pull": model_pull, "test": model_test},
        ),
        ("sandbox", "The sandbox image.", {"build": sandbox_build, "doctor": sandbox_doctor}),
    )
    for group, text, verbs in groups:
        sub = typer.Typer(help=text, no_args_is_help=True, rich_markup_mode=None)
        for name, function in verbs.items():
            sub.command(name, cls=Guarded)(function)
        app.add_typer(sub, name=group)


def benchmark_list(ctx: typer.Context, json: JsonOption = False) -> None:
    """List the benchmark packs."""
    packs = context_of(ctx).assembly.benchmarks()
    if json:
        emit(benchmarks=[{"name": name, "path": path} for name, path in packs.items()])
    else:
        write(table(("benchmark", "pack"), [(clean(name, 40), str(path)) for name, path in packs.items()], columns()))


def benchmark_show(
    ctx: typer.Context, name: NameArgument, source: SourceOption = "auto", json: JsonOption = False
) -> None:
    """Show a pack: its data sets, splits, metric, licence and source."""
    pack = context_of(ctx).assembly.describe_benchmark(name, source)
    if json:
        emit(benchmark=pack)
        return
    rows = [
        ("benchmark", clean(pack.name, 60)),
        ("about", clean(pack.description, 300)),
        ("source", f"{clean(pack.source, 60)} (of {', '.join(clean(one, 60) for one in pack.sources)})"),
        ("metric", clean(pack.metric, 60)),
        ("answers", ", ".join(clean(label, 40) for label in pack.labels) or "open"),
        *((split, f"{count:,} tasks") for split, count in pack.tasks.items()),
        ("licence", clean(pack.licence, 100)),
        ("from", clean(pack.upstream, 200)),
        ("by", clean(pack.attribution, 200)),
        *(("note", clean(note, 300)) for note in pack.notes),
    ]
    write(facts([(name, text) for name, text in rows if text]))


def benchmark_fetch(
    ctx: typer.Context,
    name: NameArgument,
    source: SourceOption = "auto",
    from_directory: Annotated[
        Path | None, typer.Option("--from", help="Take the data from this local mirror instead of upstream.")
    ] = None,
) -> None:
    """Obtain a pack's data at its pinned commit and SHA-256."""
    context_of(ctx).assembly.fetch_benchmark(name, source, from_directory, progress)
    say(f"{name}: data is ready; see `hyperagent benchmark show {name}`")


def model_list(ctx: typer.Context, json: JsonOption = False) -> None:
    """List the local models that are known, and which are here."""
    models = context_of(ctx).assembly.models()
    if json:
        emit(
            models=[
                {
                    "name": one.name,
                    "size_mb": one.size_mb,
                    "memory_mb": one.memory_mb,
                    "licence": one.licence,
                    "present": one.present,
                    "path": str(one.path),
                }
                for one in models
            ]
        )
        return
    rows = [
        (
            f"local/{clean(one.name, 40)}",
            size(one.size_mb * 1e6),
            clean(one.licence, 30),
            "yes" if one.present else "no",
        )
        for one in models
    ]
    write(table(("model", "size", "licence", "present"), rows, columns(), frozenset({"size"})))


def model_pull(ctx: typer.Context, name: NameArgument) -> None:
    """Download a local model; checked against its pinned SHA-256, resumed where it was cut off."""
    wanted = name.removeprefix("local/")
    context_of(ctx).assembly.pull_model(wanted, progress)
    say(f'{wanted}: ready; use it as model = "local/{wanted}"')


def model_test(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model string, e.g. openai/NAME or local/NAME.")],
    api_base: Annotated[str, typer.Option("--api-base", help="Base URL of an OpenAI-compatible server.")] = "",
    json: JsonOption = False,
) -> None:
    """Ask a model one question, to see that it answers."""
    reply = context_of(ctx).assembly.test_model(model, api_base)
    if json:
        emit(model=model, reply=reply)
        return
    write(
        facts(
            [
                ("model", clean(model, 100)),
                ("answer", clean(str(reply.message.get("content") or ""), 500)),
                ("tokens", f"{reply.prompt_tokens} prompt, {reply.completion_tokens} completion"),
                ("cost", f"${reply.cost:.6f}"),
            ]
        )
    )


def sandbox_build(ctx: typer.Context, json: JsonOption = False) -> None:
    """Build the sandbox image (from a registry, or without one from this machine's own Python)."""
    image = context_of(ctx).assembly.build_image(progress)
    if json:
        emit(image=image)
    else:
        write([image])


def sandbox_doctor(ctx: typer.Context, json: JsonOption = False) -> None:
    """Check the sandbox: engine, image, hardening; exit code 3 where something is missing."""
    show_checks(context_of(ctx).assembly.sandbox_checks(), json)
