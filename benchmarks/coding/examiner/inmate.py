"""The untrusted side: holds the solution's module and does what the examiner asks of its objects.

It runs in the same process as the solution, so nothing of what it answers is trusted.
"""

from __future__ import annotations

import itertools
import operator
import sys

import plain
from plain import Handle, Plain

TYPE_CHECKING = False
if TYPE_CHECKING:  # see plain.py: the start of this process is most of the cost of an examination
    from collections.abc import Callable, Sequence
    from typing import Any

MOST_ITEMS = 100_000
_SCALARS = (bool, int, float, complex, str, bytes, bytearray)
_SIMPLE = {type(None), bool, int, float, str}
_CONTAINERS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (list, list.__iter__),
    (tuple, tuple.__iter__),
    (set, set.__iter__),
    (frozenset, frozenset.__iter__),
)
"""With the base types' own iterators: a subclass may have replaced them."""
_BINARY = "add sub mul truediv floordiv mod pow matmul and_ or_ xor lshift rshift"


def _listed(value: Any) -> list[Any]:
    found = list(itertools.islice(value, MOST_ITEMS + 1))
    if len(found) > MOST_ITEMS:
        raise ValueError(f"an iterator of more than {MOST_ITEMS} items")
    return found


def _reflected(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda left, right: function(right, left)


OPERATIONS: dict[str, Callable[..., Any]] = {
    **{
        name: getattr(operator, name)
        for name in ["lt", "le", "gt", "ge", "eq", "ne", "getitem", "setitem", "delitem", "contains"]
    },
    **{name: getattr(operator, name) for name in ["neg", "pos", "invert"]},
    **{name: getattr(operator, name) for name in _BINARY.split()},
    **{f"r{name}": _reflected(getattr(operator, name)) for name in _BINARY.split()},
    **{kind.__name__: kind for kind in (bool, int, float, complex, str, repr, len, abs, next, hash, round)},
    "iter": _listed,
    "enter": lambda value: value.__enter__(),
    "exit": lambda value: value.__exit__(None, None, None),
}


ModuleType = type(sys)


class Inmate:
    """The solution's module, and the objects of it that the examiner holds handles of."""

    def __init__(self) -> None:
        self._module = ModuleType("solution")
        self._objects: list[Any] = []

    def answer(self, message: Plain) -> Plain:
        """``("ok", value)``, or ``("error", name, names of its bases, arguments)``."""
        verb, *arguments = message
        try:
            return ("ok", getattr(self, f"do_{verb}")(*arguments))
        except BaseException as error:  # noqa: BLE001 - whatever a solution raises is its answer
            bases = [base.__name__ for base in type(error).__mro__ if base.__module__ == "builtins"]
            return ("error", type(error).__name__, bases, self._arguments(error))

    def do_load(self, name: str, texts: Sequence[str], entry: str) -> Plain:
        """Run the first text that defines the entry point, or else the last one."""
        *tries, last = texts
        for text in tries:
            try:
                self._execute(name, text)
            except Exception:  # noqa: BLE001 - perhaps no whole module; the next text may be
                continue
            if entry in vars(self._module):
                return None
        self._execute(name, last)
        return None

    def _execute(self, name: str, text: str) -> None:
        self._module = ModuleType(name)
        sys.modules[name] = self._module
        exec(compile(text, f"{name}.py", "exec", dont_inherit=True), vars(self._module))

    def do_names(self) -> Plain:
        return sorted(str(name) for name in vars(self._module))

    def do_name(self, name: str) -> Plain:
        return self._reduced(getattr(self._module, name))

    def do_get(self, handle: Handle, name: str) -> Plain:
        return self._reduced(getattr(self._object(handle), name))

    def do_set(self, handle: Handle, name: str, value: Plain) -> Plain:
        setattr(self._object(handle), name, self._restored(value))

    def do_call(self, handle: Handle, arguments: Plain, named: Plain) -> Plain:
        given, given_named = self._restored(arguments), self._restored(named)
        return self._reduced(self._object(handle)(*given, **given_named))

    def do_operate(self, name: str, arguments: Plain) -> Plain:
        return self._reduced(OPERATIONS[name](*self._restored(arguments)))

    def _object(self, handle: Handle) -> Any:
        return self._objects[handle.number]

    def _arguments(self, error: BaseException) -> list[Plain]:
        try:
            return [value if isinstance(value, _SCALARS) else str(value) for value in error.args]
        except BaseException:  # noqa: BLE001 - the solution's own __str__
            return []

    def _reduced(self, value: Any, depth: int = 0) -> Plain:
        """Plain data with handles in place of what is not plain."""
        if value is None or isinstance(value, _SCALARS):
            return value
        if depth > plain.MOST_DEPTH:
            raise ValueError("nested too deep")
        if isinstance(value, dict):
            return {self._reduced(k, depth + 1): self._reduced(v, depth + 1) for k, v in dict.items(value)}
        for kind, members_of in _CONTAINERS:
            if isinstance(value, kind):
                members = list(members_of(value))
                if not set(map(type, members)) <= _SIMPLE:
                    members = [self._reduced(member, depth + 1) for member in members]
                return kind(members)
        self._objects.append(value)
        return Handle(len(self._objects) - 1, _kind(value))

    def _restored(self, value: Plain) -> Any:
        """The objects in place of their handles."""
        if isinstance(value, Handle):
            return self._object(value)
        if isinstance(value, dict):
            return {self._restored(k): self._restored(v) for k, v in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return type(value)([self._restored(member) for member in value])
        return value


def _kind(value: Any) -> str:
    """What the examiner must know to stand in for it: ``module:NAME``, ``exception:NAME:BUILT-IN BASE``, or nothing."""
    if isinstance(value, ModuleType):
        return f"module:{value.__name__}"
    if isinstance(value, type) and issubclass(value, Exception):
        base = next(base.__name__ for base in value.__mro__ if base.__module__ == "builtins")
        return f"exception:{value.__name__}:{base}"
    return ""


if __name__ == "__main__":
    plain.serve(Inmate().answer)
