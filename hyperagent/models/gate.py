"""Who may call a model now: a limit per model, turns by variant for those that wait, and a bound on the crowd."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


class Abandoned(Exception):
    """The task of a call ended before its turn came: nobody waits for the reply any more."""


@dataclass
class Waiter:
    """``ended`` is the event that a call's task has ended."""

    ended: threading.Event
    woken: threading.Event = field(default_factory=threading.Event)
    granted: bool = False


class Gate:
    """At most ``limit`` calls at once. A free place goes to the next variant in turn, there to who came first.

    A place is handed over, never left for whoever is quickest: a variant with a thousand calls waiting holds up another
    variant's call by one.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._running = 0
        self._lock = threading.Lock()
        self._queues: dict[str, deque[Waiter]] = {}  # in the order of their turns; not empty only while all is taken

    @contextmanager
    def place(self, variant: str, ended: threading.Event) -> Iterator[None]:
        """Wait for a place and hold it; raises Abandoned where ``ended`` is set first (see :meth:`wake`)."""
        self._enter(variant, ended)
        try:
            yield
        finally:
            self._leave()

    def wake(self, ended: threading.Event) -> None:
        """Send those away whose task has ended: to be called after its event was set."""
        with self._lock:
            for variant, queue in list(self._queues.items()):
                staying = deque(waiter for waiter in queue if waiter.ended is not ended)
                for waiter in queue:
                    if waiter.ended is ended:
                        waiter.woken.set()
                if staying:
                    self._queues[variant] = staying
                else:
                    del self._queues[variant]

    def waiting(self) -> int:
        """Calls without a place."""
        with self._lock:
            return sum(map(len, self._queues.values()))

    def _enter(self, variant: str, ended: threading.Event) -> None:
        waiter = Waiter(ended)
        with self._lock:
            if ended.is_set():
                raise Abandoned
            if self._running < self._limit:
                self._running += 1
                return
            self._queues.setdefault(variant, deque()).append(waiter)
        waiter.woken.wait()
        if not waiter.granted:
            raise Abandoned

    def _leave(self) -> None:
        with self._lock:
            if not self._queues:
                self._running -= 1
                return
            variant = next(iter(self._queues))
            queue = self._queues.pop(variant)
            waiter = queue.popleft()
            if queue:
                self._queues[variant] = queue  # at the end: its next turn comes after all others'
            waiter.granted = True
            waiter.woken.set()


class Gates:
    """A gate per model, and how many unanswered calls each variant has.

    Args:
        limit: Calls of one model at once; 0 = no limit.
        crowd: Unanswered calls of one variant at once; more are not admitted.
    """

    def __init__(self, limit: int, crowd: int) -> None:
        self._limit = limit
        self._crowd = crowd
        self._lock = threading.Lock()
        self._gates: dict[str, Gate] = {}
        self._present: Counter[str] = Counter()

    def admit(self, variant: str) -> bool:
        """Count one more unanswered call; False, and nothing counted, where the variant has too many."""
        with self._lock:
            if self._present[variant] >= self._crowd:
                return False
            self._present[variant] += 1
            return True

    def dismiss(self, variant: str) -> None:
        """Undo one :meth:`admit`."""
        with self._lock:
            self._present[variant] -= 1
            if not self._present[variant]:
                del self._present[variant]

    @contextmanager
    def place(self, model: str, variant: str, ended: threading.Event) -> Iterator[None]:
        """See :meth:`Gate.place`."""
        if not self._limit:
            if ended.is_set():
                raise Abandoned
            yield
            return
        with self._lock:
            gate = self._gates.setdefault(model, Gate(self._limit))
        with gate.place(variant, ended):
            yield

    def wake(self, ended: threading.Event) -> None:
        """See :meth:`Gate.wake`."""
        with self._lock:
            gates = list(self._gates.values())
        for gate in gates:
            gate.wake(ended)
