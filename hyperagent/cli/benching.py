"""The ``benchmark`` verbs about packs themselves: list, show, fetch, schema, init, validate, import."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hyperagent.cli.boundary import Guarded
from hyperagent.cli.context import ArchiveOption, JsonOption, context_of, pack_reference
from hyperagent.cli.output import columns, emit, progress, say, write
from hyperagent.cli.running import benchmark_run, benchmark_score
from hyperagent.errors import UsageError
from hyperagent.report.table import facts, table
from hyperagent.report.text import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hyperagent.assembly import PackCheck
    from hyperagent.types import Needs

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A pack's name, or its folder.")]
SourceOption = Annotated[str, typer.Option("--source", help="Data set of the pack; auto = the first real one at hand.")]


def register(app: typer.Typer) -> None:
    sub = typer.Typer(help="Benchmark packs and their data.", no_args_is_help=True, rich_markup_mode=None)
    for name, function in (
        ("list", benchmark_list),
        ("show", benchmark_show),
        ("fetch", benchmark_fetch),
        ("run", benchmark_run),
        ("score", benchmark_score),
        ("init", benchmark_init),
        ("validate", benchmark_validate),
        ("schema", benchmark_schema),
        ("import", benchmark_import),
    ):
        sub.command(name, cls=Guarded)(function)
    app.add_typer(sub, name="benchmark")


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
    """Show a pack: its data sets, splits, metric, needs, licence and source."""
    assembly = context_of(ctx).assembly
    name = pack_reference(context_of(ctx), name)
    pack, more = assembly.describe_benchmark(name, source), assembly.benchmark_facts(name)
    if json:
        emit(benchmark=pack, facts=more)
        return
    rows = [
        ("benchmark", clean(pack.name, 60)),
        ("about", clean(pack.description, 300)),
        ("source", f"{clean(pack.source, 60)} (of {', '.join(clean(one, 60) for one in pack.sources)})"),
        ("metric", f"{clean(pack.metric, 60)}, {more.direction} is better"),
        ("answers", ", ".join(clean(label, 40) for label in pack.labels) or "open"),
        ("graded by", clean(more.grading, 60)),
        *((split, f"{count:,} tasks") for split, count in pack.tasks.items()),
        ("screen", f"{more.screen} tasks"),
        ("repeats", "equal programs may score differently" if more.stochastic else ""),
        ("needs", needs(more.needs)),
        ("examiner needs", needs(more.examiner) if more.examiner is not None else ""),
        ("licence", clean(pack.licence, 100)),
        ("from", clean(pack.upstream, 200)),
        ("by", clean(pack.attribution, 200)),
        *(("note", clean(note, 300)) for note in pack.notes),
    ]
    write(facts([(name, text) for name, text in rows if text]))


def needs(wanted: Needs) -> str:
    """``60 s, memory_mb 512, numpy==2.1.0``; what a campaign's configuration decides is left out."""
    parts = [f"{wanted.seconds:g} s"] if wanted.seconds else []
    parts += [f"{name} {value:g}" for name, value in wanted.limits.items()]
    return ", ".join([*parts, *(clean(package, 60) for package in wanted.packages)]) or "nothing of its own"


def benchmark_fetch(
    ctx: typer.Context,
    name: NameArgument,
    source: SourceOption = "auto",
    from_directory: Annotated[
        Path | None, typer.Option("--from", help="Take the data from this local mirror instead of upstream.")
    ] = None,
) -> None:
    """Obtain a pack's data at its pinned commit and SHA-256."""
    context_of(ctx).assembly.fetch_benchmark(pack_reference(context_of(ctx), name), source, from_directory, progress)
    say(f"{name}: data is ready; see `hyperagent benchmark show {name}`")


def benchmark_schema(ctx: typer.Context) -> None:
    """Print the JSON Schema of `benchmark.toml`."""
    write(context_of(ctx).assembly.benchmark_schema().splitlines())


def benchmark_init(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Lower-case letters, digits and _.")],
    directory: Annotated[Path, typer.Option("--directory", help="Where the pack's folder is made.")] = Path(),
    examiner: Annotated[
        bool, typer.Option("--examiner", help="With a grader that works in a sandbox of its own.")
    ] = False,
) -> None:
    """Write an example pack that works as it is; change it into your own."""
    folder = context_of(ctx).assembly.init_benchmark(name, directory, examiner)
    shown = folder if folder.is_absolute() else f"./{folder}"
    say(f"wrote {shown}; next: `hyperagent benchmark validate {shown}`, then `hyperagent benchmark run {shown}`")


def benchmark_validate(
    ctx: typer.Context,
    name: NameArgument,
    source: Annotated[str, typer.Option("--source", help="One data set; omitted: all that are at hand.")] = "",
    json: JsonOption = False,
    archive: ArchiveOption = None,
) -> None:
    """Check a pack: form, data, splits, leaks, and what worthless answers score. Exit code 2 where a check fails."""
    from hyperagent.config import load_config

    context = context_of(ctx)
    config = load_config(None, environment=context.environment)
    source = "" if source == "auto" else source
    checks = context.assembly.validate_benchmark(
        pack_reference(context, name), source, config, context.archive_path(archive), progress
    )
    failed = [check for check in checks if check.state == "fail"]
    if json:
        emit(ok=not failed, checks=checks)
    else:
        write(check_lines(checks, columns()))
        counts = {state: sum(check.state == state for check in checks) for state in ("ok", "warn", "fail", "skip")}
        say(", ".join(f"{count} {state}" for state, count in counts.items() if count))
    if failed:
        raise typer.Exit(UsageError.exit_code)


def check_lines(checks: Sequence[PackCheck], width: int) -> list[str]:
    """A table whose last column is wrapped, never cut: what is wrong must be readable."""
    names = [clean(f"{check.source} {check.name}".strip(), 40) for check in checks]
    first = max(len("check"), *(len(name) for name in names))
    indent = first + len("  result  ")
    lines = [f"{'check':{first}}  result  detail"]
    for name, check in zip(names, checks, strict=True):
        parts = textwrap.wrap(clean(check.detail, 1000), max(20, width - indent)) or [""]
        lines.append(f"{name:{first}}  {check.state:6}  {parts[0]}")
        lines += [" " * indent + part for part in parts[1:]]
    return lines


def benchmark_import(
    ctx: typer.Context,
    name: Annotated[Literal["paper_review", "coding"], typer.Argument(help="The pack that the data is for.")],
    source: Annotated[Path, typer.Argument(metavar="IN", help="paper_review: a JSON Lines file; coding: a clone.")],
    target: Annotated[
        Path | None, typer.Argument(metavar="[OUT]", help="Record file to write; else where the pack looks for it.")
    ] = None,
    bound: Annotated[
        float, typer.Option("--max-leak-auc", min=0.5, max=1.0, help="Refuse papers whose text tells more.")
    ] = 0.70,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Decides the splits.")] = 0,
    json: JsonOption = False,
) -> None:
    """Make a record file of data of your own: full-text papers, or a clone of the polyglot exercises."""
    assembly = context_of(ctx).assembly
    data_set, path = assembly.imported_file(name, target)
    if name == "coding":
        said = assembly.import_polyglot(source, path)
        emit(target=path, said=said) if json else say(clean(said, 500))
        if not json and target is None:
            say(f"next: `hyperagent benchmark run {name} --source {data_set}`")
        return
    report = assembly.import_papers(source, path, bound, seed)
    if json:
        emit(report=report)
        return
    rows = [
        ("wrote", str(report.target)),
        ("records", ", ".join(f"{count:,} {split}" for split, count in report.splits.items())),
        ("left out", ", ".join(f"{count:,} {clean(why, 60)}" for why, count in report.left_out.items())),
        ("scrubbed", ", ".join(f"{clean(rule, 40)} {count:,}" for rule, count in report.removed.items() if count)),
        (
            "leak AUC",
            f"{report.before.words.estimate:.3f} as they came, {report.after.words.estimate:.3f} as programs see them",
        ),
    ]
    write(facts(rows))
    if target is None:
        say(f"next: `hyperagent benchmark run {name} --source {data_set}`")
