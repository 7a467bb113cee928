"""The process boundary: turns whatever a command raises into one message on stderr and an exit code."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from types import FrameType
from typing import Any

import typer
from typer.core import TyperCommand

from hyperagent.cli.context import context_of
from hyperagent.errors import HyperagentError
from hyperagent.report.text import clean

INTERRUPTED = 130
TERMINATED = 143
_LONGEST = 2000


class Guarded(TyperCommand):
    """A command whose errors end in a message, a hint and the right exit code, never in a traceback (but --debug)."""

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except KeyboardInterrupt:
            _say("interrupted")
            raise SystemExit(INTERRUPTED) from None
        except BrokenPipeError:
            # The reader (head, less) has seen enough: that is no error. Later flushes go nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(0) from None
        except Exception as error:  # noqa: BLE001 - the process boundary: a person sees a message, not a traceback
            if context_of(ctx).debug:
                traceback.print_exc()
            raise SystemExit(report(error)) from None


def report(error: Exception) -> int:
    """Write an error for a person; returns the exit code."""
    if isinstance(error, HyperagentError):
        _say(f"error: {clean(error.message, _LONGEST)}")
        if error.hint:
            _say(f"  hint: {clean(error.hint, _LONGEST)}")
        return error.exit_code
    what = clean(f"{type(error).__name__}: {error}", _LONGEST)
    _say(f"error: {what} (this is a bug in hyperagent: run `hyperagent --debug ...` again for the traceback)")
    return 1


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # where nobody listens to stderr the exit code still tells
        print(line, file=sys.stderr, flush=True)


def on_terminate(number: int, frame: FrameType | None) -> None:
    """SIGTERM outside a campaign (which has its own handler): unwind, so that containers and locks are let go."""
    raise SystemExit(TERMINATED)


def install_signals() -> None:
    signal.signal(signal.SIGTERM, on_terminate)
