"""What variants have invented, read out of an archive, and put into other programs."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace as changed
from pathlib import Path
from typing import TYPE_CHECKING

from hyperagent.assembly.looking import write_program
from hyperagent.assembly.results import read_results
from hyperagent.errors import NotFoundError, UsageError
from hyperagent.protocols import Archive
from hyperagent.types import Campaign, Graft, JobSpec, Json, ProgramTree, RunRequest, Skill, SkillSource, Variant

if TYPE_CHECKING:
    from hyperagent.config import Config

FEWEST_CHARACTERS = 3
CHECK_SECONDS = 60.0
PROBE = "skill_probe"
"""Module that stands beside a program while it is tried, and in no program that is written."""


def campaign_skills(archive: Archive, campaign: Campaign) -> list[Skill]:
    """Every skill of a campaign with its effects, the largest gain over the parents first. Only reads."""
    from hyperagent.skills.effects import Effects
    from hyperagent.skills.finding import find_skills

    variants = archive.variants(campaign.id)
    found = find_skills(variants, lambda one: archive.read_tree(one.commit))
    effects = Effects(variants, _validation(archive, campaign.id, variants)) if found else None
    measured = [effects.of(one) for one in found] if effects is not None else []
    return sorted(measured, key=lambda one: (-(one.against_parent.estimate if one.against_parent else -2.0), one.step))


def _validation(
    archive: Archive, campaign: str, variants: Sequence[Variant]
) -> dict[str, dict[tuple[str, str], float]]:
    found: dict[str, dict[tuple[str, str], float]] = {variant.id: {} for variant in variants}
    for one in read_results(archive, campaign, variants, hidden=False, notes=0).sets:
        if one.split == "validation":
            tasks = list(one.tasks)
            for index, row in one.rows.items():
                scores = {
                    (one.benchmark, tasks[task]): score for task, (state, score) in row.items() if state != "lost"
                }
                found[variants[index].id].update(scores)
    return found


def skill_rows(archive: Archive, campaign: Campaign) -> list[dict[str, Json]]:
    """Rows of the report's skills panel."""
    rows = []
    for one in campaign_skills(archive, campaign):
        gain = one.against_parent
        told = f"; {gain.estimate:+.2f} [{gain.low:+.2f} to {gain.high:+.2f}] against its parent" if gain else ""
        about = f"{one.about or one.file}; carried by {len(one.carriers)}{told}"
        rows.append({"name": f"{one.kind} {one.name}", "about": about, "step": one.step})
    return rows


def find_skill(archive: Archive, reference: str, campaign: str | None) -> tuple[Campaign, Skill]:
    """The skill meant by a unique beginning of its id, or by its name; the newest campaign that has it counts.

    Args:
        campaign: Look there only.

    Raises:
        NotFoundError: No skill, or more than one.
    """
    campaigns = [archive.campaign(campaign)] if campaign else sorted(archive.campaigns(), key=lambda one: -one.created)
    for one in campaigns:
        every = campaign_skills(archive, one)
        found = [skill for skill in every if skill.name == reference]
        if not found and len(reference) >= FEWEST_CHARACTERS:
            found = [skill for skill in every if skill.id.startswith(reference)]
        if len(found) > 1:
            listed = ", ".join(f"{skill.id} (step {skill.step})" for skill in found[:6])
            raise NotFoundError(f"{reference!r} is several skills of {one.name}", hint=f"one of {listed}")
        if found:
            return one, found[0]
    where = f"campaign {campaigns[0].name}" if campaign and campaigns else "any campaign of the archive"
    raise NotFoundError(f"no skill {reference!r} in {where}", hint="`hyperagent skills list CAMPAIGN` lists them")


def skill_source(archive: Archive, campaign: Campaign, skill: Skill, *, alone: bool) -> SkillSource:
    """The code of a skill.

    Args:
        alone: With all that it needs of its file, as a module of its own that says where it is from.
    """
    from hyperagent.skills.grafting import own_text, standalone

    program = archive.read_tree(archive.variant(skill.variant).commit)
    if not alone:
        return SkillSource(campaign.name, skill, own_text(program, skill))
    head = f"# Skill {skill.id}: {skill.name!a} from {campaign.name}/{skill.step} ({skill.variant}).\n"
    return SkillSource(campaign.name, skill, head + standalone(program, skill))


def graft(
    archive: Archive,
    found: tuple[Campaign, Skill],
    into: Path,
    directory: Path,
    *,
    callers: bool,
    replace: bool,
    environment: Mapping[str, str],
) -> Graft:
    """Write a program that has a skill of another one, tried in a sandbox first.

    Args:
        into: ``seed``, a program's folder, or the config whose program is meant (its sandbox is used).
        directory: A new or empty folder.
        callers: With the code of the skill's origin that uses it.
        replace: Take the skill's version where the program has another one.

    Raises:
        ConfigError: ``into`` is no program.
        UsageError: Conflicts; nothing to graft; the result does not load.
    """
    from hyperagent.skills.grafting import Grafting

    campaign, skill = found
    config, target = _target(into, environment)
    origin = archive.variant(skill.variant)
    work = Grafting(archive.read_tree(origin.commit), _ancestors(archive, origin), target, replace)
    work.want(skill, callers=callers)
    if work.conflicts:
        raise UsageError(
            f"the program has other versions of {', '.join(work.conflicts[:8])}",
            hint="--replace takes the skill's; names that are imported have to be mended by hand",
        )
    if not work.added and not work.replaced:
        raise UsageError(f"the program has skill {skill.id} already", hint="--callers also takes what uses it")
    tree = _with_provenance(work.result(), campaign, skill)
    backend = _tried(config, archive.path, tree, [*work.added, *work.replaced])
    files = write_program(tree, directory)
    return Graft(skill.id, str(directory), tuple(work.added), tuple(work.replaced), files, backend)


def _target(into: Path, environment: Mapping[str, str]) -> tuple[Config, ProgramTree]:
    from hyperagent.assembly.wiring import load_program
    from hyperagent.config import load_config

    if into.is_file():
        config = load_config(into, environment=environment)
        return config, load_program(config.program, Path())
    name = "seed" if str(into) == "seed" and not into.exists() else str(into.absolute())
    return load_config(None, environment=environment), load_program(name, Path())


def _ancestors(archive: Archive, variant: Variant) -> list[ProgramTree]:
    """Programs that a variant came from, its parent first."""
    trees = []
    while variant.parent:
        variant = archive.variant(variant.parent)
        trees.append(archive.read_tree(variant.commit))
    return trees


def _with_provenance(tree: ProgramTree, campaign: Campaign, skill: Skill) -> ProgramTree:
    """Its ``program.toml`` says under ``[skills.ID]`` what was grafted and where it is from.

    Raises:
        UsageError: The ``program.toml`` cannot be read, or has other things under that name.
    """
    from hyperagent.engine.ownership import MANIFEST

    try:
        text = tree[MANIFEST].decode()
        if skill.id in tomllib.loads(text).get("skills", {}):
            return tree
        values = {"name": skill.name, "kind": skill.kind, "file": skill.file, "variant": skill.variant}
        values["from"] = f"{campaign.name}/{skill.step}"
        lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        text = "\n".join([text.rstrip("\n"), "", f"[skills.{skill.id}]", *lines, ""])
        tomllib.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise UsageError(f"{MANIFEST} of the program cannot take a [skills] table: {error}") from error
    return {**tree, MANIFEST: text.encode()}


def _tried(config: Config, archive: Path, tree: ProgramTree, touched: Sequence[str]) -> str:
    """Import everything that was touched and both agents in a sandbox, without a model; returns the backend's name.

    Raises:
        UsageError: Something does not load.
        SandboxUnavailable, SandboxLost: It could not be tried.
    """
    from hyperagent.assembly.wiring import make_sandbox
    from hyperagent.engine.ownership import described, entry, ownership
    from hyperagent.engine.parts import limits_of

    wanted: dict[str, list[str]] = {}
    for module, _, name in [entry(tree, "task").partition(":"), *(_module(one) for one in touched)]:
        if all(part.isidentifier() for part in module.split(".")):
            wanted.setdefault(module, []).extend([name] if name.isidentifier() else [])
    owned = ownership(tree)
    entries = {"task": f"{PROBE}:Tried", "meta": entry(tree, "meta")}
    probed = described(tree, entries, {"task": owned.task, "meta": owned.meta})
    probed = {**probed, f"{PROBE}.py": _PROBE.replace("WANTED", repr(wanted)).encode()}
    sandbox = make_sandbox(changed(config, sandbox=changed(config.sandbox, pool=0)), archive)
    try:
        sandbox.prepare()
        with sandbox.session(JobSpec("graft", probed, limits=limits_of(config))) as session:
            result = session.run(RunRequest("check", {}, CHECK_SECONDS))
    finally:
        sandbox.reap()
    if result.status != "ok":
        reason = (result.error.strip().splitlines() or [result.status])[-1]
        raise UsageError(
            f"the program does not load with the skill: {reason[:500]}",
            hint="nothing was written; graft it into a program that is closer to its own, or mend it by hand",
        )
    return sandbox.info.backend


def _module(touched: str) -> tuple[str, str, str]:
    path, _, name = touched.partition(":")
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", "."), ":", name


_PROBE = """import importlib

for module, names in WANTED.items():
    found = importlib.import_module(module)
    for name in names:
        getattr(found, name)


class Tried:
    def forward(self):
        pass
"""
