"""Frames between host and runner: two big-endian lengths (4 bytes each), a JSON header, a binary body.

What arrives here was written inside a sandbox: sizes are checked before anything is allocated, shapes before use.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Mapping

from hyperagent.types import Json

_LENGTHS = struct.Struct("!II")


class BrokenFrame(ValueError):
    """The stream does not hold a frame of an allowed size and shape."""


def encode_frame(header: Mapping[str, Json], body: bytes = b"") -> bytes:
    text = json.dumps(header).encode("ascii")
    return _LENGTHS.pack(len(text), len(body)) + text + body


def read_frame(receive: Callable[[int], bytes], *, max_header: int, max_body: int) -> tuple[dict[str, Json], bytes]:
    """Read one frame.

    Args:
        receive: Returns exactly that many bytes or raises.
        max_header, max_body: Bytes.

    Raises:
        BrokenFrame: Too large, or its header is no JSON object.
    """
    header_size, body_size = _LENGTHS.unpack(receive(_LENGTHS.size))
    if header_size > max_header or body_size > max_body:
        raise BrokenFrame(f"a frame of {header_size} + {body_size} bytes is larger than allowed")
    return parse_object(receive(header_size)), receive(body_size)


def parse_object(text: bytes) -> dict[str, Json]:
    """Parse hostile JSON text that must be an object of valid Unicode and finite numbers.

    Raises:
        BrokenFrame: It is not.
    """
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # finds lone surrogates, which no store could keep
    except (ValueError, RecursionError) as error:
        raise BrokenFrame(f"a frame's header is no JSON: {type(error).__name__}") from error
    if not isinstance(value, dict):
        raise BrokenFrame("a frame's header is no JSON object")
    return value


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is out of range")
    return value
