"""Watching a running campaign: a live display on a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from hyperagent.cli.output import say
from hyperagent.report.table import clock, duration, interval
from hyperagent.report.text import clean
from hyperagent.report.tree import plain
from hyperagent.report.watching import budgets, standing

if TYPE_CHECKING:
    from rich.text import Text

    from hyperagent.types import Progress

_COLUMNS = 80
HEARTBEAT = 20.0
"""Seconds after which a run that nothing came out of says what it is doing, so that nobody takes it for dead."""


class Watcher(Protocol):
    """A :class:`~hyperagent.protocols.Observer` that owns the terminal while it is entered."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *details: Any) -> None: ...
    def progress(self, progress: Progress) -> None: ...
    def message(self, text: str) -> None: ...


def watcher(*, plain: bool) -> Watcher:
    """The live display where stderr is a terminal and ``plain`` is not asked for, else plain lines."""
    return PlainObserver() if plain or not sys.stderr.isatty() else LiveObserver()


class PlainObserver:
    """One line per change of the number of variants or of the best one, and one every ``HEARTBEAT`` seconds."""

    def __init__(self) -> None:
        self._last: object = None
        self._said_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: Any) -> None:
        pass

    def progress(self, progress: Progress) -> None:
        key = (progress.done, progress.best.id if progress.best else "", progress.campaign.state)
        if key != self._last or progress.seconds >= self._said_at + HEARTBEAT:
            self._last, self._said_at = key, progress.seconds
            say(summary(progress))

    def message(self, text: str) -> None:
        say(clean(text, 500))


class LiveObserver:
    """A display that rich redraws in place on stderr; messages scroll above it."""

    def __init__(self) -> None:
        # Here and not above: rich takes a tenth of a second to import, which no other command should pay.
        from rich.console import Console
        from rich.live import Live

        self._console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._lock = threading.Lock()
        self._last: Progress | None = None
        self._came_at = 0.0
        # Drawn anew every second, so that the clock runs on while one long thing is under way.
        self._live = Live(
            get_renderable=self._drawn,
            console=self._console,
            refresh_per_second=1,
            transient=True,
            redirect_stdout=False,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def progress(self, progress: Progress) -> None:
        with self._lock:
            self._last, self._came_at = progress, time.monotonic()
        self._live.refresh()

    def _drawn(self) -> Text:
        from rich.text import Text

        with self._lock:
            last, since = self._last, time.monotonic() - self._came_at
        lines = panel(replace(last, seconds=last.seconds + since)) if last else ["starting ..."]
        text = Text("\n".join(lines), no_wrap=True, overflow="ellipsis")
        text.highlight_words(["★"], "bold green")
        return text

    def message(self, text: str) -> None:
        self._console.print(clean(text, 500))


def summary(progress: Progress) -> str:
    """One line: ``[0:01:23] 3/16 variants, 5 attempts, best 0.58 [0.48-0.67] (step 2), seed ..., ETA 4m 00s``."""
    parts = [f"{progress.done}/{progress.target} variants", f"{progress.attempts} attempts"]
    if progress.in_flight:
        doing = "; ".join(f"step {step} {clean(what, 40)}" for step, what in progress.in_flight)
        parts.append(f"{len(progress.in_flight)} in flight ({doing})")
    if progress.best is not None:
        parts.append(f"best {_best(progress)}")
    if progress.seed_interval is not None:
        parts.append(f"seed {interval(progress.seed_interval)}")
    parts.extend(spent(progress))
    if progress.eta is not None:
        parts.append(f"ETA {duration(progress.eta)}")
    return f"[{clock(progress.seconds)}] {', '.join(parts)}"


def panel(progress: Progress) -> list[str]:
    """The lines of the live display: in short what `watch` shows."""
    eta = f", ETA {duration(progress.eta)}" if progress.eta is not None else ""
    lines = [f"campaign {clean(progress.campaign.name, 40)}  {clock(progress.seconds)}{eta}"]
    lines += plain(budgets(progress, _COLUMNS)).split("\n")
    lines += [f"  step {step:<4} {clean(doing, 60)}" for step, doing in progress.in_flight]
    if progress.best is not None:
        lines += plain(standing(progress, _COLUMNS)).split("\n")
    return lines


def spent(progress: Progress) -> list[str]:
    """Tokens, dollars and calls so far, each against its cap where there is one."""
    spend, caps = progress.spend, progress.caps
    parts = [f"{spend.tokens:,}{f' of {caps.tokens:,}' if caps.tokens else ''} tokens"]
    if spend.cost or caps.cost:
        parts.append(f"${spend.cost:.2f}{f' of ${caps.cost:.2f}' if caps.cost else ''}")
    if caps.seconds:
        parts.append(f"{duration(progress.seconds)} of {duration(caps.seconds)}")
    return parts


def _best(progress: Progress) -> str:
    best = progress.best
    if best is None:
        return ""
    found = progress.best_interval
    value = interval(found) if found else "?" if best.score is None else f"{best.score:.2f}"
    return f"{value} (step {best.step})"
