"""What counts as a change of behaviour, and the seeds of a step."""

import gc
import threading

import pytest

from hyperagent.engine.mutation import behaviour, step_random, step_seed

PROGRAM = {"a.py": b"def f(x):\n    return x + 1\n", "program.toml": b"[entry]\n", "README.md": b"old"}


@pytest.mark.parametrize(
    "change",
    [
        {"README.md": b"new"},
        {"NOTES.MD": b"more words"},
        {"docs/plan.txt": b"words"},
        {"a.py": b"# a comment\ndef f(x):\n\n    return (x + 1)\n"},
        {"a.py": b'def f(x):\n    """Says what it does."""\n    return x + 1\n'},
    ],
)
def test_words_and_layout_are_no_behaviour(change: dict[str, bytes]) -> None:
    assert behaviour({**PROGRAM, **change}) == behaviour(PROGRAM)


@pytest.mark.parametrize(
    "change",
    [
        {"a.py": b"def f(x):\n    return x + 2\n"},
        {"b.py": b"x = 1\n"},
        {"program.toml": b"[entry]\ntask = 'b:T'\n"},
        {"prompt.json": b"{}"},
    ],
)
def test_code_and_data_are(change: dict[str, bytes]) -> None:
    assert behaviour({**PROGRAM, **change}) != behaviour(PROGRAM)


def test_a_removed_file_is_a_change() -> None:
    assert behaviour({"program.toml": PROGRAM["program.toml"]}) != behaviour(PROGRAM)


def test_a_file_that_does_not_parse_is_named() -> None:
    with pytest.raises(SyntaxError) as error:
        behaviour({"broken.py": b"def f(:\n"})
    assert error.value.filename == "broken.py"


def test_seeds_differ_by_step_and_campaign_and_repeat() -> None:
    seeds = {step_seed(campaign, step) for campaign in range(20) for step in range(20)}
    assert len(seeds) == 400
    assert step_seed(3, 7) == step_seed(3, 7)
    assert all(0 <= step_random(1, step).random() < 1 for step in range(100))


def test_threads_may_ask_at_once() -> None:
    """CPython 3.11 fails when two threads build syntax trees at once; a collection is where it changes threads."""
    source = {"a.py": b"x = " + b"[1, " * 50 + b"]" * 50 + b"\n"}
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            for _ in range(20):
                behaviour(source)
        except SystemError as error:
            failures.append(error)

    def let_another_thread_in(phase: str, info: object) -> None:
        threading.Event().wait(0.0001)

    threshold = gc.get_threshold()
    gc.callbacks.append(let_another_thread_in)
    gc.set_threshold(20)
    try:
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.remove(let_another_thread_in)
    assert failures == []
