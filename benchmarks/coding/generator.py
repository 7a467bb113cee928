"""A seeded generator of small function-writing tasks: what a machine without any download uses.

A family is a text, a reference and a way to draw arguments, all with parameters. The texts are our own. A task's cases
are what its reference answers; whoever reads the text carefully can write the function, parameters included.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SHARES = (("train", 2), ("validation", 1), ("test", 3))
"""Splits and their shares, in sixths."""
CASES = 12
SYLLABLES = (
    "ba",
    "cor",
    "del",
    "fim",
    "gu",
    "hal",
    "jo",
    "kin",
    "lum",
    "mer",
    "nos",
    "pra",
    "quo",
    "rit",
    "sol",
    "tev",
)
WORDS = ("amber", "brook", "cedar", "delta", "ember", "fjord", "grove", "heron", "inlet", "juniper", "kestrel", "level")


@dataclass(frozen=True)
class Family:
    """One kind of function, its parameters drawn.

    Attributes:
        text: What it must do.
        arguments: Its signature's inside.
        body: The reference's body, at one level of indentation.
        draw: Arguments of one case.
    """

    text: str
    arguments: str
    body: str
    draw: Callable[[random.Random], list[Any]]


def generate(random_seed: int, count: int) -> list[dict[str, Any]]:
    """``count`` records; the same for the same seed.

    Each has a group of its own, and no two have the same text. The splits' shares are 1/3 train, 1/6 validation, 1/2
    test, exact where ``count`` is a multiple of 6.

    Raises:
        ValueError: More are asked for than the families have.
    """
    chance = random.Random(f"coding/{random_seed}")
    records: list[dict[str, Any]] = []
    seen: set[str] = set()
    shares, misses = 0, 0
    for split, share in SHARES:
        shares += share
        while len(records) < count * shares // 6:
            kind = FAMILIES[(len(records) + misses) % len(FAMILIES)]
            family = kind(chance)
            record = _record(family, f"generated/{random_seed}/{len(records)}", kind.__name__, split, chance)
            if family.text in seen or not _varied(record):
                misses += 1
                if misses > 100 * (count + 1):
                    raise ValueError(f"there are no {count} different tasks")
                continue
            seen.add(family.text)
            records.append(record)
    return records


def _record(family: Family, identity: str, kind: str, split: str, chance: random.Random) -> dict[str, Any]:
    name = "".join(chance.sample(SYLLABLES, 2))
    signature = f"def {name}({family.arguments})"
    reference = f"{signature}:\n{family.body}"
    scope: dict[str, Any] = {}
    exec(reference, scope)
    drawn = [family.draw(chance) for _ in range(CASES)]
    cases = [{"call": name, "args": args, "expected": scope[name](*args), "raises": False} for args in drawn]
    stub = f"{signature}:\n    raise NotImplementedError\n"
    return {
        "id": identity,
        "domain": "coding",
        "source": "generated",
        "split": split,
        "group": identity,
        "input": {
            "instruction": f"Write a function {name}({family.arguments}). {family.text}",
            "signatures": [signature],
            "files": {"solution.py": stub},
        },
        "hidden": {"cases": cases, "reference": reference, "family": kind.strip("_")},
        "meta": {},
    }


def _numbers(chance: random.Random, low: int = -50, high: int = 50, most: int = 10) -> list[int]:
    return [chance.randint(low, high) for _ in range(chance.randint(0, most))]


def _words(chance: random.Random, most: int = 8) -> list[str]:
    return [chance.choice(WORDS) for _ in range(chance.randint(0, most))]


def _varied(record: dict[str, Any]) -> bool:
    """Whether no single answer is right for more than two thirds of the cases."""
    answers = [repr(case["expected"]) for case in record["hidden"]["cases"]]
    return max(map(answers.count, answers)) <= 2 * len(answers) / 3


# -- families of functions -------------------------------------------------------------------------


def _sum_of_some(chance: random.Random) -> Family:
    k, p = chance.randint(2, 9), chance.randint(1, 3)
    r = chance.randrange(k)
    powers = {1: "the numbers", 2: "the squares of the numbers", 3: "the cubes of the numbers"}
    return Family(
        f"It returns the sum of {powers[p]} in the list that leave a remainder of {r} when divided by {k} "
        "(the remainder of a negative number is taken from 0 upwards, as Python's % does).",
        "numbers",
        f"    return sum(n ** {p} for n in numbers if n % {k} == {r})\n",
        lambda c: [_numbers(c)],
    )


def _shift_letters(chance: random.Random) -> Family:
    k = chance.randint(1, 25)
    back = chance.random() < 0.5
    way = "back" if back else "forward"
    return Family(
        f"It moves every lower-case letter from a to z {k} places {way} in the alphabet, going round at its end, and "
        "leaves all other characters as they are.",
        "text",
        "    moved = []\n"
        "    for c in text:\n"
        "        if 'a' <= c <= 'z':\n"
        f"            c = chr((ord(c) - 97 + {-k if back else k}) % 26 + 97)\n"
        "        moved.append(c)\n"
        "    return ''.join(moved)\n",
        lambda c: [" ".join(w.title() if c.random() < 0.3 else w for w in _words(c)) + c.choice(("", "!", " 42"))],
    )


def _runs(chance: random.Random) -> Family:
    k = chance.randint(2, 5)
    return Family(
        f"It returns the number of runs in the list: longest stretches of equal neighbours that have at least "
        f"{k} members.",
        "items",
        "    count = length = 0\n"
        "    for i, item in enumerate(items):\n"
        "        length = length + 1 if i and items[i - 1] == item else 1\n"
        f"        count += length == {k}\n"
        "    return count\n",
        lambda c: [[c.randint(0, 1) for _ in range(c.randint(0, 24))]],
    )


def _digits(chance: random.Random) -> Family:
    base, turns = chance.choice((2, 3, 5, 7, 8, 16)), chance.randint(1, 3)
    times = {1: "once", 2: "twice", 3: "three times"}[turns]
    return Family(
        f"It replaces a whole number of 0 or more by the sum of its digits in base {base}, does that {times} in a row, "
        "and returns the last sum.",
        "number",
        f"    for _ in range({turns}):\n"
        "        total = 0\n"
        "        while number:\n"
        f"            total += number % {base}\n"
        f"            number //= {base}\n"
        "        number = total\n"
        "    return number\n",
        lambda c: [c.randint(0, 10 ** c.randint(1, 12))],
    )


def _window(chance: random.Random) -> Family:
    k = chance.randint(2, 6)
    best, word = chance.choice((("max", "largest"), ("min", "smallest")))
    return Family(
        f"It returns the {word} sum of {k} numbers that stand side by side in the list, or None where the "
        "list is shorter.",
        "numbers",
        f"    sums = [sum(numbers[i:i + {k}]) for i in range(len(numbers) - {k - 1})]\n"
        f"    return {best}(sums) if sums else None\n",
        lambda c: [_numbers(c, most=14)],
    )


def _by_length(chance: random.Random) -> Family:
    k = chance.randint(3, 6)
    order, word = chance.choice((("", "first"), ("-", "last")))
    return Family(
        f"It returns the words of the list that have more than {k} letters, without repetition, shortest {word}; words "
        "of equal length in alphabetical order.",
        "words",
        f"    return sorted({{w for w in words if len(w) > {k}}}, key=lambda w: ({order}len(w), w))\n",
        lambda c: [_words(c, 12)],
    )


def _game(chance: random.Random) -> Family:
    start, up, down = chance.randint(5, 20), chance.randint(2, 9), chance.randint(2, 9)
    return Family(
        f"A counter begins at {start}. The text is read letter by letter: 'u' adds {up}, 'd' takes {down} away, 'x' "
        "doubles; any other letter changes nothing. The counter never falls below 0: it then stays at 0 and "
        "reading goes "
        "on. It returns the counter at the end.",
        "moves",
        f"    counter = {start}\n"
        "    for move in moves:\n"
        "        if move == 'u':\n"
        f"            counter += {up}\n"
        "        elif move == 'd':\n"
        f"            counter = max(0, counter - {down})\n"
        "        elif move == 'x':\n"
        "            counter *= 2\n"
        "    return counter\n",
        lambda c: ["".join(c.choice("uddxz") for _ in range(c.randint(0, 15)))],
    )


def _grid(chance: random.Random) -> Family:
    what, rule = chance.choice(
        (
            ("above its diagonal (from top left, the diagonal itself left out)", "c > r"),
            ("below its diagonal (from top left, the diagonal itself left out)", "c < r"),
            ("in its outermost rows and columns", "r in (0, n - 1) or c in (0, n - 1)"),
            ("whose row and column numbers, counted from 0, have an even sum", "(r + c) % 2 == 0"),
        )
    )
    factor = chance.randint(2, 9)
    return Family(
        f"It takes a square grid (a list of rows of numbers) and returns {factor} times the sum of the numbers {what}.",
        "grid",
        f"    n = len(grid)\n    return {factor} * sum(grid[r][c] for r in range(n) for c in range(n) if {rule})\n",
        lambda c: [(lambda n: [[c.randint(-9, 9) for _ in range(n)] for _ in range(n)])(c.randint(1, 5))],
    )


def _merge(chance: random.Random) -> Family:
    gap = chance.randint(0, 4)
    return Family(
        f"It takes a list of pairs [begin, end] with begin <= end, in any order. Pairs that overlap, or "
        "between which there "
        f"are at most {gap} from the end of one to the begin of the next, become one. It returns the pairs "
        "that are left "
        "as lists, in order of their begins.",
        "pairs",
        "    merged = []\n"
        "    for begin, end in sorted(pairs):\n"
        f"        if merged and begin - merged[-1][1] <= {gap}:\n"
        "            merged[-1][1] = max(merged[-1][1], end)\n"
        "        else:\n"
        "            merged.append([begin, end])\n"
        "    return merged\n",
        lambda c: [[[b, b + c.randint(0, 8)] for b in (c.randint(0, 60) for _ in range(c.randint(0, 7)))]],
    )


def _tally(chance: random.Random) -> Family:
    least = chance.randint(2, 4)
    size = chance.randint(1, 3)
    part = f"first {size} letters" if size > 1 else "first letter"
    return Family(
        f"It counts how many words of the list share their {part} and returns a dict from those letters to "
        "the count, with "
        f"counts of at least {least} only.",
        "words",
        "    counts = {}\n"
        "    for word in words:\n"
        f"        counts[word[:{size}]] = counts.get(word[:{size}], 0) + 1\n"
        f"    return {{k: v for k, v in counts.items() if v >= {least}}}\n",
        lambda c: [_words(c, 20)],
    )


def _steps(chance: random.Random) -> Family:
    divisor, factor, add = chance.randint(2, 4), chance.randint(1, 3), chance.randint(1, 7)
    limit = chance.randint(50, 90)
    return Family(
        f"It begins with a whole number of 1 or more. In each step, a number divisible by {divisor} is "
        f"divided by {divisor}; "
        f"any other is multiplied by {factor}, and {add} is added. It returns how many steps it takes until a "
        "number comes "
        f"up for the second time (the first number counts as come up), or {limit} where {limit} steps do not suffice.",
        "number",
        "    seen = {number}\n"
        f"    for step in range(1, {limit}):\n"
        f"        number = number // {divisor} if number % {divisor} == 0 else number * {factor} + {add}\n"
        "        if number in seen:\n"
        "            return step\n"
        "        seen.add(number)\n"
        f"    return {limit}\n",
        lambda c: [c.randint(1, 400)],
    )


def _brackets(chance: random.Random) -> Family:
    kinds = chance.sample(("()", "[]", "{}", "<>"), chance.randint(1, 3))
    shown = " and ".join(kinds)
    depth = chance.randint(2, 5)
    return Family(
        f"It tells (True or False) whether the brackets {shown} in a text are balanced and properly nested, "
        "and nowhere "
        f"deeper than {depth}. All other characters are ignored.",
        "text",
        "    open_ = []\n"
        "    for c in text:\n"
        f"        if c in {''.join(k[0] for k in kinds)!r}:\n"
        "            open_.append(c)\n"
        f"            if len(open_) > {depth}:\n"
        "                return False\n"
        f"        elif c in {''.join(k[1] for k in kinds)!r}:\n"
        f"            if not open_ or open_.pop() + c not in {kinds!r}:\n"
        "                return False\n"
        "    return not open_\n",
        lambda c: [_nested(c, kinds)],
    )


def _nested(chance: random.Random, kinds: list[str]) -> str:
    text = ""
    for _ in range(chance.randint(1, 6)):
        kind, place = chance.choice(kinds), chance.randint(0, len(text))
        text = text[:place] + kind + text[place:] if chance.random() < 0.5 else kind[0] + text + kind[1]
    if chance.random() < 0.4:
        gone = chance.randrange(len(text))
        text = text[:gone] + text[gone + 1 :]
    return text


def _change(chance: random.Random) -> Family:
    coins = sorted({1, *chance.sample(range(3, 30), 3)})
    shown = ", ".join(map(str, coins))
    return Family(
        f"It returns the smallest number of coins that make up an amount of 0 or more exactly; there are "
        f"coins of {shown}, "
        "as many of each as one likes.",
        "amount",
        "    least = [0]\n"
        "    for value in range(1, amount + 1):\n"
        f"        least.append(1 + min(least[value - coin] for coin in {coins!r} if coin <= value))\n"
        "    return least[amount]\n",
        lambda c: [c.randint(0, 150)],
    )


def _spelled(chance: random.Random) -> Family:
    marks = chance.sample("#*+~^%", 2)
    values = sorted(chance.sample(range(2, 20), 2))
    return Family(
        f"It writes a whole number of 1 or more as a text: for every multiple of {values[0]} it gives "
        f"{marks[0]!r}, for every "
        f"multiple of {values[1]} {marks[1]!r}, for a multiple of both the one after the other in this order, "
        "and for any "
        "other number its decimal digits backwards.",
        "number",
        f"    text = {marks[0]!r} * (number % {values[0]} == 0) + {marks[1]!r} * (number % {values[1]} == 0)\n"
        "    return text or str(number)[::-1]\n",
        lambda c: [c.choice((c.randint(1, 400), values[0] * c.randint(1, 30), values[0] * values[1]))],
    )


FAMILIES: tuple[Callable[[random.Random], Family], ...] = (
    _sum_of_some,
    _shift_letters,
    _runs,
    _digits,
    _window,
    _by_length,
    _game,
    _grid,
    _merge,
    _tally,
    _steps,
    _brackets,
    _change,
    _spelled,
)
