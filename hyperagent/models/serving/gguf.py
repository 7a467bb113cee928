"""Reads what a GGUF file says of its model: enough to know how much memory serving it takes, without any library.

The layout is the one of ``docs/gguf.md`` of the ggml project, versions 2 and 3, little-endian.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hyperagent.errors import ModelUnavailable

_MAGIC = b"GGUF"
_STRING, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_LONGEST = 1 << 20
_MOST = 1 << 22
"""Most entries of anything that is counted: a file that says more is no model."""

Scalar = int | float | bool | str


@dataclass(frozen=True)
class Shape:
    """Sizes of a decoder.

    Attributes:
        parameters: Weights in all, embeddings included.
        layers: Blocks, each with its own keys and values.
        kv_heads: Heads that keep keys and values.
        head_size: Numbers of one head.
        context: Tokens that the model was trained for.
    """

    parameters: int
    layers: int
    kv_heads: int
    head_size: int
    context: int

    def cache_bytes(self, width: int) -> int:
        """Bytes of keys and values of one token, where a number takes ``width`` bytes."""
        return 2 * self.layers * self.kv_heads * self.head_size * width


def read_shape(path: Path) -> Shape:
    """The shape of the model in ``path``.

    Raises:
        ModelUnavailable: It is no GGUF file, is cut off, or leaves out what is asked.
    """
    try:
        with path.open("rb") as file:
            facts, parameters = _read(file)
        return _shape(facts, parameters)
    except OSError as error:
        raise ModelUnavailable(
            f"{path} cannot be read: {error.strerror}", hint="See `hyperagent model list`."
        ) from None
    except (struct.error, ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        raise ModelUnavailable(
            f"{path} is no GGUF file that can be served: {error}", hint="Delete it and pull the model again."
        ) from None


def _shape(facts: Mapping[str, Scalar], parameters: int) -> Shape:
    def number(name: str) -> int:
        return int(facts[f"{kind}.{name}"])

    kind = facts["general.architecture"]
    heads = number("attention.head_count")
    return Shape(
        parameters=parameters,
        layers=number("block_count"),
        kv_heads=int(facts.get(f"{kind}.attention.head_count_kv", heads)),
        head_size=int(facts.get(f"{kind}.attention.key_length", number("embedding_length") // heads)),
        context=number("context_length"),
    )


def _read(file: BinaryIO) -> tuple[Mapping[str, Scalar], int]:
    if file.read(4) != _MAGIC:
        raise ValueError("it does not begin with GGUF")
    version, tensors, pairs = _unpack(file, "IQQ")
    if version not in (2, 3) or max(tensors, pairs) > _MOST:
        raise ValueError(f"version {version}, {tensors} tensors, {pairs} facts")
    facts: dict[str, Scalar] = {}
    for _ in range(pairs):
        name, (kind,) = _string(file), _unpack(file, "I")
        value = _value(file, kind)
        if value is not None:
            facts[name] = value
    parameters = 0
    for _ in range(tensors):
        _string(file)
        (dimensions,) = _unpack(file, "I")
        if dimensions > 8:
            raise ValueError(f"a tensor of {dimensions} dimensions")
        parameters += math.prod(_unpack(file, "Q" * dimensions))
        _unpack(file, "IQ")
    return facts, parameters


def _value(file: BinaryIO, kind: int) -> Scalar | None:
    """One value; None for an array, which is passed over."""
    if kind == _STRING:
        return _string(file)
    if kind != _ARRAY:
        value: Scalar = _unpack(file, _SCALARS[kind])[0]
        return value
    inner, count = _unpack(file, "IQ")
    if count > _MOST:
        raise ValueError(f"a list of {count}")
    if inner == _STRING:
        for _ in range(count):
            _string(file)
    else:
        file.seek(count * struct.calcsize("<" + _SCALARS[inner]), 1)
    return None


def _string(file: BinaryIO) -> str:
    (length,) = _unpack(file, "Q")
    if length > _LONGEST:
        raise ValueError(f"a text of {length} bytes")
    return file.read(length).decode("utf-8", "replace")


def _unpack(file: BinaryIO, form: str) -> tuple[int, ...]:
    return struct.unpack("<" + form, file.read(struct.calcsize("<" + form)))
