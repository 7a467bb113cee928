"""Finds the line on which a key stands in a TOML text: enough of TOML for a person's config file, no parser."""

from __future__ import annotations

import re

_HEADER = re.compile(r"^\s*(\[\[?)\s*([A-Za-z0-9_.\-\"' ]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"^\s*([A-Za-z0-9_.\-\"' ]+?)\s*=")


def find_line(text: str, key: str) -> int:
    """Line number (from 1) of ``key`` (``limits.cpus``, ``benchmarks.0.screen``); 0 where it is not found.

    A key that has no line of its own (an absent one, a member of an inline table) is looked for by its parent table.
    """
    places = _places(text)
    while key:
        if key in places:
            return places[key]
        key = key.rpartition(".")[0]
    return 0


def _places(text: str) -> dict[str, int]:
    places: dict[str, int] = {}
    seen: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            table = _plain(header[2])
            if header[1] == "[[":
                places.setdefault(table, number)
                seen[table] = seen.get(table, -1) + 1
                table = f"{table}.{seen[table]}"
            places.setdefault(table, number)
        elif found := _KEY.match(line):
            name = _plain(found[1])
            places.setdefault(f"{table}.{name}" if table else name, number)
    return places


def _plain(name: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in name.split("."))
