"""Importer for a clone of the Aider polyglot benchmark: ``python polyglot.py CLONE OUT.jsonl``.

The clone holds exercises of Exercism in six languages, ``<language>/exercises/practice/<name>/``. All six are declared
here; Python's are written, because only Python's toolchain stands in the sandbox image.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Record = dict[str, Any]
CANARY = "hyperagent-coding-canary 5d0e7c1c-6a0b-4a8e-9b58-3f2f4b1d9c77 do not train"

LANGUAGES: Mapping[str, Mapping[str, str]] = {
    "cpp": {"runner": "cmake, make, c++", "test": "cmake -G 'Unix Makefiles' . && make"},
    "go": {"runner": "go", "test": "go test ./..."},
    "java": {"runner": "java", "test": "./gradlew test --offline"},
    "javascript": {"runner": "node", "test": "npx jest ./*"},
    "python": {"runner": "python", "test": "python -m unittest"},
    "rust": {"runner": "cargo", "test": "cargo test --offline -- --include-ignored"},
}
"""Folder of the clone -> the toolchain that grading needs, and the command that runs an exercise's tests."""


def records(source: str, files: Mapping[str, bytes]) -> list[Record]:
    """A record for every exercise among a clone's files (path -> content). Files of ``.meta`` and tests stay hidden.

    Raises:
        ValueError: An exercise without a file that it names.
    """
    found = []
    for path in sorted(files):
        parts = path.split("/")
        if parts[1:3] == ["exercises", "practice"] and parts[4:] == [".meta", "config.json"] and parts[0] in LANGUAGES:
            inside = {name.removeprefix(f"{'/'.join(parts[:4])}/"): files[name] for name in files}
            found.append(_record(parts[0], parts[3], inside))
    return found


def _record(language: str, name: str, files: Mapping[str, bytes]) -> Record:
    listed = json.loads(files[".meta/config.json"])["files"]

    def text(path: str) -> str:
        if path not in files:
            raise ValueError(f"{language}/{name}: no file {path}")
        return files[path].decode("utf-8")

    parts = [files[path].decode() for path in sorted(files) if path.startswith(".docs/instructions")]
    introduced = [files[path].decode() for path in sorted(files) if path.startswith(".docs/introduction")]
    hidden: dict[str, Any] = {"runner": LANGUAGES[language]["runner"], "command": LANGUAGES[language]["test"]}
    hidden["tests_files"] = {path: text(path) for path in listed["test"]}
    hidden["references"] = {path: text(path) for path in listed.get("example", ())}
    if language == "python":
        (stub,), (tests,) = listed["solution"], listed["test"]
        reference = "\n".join(hidden.pop("references").values())
        module = stub.removesuffix(".py")
        hidden = {"runner": "python", "file": stub, "module": module, "unittest": text(tests), "reference": reference}
    # An exercise of two languages is one problem: its name is the group.
    return {
        "id": f"polyglot/{language}/{name}",
        "domain": "coding",
        "source": "polyglot",
        "split": _split(name),
        "group": f"polyglot/{name}",
        "input": {
            "instruction": "\n\n".join([*introduced, *parts]),
            "signatures": [f"the file {path}" for path in listed["solution"]],
            "files": {path: text(path) for path in listed["solution"]},
        },
        "hidden": hidden,
        "meta": {"canary": CANARY},
    }


def _split(name: str) -> str:
    """By the hash of the exercise's name: a third train, a sixth validation, half test."""
    place = hashlib.sha256(name.encode()).digest()[0] * 6 // 256
    return "train" if place < 2 else "validation" if place < 3 else "test"


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    clone, out = Path(arguments[0]), Path(arguments[1])
    paths = (path for language in LANGUAGES for path in sorted(clone.glob(f"{language}/exercises/practice/**/*")))
    files = {path.relative_to(clone).as_posix(): path.read_bytes() for path in paths if path.is_file()}
    made = records("polyglot", files)
    graded = [record for record in made if record["hidden"]["runner"] == "python"]
    lines = [json.dumps(record, sort_keys=True, ensure_ascii=False) for record in graded]
    out.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    others = len(made) - len(graded)
    sys.stderr.write(f"{len(graded)} Python exercises in {out}; {others} of other languages left out (no toolchain)\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
