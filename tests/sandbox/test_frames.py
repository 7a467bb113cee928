"""Frames from a sandbox are hostile: sizes before allocation, shapes before use."""

from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperagent.sandbox.frames import BrokenFrame, encode_frame, parse_object, read_frame

JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3))


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(), JSON, max_size=4), st.binary(max_size=100))
def test_round_trip(header: dict[str, object], body: bytes) -> None:
    stream = io.BytesIO(encode_frame(header, body))
    try:
        assert read_frame(stream.read, max_header=10_000, max_body=100) == (header, body)
    except BrokenFrame:  # only for text that no UTF-8 can hold
        assert "\\ud" in str(encode_frame(header))


@pytest.mark.parametrize(("header", "body"), [(2**32 - 1, 0), (0, 2**32 - 1), (101, 0), (0, 101)])
def test_sizes_are_checked_before_anything_is_read(header: int, body: int) -> None:
    stream = io.BytesIO(struct.pack("!II", header, body))
    with pytest.raises(BrokenFrame, match="larger"):
        read_frame(stream.read, max_header=100, max_body=100)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"7",
        b"{",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": "\\ud800"}',
        b'{"a": "\xff"}',
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a": ' + b"9" * 10_000 + b"}",
    ],
)
def test_headers_that_are_no_clean_json_object_are_refused(text: bytes) -> None:
    with pytest.raises(BrokenFrame):
        parse_object(text)
