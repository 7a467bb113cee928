"""Formulas of whole numbers: one string is both worked out and written down, so the two can never differ.

A formula is a Python expression in names, whole numbers, ``+ - * / // % **`` and the functions below. Results are
whole numbers from 0 to :data:`LARGEST`; anything else is an :class:`ArithmeticError`, because a student's solution with
a fraction, a negative count or a number of forty digits in it would give itself away as wrong at a glance.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Mapping
from functools import cache
from types import CodeType

LARGEST = 10**10
"""Larger results are refused."""
NOTATION = (
    "Notation: a div b and a mod b are the whole quotient and the remainder, C(n, k) is the number of ways to choose k "
    "of n things, digits(n) is the sum of the digits of n."
)
_NAME = re.compile(r"[A-Za-z_]\w*")
_SIGNS = ((" // ", " div "), (" % ", " mod "), (" ** ", "^"))


def _exact(a: int, b: int) -> int:
    if b == 0 or a % b:
        raise ArithmeticError(f"{a} / {b} is no whole number")
    return a // b


def _power(base: int, exponent: int, modulus: int | None = None) -> int:
    if not 0 <= exponent <= 2000:
        raise ArithmeticError(f"{base} ** {exponent} is out of range")
    return int(pow(base, exponent, modulus))


def _choose(n: int, k: int) -> int:
    if n < 0 or k < 0:
        raise ArithmeticError(f"C({n}, {k}) is not defined")
    return math.comb(n, k)


def _digits(n: int) -> int:
    return sum(map(int, str(abs(n))))


FUNCTIONS: dict[str, Callable[..., int]] = {"C": _choose, "digits": _digits, "gcd": math.gcd, "min": min}
_NAMESPACE: dict[str, object] = {"__builtins__": {}, "_exact": _exact, "_power": _power, **FUNCTIONS}


class _Whole(ast.NodeTransformer):
    """Division that must come out, powers within bounds, and ``a ** b % m`` without working ``a ** b`` out."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        left = node.left
        if isinstance(node.op, ast.Div):
            return self._call("_exact", left, node.right)
        if isinstance(node.op, ast.Pow):
            return self._call("_power", left, node.right)
        powered = isinstance(left, ast.Call) and isinstance(left.func, ast.Name) and left.func.id == "_power"
        if isinstance(node.op, ast.Mod) and isinstance(left, ast.Call) and powered:
            return self._call("_power", *left.args, node.right)
        return node

    @staticmethod
    def _call(name: str, *arguments: ast.expr) -> ast.Call:
        return ast.Call(ast.Name(name, ast.Load()), list(arguments), [])


def evaluate(formula: str, values: Mapping[str, int]) -> int:
    """The value of a formula.

    Raises:
        ArithmeticError: It is no whole number from 0 to :data:`LARGEST`.
        NameError: A name has no value.
    """
    result: int = eval(_compiled(formula), _NAMESPACE, values)  # formulas are constants of this package, never data
    if not 0 <= result <= LARGEST:
        raise ArithmeticError(f"{formula} gives {result}")
    return result


def written(formula: str, values: Mapping[str, int]) -> str:
    """The formula with numbers in place of names, in the notation of :data:`NOTATION`."""
    text = _NAME.sub(lambda found: str(values.get(found[0], found[0])), formula)
    for sign, word in _SIGNS:
        text = text.replace(sign, word)
    return text


@cache
def names(formula: str) -> frozenset[str]:
    """The names that a formula uses."""
    return frozenset(_NAME.findall(formula)) - FUNCTIONS.keys()


@cache
def _compiled(formula: str) -> CodeType:
    tree = ast.fix_missing_locations(_Whole().visit(ast.parse(formula, mode="eval")))
    return compile(tree, formula, "eval")
