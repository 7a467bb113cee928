"""Whether the quotes that a program gives as its evidence stand in the input, and where.

Only exact quotes count, white space aside. Made-up and paraphrased ones are the same: not found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hyperagent.types import Json, Task

SHORTEST_QUOTE = 12
"""Characters below which a quote is no evidence: a common word stands in every text."""
MOST_QUOTES = 100
"""Quotes of one answer that are looked for; further ones count as not found."""
_NOT_EVIDENCE = {"instructions", "answers", "workspace"}
"""Members of the input that are the same for every task."""


@dataclass(frozen=True)
class Citations:
    """What became of the quotes of one answer.

    Attributes:
        quotes: Number of different quotes given.
        grounded: How many of them stand in the input word for word.
        spans: Number of places that ought to be quoted.
        located: How many quotes lie on one of these places.
        hit: How many of these places are quoted.
    """

    quotes: int
    grounded: int
    spans: int = 0
    located: int = 0
    hit: int = 0


def quotes_of(prediction: Json) -> tuple[str, ...]:
    """The different quotes in a prediction's member ``citations``, white space normalised; () where there are none.

    What is no string is kept as an empty quote, which is never found.
    """
    given = prediction.get("citations") if isinstance(prediction, Mapping) else None
    members = given if isinstance(given, list) else [] if given is None else [given]
    return tuple(dict.fromkeys(_normal(member) if isinstance(member, str) else "" for member in members))


def check_citations(task: Task, quotes: Sequence[str]) -> Citations:
    """Look for each quote in the string members of the task's input and in its files.

    A quote is grounded where one of these texts holds it entirely. It is located where at least half of it lies on a
    place of ``hidden["spans"]`` (a list of texts of the input): quoting the whole input locates nothing.
    """
    texts = _texts(task)
    spans = [_normal(span) for span in task.hidden.get("spans") or ()]
    places = [[(start, start + len(span)) for start in _starts(text, span)] for span in spans for text in texts]
    grounded = located = 0
    hit: set[int] = set()
    for quote in quotes[:MOST_QUOTES]:
        if len(quote) < SHORTEST_QUOTE:
            continue
        found = [index for index, text in enumerate(texts) if quote in text]
        grounded += bool(found)
        on = {
            span
            for span in range(len(spans))
            for text in found
            if _lies_on(texts[text], quote, places[span * len(texts) + text])
        }
        located += bool(on)
        hit |= on
    return Citations(len(quotes), grounded, len(spans), located, len(hit))


def _lies_on(text: str, quote: str, places: Sequence[tuple[int, int]]) -> bool:
    """Whether at least half of the quote, somewhere it stands, lies on one of the places."""
    return bool(places) and any(
        2 * (min(start + len(quote), high) - max(start, low)) >= len(quote)
        for start in _starts(text, quote)
        for low, high in places
    )


def _texts(task: Task) -> list[str]:
    given = [value for name, value in task.input.items() if name not in _NOT_EVIDENCE]
    return [_normal(text) for text in _strings([*given, *(task.files or {}).values()])]


def _strings(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _strings(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for member in value:
            yield from _strings(member)


def _starts(text: str, part: str) -> Iterator[int]:
    """Where the part stands in the text, from left to right, without overlaps."""
    start = text.find(part) if part else -1
    while start >= 0:
        yield start
        start = text.find(part, start + len(part))


def _normal(text: str) -> str:
    return " ".join(text.split())
