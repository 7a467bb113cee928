"""Frames: two big-endian lengths (4 bytes each), a JSON header, a binary body."""

from __future__ import annotations

import json
import os
import struct
from typing import Any

_LENGTHS = struct.Struct("!II")


def _read_exactly(descriptor: int, size: int) -> bytes:
    parts = []
    while size:
        part = os.read(descriptor, min(size, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def read_frame(descriptor: int) -> tuple[dict[str, Any], bytes]:
    """Read one frame from the host, which is trusted.

    Raises:
        EOFError: The host has gone.
    """
    header, body = _LENGTHS.unpack(_read_exactly(descriptor, _LENGTHS.size))
    return json.loads(_read_exactly(descriptor, header)), _read_exactly(descriptor, body)


def write_frame(descriptor: int, header: dict[str, Any], body: bytes = b"") -> None:
    text = json.dumps(header).encode("ascii")
    data = memoryview(_LENGTHS.pack(len(text), len(body)) + text + body)
    while data:
        data = data[os.write(descriptor, data) :]
