"""Config in, wired campaigns and replays out."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import hyperagent
from hyperagent.config import BenchmarkConfig, Config, from_json, to_json
from hyperagent.errors import ConfigError
from hyperagent.protocols import Archive, Benchmark, ModelClient, Observer, Sandbox
from hyperagent.types import (
    Campaign,
    CampaignResult,
    Caps,
    ChatRequest,
    Plan,
    ProgramTree,
    ReplayReport,
    Variant,
)

SKIPPED = ("__pycache__", ".git", ".mypy_cache", ".ruff_cache")


# -- archives ------------------------------------------------------------------------------------


def open_archive(path: Path, write: bool = False, create: bool = False) -> Archive:
    """See :func:`hyperagent.archive.open_archive`."""
    from hyperagent.archive import open_archive as opened

    return opened(path, write=write, create=create)


def lock_holder(path: Path) -> dict[str, Any] | None:
    """Who writes to the archive at ``path`` now: pid, started, host, command; None where nobody does."""
    from hyperagent.archive import lock_holder as holder

    return holder(path)


# -- parts ---------------------------------------------------------------------------------------


class Wiring:
    """The parts of one session, and how to take them apart again. Use as a context manager or call ``close``.

    Args:
        replay: Serve model calls from the record only.
        reuse: Let equal deterministic calls share one reply.
    """

    def __init__(
        self, config: Config, archive: Archive, observer: Observer | None, *, replay: bool = False, reuse: bool = True
    ) -> None:
        from hyperagent.engine.evaluate import Parts
        from hyperagent.models import LocalBroker

        self._stack = ExitStack()
        try:
            self.client = make_client(config)
            self._stack.callback(self.client.close)
            runtime = Path(tempfile.mkdtemp(prefix="ha-"))
            self._stack.callback(shutil.rmtree, runtime, ignore_errors=True)
            runtime.chmod(0o755)
            broker = LocalBroker(
                self.client,
                archive,
                runtime_directory=runtime,
                timeout=config.models.timeout,
                retries=config.models.retries,
                replay=replay,
                reuse=reuse,
            )
            sandbox = make_sandbox(config, archive.path)
            self.parts = Parts(archive, broker, sandbox, load_benchmarks(config, observer), config)
            sandbox.prepare()
            self._stack.callback(sandbox.reap)
        except BaseException:
            self._stack.close()
            raise
        if observer is not None:
            for warning in sandbox.info.warnings:
                observer.message(f"warning: {warning}")

    def preflight(self) -> None:
        """One tiny call to every model, so that a wrong key or name shows before anything is archived.

        Raises:
            ModelUnavailable: The model refuses for good.
            ModelLost: It cannot be reached now.
        """
        from hyperagent.models import probe

        models = self.parts.config.models
        for model in dict.fromkeys((models.mutation, models.evaluation)):
            if not model.startswith("random/"):
                probe(self.client, model, timeout=models.timeout)

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> Wiring:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def make_client(config: Config) -> Any:
    """The model client of a campaign: local models, random edits, or any LiteLLM provider, by the model's prefix."""
    from hyperagent.models import RoutingClient

    models = config.models
    return RoutingClient(
        api_base=models.api_base, price_prompt=models.price_prompt, price_completion=models.price_completion
    )


def make_sandbox(config: Config, archive: Path) -> Sandbox:
    """The backend the config asks for; ``auto`` is Docker, never silently something weaker."""
    from hyperagent.sandbox import DockerSandbox, ProcessSandbox

    owner = hashlib.sha256(str(archive.resolve()).encode()).hexdigest()[:12]
    if config.sandbox.backend == "process":
        return ProcessSandbox(owner)
    return DockerSandbox(owner, config.sandbox.image)


def load_benchmarks(config: Config, observer: Observer | None) -> Sequence[tuple[BenchmarkConfig, Benchmark]]:
    from hyperagent.evaluation.pack import load_pack

    loaded = []
    for entry in config.benchmarks:
        pack = load_pack(entry.name, entry.source)
        for note in pack.notes if observer is not None else ():
            observer.message(note)  # type: ignore[union-attr]
        loaded.append((replace(entry, source=pack.source), pack))
    return loaded


def load_program(name: str, base: Path) -> ProgramTree:
    """Files of a program directory; ``seed`` is the shipped generation 0.

    Raises:
        ConfigError: No such directory, or it holds no ``program.toml``.
    """
    root = Path(hyperagent.__file__).parent / "seed" if name == "seed" else base / name
    if not (root / "program.toml").is_file():
        raise ConfigError(f"program = {name!r}: {root} holds no program.toml", hint="see docs/program-interface.md")
    files = (p for p in sorted(root.rglob("*")) if p.is_file() and not set(p.relative_to(root).parts) & set(SKIPPED))
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in files if p.suffix != ".pyc"}


def resolve_models(config: Config, observer: Observer | None) -> Config:
    """Replace empty and ``local/auto`` model names by the models really used."""
    from hyperagent.models import choose_local

    chosen = {}
    for purpose in ("mutation", "evaluation"):
        model = getattr(config.models, purpose) or config.models.model
        if model == "local/auto":
            name, note = choose_local(purpose)
            model = f"local/{name}"
            if note and observer is not None:
                observer.message(note)
        chosen[purpose] = model
    return replace(config, models=replace(config.models, **chosen))


# -- campaigns -----------------------------------------------------------------------------------


class CampaignSession:
    """A wired campaign: ``run`` it once, then ``close``. ``request_stop`` and ``cancel`` may come from a signal."""

    def __init__(self, wiring: Wiring, campaign: Campaign, program: ProgramTree, observer: Observer) -> None:
        from hyperagent.engine.budget import CampaignMeter
        from hyperagent.engine.campaign import CampaignRunner
        from hyperagent.engine.journal import elapsed
        from hyperagent.engine.selection import SELECTORS

        config, archive = wiring.parts.config, wiring.parts.archive
        budget = config.budget
        meter = CampaignMeter(
            Caps(budget.variants, budget.seconds, budget.tokens, budget.cost),
            archive.spend(campaign.id),
            elapsed(archive.events(campaign.id)),
        )
        self.campaign = campaign
        self._wiring = wiring
        self._runner = CampaignRunner(
            campaign, wiring.parts, program, SELECTORS[config.search.selection](), meter, observer
        )

    def run(self) -> CampaignResult:
        return self._runner.run()

    def request_stop(self) -> None:
        self._runner.request_stop()

    def cancel(self) -> None:
        self._runner.cancel()

    def close(self) -> None:
        self._wiring.close()


def new_campaign(config: Config, archive: Archive, observer: Observer, base: Path | None = None) -> CampaignSession:
    """Wire a new campaign and enter it in the archive once everything it needs has answered.

    Args:
        base: Directory that ``config.program`` is relative to; the current one where None.
    """
    program = load_program(config.program, base or Path())
    config = resolve_models(config, observer)
    wiring = Wiring(config, archive, observer)
    try:
        wiring.preflight()
        config = replace(config, benchmarks=tuple(entry for entry, _ in wiring.parts.benchmarks))
        stored = {**to_json(config), "program_files": archive.put_blob(_pack(program))}
        campaign = archive.create_campaign(config.name, config.seed, stored)
        return CampaignSession(wiring, campaign, program, observer)
    except BaseException:
        wiring.close()
        raise


def resume_campaign(
    campaign: Campaign,
    archive: Archive,
    observer: Observer,
    change: Callable[[Config], Config] | None = None,
) -> CampaignSession:
    """Wire an existing campaign again, exactly as it was configured.

    Args:
        change: Applied to the stored config; for caps that were raised.
    """
    config = stored_config(campaign)
    program = _unpack(archive.get_blob(campaign.config["program_files"]))
    wiring = Wiring(change(config) if change else config, archive, observer)
    try:
        wiring.preflight()
        return CampaignSession(wiring, campaign, program, observer)
    except BaseException:
        wiring.close()
        raise


def stored_config(campaign: Campaign) -> Config:
    return from_json({key: value for key, value in campaign.config.items() if key != "program_files"})


def _pack(tree: ProgramTree) -> bytes:
    return json.dumps({path: data.decode("latin-1") for path, data in tree.items()}, sort_keys=True).encode()


def _unpack(data: bytes) -> ProgramTree:
    return {path: text.encode("latin-1") for path, text in json.loads(data).items()}


# -- replay --------------------------------------------------------------------------------------


class CampaignReplayer:
    """Replays variants of any campaign; parts are wired once per campaign and mode, and kept until ``close``."""

    def __init__(self, archive: Archive, observer: Observer | None) -> None:
        self._archive = archive
        self._observer = observer
        self._stack = ExitStack()
        self._wired: dict[tuple[str, bool], Any] = {}

    def evaluation(self, variant: Variant) -> ReplayReport:
        return self._replayer(variant, live=False).evaluation(variant)  # type: ignore[no-any-return]

    def mutation(self, variant: Variant) -> ReplayReport:
        return self._replayer(variant, live=False).mutation(variant)  # type: ignore[no-any-return]

    def live(self, variant: Variant) -> ReplayReport:
        return self._replayer(variant, live=True).live(variant)  # type: ignore[no-any-return]

    def close(self) -> None:
        self._stack.close()

    def _replayer(self, variant: Variant, *, live: bool) -> Any:
        from hyperagent.engine.replay import Replayer

        key = (variant.campaign, live)
        if key not in self._wired:
            config = stored_config(self._archive.campaign(variant.campaign))
            wiring = Wiring(config, self._archive, self._observer, replay=not live, reuse=False)
            self._stack.callback(wiring.close)
            report = self._observer.message if self._observer is not None else (lambda _: None)
            self._wired[key] = Replayer(wiring.parts, report)
        return self._wired[key]


def replayer(archive: Archive, observer: Observer | None = None) -> CampaignReplayer:
    return CampaignReplayer(archive, observer)


# -- planning ------------------------------------------------------------------------------------


def plan(config: Config) -> Plan:
    """What a campaign would do at worst, computed without any model call.

    The seed program asks one question a task; a variant may ask more, up to the caps. Tokens count every prompt at its
    upper bound and every reply at ``models.max_tokens``.
    """
    from hyperagent.models import prompt_bound

    config = resolve_models(config, None)
    client: ModelClient = make_client(config)
    calls = tokens = per_variant = train = 0
    cost = 0.0
    for entry, benchmark in load_benchmarks(config, None):
        for split, limit in (("validation", entry.validation), ("train", entry.train)):
            tasks = benchmark.tasks(split, limit)  # type: ignore[arg-type]
            per_variant, train = (
                (per_variant + len(tasks), train) if split == "validation" else (per_variant, train + len(tasks))
            )
            for task in tasks:
                request = ChatRequest(
                    config.models.evaluation, ({"role": "user", "content": json.dumps(dict(task.input))},)
                )
                prompt = prompt_bound(request)
                calls, tokens = calls + 1, tokens + prompt + config.models.max_tokens
                cost += client.price(request, prompt, config.models.max_tokens)
    steps = config.budget.steps or 4 * config.budget.variants
    mutation = ChatRequest(config.models.mutation, ())
    prompt = 8000
    mutation_calls = config.limits.mutation_calls
    free = config.models.mutation.startswith("random/")
    mutation_tokens = 0 if free else mutation_calls * (prompt + config.models.max_tokens)
    mutation_cost = 0.0 if free else mutation_calls * client.price(mutation, prompt, config.models.max_tokens)
    each_tokens, each_cost = tokens + 4 * mutation_tokens, cost + 4 * mutation_cost
    affordable = config.budget.variants
    if config.budget.tokens:
        affordable = min(affordable, max(config.budget.tokens - tokens, 0) // max(each_tokens, 1))
    if config.budget.cost and each_cost:
        affordable = min(affordable, int(max(config.budget.cost - cost, 0.0) // each_cost))
    notes = [f"mutation by {config.models.mutation}, tasks by {config.models.evaluation}"]
    if affordable < config.budget.variants:
        notes.append(f"in the worst case the caps afford {affordable} of {config.budget.variants} variants")
    return Plan(
        variants=affordable,
        steps=steps,
        tasks_per_variant=per_variant,
        train_tasks=train,
        model_calls=calls * (config.budget.variants + 1) + (0 if free else steps * mutation_calls),
        tokens=tokens * (config.budget.variants + 1) + steps * mutation_tokens,
        cost=cost * (config.budget.variants + 1) + steps * mutation_cost,
        notes=tuple(notes),
    )
