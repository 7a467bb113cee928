"""What every Archive promises, whatever it is made of. To check another one, add its factory to ``FACTORIES``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from hyperagent.archive import open_archive
from hyperagent.errors import ArchiveDamaged, ConfigError, NotFoundError
from hyperagent.protocols import Archive
from hyperagent.types import CallKey, ModelCall, Outcome, SandboxInfo, Spend, Variant

Factory = Callable[[Path], Archive]


def sqlite_store(path: Path) -> Archive:
    return open_archive(path / "home", write=True, create=True)


FACTORIES: list[Factory] = [sqlite_store]
SANDBOX = SandboxInfo("process", "none", warnings=("isolates nothing",))
TREE = {"task_agent.py": b"a = 1\n", "tools/bash.py": b"b\r\n\x00\xff", "tools/deep/x.txt": b"", "tools.py": b"c"}


@pytest.fixture(params=FACTORIES)
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Archive]:
    archive: Archive = request.param(tmp_path)
    yield archive
    archive.close()


def seeded(archive: Archive, name: str = "demo") -> Variant:
    campaign = archive.create_campaign(name, 1, {"budget": {"cost": 1.0}})
    variant = archive.start_step(campaign.id, 0, None, {"why": "seed"})
    return archive.commit_program(variant.id, TREE, "seed program")


def call(campaign: str, sequence: int = 0, **changes: object) -> ModelCall:
    base = ModelCall(CallKey("job/1", "t1", sequence), campaign, "v", "evaluate", "m", "h", "reserved", 100, 50, 0.5)
    return replace(base, **changes)  # type: ignore[arg-type]


def settle(archive: Archive, one: ModelCall, reply: bytes = b"reply") -> None:
    archive.reserve_call(one)
    archive.settle_call(replace(one, state="settled", prompt_tokens=10, completion_tokens=5, cost=0.1), b"req", reply)


# -- campaigns and references


def test_a_taken_campaign_name_gets_a_number(archive: Archive) -> None:
    names = [archive.create_campaign("demo", seed, {"x": [1, None]}).name for seed in (1, 2, 3)]
    assert names == ["demo", "demo-2", "demo-3"]
    assert [one.name for one in archive.campaigns()] == names
    assert archive.campaign("demo-2").config == {"x": [1, None]}


@pytest.mark.parametrize("name", ["", "a/b", "..", "a..b", "-x", "a.lock", "a b", "ä", "x" * 101, "a\n"])
def test_a_campaign_name_that_git_or_references_cannot_hold_is_refused(archive: Archive, name: str) -> None:
    with pytest.raises(ConfigError):
        archive.create_campaign(name, 1, {})


def test_campaign_states_are_kept_and_journalled(archive: Archive) -> None:
    campaign = archive.create_campaign("demo", 1, {})
    assert campaign.state == "running"
    archive.set_campaign_state("demo", "budget_reached", "tokens \ud800")
    assert archive.campaign("demo").state == "budget_reached"
    assert [one.kind for one in archive.events("demo")] == ["campaign_created", "campaign_state"]


def test_references(archive: Archive) -> None:
    variant = seeded(archive)
    archive.create_campaign("other", 1, {})
    for reference in ("demo", "dem", archive.campaign("demo").id, archive.campaign("demo").id[:5]):
        assert archive.campaign(reference).name == "demo"
    for reference in (variant.id, variant.id[:6], "demo/0", "dem/0", f"{variant.campaign}/0"):
        assert archive.variant(reference) == variant


def test_unknown_references_name_what_is_near(archive: Archive) -> None:
    seeded(archive, "quickstart")
    with pytest.raises(NotFoundError) as caught:
        archive.campaign("quikstart")
    assert "quickstart" in caught.value.hint
    for reference in ("quickstart/7", "quickstart/x", "nowhere/0", "", "zz", "quickstart", "quickstart/-1"):
        with pytest.raises(NotFoundError):
            archive.variant(reference)


def test_an_ambiguous_reference_is_refused(archive: Archive) -> None:
    archive.create_campaign("run-a", 1, {})
    archive.create_campaign("run-b", 1, {})
    with pytest.raises(NotFoundError) as caught:
        archive.campaign("run")
    assert "run-a" in caught.value.hint
    assert "run-b" in caught.value.hint


# -- variants


def test_a_variant_from_start_to_end(archive: Archive) -> None:
    seed = seeded(archive)
    assert (seed.status, seed.step, seed.generation, seed.parent) == ("pending", 0, 0, None)
    child = archive.start_step("demo", 1, seed.id, {})
    assert (child.status, child.generation, child.commit, child.tree) == ("mutating", 1, "", "")
    blob = archive.put_blob(b"chat")
    archive.describe_mutation(child.id, summary="more \x00 \ud800", seconds=1.5, transcript_blob=blob)
    child = archive.commit_program(child.id, {**TREE, "new.py": b"1"}, "edit")
    child = archive.finish_variant(child.id, "evaluated", score=0.25)
    assert child == archive.variant("demo/1")
    assert (child.summary, child.seconds, child.score) == ("more \x00 \ud800", 1.5, 0.25)
    assert [one.step for one in archive.variants("demo")] == [0, 1]
    kinds = [one.kind for one in archive.events("demo")]
    assert kinds.count("step_started") == 2
    assert kinds[-3:] == ["mutation_described", "program_committed", "variant_finished"]
    assert archive.events("demo")[-3].payload["transcript_blob"] == blob


@pytest.mark.parametrize("status", ["evaluated", "screened_out", "raced_out", "no_effect", "duplicate", "invalid"])
def test_a_finished_variant_never_changes(archive: Archive, status: str) -> None:
    seed = seeded(archive)
    done = archive.finish_variant(seed.id, status, score=0.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs"):
        archive.finish_variant(seed.id, "evaluated", score=0.9)
    with pytest.raises(ValueError, match="needs"):
        archive.commit_program(seed.id, {}, "again")
    with pytest.raises(ValueError, match="needs"):
        archive.describe_mutation(seed.id, summary="x", seconds=1, transcript_blob="")
    with pytest.raises(ValueError, match="exists"):
        archive.start_step("demo", 0, None, {})
    assert archive.variant(seed.id) == done


def test_a_variant_cannot_finish_as_unfinished_or_without_a_program(archive: Archive) -> None:
    campaign = archive.create_campaign("demo", 1, {})
    variant = archive.start_step(campaign.id, 0, None, {})
    with pytest.raises(ValueError, match="not a final status"):
        archive.finish_variant(variant.id, "pending")
    with pytest.raises(ValueError, match="no program"):
        archive.finish_variant(variant.id, "evaluated", score=1.0)
    assert archive.finish_variant(variant.id, "invalid", reason="crashed").commit == ""


def test_a_cut_off_step_is_taken_up_again(archive: Archive) -> None:
    seed = seeded(archive)
    first = archive.start_step("demo", 1, seed.id, {"attempt": 1})
    assert archive.start_step("demo", 1, seed.id, {"attempt": 2}) == first
    with pytest.raises(ValueError, match="exists"):
        archive.start_step("demo", 1, None, {})
    started = [one.payload["attempt"] for one in archive.events("demo") if one.payload.get("step") == 1]
    assert started == [1, 2]


# -- programs


def test_programs_come_back_as_they_went_in(archive: Archive) -> None:
    seed = seeded(archive)
    assert archive.read_tree(seed.commit) == TREE
    assert archive.tree_id(TREE) == seed.tree
    assert archive.tree_id(dict(reversed(TREE.items()))) == seed.tree
    assert archive.variants_with_tree(seed.tree) == [seed]
    assert archive.variants_with_tree("") == []


def test_equal_steps_of_campaigns_of_one_name_have_equal_commits(archive: Archive, tmp_path: Path) -> None:
    seed = seeded(archive)
    other = seeded(open_archive(tmp_path / "elsewhere", write=True, create=True))
    assert (seed.commit, seed.tree) == (other.commit, other.tree)
    assert seed.id != other.id
    assert seeded(archive).commit != seed.commit  # named demo-2


def test_diff_is_unified(archive: Archive) -> None:
    seed = seeded(archive)
    child = archive.start_step("demo", 1, seed.id, {})
    child = archive.commit_program(child.id, {**TREE, "task_agent.py": b"a = 2\n"}, "edit")
    lines = archive.diff(seed.commit, child.commit).splitlines()
    assert lines[-2:] == ["-a = 1", "+a = 2"]
    assert archive.diff(seed.commit, seed.commit) == ""


HOSTILE = ["/etc/passwd", "../x", "a/../b", "a//b", "", ".", "./a", "a/", "...", "a\\b", "a\nb", "a\0b", "\ud800"]
HOSTILE += [".git", ".git/config", "a/.GIT/hooks/x", "git~1/x", ".git./x", ".git /x", ".git::$INDEX/x", ".g\u200cit/x"]
HOSTILE += [".gitmodules", "x/.gitattributes", "y" * 256, "/".join(["z" * 200] * 6)]


@pytest.mark.parametrize("path", HOSTILE)
def test_hostile_paths_are_refused_and_store_nothing(archive: Archive, path: str) -> None:
    campaign = archive.create_campaign("demo", 1, {})
    variant = archive.start_step(campaign.id, 0, None, {})
    for refused in (archive.tree_id, lambda tree: archive.commit_program(variant.id, tree, "m")):
        with pytest.raises(ValueError, match="path"):
            refused({"ok.py": b"", path: b"x"})
    assert archive.variant(variant.id).status == "mutating"


def test_a_file_that_is_also_a_folder_is_refused(archive: Archive) -> None:
    with pytest.raises(ValueError, match="both"):
        archive.tree_id({"a": b"", "a/b": b""})


def test_odd_but_harmless_paths_are_kept(archive: Archive) -> None:
    tree = {".gitignore": b"x", "a b/ä.py": b"1", "-rf": b"2", "a.b": b"", "a/c": b"", "a0": b"", "gi~": b"3"}
    campaign = archive.create_campaign("demo", 1, {})
    variant = archive.start_step(campaign.id, 0, None, {})
    variant = archive.commit_program(variant.id, tree, "hostile\0 message \ud800\n\nCampaign: forged\n")
    assert archive.read_tree(variant.commit) == tree
    assert archive.verify() == []


def test_an_unknown_commit_is_reported_as_damage(archive: Archive) -> None:
    for commit in ("0" * 40, "--output=x", "", "HEAD"):
        with pytest.raises(ArchiveDamaged):
            archive.read_tree(commit)


# -- evaluations


def test_an_evaluation_from_start_to_end(archive: Archive) -> None:
    seed = seeded(archive)
    running = archive.start_evaluation(seed.id, "math", "validation", ["t2", "t1"], 1, "ctx", SANDBOX)
    again = archive.start_evaluation(seed.id, "math", "validation", ["t2", "t1"], 1, "ctx", SANDBOX)
    assert again == running
    assert (running.tasks, running.sandbox, running.state) == (("t2", "t1"), SANDBOX, "running")
    odd = Outcome("t1", "scored", 1, '"\ud800\x00"', seconds=1, spend=Spend(1, 2, 3, 4, 0.5))
    archive.add_outcome(running.id, odd)
    assert archive.find_evaluation(seed.tree, "math", "validation", "ctx") is None
    with pytest.raises(ValueError, match="lacks"):
        archive.finish_evaluation(running.id, "finished", 1.0)
    archive.add_outcome(running.id, Outcome("t2", "agent_error", 0.0, error="boom"))
    assert [one.task for one in archive.outcomes(running.id)] == ["t2", "t1"]
    assert archive.outcomes(running.id)[1] == odd
    done = archive.finish_evaluation(running.id, "finished", 0.5)
    assert archive.evaluations(seed.id) == [done]
    assert archive.find_evaluation(seed.tree, "math", "validation", "ctx") == done
    assert archive.find_evaluation(seed.tree, "math", "validation", "other") is None
    assert archive.find_evaluation("", "math", "validation", "ctx") is None
    assert archive.start_evaluation(seed.id, "math", "validation", ["t2"], 0, "ctx", SANDBOX) == done
    assert archive.start_evaluation(seed.id, "math", "validation", ["t2"], 0, "other", SANDBOX).id != done.id


def test_outcomes_are_added_once_and_only_where_planned(archive: Archive) -> None:
    seed = seeded(archive)
    running = archive.start_evaluation(seed.id, "math", "train", ["t1", "t2"], 0, "ctx", SANDBOX)
    archive.add_outcome(running.id, Outcome("t1", "scored", 1.0))
    for outcome in (Outcome("t1", "scored", 0.0), Outcome("t9", "scored", 0.0)):
        with pytest.raises(ValueError, match=outcome.task):
            archive.add_outcome(running.id, outcome)
    for score in (float("nan"), 1.5, -0.1):
        with pytest.raises(ValueError, match="score"):
            archive.add_outcome(running.id, Outcome("t2", "scored", score))
    archive.add_outcome(running.id, Outcome("t2", "lost", 0.0))
    archive.add_outcome(running.id, Outcome("t2", "scored", 0.5))
    archive.finish_evaluation(running.id, "finished", 0.75)
    with pytest.raises(ValueError, match="never changes"):
        archive.finish_evaluation(running.id, "finished", 0.1)
    with pytest.raises(ValueError, match="never changes"):
        archive.add_outcome(running.id, Outcome("t2", "scored", 0.5))
    with pytest.raises(ValueError, match="no evaluation"):
        archive.outcomes(99)
    assert [one.score for one in archive.outcomes(running.id)] == [1.0, 0.5]
    assert archive.verify() == []


def test_a_screened_out_evaluation_needs_its_screen_only(archive: Archive) -> None:
    seed = seeded(archive)
    running = archive.start_evaluation(seed.id, "math", "validation", ["t1", "t2"], 1, "ctx", SANDBOX)
    with pytest.raises(ValueError, match="lacks"):
        archive.finish_evaluation(running.id, "screened_out", 0.0)
    archive.add_outcome(running.id, Outcome("t1", "scored", 0.0))
    assert archive.finish_evaluation(running.id, "screened_out", 0.0).state == "screened_out"


def test_a_raced_evaluation_needs_its_first_task_only(archive: Archive) -> None:
    seed = seeded(archive)
    running = archive.start_evaluation(seed.id, "math", "validation", ["t2", "t1"], 0, "ctx", SANDBOX)
    archive.add_outcome(running.id, Outcome("t1", "scored", 0.0))
    with pytest.raises(ValueError, match="lacks"):
        archive.finish_evaluation(running.id, "raced", 0.0)
    archive.add_outcome(running.id, Outcome("t2", "scored", 1.0))
    assert archive.finish_evaluation(running.id, "raced", 0.5).state == "raced"


@pytest.mark.parametrize(("tasks", "screen"), [([], 0), (["a", "a"], 0), (["a"], 2), (["a"], -1)])
def test_an_impossible_plan_is_refused(archive: Archive, tasks: list[str], screen: int) -> None:
    with pytest.raises(ValueError, match="evaluation needs"):
        archive.start_evaluation(seeded(archive).id, "math", "train", tasks, screen, "ctx", SANDBOX)


# -- calls and blobs


def test_calls_are_reserved_settled_and_found(archive: Archive) -> None:
    campaign = archive.create_campaign("demo", 1, {}).id
    archive.reserve_call(call(campaign))
    assert archive.recorded_call(call(campaign).key) is None
    assert archive.spend(campaign) == Spend(1, 0, 100, 50, 0.5)
    archive.settle_call(call(campaign, state="settled", prompt_tokens=10, seconds=2.0), b"req", b"reply")
    found = archive.recorded_call(call(campaign).key)
    assert found is not None
    assert (found.state, found.prompt_tokens, found.seconds) == ("settled", 10, 2.0)
    assert (archive.get_blob(found.request_blob), archive.get_blob(found.reply_blob)) == (b"req", b"reply")
    assert archive.cached_call("h") == found
    assert archive.cached_call("other") is None
    assert archive.calls(campaign=campaign, job="job/1") == [found]
    assert archive.calls(variant="nobody") == []
    with pytest.raises(ValueError, match="no call is reserved"):
        archive.settle_call(call(campaign, state="settled"), b"", b"")
    with pytest.raises(ValueError, match="reserved"):
        archive.reserve_call(call(campaign, state="settled"))


def test_a_cut_off_call_counts_and_the_newer_one_is_replayed(archive: Archive) -> None:
    campaign = archive.create_campaign("demo", 1, {}).id
    archive.reserve_call(call(campaign))
    settle(archive, call(campaign), b"second attempt")
    settle(archive, call(campaign), b"third attempt")
    found = archive.recorded_call(call(campaign).key)
    assert found is not None
    assert archive.get_blob(found.reply_blob) == b"third attempt"
    assert [one.state for one in archive.calls(campaign=campaign)] == ["reserved", "settled", "settled"]
    assert archive.spend(campaign) == Spend(3, 0, 120, 60, 0.5 + 0.1 + 0.1)


def test_cached_calls_cost_nothing_and_failed_ones_never_answer(archive: Archive) -> None:
    campaign = archive.create_campaign("demo", 1, {}).id
    archive.reserve_call(call(campaign, 0))
    archive.settle_call(call(campaign, 0, state="settled", cached=True), b"req", b"reply")
    assert archive.cached_call("h") is None
    archive.reserve_call(call(campaign, 1))
    archive.settle_call(call(campaign, 1, state="failed", prompt_tokens=7, completion_tokens=0, cost=0.0), b"r", b"")
    assert archive.recorded_call(call(campaign, 1).key) is None
    assert archive.cached_call("h") is None
    assert archive.spend(campaign) == Spend(1, 1, 7, 0, 0.0)


@pytest.mark.parametrize("data", [b"", b"small", bytes(range(256)) * 2, b"".join(b"%d" % i**9 for i in range(9000))])
def test_blobs_come_back(archive: Archive, data: bytes) -> None:
    assert archive.put_blob(data) == archive.put_blob(data)
    assert archive.get_blob(archive.put_blob(data)) == data
    with pytest.raises(ArchiveDamaged):
        archive.get_blob("0" * 64)


# -- journal and threads


def test_events_come_in_order_and_after_a_number(archive: Archive) -> None:
    archive.create_campaign("demo", 1, {})
    archive.create_campaign("other", 1, {})
    first = archive.append_event("demo", "note", {"text": "ä\ud800", "n": 1.5})
    archive.append_event("other", "note", {})
    second = archive.append_event("demo", "note", {})
    assert archive.events("demo")[1:] == [first, second]
    assert archive.events("demo", after=first.sequence) == [second]
    assert len({one.digest for one in archive.events("demo")}) == 3


def test_threads_may_write_and_read_at_once(archive: Archive) -> None:
    seed = seeded(archive)

    def work(step: int) -> bool:
        variant = archive.start_step("demo", step, seed.id, {})
        tree = {**TREE, "n.py": b"%d" % step}
        variant = archive.commit_program(variant.id, tree, "edit")
        running = archive.start_evaluation(variant.id, "math", "train", ["t"], 0, "ctx", SANDBOX)
        settle(archive, call(seed.campaign, step))
        archive.add_outcome(running.id, Outcome("t", "scored", 1.0))
        archive.finish_evaluation(running.id, "finished", 1.0)
        archive.finish_variant(variant.id, "evaluated", score=1.0)
        return archive.read_tree(variant.commit) == tree

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(1, 9)))
    assert [one.status for one in archive.variants("demo")] == ["pending"] + ["evaluated"] * 8
    assert archive.spend(seed.campaign).calls == 8
    assert archive.verify() == []
