"""View, create and change files of the program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

DESCRIPTION = {
    "name": "editor",
    "description": "view: show a file or folder. create: write a file. str_replace: replace a text that occurs once.",
    "parameters": {
        "type": "object",
        "properties": {
            "command": {"type": "string", "enum": ["view", "create", "str_replace"]},
            "path": {"type": "string", "description": "Relative to the program's folder."},
            "text": {"type": "string", "description": "create: the file's content."},
            "old": {"type": "string", "description": "str_replace: the text to replace, exactly as in the file."},
            "new": {"type": "string", "description": "str_replace: what to put there."},
        },
        "required": ["command", "path"],
    },
}


def run(root: Path, arguments: dict[str, Any]) -> str:
    path = (root / str(arguments["path"])).resolve()
    if not path.is_relative_to(root.resolve()):
        return "error: only files of the program can be edited"
    try:
        return {"view": _view, "create": _create, "str_replace": _replace}[arguments["command"]](path, arguments)
    except (OSError, UnicodeDecodeError) as error:
        return f"error: {error}"


def _view(path: Path, arguments: dict[str, Any]) -> str:
    if path.is_dir():
        return "\n".join(sorted(p.name + "/" * p.is_dir() for p in path.iterdir()))
    return path.read_text(encoding="utf-8")


def _create(path: Path, arguments: dict[str, Any]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(arguments["text"]), encoding="utf-8")
    return "written"


def _replace(path: Path, arguments: dict[str, Any]) -> str:
    text, old = path.read_text(encoding="utf-8"), str(arguments["old"])
    found = text.count(old) if old else 0
    if found != 1:
        return f"error: the old text occurs {found} times, not once"
    path.write_text(text.replace(old, str(arguments.get("new", ""))), encoding="utf-8")
    return "replaced"
