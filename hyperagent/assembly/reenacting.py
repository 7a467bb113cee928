"""``replay CAMPAIGN``: a fresh archive, and a campaign that is made again in it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from hyperagent.assembly.wiring import Wiring, open_archive, stored_config, stored_program
from hyperagent.errors import UsageError
from hyperagent.protocols import Archive, Observer
from hyperagent.types import Campaign, CampaignReplay


def replay_campaign(
    archive: Archive, campaign: Campaign, observer: Observer, into: Path | None = None
) -> CampaignReplay:
    """Make a campaign again from its journal and its recorded calls, and compare it with what is archived.

    Args:
        archive: Only read.
        into: Folder of the archive that is made, which must not exist or be empty; None = a temporary one.

    Raises:
        UsageError: ``into`` is not empty.
        EvaluationsLost: Infrastructure failed under the replay.
    """
    from hyperagent.engine.reenactment import Reenactment
    from hyperagent.models import RecordedCalls

    with ExitStack() as stack:
        if into is None:
            into_path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ha-replay-"))) / "archive"
        else:
            into_path = into
            if into.exists() and (not into.is_dir() or any(into.iterdir())):
                raise UsageError(f"--into {into}: there is something already", hint="name a folder that is not there")
        fresh = open_archive(into_path, write=True, create=True)
        stack.callback(fresh.close)
        program = stored_program(archive, campaign)
        fresh.put_blob(archive.get_blob(campaign.config["program_files"]))
        made = fresh.create_campaign(campaign.name, campaign.random_seed, campaign.config, campaign.id)
        stored = stored_config(campaign)
        # What another campaign's outcomes were taken over for is run here: nothing else is in this archive.
        config = replace(stored, search=replace(stored.search, reuse_evaluations=False))
        origins = _origins(archive, campaign)
        calls = RecordedCalls(
            archive, fresh, campaign.id, lambda job: origins.get(job, job), _variant_of(archive, campaign)
        )
        wiring = stack.enter_context(Wiring(config, fresh, observer, replay=True, reuse=False, recorder=calls))
        found = Reenactment(archive, made, wiring.parts, program, observer.message, lambda: calls.served).replay()
        return replace(found, archive=str(into) if into else "")


def _origins(archive: Archive, campaign: Campaign) -> Mapping[str, str]:
    """Job of an evaluation that was taken over -> job that its calls were recorded under."""
    from hyperagent.engine.evaluate import evaluation_job
    from hyperagent.engine.reuse import EVALUATION_REUSED

    found = {}
    for event in archive.events_of(campaign.id, EVALUATION_REUSED):
        variant, origin = archive.variant(event.payload["variant"]), archive.variant(event.payload["origin"])
        for one in archive.evaluations(variant.id):
            if one.id == event.payload["evaluation"]:
                job = evaluation_job(variant.campaign, variant.step, one.benchmark, one.split)
                found[job] = evaluation_job(origin.campaign, origin.step, one.benchmark, one.split)
    return found


def _variant_of(archive: Archive, campaign: Campaign) -> Callable[[str], str]:
    ids = {str(variant.step): variant.id for variant in archive.variants(campaign.id)}
    return lambda job: ids.get(job.split("/")[1], "")
