"""Groups of verbs about what campaigns use: ``model``, ``sandbox``; ``benchmark`` has files of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from hyperagent.cli.boundary import Guarded
from hyperagent.cli.context import JsonOption, context_of
from hyperagent.cli.output import columns, emit, progress, say, write
from hyperagent.cli.serving import model_bench, model_serve
from hyperagent.cli.starting import show_checks
from hyperagent.errors import PrerequisiteError, UsageError
from hyperagent.report.table import facts, size, table
from hyperagent.report.text import clean

if TYPE_CHECKING:
    from hyperagent.assembly import EditingTest, FormatRow
    from hyperagent.assembly.checks import Finding

_AUTO = "auto"
_UNCUT = 1000
"""Columns for what must be read whole: the terminal wraps it."""
_NONE_FOLLOWED = "no format was followed in two of three trials: take another model for rewriting (models.mutation)"
NameArgument = Annotated[str, typer.Argument(metavar="NAME")]


def register(app: typer.Typer) -> None:
    groups: tuple[tuple[str, str, dict[str, Callable[..., None]]], ...] = (
        (
            "model",
            "Local models, and a test of any model.",
            {"list": model_list, "pull": model_pull, "test": model_test, "serve": model_serve, "bench": model_bench},
        ),
        (
            "sandbox",
            "The sandbox: its image, and whether it holds.",
            {"build": sandbox_build, "doctor": sandbox_doctor},
        ),
    )
    for group, text, verbs in groups:
        sub = typer.Typer(help=text, no_args_is_help=True, rich_markup_mode=None)
        for name, function in verbs.items():
            sub.command(name, cls=Guarded)(function)
        app.add_typer(sub, name=group)


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
    trials: Annotated[int, typer.Option("--trials", min=0, help="Edits per format; 0: only the question.")] = 3,
    json: JsonOption = False,
) -> None:
    """Ask a model one question, then let it edit the seed program in every format; recommends one.

    The edits are made in a sandbox, from made-up results. "at once" counts first replies that worked, "changes" also
    those that did after one repair.
    """
    reply = context_of(ctx).assembly.test_model(model, api_base)
    found = context_of(ctx).assembly.test_editing(model, api_base, trials, progress) if trials else None
    if json:
        more = {"editing": found.rows, "recommended": found.recommended, "sandbox": found.sandbox} if found else {}
        emit(model=model, reply=reply, **more)
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
    if found is not None:
        _show_editing(found)


def _show_editing(found: EditingTest) -> None:
    def row(one: FormatRow) -> tuple[str, ...]:
        counts = (one.parses, one.applies, one.compiles, one.changes, one.at_once)
        cells = [f"{count}/{one.trials}" for count in counts]
        return (one.editing, *cells, f"{one.seconds:.0f}s", clean(one.problem, 100))

    heads = ("parses", "applies", "compiles", "changes", "at once", "time")
    write(["", *table(("format", *heads, "last problem"), [row(one) for one in found.rows], _UNCUT, frozenset(heads))])
    line = f'recommended: editing = "{found.recommended}"' if found.recommended else _NONE_FOLLOWED
    write(["", line])


def sandbox_build(ctx: typer.Context, json: JsonOption = False) -> None:
    """Build the sandbox image (from a registry, or without one from this machine's own Python)."""
    image = context_of(ctx).assembly.build_image(progress)
    if json:
        emit(image=image)
    else:
        write([image])


def sandbox_doctor(
    ctx: typer.Context,
    attack: Annotated[bool, typer.Option("--attack", help="Attack it from inside, in about a minute.")] = False,
    backend: Annotated[str, typer.Option("--backend", help="With --attack: docker, bubblewrap, runsc, auto.")] = _AUTO,
    json: JsonOption = False,
) -> None:
    """Check the sandbox: engine, image, hardening; exit code 3 where something is missing.

    With --attack, exit code 1 where an attack was not contained, 3 where one could not run.
    """
    if attack:
        _show_attacks(backend, json)
    elif backend != _AUTO:
        raise UsageError("--backend chooses what --attack attacks", hint="add --attack")
    else:
        show_checks(context_of(ctx).assembly.sandbox_checks(), json)


def _show_attacks(backend: str, json: bool) -> None:
    from hyperagent.assembly.checks import attack_sandbox  # pulls in the engine

    report = attack_sandbox(backend, progress)
    outcomes = [finding.outcome for finding in report.findings]
    if json:
        emit(ok=set(outcomes) <= {"contained"}, sandbox=report.sandbox, attacks=report.findings)
    else:
        say(f"sandbox: {report.sandbox.backend} ({clean(report.sandbox.isolation, 200)})")
        for warning in report.sandbox.warnings:
            say(f"warning: {clean(warning, 300)}")
        rows = [(one.attack, _result(one), one.stops) for one in report.findings]
        write(table(("attack", "result", "what stops it"), rows, _UNCUT))
        failed = [one for one in report.findings if one.detail]
        write(["", *(f"{one.attack}: {clean(one.detail, 1000)}" for one in failed)] if failed else [])
        write(["", f"{outcomes.count('contained')} of {len(outcomes)} attacks contained"])
    if "NOT contained" in outcomes:
        raise typer.Exit(1)
    if "could not run" in outcomes:
        raise typer.Exit(PrerequisiteError.exit_code)


def _result(finding: Finding) -> str:
    """``session lost`` where the attack has ruined its own session, which is then charged to it."""
    return f"{finding.outcome}, session lost" if finding.session_lost else finding.outcome
