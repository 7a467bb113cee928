"""Config in, wired campaigns and replays out."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import hyperagent
from hyperagent.assembly.costs import PricedClient, check_prices
from hyperagent.assembly.transfer import TRANSFERRED, starting_program
from hyperagent.config import BenchmarkConfig, Config, from_json, to_json
from hyperagent.errors import ConfigError, SandboxUnavailable
from hyperagent.protocols import Archive, Benchmark, CallRecorder, ModelClient, Observer, Sandbox
from hyperagent.types import (
    Campaign,
    CampaignResult,
    Caps,
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
        candidates: Adapters that can be used although they are not offered.
        recorder: Where calls are recorded and found; None = the archive.
    """

    def __init__(
        self,
        config: Config,
        archive: Archive,
        observer: Observer | None,
        *,
        replay: bool = False,
        reuse: bool = True,
        candidates: Collection[str] = (),
        recorder: CallRecorder | None = None,
    ) -> None:
        from hyperagent.engine.parts import Parts
        from hyperagent.models import LocalBroker

        self._stack = ExitStack()
        try:
            report = observer.message if observer is not None else None
            self.client = self._stack.enter_context(model_client(config, report, candidates))
            runtime = Path(tempfile.mkdtemp(prefix="ha-"))
            self._stack.callback(shutil.rmtree, runtime, ignore_errors=True)
            runtime.chmod(0o755)
            broker = LocalBroker(
                self.client,
                recorder or archive,
                runtime_directory=runtime,
                timeout=config.models.timeout,
                retries=config.models.retries,
                fallbacks=config.models.fallback_models,
                embedding=config.models.embedding,
                concurrency=config.models.concurrency,
                random=random.Random(config.seed).random,
                replay=replay,
                reuse=reuse,
            )
            sandbox = make_sandbox(config, archive.path)
            packs = load_benchmarks(config, observer)
            self.parts = Parts(archive, broker, sandbox, packs, config)
            self._stack.callback(sandbox.reap)  # before the first one can exist
            sandbox.prepare(packages for _, pack in packs for packages in packages_of(pack))
        except BaseException:
            self._stack.close()
            raise
        if observer is not None:
            observer.message(f"sandbox: {sandbox.info.backend} ({sandbox.info.isolation})")
            for warning in sandbox.info.warnings:
                observer.message(f"warning: {warning}")

    def preflight(self) -> None:
        """One tiny call to every model, so that a wrong key or name shows before anything is archived.

        Before that, prices: a cap on dollars needs them.

        Raises:
            ConfigError: There is a cap on dollars, and a model without a price.
            ModelUnavailable: The model refuses for good.
            ModelLost: It cannot be reached now.
        """
        from hyperagent.models import probe

        check_prices(self.client, self.parts.config)
        models = self.parts.config.models
        for model in dict.fromkeys((*models.mutation_models, models.evaluation)):
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


@contextmanager
def model_client(
    config: Config, report: Callable[[str], None] | None = None, candidates: Collection[str] = ()
) -> Iterator[ModelClient]:
    """The model client of a campaign: local models, random edits, or any LiteLLM provider, by the model's prefix.

    Args:
        report: Is told of a model server that is started.
        candidates: Adapters that may be used although they are not offered.
    """
    from hyperagent.assembly.serving import served_models
    from hyperagent.models import LiteLLMClient, LocalModels, PlantedClient, Prices, RoutingClient, UniformClient

    models = config.models
    prices = Prices(models.price_prompt, models.price_completion)
    with LocalModels(candidates=candidates) as local, served_models(report) as served:
        own = PricedClient(local, models.price_prompt, models.price_completion)
        routes: dict[str, ModelClient] = {"local": own, "random": UniformClient(), "planted": PlantedClient()}
        for name in models.served:
            routes[name] = PricedClient(served, models.price_prompt, models.price_completion)
        for name in config.models.fallback_models:
            if not name.startswith(("local/", "random/")):
                routes[name] = LiteLLMClient("", prices)  # at its own provider, not at the first model's address
        yield RoutingClient(routes, LiteLLMClient(models.api_base, prices))


def make_sandbox(config: Config, archive: Path) -> Sandbox:
    """The backend the config asks for; ``auto`` is Docker, else bubblewrap, and whoever runs it is told which.

    Raises:
        SandboxUnavailable: ``auto`` found neither.
    """
    from hyperagent.sandbox import BubblewrapSandbox, DockerSandbox, InProcessSandbox, ProcessSandbox

    owner = owner_of(archive)
    backend = config.sandbox.backend
    if backend == "auto":
        backend = choose_backend(config)
    if backend == "process":
        return ProcessSandbox(owner, keep=config.search.workers)
    if backend == "inprocess":
        check_no_model_writes(config)
        return InProcessSandbox()
    if backend == "bubblewrap":
        return BubblewrapSandbox(owner)
    return DockerSandbox(owner, config.sandbox.image, pool=config.sandbox.pool, runtime=config.sandbox.runtime)


def check_no_model_writes(config: Config) -> None:
    """Refuse to run what a model wrote inside the engine itself: a shipped double fills in a program's own forms.

    Raises:
        ConfigError: A model of the campaign is none of the doubles.
    """
    models = config.models
    for model in (*models.mutation_models, models.evaluation or models.model, *models.fallback_models):
        if not model.startswith(("planted/", "random/", "none/")):
            raise ConfigError(
                f"sandbox.backend = inprocess: {model} could write code that runs inside the engine",
                hint="it takes models named planted/... and random/... only; else use docker, bubblewrap or process",
            )


def choose_backend(config: Config) -> str:
    """What ``auto`` is here: the strongest that answers. What only Docker has, an image or a runtime, asks for Docker.

    Raises:
        SandboxUnavailable: Neither works.
    """
    from hyperagent.sandbox import bubblewrap_status, docker_status

    answers, no_docker, docker_hint = docker_status()
    if answers or config.sandbox.image or config.sandbox.runtime:
        return "docker"
    works, no_bubblewrap, bubblewrap_hint = bubblewrap_status()
    if not works:
        raise SandboxUnavailable(
            f"no sandbox can be made here: {no_docker}; {no_bubblewrap}",
            hint=f"{docker_hint}; or {bubblewrap_hint}",
        )
    return "bubblewrap"


def owner_of(archive: Path) -> str:
    """Name under which an archive's sandboxes are labelled: 12 hex digits, a function of its place."""
    return hashlib.sha256(str(archive.resolve()).encode()).hexdigest()[:12]


def load_benchmarks(config: Config, observer: Observer | None) -> Sequence[tuple[BenchmarkConfig, Benchmark]]:
    from hyperagent.evaluation.pack import load_pack

    loaded = []
    for entry in config.benchmarks:
        pack = load_pack(entry.name, entry.source)
        for note in pack.notes if observer is not None else ():
            observer.message(note)  # type: ignore[union-attr]
        screen = min(pack.manifest.screen, entry.validation or pack.manifest.screen)
        screen = screen if entry.screen < 0 else entry.screen
        loaded.append((replace(entry, source=pack.source, screen=screen), pack))
    return loaded


def packages_of(benchmark: Benchmark) -> Iterator[tuple[str, ...]]:
    """Every set of packages that a benchmark's sandboxes hold."""
    yield benchmark.needs.packages
    if benchmark.examiner is not None:
        yield benchmark.examiner.needs.packages


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

    def chosen(purpose: Literal["mutation", "evaluation"], model: str) -> str:
        if model != "local/auto":
            return model
        name, note = choose_local(purpose)
        if note and observer is not None:
            observer.message(note)
        return f"local/{name}"

    models = config.models
    several = [chosen("mutation", model) for model in models.mutation_models]
    evaluation = chosen("evaluation", models.evaluation or models.model)
    names = ", ".join(several) if len(several) > 1 else ""
    return replace(config, models=replace(models, mutation=several[0], mutations=names, evaluation=evaluation))


# -- campaigns -----------------------------------------------------------------------------------


class CampaignSession:
    """A wired campaign: ``run`` it once, then ``close``. ``request_stop`` and ``cancel`` may come from a signal."""

    def __init__(self, wiring: Wiring, campaign: Campaign, program: ProgramTree, observer: Observer) -> None:
        from hyperagent.engine.budget import CampaignMeter
        from hyperagent.engine.campaign import CampaignRunner
        from hyperagent.engine.journal import elapsed
        from hyperagent.engine.selection import SELECTORS, make_selector

        config, archive = wiring.parts.config, wiring.parts.archive
        budget = config.budget
        meter = CampaignMeter(
            Caps(budget.variants, budget.seconds, budget.tokens, budget.cost),
            archive.spend(campaign.id),
            elapsed(archive, campaign.id),
            calls=budget.calls,
            variant=budget.variant,
            task=budget.task,
            ledger=archive,
        )
        self.campaign = campaign
        self._wiring = wiring
        self._runner = CampaignRunner(
            campaign,
            wiring.parts,
            program,
            make_selector(wiring.parts, campaign.id),
            meter,
            observer,
            SELECTORS[config.search.plateau_selection](),
        )

    def run(self) -> CampaignResult:
        return self._runner.run()

    def request_stop(self) -> None:
        self._runner.request_stop()

    def cancel(self) -> None:
        self._runner.cancel()

    def close(self) -> None:
        self._wiring.close()


def new_campaign(
    config: Config,
    archive: Archive,
    observer: Observer,
    base: Path | None = None,
    program: ProgramTree | None = None,
) -> CampaignSession:
    """Wire a new campaign and enter it in the archive once everything it needs has answered.

    Args:
        base: Directory that ``config.program`` is relative to; the current one where None.
        program: In place of the one that ``config.program`` names.
    """
    from hyperagent.engine.modes import mode_of

    mode = mode_of(config)
    config = resolve_models(mode.applied(config), observer)
    program = load_program(config.program, base or Path()) if program is None else program
    program, config = starting_program(config, archive, program)
    program = mode.generation0(program)
    wiring = Wiring(config, archive, observer)
    try:
        wiring.preflight()
        config = replace(config, benchmarks=tuple(entry for entry, _ in wiring.parts.benchmarks))
        stored = {**to_json(config), "program_files": archive.put_blob(pack_program(program))}
        campaign = archive.create_campaign(config.name, config.seed, stored)
        if config.origin.variant:
            archive.append_event(campaign.id, TRANSFERRED, to_json(config)["origin"])
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
    program = stored_program(archive, campaign)
    wiring = Wiring(change(config) if change else config, archive, observer)
    try:
        wiring.preflight()
        return CampaignSession(wiring, campaign, program, observer)
    except BaseException:
        wiring.close()
        raise


def stored_config(campaign: Campaign) -> Config:
    return from_json({key: value for key, value in campaign.config.items() if key != "program_files"})


def stored_program(archive: Archive, campaign: Campaign) -> ProgramTree:
    """Generation 0, as it was when the campaign began."""
    return _unpack(archive.get_blob(campaign.config["program_files"]))


def pack_program(tree: ProgramTree) -> bytes:
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

    def evaluation(self, variant: Variant, task: str = "") -> ReplayReport:
        return self._replayer(variant, live=False).evaluation(variant, task)  # type: ignore[no-any-return]

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
