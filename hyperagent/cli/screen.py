"""The screen of ``watch``. The only user of textual; what stands on it is made in ``report.watching``.

A look at the archive happens on a thread, at most once a second and never for more than a twentieth of the time,
however large the campaign: the keys always answer, and the machine belongs to the run. Texts reach the screen as styled
pieces, never as markup, and are cleaned where they are made into lines.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen, Screen
from textual.widgets import Footer, Static, Tree

from hyperagent.cli.boundary import TERMINATED
from hyperagent.errors import HyperagentError
from hyperagent.report import watching as report
from hyperagent.report.curve import curve
from hyperagent.report.text import clean
from hyperagent.report.tree import Line, Span

if TYPE_CHECKING:
    from textual.widgets.tree import TreeNode

    from hyperagent.cli.watches import CampaignWatch
    from hyperagent.types import Closeup, Snapshot, Variant

SECOND = 1.0
SHARE = 20
"""After a look the next one waits so many times what it took."""
_STYLES = {
    "guide": "dim", "id": "cyan", "score": "", "best": "bold green", "path": "green", "up": "green", "down": "red",
    "plain": "", "faint": "dim",
}  # fmt: skip
_PLAIN_STYLES = {"best": "bold", "path": "bold", "guide": "dim", "faint": "dim"}
"""Under https://no-color.org: weight alone."""
FILTERS = ("everything", "scored", "the way to the best", "failed", "under way")
_TICKING = ("head", "budgets", "workers")
"""Panes that change with the time alone."""
_MAIN_ONLY = frozenset({"look", "filter", "events", "best", "pause", "help"})
_HELP = """\
The archive is only read: the run neither waits nor slows down.

  arrows      move in the tree; space folds a branch
  enter       everything about the variant under the cursor
  d           ... and what it changed, in its own view
  f           show only some variants: scored, the way to the
              best, failed, under way
  e           events or failures at the foot
  p           pause: the screen stays as it is; the run goes on
  b           go to the best variant
  ?  q        this page; quit (the run goes on)

  ★ best   ● evaluated   ○ screened out   … under way
  · no effect   ≡ duplicate   ✗ invalid   ▲▼= against its parent
  ~ in all: if each variant takes what one took so far;
  red where a cap comes first
"""


def styled(lines: Sequence[Line], unicode: bool = True) -> Text:
    """Lines as rich text; nothing in them is read as markup."""
    styles = _PLAIN_STYLES if os.environ.get("NO_COLOR") else _STYLES
    text = Text(no_wrap=True, overflow="crop", end="")
    for number, line in enumerate(lines if unicode else report.ascii_lines(lines)):
        if number:
            text.append("\n")
        for span in line:
            text.append(span.text, styles.get(span.role, ""))
    return text


class Pane(Static):
    """Lines made for the pane's own size, under a title; drawn again only where they have changed."""

    def __init__(self, title: str, draw: Callable[[int, int], Sequence[Line]], *, unicode: bool, id: str) -> None:
        super().__init__(id=id, markup=False)
        self.title = title
        self._draw = draw
        self._unicode = unicode
        self._shown: Text | None = None

    def redraw(self) -> None:
        width = self.size.width
        if not width:
            return
        head: list[Line] = []
        if self.title:
            line = "─" * max(0, width - len(self.title) - 4)
            head = [(Span("─ ", "guide"), Span(self.title, "id"), Span(f" {line}", "guide"))]
        text = styled([*head, *self._draw(width, self.size.height - len(head))], self._unicode)
        if self._shown != text:
            self._shown = text
            self.update(text)

    def on_resize(self) -> None:
        self.redraw()


class Lineage(Tree[str]):
    """The tree of parents; grows in place, so that the cursor stays where it is."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "select_cursor", "Variant")]
    ICON_NODE = "+"  # an arrow would read as a change of the score
    ICON_NODE_EXPANDED = ""

    def __init__(self, unicode: bool) -> None:
        super().__init__("", id="tree")
        self.show_root = False
        self.guide_depth = 2
        self._unicode = unicode
        self._placed: dict[str, TreeNode[str]] = {}
        self._known: dict[str, Variant] = {}
        self._star = ""

    def show(self, snapshot: Snapshot, wanted: Callable[[Variant], bool]) -> None:
        """Bring the tree up to date. A variant that is not wanted is there where one below it is."""
        by_id = {variant.id: variant for variant in snapshot.variants}
        best = snapshot.progress.best
        kept = _with_ancestors(by_id, wanted)
        if not self._known.keys() <= kept:
            self.clear()
            self._placed.clear()
            self._known.clear()
        stale = {self._star, best.id if best else ""} if self._star != (best.id if best else "") else set()
        self._star = best.id if best else ""
        for variant in snapshot.variants:
            if variant.id not in kept or (self._known.get(variant.id) == variant and variant.id not in stale):
                continue
            parent = by_id.get(variant.parent or "")
            found = snapshot.progress.best_interval if variant.id == self._star else None
            text = styled([report.label(variant, parent, found, best, 120)], self._unicode)
            node = self._placed.get(variant.id)
            if node is None:
                above = self._placed.get(parent.id, self.root) if parent and parent.step < variant.step else self.root
                above.allow_expand = True
                self._placed[variant.id] = above.add(text, data=variant.id, expand=True, allow_expand=False)
            else:
                node.set_label(text)
            self._known[variant.id] = variant

    def go_to(self, variant: str) -> None:
        node = self._placed.get(variant)
        if node is not None:
            self.move_cursor(node)
            self.scroll_to_node(node)


def _with_ancestors(by_id: dict[str, Variant], wanted: Callable[[Variant], bool]) -> set[str]:
    kept: set[str] = set()
    for variant in by_id.values():
        found: Variant | None = variant if wanted(variant) else None
        while found is not None and found.id not in kept:
            kept.add(found.id)
            parent = by_id.get(found.parent or "")
            found = parent if parent is not None and parent.step < found.step else None
    return kept


class Page(Screen[None]):
    """One variant: facts, and on ``d`` its diff."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace,left", "app.pop_screen", "Back"),
        Binding("d", "diff", "Diff"),
        Binding("q", "app.quit", "Quit"),
    ]

    def __init__(self, found: Closeup, *, diff: bool, unicode: bool) -> None:
        super().__init__()
        self._found = found
        self._diff = diff
        self._unicode = unicode

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(id="page", markup=False)
        yield Footer()

    def on_resize(self) -> None:
        self._show()

    def action_diff(self) -> None:
        self._diff = not self._diff
        self._show()

    def _show(self) -> None:
        width = max(20, self.size.width - 2)
        lines = report.closeup(self._found, width)
        lines = [lines[0], (), *report.diff(self._found.diff, width)] if self._diff else lines
        self.query_one("#page", Static).update(styled(lines, self._unicode))


class Help(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark,q,enter", "app.pop_screen", "Back")]

    def __init__(self, unicode: bool) -> None:
        super().__init__()
        self._unicode = unicode

    def compose(self) -> ComposeResult:
        lines: list[Line] = [(Span(line, "plain"),) for line in _HELP.splitlines()]
        yield Static(styled(lines, self._unicode), id="help", markup=False)


class WatchApp(App[None]):
    """The whole screen.

    Args:
        looking: What looks at the campaign.
        unicode: Whether the terminal takes UTF-8.
        every: Least seconds between looks; 0 = it looks only when :meth:`look` is called.
    """

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #head { height: 1; }
    #left { width: 1fr; min-width: 38; }
    #standing { height: 2; }
    #budgets { height: auto; max-height: 6; }
    #workers { height: auto; max-height: 12; }
    #curve { height: 1fr; min-height: 4; }
    #right { width: 1fr; padding-left: 1; }
    #title { height: 1; }
    #tree { height: 1fr; background: transparent; padding: 0; scrollbar-size: 0 1; }
    #below { height: 25%; min-height: 5; }
    Page VerticalScroll { padding: 0 1; }
    #page { height: auto; }
    Help { align: center middle; }
    #help { width: 68; height: auto; max-height: 100%; border: round $primary; padding: 0 1; background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "look(True)", "Diff"),
        Binding("f", "filter", "Filter"),
        Binding("e", "events", "Events/failures"),
        Binding("b", "best", "Best"),
        Binding("p", "pause", "Pause"),
        Binding("question_mark", "help", "Help"),
        Binding("q", "quit", "Quit"),
        Binding("ctrl+c", "quit", "Quit", priority=True, show=False),
    ]

    def __init__(self, looking: CampaignWatch, *, unicode: bool = True, every: float = SECOND) -> None:
        # Under NO_COLOR the terminal's own foreground and background, else textual would turn its colours into greys.
        colourless = bool(os.environ.get("NO_COLOR"))
        super().__init__(ansi_color=colourless)
        if colourless:
            self.theme = "textual-ansi"
        self._every = every
        self.animation_level = "none"
        self._looking = looking
        self._unicode = unicode
        self.snapshot = looking.snapshot
        self.paused = False
        self.trouble = ""
        self.filter = 0
        self._failures = False

    # -- building --------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield self._pane("", self._head, "head")
        with Horizontal():
            with Vertical(id="left"):
                yield self._pane("", lambda width, _: report.standing(self.snapshot.progress, width), "standing")
                yield self._pane("budget", self._budgets, "budgets")
                yield self._pane("workers", self._working, "workers")
                yield self._pane("score by step", self._curve, "curve")
            with Vertical(id="right"):
                yield self._pane("lineage", lambda width, height: [], "title")
                yield Lineage(self._unicode)
        yield self._pane("events", self._below, "below")
        yield Footer()

    def _pane(self, title: str, draw: Callable[[int, int], Sequence[Line]], identity: str) -> Pane:
        return Pane(title, draw, unicode=self._unicode, id=identity)

    def on_mount(self) -> None:
        self.title = "hyperagent"
        # SIGTERM as an exception out of the loop would leave the terminal as the screen has set it.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.exit, None, TERMINATED)
        self._grow()
        self.query_one(Lineage).focus()
        self.call_after_refresh(self.action_best)
        self._later(0.0)

    # -- looking ---------------------------------------------------------------------------------

    def _later(self, took: float) -> None:
        if self._every:
            self.set_timer(max(self._every, SHARE * took), self.look)

    def look(self) -> None:
        """Look at the archive on a thread of its own, and show what it found."""
        self.run_worker(self._refresh, thread=True, exclusive=True, exit_on_error=True)

    def _refresh(self) -> None:
        began = time.monotonic()
        trouble, changed = "", False
        try:
            changed = self._looking.refresh()
        except HyperagentError as error:  # the archive may be moved or full just now; the next look tells
            trouble = clean(error.message, 200)
        self.call_from_thread(self._looked, changed, trouble, time.monotonic() - began)

    def _looked(self, changed: bool, trouble: str, took: float) -> None:
        began = time.monotonic()
        self.trouble = trouble
        if not self.paused:
            self.snapshot = self._looking.snapshot
            if changed:
                self._grow()
        self._redraw(everything=changed)
        self._later(took + time.monotonic() - began)

    def _redraw(self, everything: bool = True) -> None:
        for pane in self.query(Pane):
            if everything or pane.id in _TICKING:
                pane.redraw()

    def _grow(self) -> None:
        self.query_one(Lineage).show(self.snapshot, self._wanted())
        shown = FILTERS[self.filter]
        self.query_one("#title", Pane).title = f"lineage: {shown}" if self.filter else "lineage"

    def _wanted(self) -> Callable[[Variant], bool]:
        best = self.snapshot.progress.best
        wanted: tuple[Callable[[Variant], bool], ...] = (
            lambda variant: True,
            lambda variant: variant.score is not None,
            lambda variant: best is not None and variant.id == best.id,
            lambda variant: variant.status in report.FAILED,
            lambda variant: variant.status in ("mutating", "pending"),
        )
        return wanted[self.filter]

    # -- drawing ---------------------------------------------------------------------------------

    def _head(self, width: int, height: int) -> Sequence[Line]:
        if self.trouble:
            return [(Span(f"cannot read the archive: {self.trouble}"[:width], "down"),)]
        return [report.head(self.snapshot, width, paused=self.paused)]

    def _budgets(self, width: int, height: int) -> Sequence[Line]:
        return report.budgets(self.snapshot.progress, width, unicode=self._unicode)

    def _working(self, width: int, height: int) -> Sequence[Line]:
        return report.workers(self.snapshot, time.time(), width)

    def _curve(self, width: int, height: int) -> Sequence[Line]:
        return curve(self.snapshot.variants, width, height)

    def _below(self, width: int, height: int) -> Sequence[Line]:
        lines = report.failures if self._failures else report.happenings
        return lines(self.snapshot, width, max(1, height))

    # -- keys ------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Above the main view only quitting is left; the rest is a page's own."""
        return action == "quit" or len(self.screen_stack) <= 1 or action not in _MAIN_ONLY

    def on_tree_node_selected(self, event: Tree.NodeSelected[str]) -> None:
        self.action_look(False)

    def action_look(self, diff: bool) -> None:
        node = self.query_one(Lineage).cursor_node
        if node is not None and node.data:
            identity = node.data
            self.run_worker(lambda: self._open(identity, diff), thread=True, group="page", exclusive=True)

    def _open(self, identity: str, diff: bool) -> None:
        try:
            found = self._looking.closeup(identity)
        except HyperagentError as error:
            self.trouble = clean(error.message, 200)
            return
        self.call_from_thread(self.push_screen, Page(found, diff=diff, unicode=self._unicode))

    def action_filter(self) -> None:
        self.filter = (self.filter + 1) % len(FILTERS)
        self._grow()
        self._redraw()

    def action_events(self) -> None:
        self._failures = not self._failures
        self.query_one("#below", Pane).title = "failures" if self._failures else "events"
        self._redraw()

    def action_best(self) -> None:
        best = self.snapshot.progress.best
        if best is not None:
            self.query_one(Lineage).go_to(best.id)

    def action_pause(self) -> None:
        self.paused = not self.paused
        if not self.paused:  # what came meanwhile is no news to the next look
            self.snapshot = self._looking.snapshot
            self._grow()
        self._redraw()

    def action_help(self) -> None:
        self.push_screen(Help(self._unicode))
