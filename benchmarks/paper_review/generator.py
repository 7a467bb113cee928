"""A seeded generator of short manuscripts with planted methodological flaws; texts of our own, in ``manuscripts.toml``.

Manuscripts come as twins in one group: the same study told twice, once sound and once with a flaw that decides. Both
touch the same points in the same words; what differs is a relation (which fold a constant was taken from, whether the
strongest method stands in the table, whether a number in the text follows from the table). So the presence of a word,
the length or the topic says next to nothing. Flaws that do not decide stand in both twins alike.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SHARES = (("train", 2), ("validation", 1), ("test", 3))
"""Splits and their shares, in sixths."""
SECTIONS = ("Method", "Experiments", "Results", "Limitations")
LEVEL = 0.05
Facts = dict[str, Any]


@dataclass(frozen=True)
class Flaw:
    """A kind of flaw.

    Attributes:
        severity: ``major`` = decides; ``minor`` = to be mended.
        forms: Sound and flawed wording, each with facts in braces; the same text where a fact makes the difference.
    """

    kind: str
    severity: str
    section: str
    forms: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Study:
    """What twins share.

    Attributes:
        facts: Name -> what is true of the sound study.
        bent: Kind of flaw -> the facts that it changes.
        points: The kinds that are touched upon, sound or not, in the order of telling, each with its wording.
        minor: The minor flaws planted.
        frames: Section (and ``title``, ``abstract``) -> its first sentences.
    """

    facts: Facts
    bent: Mapping[str, Facts]
    points: Mapping[str, tuple[str, str]]
    minor: frozenset[str]
    frames: Mapping[str, str]


def _stock() -> tuple[dict[str, Any], dict[str, Flaw]]:
    stock = tomllib.loads(Path(__file__).with_name("manuscripts.toml").read_text(encoding="utf-8"))
    flaws = (
        Flaw(row["kind"], row["severity"], row["section"], tuple((form[0], form[-1]) for form in row["forms"]))
        for row in stock["flaws"]
    )
    return stock, {flaw.kind: flaw for flaw in flaws}


STOCK, FLAWS = _stock()
MAJOR = tuple(kind for kind, flaw in FLAWS.items() if flaw.severity == "major")
MINOR = tuple(kind for kind, flaw in FLAWS.items() if flaw.severity == "minor")


def generate(random_seed: int, count: int) -> list[dict[str, Any]]:
    """``count`` records, every other one to be rejected; the same for the same seed.

    The splits' shares are 1/3 train, 1/6 validation, 1/2 test, exact and balanced where ``count`` is a multiple of 12.
    """
    records: list[dict[str, Any]] = []
    number = shares = 0
    for split, share in SHARES:
        shares += share
        until = count * shares // 6
        while len(records) < until:
            group = f"generated/{random_seed}/{number}"
            records += _twins(group, split)[: until - len(records)]
            number += 1
    return records


def _twins(group: str, split: str) -> list[dict[str, Any]]:
    chance = random.Random(f"paper_review/{group}")
    study = _study(chance)
    decisive = [kind for kind in study.points if FLAWS[kind].severity == "major"]
    planted = [frozenset(chance.sample(decisive, chance.choice((1, 1, 2)))), frozenset[str]()]
    chance.shuffle(planted)  # the place within the group, which the id shows, must say nothing
    return [
        {
            "id": f"{group}/{index}",
            "domain": "paper_review",
            "source": "generated",
            "split": split,
            "group": group,
            **_told(study, major),
            "meta": {},
        }
        for index, major in enumerate(planted)
    ]


def _told(study: Study, major: frozenset[str]) -> dict[str, Any]:
    """``input`` and ``hidden`` of the study with these decisive flaws."""
    planted = major | study.minor
    facts = dict(study.facts)
    for kind in study.points:
        if kind in planted:
            facts |= study.bent.get(kind, {})
    facts["quoted"] = f"{facts['third_second'] + facts['slip']:.1f}"
    caption, table = _table(facts)
    spans: dict[str, str] = {}
    sections = []
    for section in SECTIONS:
        sentences = [study.frames[section].format(**facts)]
        for kind, (sound, flawed) in study.points.items():
            if FLAWS[kind].section == section:
                sentence = (flawed if kind in planted else sound).format(**facts)
                sentences.append(sentence)
                spans[kind] = sentence
        sections.append(f"{section}\n\n{' '.join(sentences)}")
        if section == "Experiments":
            sections.append(f"{caption}\n{table}")
    spans["metric_mismatch"] = caption
    manuscript = "\n\n".join(sections)
    flaws = [{"kind": kind, "severity": FLAWS[kind].severity, "span": spans[kind]} for kind in planted]
    flaws.sort(key=lambda flaw: manuscript.index(flaw["span"]))
    return {
        "input": {
            "title": _capital(study.frames["title"].format(**facts)),
            "abstract": study.frames["abstract"].format(**facts),
            "manuscript": manuscript,
        },
        "hidden": {
            "label": "reject" if major else "accept",
            # A stand-in for reviewers' ratings (1 to 10) that follows from the flaws alone.
            "mean_rating": max(1.0, 8.0 - 4.0 * len(major) - 0.5 * len(study.minor)),
            "flaws": flaws,
            "spans": [flaw["span"] for flaw in flaws],
            "checklist": {kind: kind in planted for kind in FLAWS},
        },
    }


def _table(facts: Facts) -> tuple[str, str]:
    """Caption and rows. Intervals on the first data set do not overlap unless a flaw bent their width."""
    rows = {
        facts["third"]: (facts["third_first"], facts["third_second"]),
        facts["rival"]: (facts["rival_first"], facts["rival_second"]),
        facts["ours"]: (facts["rival_first"] + facts["lead"], facts["rival_second"] + facts["second_lead"]),
    }
    widths = (facts["width_first"], facts["width_second"])
    lines = [f"| method | {facts['first']} | {facts['second']} |"]
    for name, scores in rows.items():
        cells = (f"{x:.1f} [{x - w:.1f}, {x + w:.1f}]" for x, w in zip(scores, widths, strict=True))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    caption = f"Table 1: {_capital(facts['shown_metric'])} in points on fold {facts['final']}, with 95% intervals."
    return caption, "\n".join(lines)


def _study(chance: random.Random) -> Study:
    facts = {**_names(chance), **_numbers(chance)}
    kinds = chance.sample(MAJOR, chance.randint(7, 9)) + chance.sample(MINOR, chance.randint(1, len(MINOR)))
    chance.shuffle(kinds)
    frames = {"title": "title", "abstract": "abstract", **{section: section.lower() for section in SECTIONS}}
    return Study(
        facts=facts,
        bent=_bent(facts, chance),
        points={kind: chance.choice(FLAWS[kind].forms) for kind in kinds},
        minor=frozenset(kind for kind in kinds if kind in MINOR and chance.random() < 0.5),
        frames={part: chance.choice(STOCK["frames"][name]) for part, name in frames.items()},
    )


def _names(chance: random.Random) -> Facts:
    theme = chance.choice(STOCK["themes"])
    ours, strongest, third, spare = chance.sample(STOCK["methods"], 4)
    first, second, other, dropped = chance.sample(STOCK["data"], 4)
    fit, tune, final = chance.sample(STOCK["folds"], 3)
    knob, small_knob = chance.sample(STOCK["knobs"], 2)
    metric, unwanted = chance.sample(theme["metrics"], 2)
    # What must be new in use is drawn, too: otherwise "folds drawn by scanner" would be wrong in every study of scans.
    aim, aside = chance.sample((("unit", "units"), ("site", "sites")), 2)
    return {
        **{"topic": theme["topic"], "samples": theme["samples"]},
        **{"unit": theme[aim[0]], "units": theme[aim[1]], "site": theme[aside[0]]},
        **{"ours": ours, "strongest": strongest, "rival": strongest, "third": third, "spare": spare},
        **{"first": first, "second": second, "other": other, "dropped": dropped},
        **{"fit": fit, "tune": tune, "final": final, "knob": knob, "small_knob": small_knob},
        **{"metric": metric, "unwanted": unwanted, "shown_metric": metric},
        **{"module": chance.choice(STOCK["modules"]), "runs": chance.choice(STOCK["runs"])},
        "side_runs": chance.choice(STOCK["runs"]),
    }


def _numbers(chance: random.Random) -> Facts:
    first, second, lead = _drawn(chance, 58, 74), _drawn(chance, 55, 78), _drawn(chance, 4.5, 8.0)
    comparisons = chance.randint(8, 40)
    epochs, trials = chance.randint(10, 150), chance.randint(6, 180)
    return {
        **{"rival_first": first, "third_first": first - _drawn(chance, 1, 4), "lead": lead, "gain": f"{lead:.1f}"},
        **{"rival_second": second, "third_second": second - _drawn(chance, 1, 4)},
        **{"second_lead": _drawn(chance, 3, 6), "slip": 0.0, "loss": f"{_drawn(chance, 1.5, 3.9):.1f}"},
        **{"width_first": _drawn(chance, 0.4, 1.0), "width_second": _drawn(chance, 0.4, 1.0)},
        **{"comparisons": comparisons, "p": f"{LEVEL / comparisons * chance.uniform(0.1, 0.8):.5f}"},
        **{"epochs": epochs, "ablated": epochs, "trials": trials, "rival_trials": trials},
    }


def _bent(facts: Facts, chance: random.Random) -> dict[str, Facts]:
    """The facts that a flaw changes; flaws that are not here differ in their wording."""
    lead: float = facts["lead"] + chance.choice((-1, 1)) * _drawn(chance, 1.5, 2.2)
    return {
        "missing_baseline": {"rival": facts["spare"]},
        "many_comparisons": {"p": f"{chance.uniform(2 * LEVEL / facts['comparisons'], 0.9 * LEVEL):.5f}"},
        "metric_mismatch": {"shown_metric": facts["unwanted"]},
        # Wide enough to overlap whatever another flaw does to the lead.
        "overlapping_intervals": {"width_first": max(lead, facts["lead"]) * chance.uniform(0.6, 0.9)},
        "confounded_ablation": {"epochs": chance.randint(70, 150), "ablated": chance.randint(10, 35)},
        "inconsistent_numbers": {"lead": lead},
        "unequal_tuning": {"trials": chance.randint(90, 180), "rival_trials": chance.randint(6, 30)},
        "copying_slip": {"slip": chance.choice((-0.2, -0.1, 0.1, 0.2))},
    }


def _drawn(chance: random.Random, low: float, high: float) -> float:
    return round(chance.uniform(low, high), 1)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
