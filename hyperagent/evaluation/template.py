"""The example pack that ``benchmark init`` writes: small, complete, and meant to be changed."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from hyperagent.errors import UsageError

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


def write_pack(name: str, directory: Path, *, examiner: bool = False) -> Path:
    """Write a pack that loads, validates and runs as it is; returns its folder ``directory/name``.

    Args:
        name: Lower-case letters, digits and ``_``; becomes the folder's name.
        directory: Made where it is missing.
        examiner: Grade in a sandbox of its own (``examiner/``), not on the host.

    Raises:
        UsageError: The name cannot be used, the folder exists already, or it cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot name a benchmark",
            hint="Use lower-case letters, digits and '_', a letter first, at most 40.",
        )
    folder = directory / name
    if folder.exists():
        raise UsageError(f"{folder} exists already", hint="Choose another name or --directory; nothing was written.")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=directory))
        try:
            for path, text in pack_files(name, examiner=examiner).items():
                (made / path).parent.mkdir(exist_ok=True)
                (made / path).write_text(text, encoding="utf-8")
            made.chmod(0o755)
            made.rename(folder)  # a reader finds the whole pack or none
        finally:
            shutil.rmtree(made, ignore_errors=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}", hint="Choose another --directory.") from error
    return folder


def pack_files(name: str, *, examiner: bool = False) -> Mapping[str, str]:
    """Path within the pack -> text."""
    shared = {"NAME": name, **(_PATTERNS if examiner else _SORTING)}
    files = {
        "benchmark.toml": _MANIFEST,
        "generator.py": _PATTERN_GENERATOR if examiner else _SORTING_GENERATOR,
        "grader.py": _PATTERN_GRADER if examiner else _SORTING_GRADER,
        "README.md": _README,
        **({"examiner/examiner.py": _EXAMINER} if examiner else {}),
    }
    return {path: _filled(text, shared) for path, text in files.items()}


def _filled(text: str, words: Mapping[str, str]) -> str:
    for key, value in words.items():
        text = text.replace(f"<{key}>", value)
    return text


_MANIFEST = """\
# A benchmark pack. Every key is described in docs/packs.md; `hyperagent benchmark schema` prints them as JSON Schema.
name = "<NAME>"                  # the folder has the same name
description = "<DESCRIPTION>"
metric = "<METRIC>"              # name of the main metric: the mean score over tasks, from 0 to 1
direction = "higher"             # or "lower", where less is better
licence = "Apache-2.0"           # of this folder; data from elsewhere names its own in [sources.NAME.upstream]
grader = "grader.py"             # or "label" (one of `labels`), or "exact" (equal to hidden.label)
length_field = "<FIELD>"         # what the length-only control measures; only where answers are labels
screen = 5                       # validation tasks of the screen: a variant that solves none of them stops there
stochastic = false               # true where equal programs may score differently
packages = []                    # Python packages in the program's sandbox: all that is needed, each as "name==version"

labels = []                      # answers allowed; empty = open answers
fields = ["<FIELD>"]             # members of a record's `input` that a program gets, in this order; nothing else passes
instructions = "<INSTRUCTIONS>"

# What a program that solves a task needs. A key that is missing is as the campaign's configuration says.
[limits]
seconds = 60                     # wall clock of one task
memory_mb = 512
<EXAMINER_NEEDS>
# Data sets, in the order in which `auto` tries them. Real data first, a generator last.
[sources.generated]
generator = "generator.py"
splits = { train = 16, validation = 12, test = 12 }
"""

_README = """\
# <NAME>

<DESCRIPTION>

| source | tasks (train / validation / test) | answers |
|---|---|---|
| `generated` | 16 / 12 / 12 (any number from code) | open |

* **What it measures**: <MEASURES>
* **Data**: made by `generator.py` from a random seed; no text of anybody else.
* **Grading**: <GRADING>
* **Controls**: answers dealt to other tasks score what is printed beside every score.
* **Known leaks**: none known. Tasks of one group are alike and share a split.
* **To extend**: change `generator.py`, or add `[sources.NAME]` with a record file; then run

      hyperagent benchmark validate ./<NAME>
      hyperagent benchmark run ./<NAME> --limit 5

  `HYPERAGENT_BENCHMARKS=FOLDER_THAT_HOLDS_IT` makes it a benchmark like the shipped ones, also for campaigns.
"""

_SORTING = {
    "DESCRIPTION": "Put words into alphabetical order.",
    "METRIC": "share_in_place",
    "FIELD": "words",
    "INSTRUCTIONS": "Put the words into alphabetical order. Reply with the words alone, separated by commas.",
    "EXAMINER_NEEDS": "",
    "MEASURES": "whether a list of four to seven words comes back in alphabetical order.",
    "GRADING": "`grader.py` gives the share of words that stand in their place; another set of words is no answer.",
}

_SORTING_GENERATOR = '''\
"""Makes records from a random seed: the same seed gives the same records, another seed other ones."""

import random

WORDS = """amber anchor apple arrow basil beacon bramble bridge candle canyon cedar cinder copper coral cotton cradle
daisy delta ember fable falcon feather fern flint garden ginger granite harbor hazel heron indigo ivory jasmine juniper
kettle ladder lantern laurel lemon lichen linen magnet maple marble meadow mint nectar nettle oak olive orchard otter
paper pebble pepper pine plum quartz quill raven reed ribbon river saddle saffron shell silver sparrow spruce thistle
timber tulip velvet violet walnut willow winter yarrow zephyr""".split()


def generate(random_seed, count):
    """`count` records {id, split, group, input, hidden}. Only what stands in `input` may ever reach a program."""
    chance = random.Random(f"<NAME> {random_seed}")
    splits = ["train"] * (count * 4 // 10) + ["validation"] * (count * 3 // 10)
    splits += ["test"] * (count - len(splits))
    records = []
    for number, split in enumerate(splits):
        # A group is what tasks share. It must never stand in two splits, nor come back with another seed.
        words = chance.sample(WORDS, chance.randint(4, 7))
        while words == sorted(words):  # the answer must not stand in the question
            chance.shuffle(words)
        records.append(
            {
                "id": f"{random_seed}-{number}",
                "split": split,
                "group": " ".join(sorted(words)),
                "input": {"words": ", ".join(words)},
                "hidden": {"label": ", ".join(sorted(words))},
            }
        )
    return records
'''

_SORTING_GRADER = '''\
"""Scores predictions. Runs on the host, never in a program's sandbox, and sees whatever a program cares to answer."""


def grade(input, hidden, prediction):
    """A score from 0 to 1, or (score, valid, detail); an answer that is not valid scores 0."""
    # A prediction may be the answer itself or {"response": answer, "confidence": ..., ...}.
    response = prediction.get("response") if isinstance(prediction, dict) else prediction
    if not isinstance(response, str):
        return 0.0, False, "not a text"
    words = [word.strip().lower() for word in response.split(",")]
    wanted = hidden["label"].split(", ")
    if sorted(words) != wanted:
        return 0.0, False, "not the words of the task"
    right = sum(word == other for word, other in zip(words, wanted))
    return right / len(wanted), True, f"{right} of {len(wanted)} in place"


def reference(input, hidden):
    """A right answer: `benchmark validate` makes sure that it scores 1. Optional."""
    return hidden["label"]
'''

_PATTERNS = {
    "DESCRIPTION": "Write a regular expression from examples.",
    "METRIC": "solved",
    "FIELD": "examples",
    "INSTRUCTIONS": "Write a Python regular expression that matches the whole of every word under `yes` and of no "
    "word under `no`. Reply with the expression alone.",
    "EXAMINER_NEEDS": """
# What examiner/examiner.py needs; it runs in a sandbox that holds neither the program nor a model.
[examiner]
packages = []
seconds = 10                     # wall clock of one examination
memory_mb = 128
""",
    "MEASURES": "whether a regular expression says what the examples show, tried on words that were not shown.",
    "GRADING": "`examiner/examiner.py` tries the expression in a sandbox of its own: one that never ends (or a program "
    "that means harm) stops there. `grader.py` says what the examiner is asked and what its verdict is worth.",
}

_PATTERN_GENERATOR = '''\
"""Makes records from a random seed: the same seed gives the same records, another seed other ones."""

import random

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def generate(random_seed, count):
    """`count` records {id, split, group, input, hidden}. Only what stands in `input` may ever reach a program."""
    chance = random.Random(f"<NAME> {random_seed}")
    splits = ["train"] * (count * 4 // 10) + ["validation"] * (count * 3 // 10)
    splits += ["test"] * (count - len(splits))
    records = []
    for number, split in enumerate(splits):
        # A group is what tasks share. It must never stand in two splits, nor come back with another seed.
        first, last = ("".join(sorted(chance.sample(LETTERS, 3))) for _ in range(2))
        others = [letter for letter in LETTERS if letter not in last]  # a set has another order in every process
        yes = [chance.choice(first) + middle(chance) + chance.choice(last) for _ in range(12)]
        no = [chance.choice(first) + middle(chance) + chance.choice(others) for _ in range(12)]
        records.append(
            {
                "id": f"{random_seed}-{number}",
                "split": split,
                "group": f"[{first}]...[{last}]",
                "input": {"examples": "yes: " + " ".join(yes[:6]) + "\\nno: " + " ".join(no[:6])},
                "hidden": {"label": f"[{first}].*[{last}]", "yes": yes[6:], "no": no[6:]},
            }
        )
    return records


def middle(chance):
    return "".join(chance.choice(LETTERS) for _ in range(chance.randint(2, 5)))
'''

_PATTERN_GRADER = '''\
"""What the examiner is asked about a prediction, and what its verdict is worth. Runs on the host."""

LONGEST = 200


def examine(input, hidden, prediction):
    """The examiner's inputs (JSON). A ValueError says why a prediction is no answer: it scores 0 unexamined."""
    # A prediction may be the answer itself or {"response": answer, "confidence": ..., ...}.
    response = prediction.get("response") if isinstance(prediction, dict) else prediction
    if not isinstance(response, str) or not response.strip():
        raise ValueError("not a text")
    if len(response) > LONGEST:
        raise ValueError(f"longer than {LONGEST} characters")
    return {"pattern": response.strip(), "yes": hidden["yes"], "no": hidden["no"]}


def grade(input, hidden, prediction, verdict):
    """A score from 0 to 1, or (score, valid, detail). `verdict` is what the examiner returned.

    Not called where the examination failed: that scores 0.
    """
    if verdict["error"]:
        return 0.0, False, verdict["error"]
    right, all_words = verdict["right"], len(hidden["yes"]) + len(hidden["no"])
    return float(right == all_words), True, f"{right} of {all_words} words judged rightly"


def reference(input, hidden):
    """A right answer: `benchmark validate` makes sure that it scores 1. Optional."""
    return hidden["label"]
'''

_EXAMINER = '''\
"""Examines one prediction in a sandbox of its own. Standard library, and the packages under [examiner], only.

A regular expression is data. Where a prediction is CODE, never import or exec it here: it could write the verdict by
itself. Run it with `captive.Captive`, which stands beside this file (docs/packs.md, "Grading in a sandbox").
"""

import re


def examine(inputs):
    """A verdict (JSON) about what grader.py asked."""
    try:
        pattern = re.compile(inputs["pattern"])
    except (re.error, RecursionError, OverflowError) as error:
        return {"right": 0, "error": f"not a regular expression: {error}"}
    right = sum(bool(pattern.fullmatch(word)) for word in inputs["yes"])
    right += sum(not pattern.fullmatch(word) for word in inputs["no"])
    return {"right": right, "error": ""}
'''
