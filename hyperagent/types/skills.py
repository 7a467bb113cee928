"""What variants of a campaign have invented."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hyperagent.types.tasks import Interval

SkillKind = Literal["function", "class", "method", "prompt", "tool"]


@dataclass(frozen=True)
class Skill:
    """Code that a file of a variant has and that of its parent had not, under whatever name.

    Name and file are those of the first variant that had it, and hostile text: escape before printing.

    Attributes:
        id: 12 hex digits over kind, file and content: equal code has equal ids in all campaigns.
        name: Qualified within the file; of a tool its path.
        file: POSIX path within the program.
        digest: SHA-256 (hex) of the content without docstrings, comments, layout, its own name and those of locals.
        about: First line of its docstring; empty where there is none.
        copied_from: ``file:name`` of the parent's equal code in another place; empty = the content itself is new.
        variant: Id of the first variant that had it, at ``step``.
        origins: Steps of all variants that have it and whose parent has not.
        carriers: Steps of all variants that have this content, origins included.
        modified: Steps of descendants of an origin that have other content under its name.
        against_parent: Origins minus their parents: mean difference over validation tasks, in [-1, 1].
        against_others: Carriers minus all other scored variants, likewise.
    """

    id: str
    kind: SkillKind
    name: str
    file: str
    digest: str
    about: str
    copied_from: str
    variant: str
    step: int
    origins: tuple[int, ...]
    carriers: tuple[int, ...]
    modified: tuple[int, ...] = ()
    against_parent: Interval | None = None
    against_others: Interval | None = None

    @property
    def inherited(self) -> int:
        """Variants that have it from their parent."""
        return len(self.carriers) - len(self.origins)


@dataclass(frozen=True)
class SkillSource:
    """A skill with its code: its own text, and the file that stands alone with what it needs of its program."""

    campaign: str
    skill: Skill
    text: str


@dataclass(frozen=True)
class Graft:
    """A program that was given a skill.

    Attributes:
        added, replaced: ``file:name`` of definitions, imports included in ``added``.
        files: Number of files of the program written.
    """

    skill: str
    directory: str
    added: tuple[str, ...]
    replaced: tuple[str, ...]
    files: int
    sandbox: str
