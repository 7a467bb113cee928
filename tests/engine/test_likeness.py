"""What counts as the same program in other words, and what does not."""

from __future__ import annotations

import pytest

from hyperagent.engine.likeness import form

BASE = """
import os
import sys


def f(x, *, scale=1_000):
    total = x + scale
    for item in range(3):
        total += item
    return [n for n in (total, 0.5)]
"""


def of(text: str, **files: str) -> str:
    extra = {name.replace("_", "."): data.encode() for name, data in files.items()}
    return form({"a.py": text.encode(), **extra})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("total", "amount"),
        ("item", "i"),
        ("import os\nimport sys", "import sys, os"),
        ("1_000", "1000"),
        ("0.5", "5e-1"),
        ("    total = x", '    """Adds."""\n    # much\n    total = x'),
    ],
)
def test_other_words(old: str, new: str) -> None:
    assert old in BASE
    assert of(BASE.replace(old, new)) == of(BASE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("scale", "factor"),  # a parameter: callers name it
        ("def f", "def g"),
        ("1_000", "1001"),
        ("0.5", "1"),
        ("total += item", "total -= item"),
        ("import os\nimport sys", "import os\nimport re"),
        ("range(3)", "range(total)"),
        ("    for item", "    global total\n    for item"),
    ],
)
def test_another_program(old: str, new: str) -> None:
    assert old in BASE
    assert of(BASE.replace(old, new)) != of(BASE)


def test_names_stay_where_code_looks_at_them_or_scopes_share_them() -> None:
    looks = "def f():\n    one = 1\n    return locals()\n"
    assert of(looks) != of(looks.replace("one", "two"))
    swapped = "def f(a):\n    one = a\n    two = -a\n    return one - two\n"
    assert of(swapped) != of(swapped.replace("one - two", "two - one"))
    nested = "def f():\n    one = 1\n    def g():\n        one = 2\n        return one\n    return one + g()\n"
    assert of(nested) != of(nested.replace("return one + g", "return 1 + g"))


def test_closures_are_renamed_together() -> None:
    closure = "def f():\n    one = 1\n    return lambda: one\n"
    assert of(closure) == of(closure.replace("one", "two"))
    assert of(closure) != of(closure.replace("lambda: one", "lambda: two"))


def test_data_files_count_by_what_they_say() -> None:
    assert of(BASE, p_json='{"a": 1, "b": 2}') == of(BASE, p_json='{"b":2,"a":1}')
    assert of(BASE, p_json='{"a": 1}') != of(BASE, p_json='{"a": 2}')
    assert of(BASE, p_json="{broken") != of(BASE, p_json="{Broken")
    assert of(BASE, p_toml="a = 1 # one") == of(BASE, p_toml="a=1")
    assert of(BASE, readme_md="words") == of(BASE)
