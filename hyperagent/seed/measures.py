"""Measurable properties of texts. The meta agent copies one into the task agent when an edit makes use of it.

Each function stands alone (standard library's ``re`` only) and returns a number. One parameter: a property of that
text; two: a property of the second text in the light of the first. A new function here is a new kind of rule at once.
"""

from __future__ import annotations

import re


def characters(text: str) -> int:
    return len(text)


def words(text: str) -> int:
    return len(text.split())


def lines(text: str) -> int:
    return len(text.splitlines())


def line_length(text: str) -> float:
    """Characters per line."""
    return len(text) / max(1, len(text.splitlines()))


def digits(text: str) -> int:
    return sum(character.isdigit() for character in text)


def numbers(text: str) -> int:
    return len(re.findall(r"\d+(?:\.\d+)?", text))


def longest_number(text: str) -> int:
    return max((len(number) for number in re.findall(r"[\d.]+", text)), default=0)


def decimals(text: str) -> int:
    return len(re.findall(r"\d\.\d", text))


def equations(text: str) -> int:
    return text.count("=")


def wrong_equations(text: str) -> int:
    """Equations of two numbers, like ``3 * 4 = 12``, that do not hold when recomputed."""
    wrong = 0
    for left, sign, right, result in re.findall(
        r"(\d+(?:\.\d+)?) *([-+*/x]) *\$?(\d+(?:\.\d+)?) *= *\$?(\d+(?:\.\d+)?)", text.replace(",", "")
    ):
        a, b = float(left), float(right)
        value = {"+": a + b, "-": a - b, "/": a / b if b else 0.0}.get(sign, a * b)
        wrong += abs(value - float(result)) > 0.01 * max(1.0, abs(value))
    return wrong


def repeated_words(text: str) -> int:
    return len(text.split()) - len(set(text.split()))


def share_of_new_words(text: str) -> float:
    """Different words as a share of all words."""
    return len(set(text.lower().split())) / max(1, len(text.split()))


def sentences(text: str) -> int:
    return len(re.findall(r"[.!?](?:\s|$)", text))


def last_number(text: str) -> float:
    found = re.findall(r"\d+(?:\.\d+)?", text.replace(",", ""))
    return float(found[-1]) if found else 0.0


def unused_numbers(source: str, text: str) -> int:
    """Numbers of the source that the text does not use."""
    return len(set(re.findall(r"\d+", source)) - set(re.findall(r"\d+", text)))


def new_numbers(source: str, text: str) -> int:
    """Numbers of the text that the source does not have."""
    return len(set(re.findall(r"\d+", text)) - set(re.findall(r"\d+", source)))


def length_ratio(source: str, text: str) -> float:
    return len(text) / max(1, len(source))


def shared_words(source: str, text: str) -> int:
    return len(set(source.lower().split()) & set(text.lower().split()))
