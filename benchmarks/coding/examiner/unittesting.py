"""``unittest`` files run here; the module that they test is elsewhere."""

from __future__ import annotations

import sys
import types
import unittest
from typing import Any

from remote import Module


def run(text: str, name: str, module: Module, results: list[tuple[str, str]]) -> None:
    """Run a test file, to which the solution is a module of that name. Adds ``(test id, fault)`` for each test."""

    def member(wanted: str) -> Any:
        if wanted.startswith("__"):  # what the import system looks for
            raise AttributeError(wanted)
        return module.get(wanted)

    stand_in = types.ModuleType(name)
    vars(stand_in)["__getattr__"] = member
    tests = types.ModuleType("tests")
    sys.modules[name] = stand_in
    exec(compile(text, "tests", "exec"), vars(tests))
    unittest.defaultTestLoader.loadTestsFromModule(tests).run(_Collected(results))


def compare(value: Any, other: Any, results: list[tuple[str, str]]) -> None:
    """One more test: that two values are equal."""

    def equal() -> None:
        assert value == other

    unittest.FunctionTestCase(equal).run(_Collected(results))


class _Collected(unittest.TestResult):
    """Takes down each test with the type of its first failure; a skipped one has passed under another name."""

    def __init__(self, results: list[tuple[str, str]]) -> None:
        super().__init__()
        self._results = results
        self._fault = self._suffix = ""

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's own naming
        self._fault = self._suffix = ""

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        self._results.append((test.id() + self._suffix, self._fault))

    def addError(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        self._fault = self._fault or err[0].__name__

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        self._fault = self._fault or err[0].__name__

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:  # noqa: N802
        if err is not None:
            self._fault = self._fault or err[0].__name__

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802
        self._suffix = " (skipped)"

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802
        self._fault = "UnexpectedSuccess"
