"""Examines one solution: the tests run here, the solution in a process of its own, and only plain data passes between.

First the reference runs, in its own process, which has ended before the solution's begins. It tells which tests there
are, what they are called, and what may be asked of a solution.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from captive import Captive
from remote import Lost, Module, Remote
from suites import SUITES, Results, named_cases, sentinels

CALL_SECONDS = 15.0
SECONDS = 40.0
"""Wall clock of one call (``inputs`` may say less), and of all calls of one solution."""
MEMORY_MB = 512
MOST_BYTES = 32 << 20
_HERE = os.path.dirname(os.path.abspath(__file__))


def examine(inputs: dict[str, Any]) -> dict[str, Any]:
    """Examine a solution.

    Args:
        inputs: ``suite`` (a key of ``SUITES``), ``answers`` (texts of which the first that defines ``entry`` counts),
            ``module``, ``entry``, ``reference`` (text; empty = the cases say it all), and what the suite wants.

    Returns:
        ``expected`` (names of the tests), ``executed`` (``[name, fault]``), ``passing_sentinels`` (names),
        ``lost`` (how the solution's process ended, if it did) and ``broken`` (why the task cannot be graded).
    """
    asked = dict(inputs)
    verdict: dict[str, Any] = {"expected": [], "executed": [], "passing_sentinels": [], "lost": "", "broken": ""}
    reference, results = _reference(asked)
    faults = [f"{name}: {fault}" for name, fault in results if fault]
    verdict["expected"] = [name for name, _ in (named_cases(asked) if "cases" in asked else results)]
    if faults or not verdict["expected"]:
        return {**verdict, "broken": f"the reference fails: {'; '.join(faults[:3]) or 'no test'}"}
    allowed = reference.asked if reference else {"call"}
    with _process(asked, allowed) as module:
        results = _run(asked, asked["answers"], module, reference)
        secret = secrets.token_hex(16)
        passing = sentinels(module.first[0] if module.first else None, secret, asked)
    return {**verdict, "executed": [list(pair) for pair in results], "passing_sentinels": passing, "lost": module.lost}


def _reference(asked: dict[str, Any]) -> tuple[Module | None, Results]:
    """Run the reference; where the data holds inputs only, its results become the expected ones."""
    if not asked["reference"]:
        return None, []
    with _process(asked, None) as module:
        if "inputs" not in asked:
            return module, _run(asked, [asked["reference"]], module, None)
        try:
            module.load(asked["module"], [asked["reference"]], asked["entry"])
            function = module.get(asked["entry"])
            expected = [function(*arguments) for arguments in asked["inputs"]]
        except (Exception, Lost) as error:  # noqa: BLE001 - whatever it raises, the task cannot be graded
            return module, [("expected", type(error).__name__)]
    if any(isinstance(value, Remote) for value in expected):
        return module, [("expected", "no plain data")]
    pairs = zip(asked["inputs"], expected, strict=True)
    asked["cases"] = [{"call": asked["entry"], "args": arguments, "expected": value} for arguments, value in pairs]
    return module, []


def _run(asked: Mapping[str, Any], texts: list[str], module: Module, reference: Module | None) -> Results:
    """Load and test. A solution whose process dies has passed what it had passed by then."""
    results: Results = []
    try:
        module.load(asked["module"], texts, asked["entry"])
        SUITES[asked["suite"]](asked, module, reference, results)
    except Lost:
        results.append(("run", "Lost"))
    except Exception as error:  # noqa: BLE001 - the solution's own, raised while it was loaded
        results.append(("load", type(error).__name__))
    return results


@contextmanager
def _process(asked: Mapping[str, Any], allowed: Collection[str] | None) -> Iterator[Module]:
    """A process for one solution, in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        script = os.path.join(_HERE, "inmate.py")
        with Captive(script, folder=folder, memory_mb=MEMORY_MB, most_bytes=MOST_BYTES) as captive:
            yield Module(captive, min(CALL_SECONDS, asked.get("call_seconds", CALL_SECONDS)), SECONDS, allowed)
