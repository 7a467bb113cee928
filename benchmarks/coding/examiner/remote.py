"""A solution's module as the examiner sees it: plain values, and stand-ins for objects that stay on the other side.

A stand-in never equals a plain value. Whatever is done to one is done over there, by code that may lie; so a solution
is asked only for *kinds* of operations that the reference was asked for in the same examination. Where the reference
answers a number, a stand-in that would add, compare or convert itself into the number wanted is never asked to.
"""

from __future__ import annotations

import builtins
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from captive import Captive, CaptiveError
from plain import Handle, Plain

_SIMPLE = {type(None), bool, int, float, str}
_ARITHMETIC = "add sub mul truediv floordiv mod pow matmul and_ or_ xor lshift rshift"
_OTHERS = "lt le gt ge getitem setitem delitem contains neg pos invert abs next round complex enter"


class Lost(BaseException):
    """The solution's process is dead. No ``Exception``: a test that expects one must not be content with this."""


class Module:
    """The module of one solution in one process.

    Args:
        captive: The process, already started; it runs ``inmate.py``.
        call_seconds: Most wall clock of one request.
        seconds: Most wall clock of all of them.
        allowed: Kinds of operations that may be asked for; None = any.
    """

    def __init__(
        self, captive: Captive, call_seconds: float, seconds: float, allowed: Collection[str] | None = None
    ) -> None:
        self._captive = captive
        self._call_seconds = call_seconds
        self._deadline = time.monotonic() + seconds
        self._allowed = allowed
        self._exceptions: dict[str, type[Exception]] = {}
        self.asked: set[str] = set()
        self.own: list[str] = []
        self.modules: dict[str, str] = {}
        self.lost = ""
        self.first: list[Any] = []

    def load(self, name: str, texts: list[str], entry: str) -> None:
        """Run the solution's text (the first of these that defines ``entry``) as a module of that name."""
        self.request("load", name, texts, entry)

    def names(self) -> list[str]:
        return [str(name) for name in self.request("names")]

    def get(self, name: str) -> Any:
        """A global of the module: a plain value, a stand-in, or an exception type made for its name."""
        value = self.request("name", name)
        if isinstance(value, Remote):
            what, _, rest = _handle(value).kind.partition(":")
            if what == "module":
                self.modules[name] = rest
            if what == "exception":
                return self._exception(*rest.split(":")[:2])
        return value

    def permit(self, kind: str) -> None:
        """Note that an operation is asked for.

        Raises:
            TypeError: The reference was never asked for it.
        """
        self.asked.add(kind)
        if self._allowed is not None and kind not in self._allowed:
            raise TypeError(f"{kind} is asked of an object where plain data is wanted")

    def request(self, verb: str, *arguments: Any) -> Any:
        """Ask the other side; what it raises is raised here.

        Raises:
            Lost: It does not answer any more.
        """
        left = min(self._call_seconds, self._deadline - time.monotonic())
        message = (verb, *(_lowered(argument) for argument in arguments))
        try:
            reply = self._captive.ask(message, left)
        except CaptiveError as error:
            self.lost = f"{type(error).__name__}: {error}"
            raise Lost(self.lost) from error
        match reply:
            case ("ok", value):
                found = self._wrapped(value)
                if verb == "call" and not self.first:
                    self.first.append(found)
                return found
            case ("error", str(name), list(bases), list(texts)):
                raise self._error(name, bases, texts)
        self.lost = "it wrote a message that is none of ours"
        raise Lost(self.lost)

    def _error(self, name: str, bases: list[Plain], texts: list[Plain]) -> Exception:
        kind = self._exception(name, *(base for base in bases if isinstance(base, str)))
        for arguments in (texts, []):
            try:
                return kind(*arguments)
            except TypeError:  # a built-in one that wants other arguments
                continue
        return Exception(name)

    def _exception(self, name: str, *bases: str) -> type[Exception]:
        """The built-in exception of that name, or a type made for the name, the same for the same name."""
        if not name.isidentifier():
            name = "Unnamed"
        for base in (name, *bases):
            found = getattr(builtins, base, None)
            if isinstance(found, type) and issubclass(found, Exception):
                if base == name:
                    return found
                return self._exceptions.setdefault(name, type(name, (found,), {}))
        return self._exceptions.setdefault(name, type(name, (Exception,), {}))

    def _wrapped(self, value: Plain) -> Any:
        """Stand-ins in place of handles."""
        if isinstance(value, Handle):
            return Remote(self, value)
        if isinstance(value, dict):
            return {self._wrapped(k): self._wrapped(v) for k, v in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)) and not set(map(type, value)) <= _SIMPLE:
            return type(value)(self._wrapped(member) for member in value)
        return value


class Remote:
    """Stands for an object of the solution's process."""

    __slots__ = ("__handle", "__module")

    def __init__(self, module: Module, handle: Handle) -> None:
        object.__setattr__(self, "_Remote__module", module)
        object.__setattr__(self, "_Remote__handle", handle)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return _ask(self, "call", "call", self, list(arguments), named)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _ask(self, f"attribute {name}", "get", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        _ask(self, f"attribute {name}", "set", self, name, value)

    def __eq__(self, other: object) -> Any:
        return bool(_operate(self, "eq", other)) if isinstance(other, Remote) else NotImplemented

    def __ne__(self, other: object) -> Any:
        return bool(_operate(self, "ne", other)) if isinstance(other, Remote) else NotImplemented

    def __hash__(self) -> int:
        return _handle(self).number

    def __iter__(self) -> Iterator[Any]:
        return iter(list(_operate(self, "iter")))

    def __exit__(self, *_: object) -> None:
        _operate(self, "exit")


def _module(remote: Remote) -> Module:
    found = object.__getattribute__(remote, "_Remote__module")
    assert isinstance(found, Module)
    return found


def _handle(remote: Remote) -> Handle:
    found = object.__getattribute__(remote, "_Remote__handle")
    assert isinstance(found, Handle)
    return found


def _ask(remote: Remote, kind: str, verb: str, *arguments: Any) -> Any:
    _module(remote).permit(kind)
    return _module(remote).request(verb, *arguments)


def _operate(remote: Remote, name: str, *arguments: Any) -> Any:
    return _ask(remote, f"operation {name}", "operate", name, [remote, *arguments])


def _operator(name: str) -> Callable[..., Any]:
    def method(self: Remote, *arguments: Any) -> Any:
        return _operate(self, name, *arguments)

    return method


def _converter(name: str, kind: type) -> Callable[[Remote], Any]:
    """Python insists on exact types of what these return."""

    def method(self: Remote) -> Any:
        value = _operate(self, name)
        if type(value) is not kind:
            raise TypeError(f"{name} of the solution's object is no {kind.__name__}")
        return value

    return method


for _name in _ARITHMETIC.split():
    setattr(Remote, f"__{_name.strip('_')}__", _operator(_name))
    setattr(Remote, f"__r{_name.strip('_')}__", _operator(f"r{_name}"))
for _name in _OTHERS.split():
    setattr(Remote, f"__{_name}__", _operator(_name))
for _name, _type in {"bool": bool, "int": int, "float": float, "str": str, "repr": str, "len": int}.items():
    setattr(Remote, f"__{_name}__", _converter(_name, _type))


def _lowered(value: Any) -> Plain:
    """Handles in place of stand-ins."""
    if isinstance(value, Remote):
        return _handle(value)
    if isinstance(value, Mapping):
        return {_lowered(k): _lowered(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)) and not set(map(type, value)) <= _SIMPLE:
        kind = next(kind for kind in (list, tuple, set, frozenset) if isinstance(value, kind))
        return kind(_lowered(member) for member in value)
    return value
