"""The skills of a campaign: what its variants define and their parents did not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from hyperagent.skills.definitions import SHORTEST_PROMPT, Definition, definitions
from hyperagent.types import ProgramTree, Skill, Variant

Files = Mapping[str, tuple[Definition, ...]]
_Key = tuple[str, str]
"""File and digest: equal code in another file is another skill."""


@dataclass
class _Found:
    first: Definition
    variant: Variant
    copied_from: str
    origins: list[int] = field(default_factory=list)
    carriers: list[int] = field(default_factory=list)
    modified: list[int] = field(default_factory=list)


def find_skills(variants: Sequence[Variant], tree: Callable[[Variant], ProgramTree]) -> list[Skill]:
    """All skills, in the order in which they came, without their effects.

    New is a name that the parent's file did not define, with content that neither that file nor the same file of
    generation 0 had under another; a text with other words is a new text. A changed function is no new one, a renamed
    one neither. What stands in a new file of ``tools/`` is part of that tool, what stands in a new class part of the
    class.

    Args:
        variants: Of one campaign, in step order.
        tree: Reads a program; asked once of each variant that has one.
    """
    files = {one.id: definitions(tree(one)) for one in variants if one.commit}
    known = _keys(files.get(variants[0].id, {})) if variants else frozenset()
    found: dict[_Key, _Found] = {}
    for variant in variants:
        before = files.get(variant.parent or "")
        if before is None or variant.id not in files:
            continue
        for one in _new(before, files[variant.id]):
            key = (one.file, one.digest)
            if key not in known:
                entry = found.setdefault(key, _Found(one, variant, _twin(before, one)))
                if variant.step not in entry.origins:
                    entry.origins.append(variant.step)
    _follow(variants, files, found)
    return [_skill(one) for one in found.values()]


def _keys(files: Files) -> frozenset[_Key]:
    return frozenset((one.file, one.digest) for part in files.values() for one in part)


def _twin(before: Files, wanted: Definition) -> str:
    """Where a program has the same content already, ``file:name``; empty where nowhere."""
    every = (one for part in before.values() for one in part)
    return next((f"{one.file}:{one.name}" for one in every if one.digest == wanted.digest), "")


def _new(before: Files, after: Files) -> Iterator[Definition]:
    for path, part in after.items():
        old = before.get(path)
        if part is old:
            continue
        if part and part[0].kind == "tool" and old is None:
            yield part[0]
            continue
        names, had = {(one.kind, one.name) for one in old or ()}, {one.digest for one in old or ()}
        for one in part:
            owner = ("class", one.name.partition(".")[0])
            if one.digest in had or (one.kind == "method" and owner not in names):
                continue
            if (one.size >= SHORTEST_PROMPT) if one.kind == "prompt" else (one.kind, one.name) not in names:
                yield one


def _follow(variants: Sequence[Variant], files: Mapping[str, Files], found: Mapping[_Key, _Found]) -> None:
    """Fill in who has a skill, and which descendants of an origin have its name with other content."""
    origins: dict[int, set[_Key]] = {}
    for key, entry in found.items():
        for step in entry.origins:
            origins.setdefault(step, set()).add(key)
    line: dict[str, frozenset[_Key]] = {}
    for variant in variants:
        line[variant.id] = above = line.get(variant.parent or "", frozenset()) | origins.get(variant.step, set())
        own = files.get(variant.id, {})
        carried = _keys(own) & found.keys()
        for key in carried:
            found[key].carriers.append(variant.step)
        for key in above - carried:
            first = found[key].first
            if any((one.kind, one.name) == (first.kind, first.name) for one in own.get(first.file, ())):
                found[key].modified.append(variant.step)


def _skill(found: _Found) -> Skill:
    first = found.first
    return Skill(
        sha256("\0".join((first.kind, first.file, first.digest)).encode(errors="surrogatepass")).hexdigest()[:12],
        first.kind,
        first.name,
        first.file,
        first.digest,
        first.about,
        found.copied_from,
        found.variant.id,
        found.variant.step,
        tuple(found.origins),
        tuple(found.carriers),
        tuple(found.modified),
    )
