"""Safe tar: round trips, and everything hostile is refused by name."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperagent.sandbox import pack, unpack

NAMES = st.lists(st.text("abcü_", min_size=1, max_size=8), min_size=1, max_size=3).map("/".join)


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as made:
        for member, data in members:
            member.size = len(data)
            made.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(NAMES, st.binary(max_size=600), max_size=8))
def test_round_trip(tree: dict[str, bytes]) -> None:
    nested = any(other != name and other.startswith(name + "/") for name in tree for other in tree)
    if nested:
        with pytest.raises(ValueError, match="below a member"):
            unpack(pack(tree), 10_000)
    else:
        assert unpack(pack(tree), 10_000) == tree


def test_packing_is_deterministic() -> None:
    assert pack({"a": b"1", "b": b"2"}) == pack({"b": b"2", "a": b"1"})


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../up",
        "a/../../up",
        "a/./b",
        "a//b",
        ".git/config",
        "x/.GIT/hooks",
        "a\\b",
        "new\nline",
        "n" * 600,
    ],
)
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="n"):
        unpack(archive((member(name), b"x")), 1000)


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.LNKTYPE, "good"),
        (tarfile.FIFOTYPE, ""),
        (tarfile.CHRTYPE, ""),
        (tarfile.BLKTYPE, ""),
        (tarfile.CONTTYPE, ""),
    ],
)
def test_anything_but_a_regular_file_is_refused(kind: bytes, target: str) -> None:
    with pytest.raises(ValueError, match=r"'bad': not a regular file"):
        unpack(archive((member("good"), b"x"), (member("bad", kind, target), b"")), 1000)


def test_sparse_files_are_refused() -> None:
    info = member("sparse")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "1073741824"}
    with pytest.raises(ValueError, match=r"sparse|archive"):
        unpack(archive((info, b"1\n0\n1\n" + bytes(506))), 1 << 31)


def test_sizes_and_counts_are_capped() -> None:
    with pytest.raises(ValueError, match="'b': the tree is larger"):
        unpack(pack({"a": b"x" * 600, "b": b"x" * 600}), 1000)
    with pytest.raises(ValueError, match="more than 3 files"):
        unpack(pack(dict.fromkeys("abcd", b"")), 1000, max_files=3)
    with pytest.raises(ValueError, match="larger than 10 bytes"):
        unpack(bytes(10 << 20), 10)


def test_twice_the_same_name_is_refused() -> None:
    with pytest.raises(ValueError, match="'a': twice"):
        unpack(archive((member("a"), b"1"), (member("a"), b"2")), 1000)


def test_names_that_are_not_utf8_are_refused() -> None:
    raw = pack({"name": b"x"}).replace(b"name", b"na\xff\xfe", 1)
    header = bytearray(raw[:512])
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    with pytest.raises(ValueError, match="not UTF-8"):
        unpack(bytes(header) + raw[512:], 1000)


def test_caches_are_dropped() -> None:
    assert unpack(pack({"a.py": b"", "a.pyc": b"", "x/__pycache__/b.py": b""}), 1000) == {"a.py": b""}


@pytest.mark.parametrize("data", [b"garbage" * 300, b"x"])
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="archive"):
        unpack(data, 10_000)


def test_a_cut_off_archive_is_refused() -> None:
    with pytest.raises(ValueError, match=r"archive|member"):
        unpack(pack({"a": b"x" * 5000})[:2000], 10_000)
