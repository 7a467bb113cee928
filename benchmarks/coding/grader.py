"""From a prediction to an examination, and from its verdict to a score. On the host; runs nothing of a solution."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

SOLUTION = "solution.py"
MOST_CHARACTERS = 200_000
SKIPPED = "skipped"
_FENCED = re.compile(r"```[^\n`]*\n(.*?)```", re.DOTALL)

Members = Mapping[str, Any]


def examine(input: Members, hidden: Members, prediction: Any) -> dict[str, Any]:
    """What the examiner is asked about one answer.

    Raises:
        ValueError: The prediction holds no source text, or the task needs a toolchain that is not here.
    """
    if hidden.get("runner", "python") != "python":
        raise ValueError(f"{SKIPPED}: grading needs the toolchain of {hidden['runner']}")
    text = source_of(prediction, str(hidden.get("file", SOLUTION)))
    common = {"answers": [text], "module": "solution", "entry": input.get("entry_point", ""), "reference": ""}
    if "base_input" in hidden:
        inputs = [*hidden["base_input"], *hidden["plus_input"]]
        oracle = "root" if common["entry"] == "find_zero" else ""
        whole = input["instruction"] + hidden["reference"]
        asked = {"suite": "cases", "inputs": inputs, "atol": hidden["atol"], "oracle": oracle, "reference": whole}
        return {**common, **asked, "answers": _completed(input, text)}
    if "cases" in hidden:
        return {**common, "suite": "cases", "cases": hidden["cases"], "json": True}
    if "tests" in hidden:
        asked = {"suite": "asserts", "setup": hidden["setup"], "tests": hidden["tests"]}
        return {**common, **asked, "reference": hidden["reference"]}
    if "unittest" in hidden:
        asked = {"suite": "unittest", "test": hidden["unittest"], "module": hidden["module"]}
        return {**common, **asked, "reference": hidden["reference"]}
    helpers = input["instruction"] + hidden["reference"]
    asked = {"suite": "check", "helpers": helpers, "test": hidden["test"], "reference": helpers}
    return {**common, **asked, "answers": _completed(input, text)}


def grade(input: Members, hidden: Members, prediction: Any, verdict: Members) -> tuple[float, bool, str]:
    """1 where every test of the reference run was executed, in its order, and passed; else 0.

    The detail holds counts and the name of the first test that failed, never a value.
    """
    if verdict["broken"]:
        return 0.0, False, f"this task cannot be graded: {verdict['broken']}"
    expected, executed = list(verdict["expected"]), [tuple(pair) for pair in verdict["executed"]]
    passed = sum(1 for name, fault in executed if not fault and name in set(expected))
    share = f"{passed} of {len(expected)} tests passed"
    if verdict["passing_sentinels"]:
        return 0.0, True, f"{share}, but tests that must fail did not"
    fault = next((f"{name}: {fault}" for name, fault in executed if fault), "")
    complete = bool(expected) and [name for name, _ in executed] == expected
    if fault or verdict["lost"] or not complete:
        return 0.0, True, "; ".join(filter(None, (share, fault, verdict["lost"])))[:500]
    return 1.0, True, share


def source_of(prediction: Any, file: str = SOLUTION) -> str:
    """The solution's text: the file of the workspace where the program wrote one, else the response.

    A response with exactly one fenced code block counts as what is in the block.

    Raises:
        ValueError: There is none.
    """
    files = prediction.get("files") if isinstance(prediction, Mapping) else None
    text = files.get(file) if isinstance(files, Mapping) else None
    if not isinstance(text, str):
        text = prediction.get("response") if isinstance(prediction, Mapping) else prediction
        if not isinstance(text, str):
            raise ValueError(f"no source text: neither a file {file} nor a string")
        blocks = _FENCED.findall(text) if text.count("```") == 2 else []
        text = blocks[0] if len(blocks) == 1 else text
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"the solution is longer than {MOST_CHARACTERS} characters")
    return text


def _completed(input: Members, text: str) -> list[str]:
    """HumanEval's answers may be whole or a completion of the prompt."""
    return [text, input["instruction"] + text]
