"""A pool of things that are slow to make and used once: made ahead in the background, as many as are asked for."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from hyperagent.errors import SandboxLost

IDLE_SECONDS = 60.0
"""How long things of a kind are kept ready after the last one was taken."""
_WINDOW_SECONDS = 3.0
"""A busy machine takes up to this long for a container; what is asked for meanwhile must be there already."""


class Disposable(Protocol):
    """What a pool holds. Both methods may be called from any thread."""

    def is_alive(self) -> bool:
        """Whether it can still be used; must not wait."""

    def destroy(self) -> None:
        """Let go of it, wherever it stands. Never raises."""


Kind = TypeVar("Kind", bound=Hashable)
Thing = TypeVar("Thing", bound=Disposable)


def most() -> int:
    """Most things worth keeping ready: with 2 x cores being made at once the processor is full."""
    return 2 * len(os.sched_getaffinity(0))


@dataclass
class _Shelf(Generic[Thing]):
    """Things of one kind. ``taken``: times of the takes of the last seconds, and of the last one in any case."""

    ready: deque[Thing] = field(default_factory=deque)
    taken: deque[float] = field(default_factory=deque)
    being_made: int = 0


class Pool(Generic[Kind, Thing]):
    """Keeps as many things of each kind ready as were taken within the last seconds, and one where none was.

    Nothing is made before the first :meth:`take` of a kind, and nothing is kept for a kind that was not taken for a
    while. Work is done by daemon threads, which end when nothing is in demand.

    Args:
        make: Makes a thing, in a background thread; SandboxLost ends the demand for its kind until the next take.
        size: Most things that are ready or being made, of all kinds together; at most :func:`most`. 0 = no pool.
        leave: Called by each background thread before it ends.
        idle: Seconds, see :data:`IDLE_SECONDS`.
    """

    def __init__(
        self,
        make: Callable[[Kind], Thing],
        size: int,
        *,
        leave: Callable[[], None] = lambda: None,
        idle: float = IDLE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make, self._leave, self._idle, self._clock = make, leave, idle, clock
        self.size = max(0, min(size, most()))
        self._changed = threading.Condition()
        self._shelves: dict[Kind, _Shelf[Thing]] = {}
        self._doomed: deque[Thing] = deque()
        self._making = 0
        self._workers = 0
        self._resting = 0

    def take(self, kind: Kind) -> Thing | None:
        """A living thing that nobody else gets; None where none is ready. Never waits."""
        if not self.size:
            return None
        with self._changed:
            shelf = self._shelves.pop(kind, None) or _Shelf()
            self._shelves[kind] = shelf  # the last in the row is the kind that was asked for last
            shelf.taken.append(self._clock())
            found = None
            while found is None and shelf.ready:
                found = shelf.ready.popleft()
                if not found.is_alive():
                    self._doomed.append(found)
                    found = None
            self._call_worker()
            return found

    def discard(self, thing: Thing) -> None:
        """Destroy a thing in the background; here and now where the background is behind already."""
        with self._changed:
            behind = len(self._doomed) >= self.size
            if not behind:
                self._doomed.append(thing)
                self._call_worker()
        if behind:
            thing.destroy()

    def empty(self) -> None:
        """Destroy everything that is ready; returns when nothing is left and no thread of the pool is at work."""
        with self._changed:
            for shelf in self._shelves.values():
                self._doomed += shelf.ready
            self._shelves.clear()
            if self._doomed:
                self._call_worker()
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._workers == 0)

    def ready(self) -> int:
        """How many things are ready now."""
        with self._changed:
            return sum(len(shelf.ready) for shelf in self._shelves.values())

    # -- background ------------------------------------------------------------------------------

    def _call_worker(self) -> None:
        if self._resting:
            self._changed.notify()
        elif self._workers < self.size:
            self._workers += 1
            threading.Thread(target=self._work, name="sandbox-pool", daemon=True).start()

    def _work(self) -> None:
        try:
            while (job := self._next_job()) is not None:
                job()
        finally:
            self._leave()
            with self._changed:
                self._workers -= 1
                self._changed.notify_all()

    def _next_job(self) -> Callable[[], None] | None:
        """Waits for something to do; None when nothing is in demand any more."""
        with self._changed:
            while True:
                self._expire()
                if self._doomed:
                    self._call_worker()  # there may be more to do: one calls the next
                    return self._doomed.popleft().destroy
                kind = next((kind for kind in reversed(self._shelves) if self._is_short(kind)), None)
                if kind is not None:
                    self._call_worker()
                    return self._filling(kind)
                if not self._shelves:
                    return None
                self._resting += 1
                oldest = min(shelf.taken[-1] for shelf in self._shelves.values())
                self._changed.wait(max(0.05, oldest + self._idle - self._clock()))
                self._resting -= 1

    def _is_short(self, kind: Kind) -> bool:
        """Whether one more of a kind shall be made now."""
        shelf = self._shelves[kind]
        since = self._clock() - _WINDOW_SECONDS
        while len(shelf.taken) > 1 and shelf.taken[0] < since:
            shelf.taken.popleft()
        have = len(shelf.ready) + shelf.being_made
        if have >= len(shelf.taken):
            return False
        if self._making + sum(len(other.ready) for other in self._shelves.values()) < self.size:
            return True
        return have == 0 and self._make_room(kind)

    def _make_room(self, kind: Kind) -> bool:
        """Give up one thing of a kind that was asked for before this one was."""
        for other, shelf in self._shelves.items():
            if other == kind:
                return False
            if shelf.ready:
                self._doomed.append(shelf.ready.popleft())
                return True
        return False

    def _filling(self, kind: Kind) -> Callable[[], None]:
        shelf = self._shelves[kind]
        shelf.being_made += 1
        self._making += 1
        return lambda: self._fill(kind, shelf)

    def _expire(self) -> None:
        since = self._clock() - self._idle
        for kind in [kind for kind, shelf in self._shelves.items() if shelf.taken[-1] <= since]:
            self._doomed += self._shelves.pop(kind).ready

    def _fill(self, kind: Kind, shelf: _Shelf[Thing]) -> None:
        made = None
        try:
            made = self._make(kind)
        except SandboxLost:
            # Whoever takes next starts one itself, and so learns what is wrong.
            with self._changed:
                if self._shelves.get(kind) is shelf and not shelf.ready:
                    del self._shelves[kind]
        finally:
            with self._changed:
                self._making -= 1
                shelf.being_made -= 1
                if made is not None:
                    (shelf.ready if self._shelves.get(kind) is shelf else self._doomed).append(made)
