"""Makes hostile text safe to print. Everything that a program or a model wrote goes through here.

A program under evolution chooses its own summaries, file names and error texts; without this it could move the
cursor, recolour the terminal, or reverse the reading order of a line.
"""

from __future__ import annotations

import re
import unicodedata

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # OSC, DCS, SOS, PM, APC: titles, links, clipboard
    r"|\x1b[ -/]*[0-~]"  # two-character escapes
    r"|\x9b[0-?]*[ -/]*[@-~]"  # CSI in one byte
)
_DROPPED = {"Cc", "Cf", "Cs", "Co", "Cn"}
"""Unicode categories never printed: controls, formats (bidi marks, zero widths), surrogates, private, unassigned."""
_PLAIN = re.compile(r"[\n\t -~]*")
_MARKS = {"Mn", "Me"}
_MOST_MARKS = 2
"""Combining marks kept after one character; more only serve to scribble over neighbouring lines."""


def clean(text: str, limit: int = 200) -> str:
    """One printable line: no control characters, terminal escapes, bidi marks or newlines.

    Args:
        limit: Most terminal columns of the result; a longer text ends in ``…``.
    """
    kept: list[str] = []
    marks = 0
    for character in _ESCAPES.sub("", text[: 20 * limit + 1000]):
        category = unicodedata.category(character)
        if category in _MARKS:
            marks += 1
            if marks <= _MOST_MARKS and kept:
                kept.append(character)
            continue
        marks = 0
        if character.isspace():
            kept.append(" ")
        elif category not in _DROPPED:
            kept.append(character)
    return fit(" ".join("".join(kept).split()), limit)


def clean_block(text: str) -> str:
    """Text of several lines (a diff, a log): newlines and tabs stay, everything unprintable is shown as an escape."""
    if _PLAIN.fullmatch(text):  # most of it: ten times as fast
        return text
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in _DROPPED | {"Zl", "Zp"}:
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def width(text: str) -> int:
    """Terminal columns that the text takes: 2 for wide East Asian characters and emoji, 0 for combining marks."""
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if character.isascii():
        return 1
    if unicodedata.category(character) in _MARKS:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fit(text: str, columns: int) -> str:
    """The text cut to at most that many terminal columns, ending in ``…`` where something was cut."""
    if width(text) <= columns:
        return text
    kept, used = [], 0
    for character in text:
        used += _columns(character)
        if used > columns - 1:
            break
        kept.append(character)
    return "".join(kept).rstrip() + "…" if columns > 0 else ""


def pad(text: str, columns: int, right: bool = False) -> str:
    """The text filled with spaces to that many terminal columns."""
    space = " " * (columns - width(text))
    return space + text if right else text + space


_ASCII = str.maketrans("…·▲▼↑↓●○★≡✗→\N{EN DASH}", "~.^v^vo-*=x>-")


def to_ascii(text: str) -> str:
    """For a stdout that is not UTF-8: our own signs become ASCII ones, anything else a question mark."""
    return text.translate(_ASCII).encode("ascii", "replace").decode("ascii")
