"""The pool: made ahead, used once, as many as are asked for, nothing left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from hyperagent.errors import SandboxLost
from hyperagent.sandbox.pool import Pool, most

PATIENCE = 10.0


class Thing:
    def __init__(self, kind: str, number: int) -> None:
        self.kind, self.number = kind, number
        self.alive = True
        self.destroyed = threading.Event()

    def is_alive(self) -> bool:
        return self.alive

    def destroy(self) -> None:
        assert not self.destroyed.is_set(), "destroyed twice"
        self.destroyed.set()


class Factory:
    """Makes things; ``gate`` holds every maker up while it is clear, ``broken`` makes it fail."""

    def __init__(self) -> None:
        self.made: list[Thing] = []
        self.entered = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()
        self.broken = False
        self._lock = threading.Lock()

    def make(self, kind: str) -> Thing:
        self.entered.release()
        assert self.gate.wait(PATIENCE)
        if self.broken:
            raise SandboxLost("no engine")
        with self._lock:
            self.made.append(Thing(kind, len(self.made)))
            return self.made[-1]

    def left(self) -> list[Thing]:
        return [thing for thing in self.made if not thing.destroyed.is_set()]


def until(condition: Callable[[], bool]) -> None:
    """Wait for what other threads do; it is an error if they never do it."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        threading.Event().wait(0.002)


def taken(pool: Pool[str, Thing], kind: str = "a") -> Thing:
    until(lambda: pool.ready() > 0)
    thing = pool.take(kind)
    assert thing is not None
    return thing


@pytest.fixture
def factory() -> Factory:
    return Factory()


@pytest.fixture
def pool(factory: Factory) -> Iterator[Pool[str, Thing]]:
    made = Pool(factory.make, 2)
    yield made
    factory.gate.set()
    made.empty()
    assert [
        thread.name for thread in threading.enumerate() if thread.name == "sandbox-pool" and thread.is_alive()
    ] == []


def test_nothing_is_made_before_it_is_asked_for(factory: Factory, pool: Pool[str, Thing]) -> None:
    assert (pool.ready(), factory.made) == (0, [])
    assert pool.take("a") is None
    until(lambda: pool.ready() == 1)


def test_what_was_taken_is_made_again_and_never_given_twice(factory: Factory, pool: Pool[str, Thing]) -> None:
    pool.take("a")
    numbers = [taken(pool).number for _ in range(20)]
    assert len(set(numbers)) == 20


def test_two_takers_at_once_never_get_the_same_thing(factory: Factory, pool: Pool[str, Thing]) -> None:
    got: list[Thing] = []

    def take_many() -> None:
        for _ in range(500):
            thing = pool.take("a")
            if thing is not None:
                got.append(thing)

    threads = [threading.Thread(target=take_many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got
    assert len({thing.number for thing in got}) == len(got)


def test_a_kind_gets_only_its_own(factory: Factory, pool: Pool[str, Thing]) -> None:
    pool.take("a")
    until(lambda: pool.ready() == 1)
    assert pool.take("b") is None
    until(lambda: pool.ready() == 2)
    assert taken(pool, "b").kind == "b"


def test_a_thing_that_died_waiting_is_passed_over_and_destroyed(factory: Factory, pool: Pool[str, Thing]) -> None:
    pool.take("a")
    until(lambda: pool.ready() == 1)
    factory.made[0].alive = False
    assert pool.take("a") is None
    assert factory.made[0].destroyed.wait(PATIENCE)
    assert taken(pool).alive


def test_no_more_than_the_size_are_ready_or_being_made(factory: Factory, pool: Pool[str, Thing]) -> None:
    factory.gate.clear()
    for _ in range(10):
        pool.take("a")
    for _ in range(2):
        assert factory.entered.acquire(timeout=PATIENCE)
    assert not factory.entered.acquire(timeout=0.05), "a third one is being made"
    factory.gate.set()
    until(lambda: pool.ready() == 2)
    assert not factory.entered.acquire(timeout=0.05), "a third one is being made"


def test_the_machine_bounds_the_size() -> None:
    assert Pool(Factory().make, 10_000).size == most()
    assert Pool(Factory().make, -1).size == 0


def test_size_zero_is_no_pool(factory: Factory) -> None:
    pool = Pool(factory.make, 0)
    thing = Thing("a", 0)
    assert pool.take("a") is None
    pool.discard(thing)
    assert thing.destroyed.is_set(), "with nobody in the background it is done at once"
    pool.empty()
    assert factory.made == []


def test_a_kind_asked_for_now_takes_the_room_of_one_asked_for_before(factory: Factory) -> None:
    pool = Pool(factory.make, 1)
    pool.take("a")
    until(lambda: pool.ready() == 1)
    pool.take("b")
    until(lambda: [thing.kind for thing in factory.left()] == ["b"] and pool.ready() == 1)
    assert taken(pool, "b").kind == "b"
    pool.empty()


def test_nothing_is_kept_for_a_kind_nobody_asks_for(factory: Factory) -> None:
    left: list[str] = []
    pool = Pool(factory.make, 2, idle=0.05, leave=lambda: left.append(threading.current_thread().name))
    pool.take("a")
    until(lambda: bool(factory.made) and not factory.left())
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == "sandbox-pool"])
    assert set(left) == {"sandbox-pool"}, "threads end too, and say so"
    pool.take("a")
    until(lambda: len(factory.made) > 1)
    pool.empty()


def test_a_failure_ends_the_demand_until_the_next_take(factory: Factory, pool: Pool[str, Thing]) -> None:
    factory.broken = True
    assert pool.take("a") is None
    assert factory.entered.acquire(timeout=PATIENCE)
    assert not factory.entered.acquire(timeout=0.05), "it is not tried again and again"
    factory.broken = False
    assert pool.take("a") is None
    until(lambda: pool.ready() == 1)


def test_emptying_destroys_what_is_ready_and_what_is_being_made(factory: Factory, pool: Pool[str, Thing]) -> None:
    pool.take("a")
    until(lambda: pool.ready() == 1)
    factory.gate.clear()
    while factory.entered.acquire(blocking=False):
        pass
    pool.take("b")
    assert factory.entered.acquire(timeout=PATIENCE)
    emptying = threading.Thread(target=pool.empty)
    emptying.start()
    emptying.join(0.05)
    assert emptying.is_alive(), "it must wait for the one that is being made"
    factory.gate.set()
    emptying.join(PATIENCE)
    assert not emptying.is_alive()
    assert [thing.kind for thing in factory.made] == ["a", "b"]
    assert factory.left() == []
    assert pool.ready() == 0


def test_what_is_discarded_is_destroyed_in_the_background_but_never_piles_up(factory: Factory) -> None:
    blocked, release = threading.Event(), threading.Event()

    class Slow(Thing):
        def destroy(self) -> None:
            blocked.set()
            assert release.wait(PATIENCE)
            super().destroy()

    pool = Pool(factory.make, 1)
    pool.discard(Slow("a", 0))
    assert blocked.wait(PATIENCE), "the only thread is busy now"
    waiting, straight = Thing("a", 1), Thing("a", 2)
    pool.discard(waiting)
    assert not waiting.destroyed.is_set()
    pool.discard(straight)
    assert straight.destroyed.is_set(), "the background is behind: the caller does it"
    release.set()
    pool.empty()
    assert waiting.destroyed.is_set()
