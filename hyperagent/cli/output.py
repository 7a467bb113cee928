"""Writing: data to stdout, talk to stderr, colours only where a terminal wants them."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

from hyperagent.report.text import clean, to_ascii
from hyperagent.report.tree import Line

SCHEMA = 1
_FEWEST_LINES = 24
_LINES_IN_A_PIPE = 100
_COLOURS = {
    "guide": "2",
    "id": "36",
    "score": "",
    "best": "1;32",
    "path": "32",
    "up": "32",
    "down": "31",
    "plain": "",
    "faint": "2",
    "head": "1",
    "warn": "33",
}


def emit(**members: Any) -> None:
    """One JSON object on stdout. Non-ASCII and control characters are escaped, so hostile text stays harmless."""
    print(
        json.dumps(
            {"schema": SCHEMA, "schema_version": SCHEMA, **{name: record(value) for name, value in members.items()}},
            indent=2,
        )
    )


def record(value: Any) -> Any:
    """A value as JSON: dataclasses as objects, paths as text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {member.name: record(getattr(value, member.name)) for member in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): record(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [record(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def write(lines: Iterable[str]) -> None:
    """Lines of data on stdout."""
    unicode = unicode_output()
    for line in lines:
        sys.stdout.write(f"{line if unicode else to_ascii(line)}\n")


def write_tree(lines: Iterable[Line]) -> None:
    colour = coloured(sys.stdout)
    for line in lines:
        print("".join(paint(span.text, span.role, colour) for span in line))


def coloured_diff(text: str) -> Iterable[str]:
    """The lines of a unified diff, coloured where stdout wants it."""
    colour = coloured(sys.stdout)
    roles = {"+": "up", "-": "down", "@": "id", "d": "head"}
    for line in text.splitlines():
        yield paint(line, roles.get(line[:1], "plain"), colour)


def write_head(line: str) -> None:
    write([paint(line, "head", coloured(sys.stdout))])


def say(line: str) -> None:
    """Talk for a person on stderr."""
    print(line, file=sys.stderr, flush=True)


def progress(*values: object) -> None:
    """Progress of a download or build: a text, or (done, all) in bytes, rewritten in place on a terminal."""
    numbers = [value for value in values if isinstance(value, int)]
    if len(numbers) == len(values) == 2:
        share = f"{numbers[0] / numbers[1]:.0%}" if numbers[1] else f"{numbers[0] / 1e6:.0f} MB"
        if sys.stderr.isatty():
            print(f"\r{share:>6} ", end="", file=sys.stderr, flush=True)
            if numbers[0] >= numbers[1]:
                print(file=sys.stderr)
        return
    say(clean(" ".join(str(value) for value in values), 200))


def columns() -> int:
    """Width of the terminal; 100 where there is none."""
    return max(40, shutil.get_terminal_size((100, 24)).columns)


def lines_for_tree() -> int:
    """Most lines of a tree: a little less than a terminal's height, more where there is none to fit."""
    height = shutil.get_terminal_size((0, 0)).lines if sys.stdout.isatty() else int(os.environ.get("LINES") or 0)
    return max(_FEWEST_LINES, height - 4) if height else _LINES_IN_A_PIPE


def watched() -> bool:
    """Whether a person looks at stdout."""
    return sys.stdout.isatty()


def unicode_output() -> bool:
    return (sys.stdout.encoding or "ascii").lower().replace("-", "") == "utf8"


def coloured(stream: TextIO) -> bool:
    """https://no-color.org: any non-empty NO_COLOR means none; FORCE_COLOR asks for colours in a pipe too."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (stream.isatty() and os.environ.get("TERM") != "dumb")


def paint(text: str, role: str, colour: bool) -> str:
    code = _COLOURS[role]
    return f"\x1b[{code}m{text}\x1b[0m" if colour and code else text
