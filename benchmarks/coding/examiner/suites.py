"""Tests that run here, in the examiner, against a solution that runs elsewhere. Every one of them has a name.

A suite adds to a list of ``(name, fault)``: the tests that were executed, in order, each with why it failed ("" = it
passed). A fault names an exception type at most: messages may hold values that nobody is to see.
"""

from __future__ import annotations

import ast
import importlib
import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from remote import Module

Results = list[tuple[str, str]]
Asked = Mapping[str, Any]
_NAMED = "_named_"
_RELATIVE = 1e-7  # as EvalPlus compares floating-point results (numpy.testing.assert_allclose)
_ABSOLUTE = 1e-6


class _Named(ast.NodeTransformer):
    """``assert x`` becomes ``_named_("label line:column", x)``, so that it is known which assertions were executed."""

    def __init__(self, label: str) -> None:
        self._label = label

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        name = ast.Constant(f"{self._label} {node.lineno}:{node.col_offset}")
        call = ast.Call(ast.Name(_NAMED, ast.Load()), [name, node.test], [])
        return ast.copy_location(ast.Expr(call), node)


def execute(label: str, text: str, namespace: dict[str, Any], results: Results) -> None:
    """Run test code; each assertion in it is a named test."""

    def named(name: str, holds: Any) -> None:
        passed = bool(holds)
        results.append((name, "" if passed else "AssertionError"))
        if not passed:
            raise AssertionError

    namespace[_NAMED] = named
    tree = ast.fix_missing_locations(_Named(label).visit(ast.parse(text)))
    exec(compile(tree, label, "exec"), namespace)


def _attempt(name: str, results: Results, action: Callable[[], object]) -> None:
    """Do it; what it raises is the fault of a test of that name, but for a failure that has been noted already."""
    noted = len(results)
    try:
        action()
    except Exception as error:  # noqa: BLE001 - whatever a solution raises fails its test
        if len(results) == noted or not results[-1][1]:
            results.append((name, type(error).__name__))


def check(asked: Asked, module: Module, reference: Module | None, results: Results) -> None:
    """HumanEval: ``check(candidate)``, beside the helpers that the prompt defines."""
    namespace: dict[str, Any] = {"__name__": "tests"}
    random.seed(0)  # the reference run meets the same draws
    exec(compile(asked["helpers"], "helpers", "exec"), namespace)
    candidate = module.get(asked["entry"])

    def run() -> None:
        execute("check", asked["test"], namespace, results)
        namespace["check"](candidate)

    _attempt("check", results, run)


def asserts(asked: Asked, module: Module, reference: Module | None, results: Results) -> None:
    """MBPP: lines of assertions. The solution's names stand for themselves in them, where the reference has them."""
    known = reference or module
    namespace: dict[str, Any] = {"__name__": "tests"}
    lines = [asked["setup"], *asked["tests"]]
    random.seed(0)

    def prepare() -> None:
        if reference is None:
            module.own = sorted(_used(lines) & set(module.names()))
            for name in module.own:
                module.get(name)  # notes which of them are modules
        for name in known.own:
            imported = known.modules.get(name)
            namespace[name] = importlib.import_module(imported) if imported else module.get(name)
        exec(compile(asked["setup"], "setup", "exec"), namespace)

    _attempt("setup", results, prepare)
    for number, line in enumerate(asked["tests"], 1):
        label = f"test {number}"
        _attempt(label, results, lambda: execute(label, line, namespace, results))  # noqa: B023 - called at once


def _used(lines: Sequence[str]) -> set[str]:
    return {node.id for line in lines for node in ast.walk(ast.parse(line)) if isinstance(node, ast.Name)}


def cases(asked: Asked, module: Module, reference: Module | None, results: Results) -> None:
    """Calls with the result that is expected, or none: any exception."""
    for name, case in named_cases(asked):
        _attempt(name, results, lambda: _case(name, case, asked, module, results))  # noqa: B023 - called at once


def named_cases(asked: Asked) -> list[tuple[str, Mapping[str, Any]]]:
    """The cases with their names: number and what is called."""
    return [(f"case {number} {case['call']}", case) for number, case in enumerate(asked["cases"], 1)]


def _case(name: str, case: Mapping[str, Any], asked: Asked, module: Module, results: Results) -> None:
    function = module.get(case["call"])
    if case.get("raises"):
        try:
            function(*case["args"])
        except Exception:  # noqa: BLE001 - which one is up to the solution
            results.append((name, ""))
            return
        raise AssertionError
    value = function(*case["args"])
    fits = asked.get("oracle") == "root" and _is_root(case["args"][0], value)
    if not fits and not matches(value, case["expected"], asked):
        raise AssertionError
    results.append((name, ""))


def matches(value: Any, expected: Any, asked: Asked) -> bool:
    """Whether a plain result is the one wanted.

    With ``asked["json"]`` the expected value was written as JSON: a tuple will do for a list, and keys are compared as
    text. Else both are Python values, and floating-point numbers may differ by the data's tolerance.
    """
    if asked.get("json"):
        return _same_json(value, expected)
    if value == expected:
        return True
    tolerance = asked.get("atol") or (_ABSOLUTE if _all_floats(expected) else 0)
    return bool(tolerance) and _close(value, expected, tolerance)


def _same_json(value: Any, expected: Any) -> bool:
    if isinstance(expected, list):
        return (
            isinstance(value, (list, tuple)) and len(value) == len(expected) and all(map(_same_json, value, expected))
        )
    if isinstance(expected, dict):
        if not isinstance(value, dict) or len(value) != len(expected):
            return False
        found = {str(key): member for key, member in value.items()}
        return found.keys() == expected.keys() and all(_same_json(found[key], expected[key]) for key in expected)
    if isinstance(expected, bool) or isinstance(value, bool) or expected is None:
        return type(value) is type(expected) and value == expected
    if isinstance(expected, float) and isinstance(value, (int, float)):
        return math.isclose(value, expected, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)
    return bool(value == expected)


def _all_floats(value: Any) -> bool:
    members = value if isinstance(value, (list, tuple)) else [value]
    return bool(members) and all(isinstance(member, float) for member in members)


def _close(value: Any, expected: Any, tolerance: float) -> bool:
    if isinstance(expected, (list, tuple)):
        return (
            type(value) is type(expected)
            and len(value) == len(expected)
            and all(_close(a, b, tolerance) for a, b in zip(value, expected, strict=True))
        )
    if isinstance(expected, (int, float)) and isinstance(value, (int, float)):
        return math.isclose(value, expected, rel_tol=_RELATIVE, abs_tol=tolerance)
    return bool(value == expected)


def _is_root(coefficients: Sequence[float], x: Any) -> bool:
    """HumanEval/32 has more than one right answer: any zero of the polynomial."""
    if not isinstance(x, (int, float)) or abs(x) > 1e9:
        return False
    return abs(sum(coefficient * x**power for power, coefficient in enumerate(coefficients))) <= 1e-4


def unittests(asked: Asked, module: Module, reference: Module | None, results: Results) -> None:
    """A ``unittest`` file; the module that it imports from is the solution's."""
    import unittesting  # only here: it takes longer to import than other suites take to run

    random.seed(0)
    _attempt("import", results, lambda: unittesting.run(asked["test"], asked["module"], module, results))


SUITES: dict[str, Callable[[Asked, Module, Module | None, Results], None]] = {
    "check": check,
    "asserts": asserts,
    "cases": cases,
    "unittest": unittests,
}


def sentinels(value: Any, secret: str, asked: Asked) -> list[str]:
    """Tests that must fail, by every way in which a test of this suite can pass; the names of those that did not."""
    results: Results = []
    namespace: dict[str, Any] = {"value": value, "secret": secret}
    _attempt("assert", results, lambda: execute("assert", "assert value == secret", namespace, results))
    if asked["suite"] == "unittest":
        import unittesting

        unittesting.compare(value, secret, results)
    passed = [name for name, fault in results if not fault]
    return passed + (["match"] if matches(value, secret, asked) else [])
