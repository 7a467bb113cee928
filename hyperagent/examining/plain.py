"""Plain data between an examiner and untrusted code: what can be said is a closed list, and nothing of it can act.

Pickle would run whatever a message says, JSON knows neither tuples, sets, bytes nor big numbers as keys. Here a value
is a tag, sizes and bytes. Decoding builds exact built-in types only: a subclass whose ``__eq__`` always says yes is
reduced to the plain value below it before it leaves, and cannot be spelled on the way.

This file stands in the examiner and beside the untrusted code; standard library only.
"""

from __future__ import annotations

import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:  # neither of these is needed to run, and they take longer to import than most solutions to run
    from collections.abc import Callable
    from typing import Any

    Plain = Any
else:
    Plain = object
"""None, bool, int, float, complex, str, bytes, list, tuple, set, frozenset, dict, these types, and :class:`Handle`."""

CHANNEL = "CAPTIVE_CHANNEL"
"""Environment variable of the untrusted process: the descriptor of its channel."""
MOST_BYTES = 64 << 20
MOST_DEPTH = 100
_HEAD = struct.Struct("<I")
_MANY = 1000
_SIMPLE = {bool, int, float, str, type(None)}
_TYPES = {kind.__name__: kind for kind in (*_SIMPLE, complex, bytes, list, tuple, set, frozenset, dict)}
_CONTAINERS: dict[bytes, Callable[[list[Plain]], Plain]] = {b"l": list, b"t": tuple, b"S": set, b"z": frozenset}


class Handle:
    """Stands for an object that is not plain and stays where it is.

    Attributes:
        number: Its name on the other side.
        kind: What the other side says that it is; never to be relied on.
    """

    __slots__ = ("kind", "number")

    def __init__(self, number: int, kind: str = "") -> None:
        self.number = number
        self.kind = kind


def encode(value: Plain) -> bytes:
    """The bytes of a plain value; an instance of a subclass is written as the plain type that it derives from.

    Raises:
        TypeError: Something in it is not plain.
        ValueError: It is nested deeper than ``MOST_DEPTH`` (or within itself).
    """
    parts: list[bytes] = []
    _write(value, parts, 0)
    return b"".join(parts)


def decode(data: bytes) -> Plain:
    """The value of such bytes, whoever wrote them.

    Raises:
        ValueError: They are not the encoding of one plain value.
    """
    try:
        value, end = _read(data, 0, 0)
    except (struct.error, TypeError, OverflowError, RecursionError) as error:  # TypeError: an unhashable member
        raise ValueError(f"broken message: {error}") from error
    if end != len(data):
        raise ValueError("broken message: more than one value")
    return value


def serve(answer: Callable[[Plain], Plain]) -> None:
    """Answer requests until the other side closes. For the untrusted process.

    The channel is none of the descriptors 0, 1 and 2, so prints do no harm; nor does it outlive an ``exec``.
    """
    channel = int(os.environ.pop(CHANNEL))
    os.set_inheritable(channel, False)
    while True:
        head = _exactly(channel, _HEAD.size)
        if head is None:
            return
        data = _exactly(channel, _HEAD.unpack(head)[0])
        if data is None:
            return
        reply = memoryview(frame(answer(decode(data))))
        while reply:
            reply = reply[os.write(channel, reply) :]


def frame(value: Plain) -> bytes:
    """A message: the length of the encoding (4 bytes, little endian), then the encoding."""
    data = encode(value)
    return _HEAD.pack(len(data)) + data


def _exactly(channel: int, size: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        part = os.read(channel, min(size - len(parts), 1 << 20))
        if not part:
            return None
        parts += part
    return bytes(parts)


def _write(value: Plain, parts: list[bytes], depth: int) -> None:
    if depth > MOST_DEPTH:
        raise ValueError(f"nested deeper than {MOST_DEPTH}")
    if value is None or value is True or value is False:
        parts.append({None: b"N", True: b"T", False: b"F"}[value])
    elif isinstance(value, Handle):
        parts += (b"h", struct.pack("<q", value.number))
        _write(value.kind, parts, depth + 1)
    elif isinstance(value, (list, tuple, set, frozenset, dict)):
        _write_container(value, parts, depth)
    else:
        tag, data = _scalar(value)
        parts += (tag, _HEAD.pack(len(data)), data)


def _write_container(value: Plain, parts: list[bytes], depth: int) -> None:
    # The base type's own methods: a subclass may have replaced them.
    if isinstance(value, dict):
        members: list[Plain] = [part for pair in dict.items(value) for part in pair]
        tag = b"d"
    else:
        base, tag = next(
            (base, tag)
            for base, tag in ((list, b"l"), (tuple, b"t"), (set, b"S"), (frozenset, b"z"))
            if isinstance(value, base)
        )
        members = list(base.__iter__(value))
    if tag == b"l" and len(members) > _MANY and set(map(type, members)) <= _SIMPLE:
        text = _json(members)
        if text:
            parts += (b"j", _HEAD.pack(len(text)), text)
            return
    parts += (tag, _HEAD.pack(len(members)))
    for member in members:
        _write(member, parts, depth + 1)


def _json(members: list[Plain]) -> bytes:
    """A long list of simple values the fast way; empty where JSON will not have it (thousands of digits)."""
    import json  # not at the top: few solutions need it, all would wait for it

    try:
        return json.dumps(members).encode("ascii")
    except ValueError:
        return b""


def _scalar(value: Plain) -> tuple[bytes, bytes]:
    if isinstance(value, int):
        whole = int.__index__(value)
        return b"i", whole.to_bytes((whole.bit_length() + 8) // 8, "little", signed=True)
    if isinstance(value, float):
        return b"f", struct.pack("<d", value)
    if isinstance(value, complex):
        return b"c", struct.pack("<dd", value.real, value.imag)
    if isinstance(value, str):
        return b"s", str.encode(value, "utf-8", "surrogatepass")
    if isinstance(value, (bytes, bytearray)):
        return b"b", bytes(memoryview(value))
    if isinstance(value, type) and _TYPES.get(type.__getattribute__(value, "__name__")) is value:
        return b"y", value.__name__.encode()
    raise TypeError(f"not plain data: {type(value).__name__}")


def _read(data: bytes, at: int, depth: int) -> tuple[Plain, int]:
    if depth > MOST_DEPTH:
        raise ValueError(f"nested deeper than {MOST_DEPTH}")
    tag = data[at : at + 1]
    at += 1
    if tag in (b"N", b"T", b"F"):
        return {b"N": None, b"T": True, b"F": False}[tag], at
    if tag == b"h":
        kind, end = _read(data, at + 8, depth + 1)
        return Handle(struct.unpack_from("<q", data, at)[0], str(kind)), end
    (size,) = _HEAD.unpack_from(data, at)
    at += _HEAD.size
    if tag in _CONTAINERS or tag == b"d":
        members = []
        for _ in range(size):
            member, at = _read(data, at, depth + 1)
            members.append(member)
        if tag == b"d":
            return dict(zip(members[::2], members[1::2], strict=True)), at
        return _CONTAINERS[tag](members), at
    end = at + size
    if end > len(data):
        raise ValueError("broken message: cut off")
    return _read_scalar(tag, data[at:end]), end


def _read_scalar(tag: bytes, data: bytes) -> Plain:
    if tag == b"i":
        return int.from_bytes(data, "little", signed=True)
    if tag == b"f":
        return struct.unpack("<d", data)[0]
    if tag == b"c":
        return complex(*struct.unpack("<dd", data))
    if tag == b"s":
        return data.decode("utf-8", "surrogatepass")
    if tag == b"b":
        return data
    if tag == b"y" and data.decode("ascii", "replace") in _TYPES:
        return _TYPES[data.decode()]
    if tag == b"j":
        import json

        return json.loads(data)
    raise ValueError(f"broken message: tag {tag!r}")
