from __future__ import annotations

import math
import sys
from collections import Counter, OrderedDict, defaultdict, namedtuple
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

EXAMINING = Path(__file__).parent.parent.parent / "hyperagent" / "examining"
sys.path.insert(0, str(EXAMINING))
import plain  # noqa: E402 - it stands flat in an examiner, not in a package

ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | st.text(max_size=5)
    | st.text(st.characters(categories=["Cs"]), max_size=2)
    | st.binary(max_size=5)
)
HASHABLE = st.recursive(
    ATOMS, lambda part: st.lists(part, max_size=2).map(tuple) | st.frozensets(part, max_size=2), max_leaves=3
)
VALUES = st.recursive(
    ATOMS,
    lambda part: (
        st.lists(part, max_size=3)
        | st.lists(part, max_size=3).map(tuple)
        | st.dictionaries(HASHABLE, part, max_size=3)
        | st.sets(HASHABLE, max_size=3)
    ),
    max_leaves=6,
)


def spelled(value: Any) -> str:
    """Types and values, floats bit by bit; sets in an order."""
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}({[spelled(member) for member in value]})"
    if isinstance(value, (set, frozenset)):
        return f"{type(value).__name__}({sorted(spelled(member) for member in value)})"
    if isinstance(value, dict):
        return f"dict({[(spelled(k), spelled(v)) for k, v in value.items()]})"
    return f"{type(value).__name__} {hex(value) if isinstance(value, int) else repr(value)}"


@settings(max_examples=60)
@given(VALUES)
def test_every_plain_value_comes_back_as_it_was(value: Any) -> None:
    assert spelled(plain.decode(plain.encode(value))) == spelled(value)


@given(
    st.binary(max_size=60) | st.builds(lambda v, n, b: plain.encode(v)[:n] + b, VALUES, st.integers(0, 40), st.binary())
)
def test_no_bytes_do_anything_but_decode_or_be_refused(data: bytes) -> None:
    try:
        value = plain.decode(data)
    except ValueError:
        return
    assert spelled(plain.decode(plain.encode(value)))


@pytest.mark.parametrize("numbers", [[1, 2.5] * 2000, ["é\ud800"] * 3000, [10**5000] * 1500, [math.inf, -0.0] * 900])
def test_long_lists(numbers: list[Any]) -> None:
    assert spelled(plain.decode(plain.encode(numbers))) == spelled(numbers)


class Sly(str):
    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0

    def encode(self, *arguments: Any) -> bytes:
        return b"something else"


class SlyList(list[int]):
    def __iter__(self) -> Any:
        return iter([1, 2, 3])

    def __eq__(self, other: object) -> bool:
        return True


def test_subclasses_are_reduced_to_the_plain_type_below_them() -> None:
    pair = namedtuple("pair", "a b")
    kind = IntEnum("kind", "ONE")
    given = [Sly("true"), SlyList([7]), pair(1, 2), kind["ONE"], Counter("aa"), OrderedDict(a=1), defaultdict(int, b=2)]
    found = plain.decode(plain.encode(given))
    assert spelled(found) == spelled(["true", [7], (1, 2), 1, {"a": 2}, {"a": 1}, {"b": 2}])
    assert found[0] != "another"


def test_handles() -> None:
    found = plain.decode(plain.encode([plain.Handle(7, "kind")]))[0]
    assert (type(found), found.number, found.kind) == (plain.Handle, 7, "kind")


@pytest.mark.parametrize("value", [object(), print, iter([]), range(3), {1: [object()]}])
def test_nothing_else_is_plain(value: Any) -> None:
    with pytest.raises(TypeError, match="not plain"):
        plain.encode(value)


def test_what_holds_itself_is_refused() -> None:
    within: list[Any] = []
    within.append(within)
    with pytest.raises(ValueError, match="nested"):
        plain.encode(within)
    with pytest.raises(ValueError, match="nested"):
        plain.decode(b"l\x01\0\0\0" * 500 + b"N")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"?",
        b"NN",
        b"s\xff\xff\xff\xff",
        b"l\xff\xff\xff\x7f",
        b"d\x01\x00\x00\x00N",
        b"s\x01\x00\x00\x00\xff",
        b"h\x00",
        b"j\x01\x00\x00\x00[",
        b"S\x01\x00\x00\x00l\x00\x00\x00\x00",
        b"f\x01\x00\x00\x00a",
    ],
)
def test_broken_messages(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - which text is no matter
        plain.decode(data)


class Int(type):
    """A metaclass whose classes claim to be ``int``."""

    __name__ = "int"


class Pretender(metaclass=Int):
    pass


def test_plain_types_are_data_and_other_classes_are_not() -> None:
    assert plain.decode(plain.encode([int, dict, type(None)])) == [int, dict, type(None)]
    for kind in (Sly, object, Pretender):
        with pytest.raises(TypeError, match="not plain"):
            plain.encode(kind)
    with pytest.raises(ValueError, match="broken message"):
        plain.decode(b"y\x04\0\0\0eval")
