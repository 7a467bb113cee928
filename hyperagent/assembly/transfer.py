"""Programs of one campaign as the start of another: ``run --from``."""

from __future__ import annotations

from dataclasses import replace

from hyperagent.config import Config
from hyperagent.errors import UsageError
from hyperagent.protocols import Archive
from hyperagent.types import ProgramTree, Variant

TRANSFERRED = "transferred"
"""Event of a campaign that starts from another one's program; its payload is the config's ``origin``."""
BEST = "best"


def source_variant(archive: Archive, reference: str) -> Variant:
    """The variant meant by an id, ``CAMPAIGN/STEP``, or ``CAMPAIGN`` = ``CAMPAIGN/best``.

    Raises:
        NotFoundError: There is no such campaign or variant.
        UsageError: It has no program, or no variant of the campaign has enough descendants for ``best``.
    """
    from hyperagent.engine.growth import FEWEST_DESCENDANTS, best_source

    name, _, step = reference.rpartition("/")
    if step == BEST or not name:
        campaign = next((c for c in archive.campaigns() if c.name == reference), None)
        if step != BEST and campaign is None and _is_variant(archive, reference):
            return _with_program(archive.variant(reference))
        campaign = campaign or archive.campaign(name if step == BEST and name else reference)
        found = best_source(archive.variants(campaign.id))
        if found is None:
            raise UsageError(
                f"campaign {campaign.name}: no variant has {FEWEST_DESCENDANTS} scored descendants, so none is best",
                hint=f"name one yourself: {campaign.name}/STEP; see `hyperagent ls {campaign.name}`",
            )
        return found
    return _with_program(archive.variant(reference))


def starting_program(config: Config, archive: Archive, program: ProgramTree) -> tuple[ProgramTree, Config]:
    """Generation 0, and the config with the id of the variant that it came from.

    Args:
        program: The one that ``config.program`` names.

    Raises:
        NotFoundError, UsageError: The variant that ``config.origin`` names does not exist or has no program.
    """
    if not config.origin.variant:
        return program, config
    source = source_variant(archive, config.origin.variant)
    origin = replace(config.origin, variant=source.id)
    return transferred(program, archive.read_tree(source.commit), origin.keep), replace(config, origin=origin)


def transferred(program: ProgramTree, source: ProgramTree, keep: str) -> ProgramTree:
    """The source with the part that is not kept replaced by the one of ``program``, by file ownership."""
    from hyperagent.engine.ownership import with_part

    if keep == "meta":
        return with_part(source, program, "task")
    return with_part(source, program, "meta") if keep == "task" else source


def _is_variant(archive: Archive, reference: str) -> bool:
    from hyperagent.errors import NotFoundError

    try:
        archive.variant(reference)
    except NotFoundError:
        return False
    return True


def _with_program(variant: Variant) -> Variant:
    if not variant.commit:
        raise UsageError(
            f"variant {variant.id} ({variant.status}) has no program to start from",
            hint="`hyperagent ls` shows which variants were evaluated",
        )
    return variant
