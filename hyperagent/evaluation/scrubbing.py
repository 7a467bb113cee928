"""What gives a paper's fate or its authors away, taken out of a full text. Patterns only; nothing is reworded.

An accepted paper is published in another form than a rejected one: another line under the title, names instead of
"Anonymous authors", acknowledgements, links to code. Whoever sees that knows the decision without reading on.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

_NOTE = re.compile(
    r"under (?:double.{0,2}blind )?review|double.{0,2}blind|anonymous (?:author|submission|institution)|"
    r"published (?:as a|at|in)\b[^.\n]{0,40}\b(?:paper|conference|proceedings|journal)|"
    r"(?:accepted|to appear)\s+(?:as|at|by|for|in|to)\b[^.\n]{0,60}\b(?:conference|journal|proceedings|workshop|poster|"
    r"oral|spotlight|publication|\d{4})|"
    r"camera.?ready|openreview|area chair|meta.?review|rebuttal|"
    r"(?:anonymous|our|the)\s+(?:\w+\s+)?(?:reviewers|referees)|"
    r"upon (?:acceptance|publication)|(?:after|once)\s+(?:acceptance|publication)|final version of (?:this|the) paper|"
    r"equal(?:ly)? contribut|contributed equally|corresponding author|work (?:was )?done (?:while|during|at)|"
    r"\b(?:code|implementations?|data ?sets?|data|models?|videos?)\b[^.\n]{0,60}\bavailable (?:at|on|from|in)\b|"
    r"\binternship\b|de.?anonymi[sz]ed",
    re.IGNORECASE,
)
"""A sentence that holds one of these goes as a whole."""
_LEAVES = {
    "e-mail address": re.compile(r"\{[^{}\n]{1,200}\}\s*@[\w.-]+|\b[\w.+-]+\s?@\s?[\w-]+(?:\.[\w-]+)+"),
    "arXiv id": re.compile(
        r"(?:arxiv preprint\s*)?\barxiv\s*[:.]?\s*(?:abs/)?\d{4}\.\d{4,5}(?:v\d+)?(?:\s*\[[\w.-]+\])?|"
        r"\barxiv:?\s*[a-z-]+/\d{7}",
        re.IGNORECASE,
    ),
    "link": re.compile(
        r"(?:https?://|www\.)[^\s)>\]]+|\b(?:github|gitlab|bitbucket|huggingface|zenodo)\.(?:com|org|io|co)/[^\s)>\]]+|"
        r"\b[\w-]+\.github\.io\b[^\s)>\]]*|\bdoi:\s*10\.\S+",
        re.IGNORECASE,
    ),
}
_HEADING = r"^[ \t]*(?:#{1,6}[ \t]*)?(?:\*\*)?(?:(?:\d+|[A-Z])(?:\.\d+)*\.?[ \t]+)?"
_ABSTRACT = re.compile(
    _HEADING + r"abstract[ \t]*(?:\*\*)?[ \t]*(?:[:.\u2014\u2013-][ \t]*|$)", re.IGNORECASE | re.MULTILINE
)
_THANKS = re.compile(
    _HEADING + r"(?:acknowledge?ments?|author contributions?|(?:disclosure of )?funding|about the authors?)"
    r"(?:[ \t]*(?:and|&)[^\n]{0,60})?[ \t]*(?:\*\*)?[ \t]*(?:[:.].*)?$",
    re.IGNORECASE | re.MULTILINE,
)
_REFERENCES = re.compile(_HEADING + r"(?:references|bibliography)[ \t]*(?:\*\*)?[ \t]*$", re.IGNORECASE | re.MULTILINE)
_DROPPED = {"acknowledgements": _THANKS, "references": _REFERENCES}
"""Sections that go as a whole. Lists of references show when a paper was last touched, and whose work it builds on."""
_NEXT = re.compile(
    r"^[ \t]*(?:#{1,6}[ \t]*\S|\*\*[A-Z]|(?:\d+|[A-Z])(?:\.\d+)*\.?[ \t]+[A-Z]{2}|[A-Z][A-Z \t]{5,}$|"
    r"(?i:references|bibliography|appendix|supplementary|ethics statement|reproducibility statement)\b)",
    re.MULTILINE,
)
_AFFILIATION = re.compile(
    r"\b(?:universi\w+|institut\w*|department|dept\.|laborator(?:y|ies)|school of|college|inc\.|"
    r"research (?:center|centre|lab))\b|[\u2217†‡§]|anonymous|@",
    re.IGNORECASE,
)
_PARAGRAPHS = re.compile(r"(\n\s*\n)")
_SENTENCES = re.compile(r"((?<=[.!?])\s+)")
_BARE = re.compile(r"[\s_*\u2013\u2014-]*\d{1,4}[\s_*\u2013\u2014-]*|[_*\u2013\u2014-]{3,}")
"""A line that holds a page number, a submission's line number or a ruler, and nothing else."""
_OPENING = 6_000
"""The author block must end within so many characters."""
_TOP_LINES = 30
_TOP_PARAGRAPHS = 8
_HEADER_REPEATS = 3
_HEADER_WORDS = 14
_SENTENCE_WORDS = 8
"""A line of a paragraph has so many words somewhere; lines of names and places have fewer."""


@dataclass(frozen=True)
class Scrubbed:
    """A text without what gives it away, and what was taken out: name of the rule -> how often."""

    text: str
    removed: Mapping[str, int]


def scrub(text: str) -> Scrubbed:
    """Take out of a full text what tells a decision, a venue or an author.

    In this order: page headers and numbers; everything before the abstract (title, authors, notes on review); sections
    of thanks, funding and contributions, and the references; e-mail addresses, arXiv ids and links; sentences about
    review, acceptance, camera-ready versions and authorship.
    """
    removed: Counter[str] = Counter()
    text = text.replace("\r\n", "\n").replace("\f", "\n")
    text = _without_headers(text, removed)
    text = _without_authors(text, removed)
    text = _without_sections(text, removed)
    for name, pattern in _LEAVES.items():
        text, removed[name] = pattern.subn("", text)
    text = re.sub(r"\[([^\[\]\n]*)\]\(\s*\)", r"\1", text)  # what is left of a link and of brackets round one
    text = re.sub(r"[ \t]*(?:(?<=\s)\(\s*\)|\[\s*\])", "", text)
    text = _without_notes(text, removed)
    text = re.sub(r"[ \t]+\n", "\n", text)
    return Scrubbed(re.sub(r"\n{3,}", "\n\n", text).strip(), {name: n for name, n in removed.items() if n})


def _without_headers(text: str, removed: Counter[str]) -> str:
    """Drop short lines that come back on several pages, whatever their numbers, and lines of numbers alone."""

    def skeleton(line: str) -> str:
        return re.sub(r"\d+", "0", line.strip()).casefold()

    lines = text.split("\n")
    seen = Counter(skeleton(line) for line in lines if re.search(r"[^\W\d_]{3}", line))
    kept = []
    for line in lines:
        repeated = seen[skeleton(line)] >= _HEADER_REPEATS and len(line.split()) <= _HEADER_WORDS
        if repeated and _NOTE.search(line):
            removed["page header"] += 1
        elif _BARE.fullmatch(line.strip()):
            removed["page number"] += 1
        elif repeated and not line.rstrip().endswith((".", ",", ";", ":")) and "|" not in line and "&" not in line:
            removed["page header"] += 1
        else:
            kept.append(line)
    return "\n".join(kept)


def _without_authors(text: str, removed: Counter[str]) -> str:
    """Drop all that stands before the abstract; without a heading of that name, lines at the top that name a place."""
    heading = _ABSTRACT.search(text, 0, _OPENING)
    if heading:
        removed["author block"] += bool(text[: heading.start()].strip())
        return _without_names(text[heading.end() :])
    lines = text.split("\n")
    top = [line for line in lines[:_TOP_LINES] if not _AFFILIATION.search(line)]
    removed["author block"] += len(lines[:_TOP_LINES]) != len(top)
    return "\n".join([*top, *lines[_TOP_LINES:]])


def _without_names(text: str) -> str:
    """Drop paragraphs of short lines at the top: where columns were read in the wrong order, authors follow there."""
    paragraphs = _PARAGRAPHS.split(text.lstrip())
    for at in range(0, min(len(paragraphs), 2 * _TOP_PARAGRAPHS), 2):
        long = any(len(line.split()) >= _SENTENCE_WORDS for line in paragraphs[at].split("\n"))
        if long or paragraphs[at].rstrip().endswith((".", "!", "?")):
            return "".join(paragraphs[at:])
    return text


def _without_sections(text: str, removed: Counter[str]) -> str:
    """Drop sections that are not about the matter, each up to the next heading."""
    for name, pattern in _DROPPED.items():
        while heading := pattern.search(text):
            following = _NEXT.search(text, heading.end())
            text = text[: heading.start()] + (text[following.start() :] if following else "")
            removed[name] += 1
    return text


def _without_notes(text: str, removed: Counter[str]) -> str:
    """Drop sentences that tell of review, acceptance or authorship."""
    paragraphs = _PARAGRAPHS.split(text)
    for at, paragraph in enumerate(paragraphs):
        if not _NOTE.search(paragraph):
            continue
        sentences = _SENTENCES.split(paragraph)
        kept = [index for index in range(0, len(sentences), 2) if not _NOTE.search(sentences[index])]
        removed["note on review or authorship"] += (len(sentences) + 1) // 2 - len(kept)
        paragraphs[at] = "".join("".join(sentences[index : index + 2]) for index in kept)
    return "".join(paragraphs)
