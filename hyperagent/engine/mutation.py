"""One mutation: the meta agent of the parent edits a copy of it; the result is checked before it is paid for."""

from __future__ import annotations

import ast
import hashlib
import json
import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache, partial

from hyperagent.engine.bandit import make_chooser
from hyperagent.engine.budget import Budget
from hyperagent.engine.likeness import DOCUMENTATION, PARSING, Likenesses, without_docstrings
from hyperagent.engine.modes import mode_of
from hyperagent.engine.parts import Parts, limits_of
from hyperagent.engine.plateau import mutation_temperature
from hyperagent.errors import AllowanceSpent, SandboxLost
from hyperagent.protocols import Archive
from hyperagent.types import JobSpec, Json, ProgramTree, RunRequest, RunResult, Variant, VariantStatus

CHECK_SECONDS = 60.0
MOST_FILES = 300
SUMMARY_CHARACTERS = 500


@dataclass(frozen=True)
class MutationResult:
    """What came of a mutation.

    ``status`` is ``pending`` where the program deserves an evaluation, else why not (``reason``).
    """

    status: VariantStatus
    tree: ProgramTree | None
    reason: str = ""
    summary: str = ""
    seconds: float = 0.0
    transcript: str = ""


def mutation_job(campaign: str, step: int) -> str:
    """Name of the job under which a mutation's model calls are recorded."""
    return f"{campaign}/{step}/mutate"


def step_seed(random_seed: int, step: int) -> int:
    """Seed of everything random inside one step, in [0, 2^31): equal for equal campaign seeds and steps."""
    digest = hashlib.sha256(f"{random_seed}/{step}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def step_random(random_seed: int, step: int) -> random.Random:
    """The chance with which a step's parent is selected: the same draws for the same campaign seed and step."""
    return random.Random(step_seed(random_seed, step))


def behaviour(tree: ProgramTree) -> Mapping[str, str]:
    """What a program does, as far as its files tell: a hash of each syntax tree without docstrings, or of the file.

    Documentation files, comments, docstrings and layout do not count.

    Raises:
        SyntaxError: A Python file does not parse.
    """
    parts = {}
    for path, data in tree.items():
        if path.lower().endswith(DOCUMENTATION):
            continue
        if path.endswith(".py"):
            parts[path] = _shape(path, data)
        else:
            parts[path] = hashlib.sha256(data).hexdigest()
    return parts


@lru_cache(maxsize=1024)  # parent and child share most files
def _shape(path: str, data: bytes) -> str:
    with PARSING:
        module = ast.parse(data, path)
    return hashlib.sha256(ast.dump(without_docstrings(module)).encode(errors="surrogatepass")).hexdigest()


class Mutator:
    """Runs mutations and checks what they made."""

    def __init__(self, parts: Parts, meter: Budget, random_seed: int) -> None:
        self._parts = parts
        self._meter = meter
        self._random_seed = random_seed
        self._mode = mode_of(parts.config)
        self._models = make_chooser(parts)
        self._seeds: dict[str, ProgramTree] = {}
        self._likenesses = Likenesses(parts.archive)

    def mutate(
        self, variant: Variant, program: ProgramTree, evidence: ProgramTree, iterations_left: int
    ) -> MutationResult:
        """Let ``program`` (the parent's) rewrite a copy of itself for the step of ``variant``."""
        result = self.rerun(variant, program, evidence, iterations_left)
        summary = _summary(result.value)
        if result.status != "ok" or result.tree is None:
            reason = f"meta agent ended with {result.status}: {result.error}".strip(": ")
            return MutationResult("invalid", None, reason[:2000], summary, result.seconds, result.transcript)
        status, reason = self._judge(variant, program, result.tree)
        tree = result.tree if status == "pending" else None
        return MutationResult(status, tree, reason, summary, result.seconds, result.transcript)

    def rerun(self, variant: Variant, program: ProgramTree, evidence: ProgramTree, iterations_left: int) -> RunResult:
        """The run of the meta agent, which is also what replay repeats.

        The mode says which program's meta agent runs over a copy of ``program``, and what of its edit is kept.
        """
        seed_program = partial(self._generation0, variant.campaign)
        rewriter = self._mode.rewriter(program, seed_program)
        result = self._run(variant, program, rewriter, evidence, iterations_left)
        if result.tree is None:
            return result
        return replace(result, tree=self._mode.kept(program, result.tree, seed_program))

    def _generation0(self, campaign: str) -> ProgramTree:
        if campaign not in self._seeds:
            archive = self._parts.archive
            self._seeds[campaign] = archive.read_tree(archive.variant(f"{campaign}/0").commit)
        return self._seeds[campaign]

    def _run(
        self,
        variant: Variant,
        program: ProgramTree,
        rewriter: ProgramTree,
        evidence: ProgramTree,
        iterations_left: int,
    ) -> RunResult:
        config = self._parts.config
        job = mutation_job(variant.campaign, variant.step)
        seed = step_seed(self._random_seed, variant.step)
        models = config.models
        model = self._models.model(variant)
        temperature = mutation_temperature(self._parts.archive, variant, models.mutation_temperature, config.search)
        defaults = {"temperature": temperature, "max_tokens": models.max_tokens, "seed": seed}
        environment = {
            "HYPERAGENT_EDITING": models.editing,
            "HYPERAGENT_SEED": str(seed),
            "HYPERAGENT_CALLS": str(config.limits.mutation_calls),
        }
        with self._parts.broker.channel(
            job,
            campaign=variant.campaign,
            variant=variant.id,
            purpose="mutate",
            model=model,
            meter=self._meter.job(variant.id, job),
            defaults=defaults,
        ) as channel:
            subject = None if rewriter is program else program
            limits = limits_of(config)
            spec = JobSpec(job, rewriter, evidence, channel.directory, limits, environment, subject=subject)
            with self._parts.sandbox.session(spec) as session:
                channel.begin("mutate")
                arguments = {"model": model, "iterations_left": iterations_left}
                try:
                    result = session.run(RunRequest("meta", arguments, config.limits.mutation_seconds))
                except SandboxLost:
                    with suppress(AllowanceSpent):
                        channel.end()
                    raise
                try:
                    channel.end()
                except AllowanceSpent as spent:
                    status = "error" if result.status == "ok" else result.status
                    result = replace(result, status=status, tree=None, error=spent.message)
        return result

    def twin(self, variant: Variant, tree: ProgramTree) -> str:
        """Id of another variant of the campaign with the same files, or that differs from them in words only.

        Raises:
            ValueError: A path that git must not hold.
        """
        return find_twin(self._parts.archive, variant, tree) or self._likenesses.twin(variant, tree)

    def remember(self, variant: Variant, tree: ProgramTree) -> None:
        """Take in a program that has just been committed, so that later ones are compared with it."""
        self._likenesses.remember(variant, tree)

    def check(self, job: str, tree: ProgramTree) -> str:
        """Import the program in a sandbox of its own, without a model; returns why it fails, or an empty string."""
        spec = JobSpec(f"{job}/check", tree, limits=limits_of(self._parts.config))
        with self._parts.sandbox.session(spec) as session:
            result = session.run(RunRequest("check", {"model": self._parts.config.models.evaluation}, CHECK_SECONDS))
        return "" if result.status == "ok" else f"{result.status}: {result.error}".strip(": ")[:2000]

    def _judge(self, variant: Variant, parent: ProgramTree, tree: ProgramTree) -> tuple[VariantStatus, str]:
        size = sum(len(data) for data in tree.values())
        if size > self._parts.config.limits.program_kb * 1024:
            return "invalid", f"the program grew to {size // 1024} KB; limits.program_kb allows less"
        if len(tree) > MOST_FILES:
            return "invalid", f"the program has {len(tree)} files; {MOST_FILES} are allowed"
        try:
            after = behaviour(tree)
        except (SyntaxError, ValueError) as error:
            return "invalid", f"does not parse: {error}"
        if after == behaviour(parent):
            changed = sorted(p for p in {*parent, *tree} if parent.get(p) != tree.get(p))
            return (
                "no_effect",
                f"changes only documentation or layout: {', '.join(changed)}" if changed else "changes nothing",
            )
        try:
            twin = self.twin(variant, tree)
        except ValueError as error:
            return "invalid", f"a path that git must not hold: {error}"
        if twin:
            return "duplicate", twin
        failure = self.check(mutation_job(variant.campaign, variant.step), tree)
        return ("invalid", f"does not load: {failure}") if failure else ("pending", "")


def find_twin(archive: Archive, variant: Variant, tree: ProgramTree) -> str:
    """Id of another variant of the campaign with the same files; empty where there is none.

    Raises:
        ValueError: A path that git must not hold.
    """
    for other in archive.variants_with_tree(archive.tree_id(tree)):
        if other.campaign == variant.campaign and other.id != variant.id and other.commit:
            return other.id
    return ""


def _summary(value: Json) -> str:
    """The meta agent's own words about its edit, bounded; hostile text."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text[:SUMMARY_CHARACTERS]
