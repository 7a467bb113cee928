"""A small archive whose programs write what a page must not believe."""

from __future__ import annotations

from hyperagent.config import BenchmarkConfig, Config, to_json
from hyperagent.protocols import Archive
from hyperagent.types import CallKey, Campaign, ModelCall, Outcome, SandboxInfo, Split, Variant

OWNED = "window.owned = 1"
HOSTILE = (
    f"</script><script>{OWNED}</script><img src=x onerror='{OWNED}'><!-- {{style}} {{script}} {{data}} "
    "\u202e\u2066\x1b]0;owned\x07 javascript:alert(1) &lt;b&gt; \ud800 \0"
)
LONG_LINE = b"x = '" + b"9" * 900_000 + b"'\n"
TASKS = tuple(f"t{number}" for number in range(12))
INFO = SandboxInfo("process", "none", warnings=("isolates <nothing>",))


def make_campaign(archive: Archive, name: str = "tiny", variants: int = 9) -> Campaign:
    """The seed solves 4 of 12, step n at least n more of 12; steps 3 and 6 have no effect, step 5 fails its screen.

    The parent of step n is step n - 1, or n - 2 where that has no program. Step 2 is the hostile one. Step 1 was also
    read on the hidden test.
    """
    packs = (BenchmarkConfig(name="math_grading", source="elsewhere"),)
    campaign = archive.create_campaign(name, 1, {**to_json(Config(benchmarks=packs)), "note": HOSTILE})
    parent: Variant | None = None
    for step in range(variants + 1):
        parent = add_step(archive, campaign, step, parent) or parent
    return archive.set_campaign_state(campaign.id, "finished", HOSTILE)


def add_step(archive: Archive, campaign: Campaign, step: int, parent: Variant | None) -> Variant | None:
    """One variant; None where it has no program to go on from."""
    variant = archive.start_step(campaign.id, step, parent.id if parent else None, {})
    if step and step % 3 == 0:
        archive.finish_variant(variant.id, "no_effect", reason=f"only README.md changed {HOSTILE}")
        return None
    files = {"task_agent.py": f"answer = {step}\n".encode()}
    if step == 2:
        files |= {"<img src=x onerror=alert(1)>.py": b"</script>\n", "long.py": LONG_LINE}
    archive.commit_program(variant.id, files, "program")
    _call(archive, variant)
    solved = min(11, 4 + step)
    screened = step == 5
    score = _evaluate(archive, variant, "validation", solved, screened, HOSTILE if step == 2 else "wrong")
    if step < 2:
        _evaluate(archive, variant, "train", solved, False, "wrong")
    if step == 1:
        _evaluate(archive, variant, "test", 12, False, "")
    summary = HOSTILE if step == 2 else f"idea {step}"
    status = "screened_out" if screened else "evaluated"
    archive.finish_variant(variant.id, status, score=score, summary=summary if step else "")
    return None if screened else archive.variant(variant.id)


def _evaluate(archive: Archive, variant: Variant, split: Split, solved: int, screened: bool, error: str) -> float:
    tasks = tuple(f"{split}-{task}" for task in TASKS)
    one = archive.start_evaluation(variant.id, "math_grading", split, tasks, 2, "context", INFO)
    ran = tasks[:2] if screened else tasks
    for number, task in enumerate(ran):
        won = number < solved and not screened
        status = "scored" if won else "agent_error"
        answer = '"yes"' if won else '"no"'
        archive.add_outcome(one.id, Outcome(task, status, float(won), answer, "" if won else error))
    score = 0.0 if screened else solved / len(tasks)
    archive.finish_evaluation(one.id, "screened_out" if screened else "finished", score)
    return score


def _call(archive: Archive, variant: Variant) -> None:
    key = CallKey(f"{variant.campaign}/{variant.step}/mutate", "mutate", 0)
    call = ModelCall(key, variant.campaign, variant.id, "mutate", "scripted/made", "", "reserved", 100, 20, 0.25)
    archive.reserve_call(call)
    archive.settle_call(ModelCall(**{**vars(call), "state": "settled", "seconds": 2.0}), b"", b"")
