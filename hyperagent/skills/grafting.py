"""One program's skill into another program: the code, what it needs of its own program, and what stands in the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hyperagent.errors import UsageError
from hyperagent.skills.source import Import, Source, Statement, absolute, module_file, read_source
from hyperagent.types import ProgramTree, Skill


@dataclass
class _Plan:
    """What a file gets. Statements are those of the source program, in its order when written."""

    imports: dict[str, Statement] = field(default_factory=dict)
    added: dict[str, Statement] = field(default_factory=dict)
    replaced: dict[str, Statement] = field(default_factory=dict)


class Grafting:
    """Collects what a skill needs, transitively within its program.

    A definition that the target lacks is added. One that it has is left alone where it is equal, and brought up to the
    source's where it is an older version of it, which is to say equal to one that an ancestor of the source had;
    anything else is a conflict, and so is a name that the target imports from elsewhere.

    Args:
        source: The program that has the skill.
        ancestors: Programs that it came from.
        target: The program that is to get it; not changed.
        replace: Take the source's version where there is a conflict.
    """

    def __init__(
        self, source: ProgramTree, ancestors: Sequence[ProgramTree], target: ProgramTree, replace: bool = False
    ) -> None:
        self._trees = (source, target)
        self._ancestors = ancestors
        self._replace = replace
        self._read: dict[tuple[int, str], Source | None] = {}
        self._seen: set[tuple[str, str]] = set()
        self._plans: dict[str, _Plan] = {}
        self._whole: dict[str, bytes] = {}
        self.conflicts: list[str] = []

    def want(self, skill: Skill, *, callers: bool) -> None:
        """Add a skill; with ``callers`` also the changed or new code of its origin that uses it, step by step."""
        if skill.kind == "tool":
            self._want_file(skill.file)
        else:
            self._want(skill.file, skill.name.partition(".")[0])
        for path, name in self._callers(skill) if callers else ():
            self._want(path, name)

    @property
    def added(self) -> list[str]:
        found = [path for path in self._whole if path not in self._trees[1]]
        for path, plan in self._plans.items():
            found += [f"{path}:{name}" for name in [*plan.imports, *plan.added]]
        return found

    @property
    def replaced(self) -> list[str]:
        found = [path for path in self._whole if path in self._trees[1]]
        return found + [f"{path}:{name}" for path, plan in self._plans.items() for name in plan.replaced]

    def result(self) -> ProgramTree:
        """The target with all of it.

        Raises:
            UsageError: The result of a file does not hold what was put in.
        """
        tree = {**self._trees[1], **self._whole}
        for path, plan in self._plans.items():
            theirs = self._source(0, path)
            if theirs is None or not (plan.imports or plan.added or plan.replaced):
                continue
            text = written(self._source(1, path), plan.imports, plan.added, plan.replaced, theirs.future)
            tree[path] = text.encode()
            made = read_source(path, tree[path])
            for name, wanted in {**plan.imports, **plan.added, **plan.replaced}.items():
                there = made.find(name) if made is not None else None
                if there is None or there.form != wanted.form:
                    raise UsageError(f"{path}:{name} cannot be put into that file", hint="its layout is too unusual")
        return tree

    # -- what is needed --------------------------------------------------------------------------

    def _source(self, side: int, path: str) -> Source | None:
        if (side, path) not in self._read:
            data = self._trees[side].get(path)
            self._read[side, path] = None if data is None else read_source(path, data)
        return self._read[side, path]

    def _want_file(self, path: str) -> None:
        if (path, "") in self._seen:
            return
        self._seen.add((path, ""))
        theirs, ours = self._trees[0][path], self._trees[1].get(path)
        if ours == theirs:
            return
        if ours is not None and not self._replace and all(one.get(path) != ours for one in self._ancestors):
            self.conflicts.append(path)
        self._whole[path] = theirs
        self._plans.pop(path, None)
        read = self._source(0, path)
        for statement in read.statements if read is not None else ():
            for found in (*statement.inner, *([statement.imported] if statement.imported is not None else ())):
                self._want_imported(path, found, frozenset([""]))

    def _want(self, path: str, name: str, attributes: frozenset[str] = frozenset()) -> None:
        theirs = self._find(path, name)
        if theirs is None:  # a builtin, a local, or nothing at all
            return
        if theirs.imported is not None:
            self._want_imported(path, theirs.imported, attributes)
        if (path, name) in self._seen or (path, "") in self._seen:
            return
        self._seen.add((path, name))
        if theirs.imported is not None and theirs.imported.module == "__future__":
            return
        target = self._source(1, path)
        if target is None and path in self._trees[1]:
            self.conflicts.append(f"{path} (does not parse)")
            return
        ours = target.find(name) if target is not None else None
        if ours is not None and ours.form == theirs.form:
            return
        plan = self._plans.setdefault(path, _Plan())
        if ours is None:
            (plan.imports if theirs.imported is not None else plan.added)[name] = theirs
        else:
            imported = ours.imported is not None or theirs.imported is not None  # it may share its line with others
            if imported or not (self._replace or self._older(path, name, ours)):
                self.conflicts.append(f"{path}:{name}")
            plan.replaced[name] = theirs
        for found in theirs.inner:
            self._want_imported(path, found, frozenset([""]))
        for needed, parts in theirs.needs.items():
            self._want(path, needed, parts)

    def _older(self, path: str, name: str, ours: Statement) -> bool:
        for tree in self._ancestors:
            read = read_source(path, tree[path]) if path in tree else None
            was = read.find(name) if read is not None else None
            if was is not None and was.form == ours.form:
                return True
        return False

    def _want_imported(self, path: str, found: Import, attributes: frozenset[str]) -> None:
        """What an import means in the program itself; other modules are the sandbox's."""
        module = absolute(path, found)
        inner = module_file(self._trees[0], f"{module}.{found.name}".strip(".")) if found.name else ""
        file = inner or module_file(self._trees[0], module)
        if not file:
            return
        if found.name and not inner:
            self._want(file, found.name, attributes)
        elif "" in attributes or not attributes:
            if file not in self._trees[1]:
                self._want_file(file)
        else:
            for attribute in sorted(attributes):
                self._want(file, attribute)

    def _find(self, path: str, name: str) -> Statement | None:
        read = self._source(0, path)
        return read.find(name) if read is not None else None

    def _callers(self, skill: Skill) -> Iterable[tuple[str, str]]:
        """Definitions that the origin's edit made or changed and that use the skill, directly or through others."""
        wanted = {
            skill.name.partition(".")[0] if skill.kind != "tool" else skill.file.split("/")[-1].removesuffix(".py")
        }
        found: dict[tuple[str, str], None] = {}
        parent = self._ancestors[0] if self._ancestors else {}
        changed: list[tuple[str, Statement]] = []
        for path in self._trees[0]:
            if not path.endswith(".py") or self._trees[0][path] == parent.get(path):
                continue
            read, before = self._source(0, path), read_source(path, parent.get(path, b""))
            forms = {one.form for one in before.statements} if before is not None else set()
            changed += [(path, one) for one in (read.statements if read else ()) if one.form not in forms]
        grew = True
        while grew:
            grew = False
            for path, one in changed:
                for name in one.binds if one.imported is None and wanted & one.needs.keys() else ():
                    if (path, name) not in found:
                        found[path, name] = None
                        wanted.add(name)
                        grew = True
        return found


def written(
    ours: Source | None,
    imports: Mapping[str, Statement],
    added: Mapping[str, Statement],
    replaced: Mapping[str, Statement],
    future: bool,
) -> str:
    """The text of a file with what it is given: imports and constants after its own imports, code at its end.

    Args:
        future: A new file starts with ``from __future__ import annotations``.
    """
    lines: list[str] = list(ours.lines) if ours is not None else []
    head = ours.head if ours is not None else 0
    for name, new in sorted(replaced.items(), key=lambda pair: -_place(ours, pair[0]).start):
        old = _place(ours, name)
        lines[old.start - 1 : old.end] = new.text.splitlines()
    top = [one.text for one in _ordered(imports)]
    if ours is None and future:
        top = ["from __future__ import annotations", "", *top]
    constants = [one.text for one in _ordered(added) if one.plain]
    code = [one.text for one in _ordered(added) if not one.plain]
    if constants:
        top += ["", *constants]
    lines[head:head] = top if ours is not None else [*top]
    text = "\n".join(lines).rstrip("\n")
    for one in code:
        text += f"\n\n\n{one}" if text else one
    return text + "\n"


def _place(ours: Source | None, name: str) -> Statement:
    found = ours.find(name) if ours is not None else None
    if found is None:
        raise ValueError(f"nothing named {name} to replace")
    return found


def _ordered(statements: Mapping[str, Statement]) -> list[Statement]:
    """In the order of their file, each once: one statement may bind several names."""
    return sorted(
        {(one.start, one.text): one for one in statements.values()}.values(), key=lambda one: (one.start, one.text)
    )


def standalone(program: ProgramTree, skill: Skill) -> str:
    """A skill's code with all that it needs of its own file; imports of the program's other files stay imports."""
    read = read_source(skill.file, program[skill.file])
    if skill.kind == "tool" or read is None:
        return program[skill.file].decode("utf-8", "replace")
    wanted: dict[str, Statement] = {}
    names = [skill.name.partition(".")[0]]
    while names:
        name = names.pop()
        found = read.find(name)
        if name not in wanted and found is not None:
            wanted[name] = found
            names += found.needs
    imports = {name: one for name, one in wanted.items() if one.imported is not None}
    return written(None, imports, {name: wanted[name] for name in wanted.keys() - imports.keys()}, {}, read.future)


def own_text(program: ProgramTree, skill: Skill) -> str:
    """The code of a skill alone; of a method that of its class."""
    read = read_source(skill.file, program[skill.file])
    found = read.find(skill.name.partition(".")[0]) if read is not None and skill.kind != "tool" else None
    return found.text + "\n" if found is not None else program[skill.file].decode("utf-8", "replace")
