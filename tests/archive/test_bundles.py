"""Bundles: what one archive gives away, another takes in whole, and nothing else is taken in."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from forging import (
    SANDBOX,
    Parts,
    Rows,
    entry,
    evil_tree,
    export,
    first,
    forge,
    git_object,
    make_campaign,
    members,
    of_another,
    of_names,
    other_campaign,
    tree_bomb,
    write,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyperagent.archive import open_archive
from hyperagent.archive.bundle import Bundle
from hyperagent.archive.intake import read_rows
from hyperagent.archive.programs import read_objects
from hyperagent.archive.store import Store
from hyperagent.errors import ArchiveDamaged, ConfigError, NotFoundError, UsageError
from hyperagent.types import CallKey, Outcome


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive with two campaigns whose events are interleaved, so that the chain of each has gaps."""
    path = tmp_path_factory.mktemp("source") / "home"
    with open_archive(path, write=True, create=True) as archive:
        make_campaign(archive, "other")
        make_campaign(archive)
        archive.append_event("other", "note", {})
        archive.append_event("demo", "note", {"evaluation": 3})
    return path


@pytest.fixture(scope="module")
def bundle(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(home, tmp_path_factory.mktemp("made") / "demo.hyb")


@pytest.fixture
def new(tmp_path: Path) -> Iterator[Store]:
    """An archive elsewhere, which has a campaign of its own so that numbers differ."""
    with open_archive(tmp_path / "far" / "away", write=True, create=True) as archive:
        own = make_campaign(archive, "mine")
        more = archive.start_evaluation(own.id, "m", "train", ["a"], 0, "else", SANDBOX)
        archive.add_outcome(more.id, Outcome("a", "lost", 0.0))
        archive.append_event("mine", "note", {})
        yield archive


def content(archive: Store, campaign: str) -> Any:
    """Everything that can be read of a campaign but the numbers that an archive gives."""
    variants = archive.variants(campaign)
    evaluations = [one for variant in variants for one in archive.evaluations(variant.id)]
    return (
        variants,
        [archive.read_tree(one.commit) for one in variants if one.commit],
        [(one.variant, one.benchmark, one.split, one.tasks, one.state, one.score) for one in evaluations],
        [archive.outcomes(one.id) for one in evaluations],
        archive.calls(campaign=variants[0].campaign),
        [archive.get_blob(call.reply_blob) for call in archive.calls(campaign=variants[0].campaign)],
        [(one.kind, one.created) for one in archive.events(campaign) if one.kind != "campaign_imported"],
        archive.spend(variants[0].campaign),
    )


def snapshot(archive: Store) -> Any:
    files = {path.relative_to(archive.path): path.stat().st_size for path in (archive.path / "lineage.git").rglob("*")}
    blobs = sorted(path.name for path in (archive.path / "blobs").rglob("*"))
    return archive.campaigns(), files, blobs, archive.events("mine")


# -- there and back


def test_an_imported_campaign_is_the_one_that_was_exported(home: Path, bundle: Path, new: Store) -> None:
    campaign = new.import_bundle(bundle)
    assert (campaign.name, campaign.state) == ("demo", "finished")
    assert new.verify() == []
    assert new.recover() == []
    with open_archive(home) as source:
        assert content(new, "demo") == content(source, "demo")
        assert new.campaign("demo") == source.campaign("demo")


def test_payloads_follow_the_numbers_that_change(bundle: Path, new: Store) -> None:
    new.import_bundle(bundle)
    own = {one.id for variant in new.variants("demo") for one in new.evaluations(variant.id)}
    told = {event.payload["evaluation"] for event in new.events("demo") if event.kind == "evaluation_finished"}
    assert told == own
    assert new.events("demo")[0].kind == "campaign_imported"
    assert new.events("demo")[0].payload["campaign"]["name"] == "demo"


def test_equal_archives_give_equal_bytes(home: Path, bundle: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(home, tmp_path / "moved")
    assert export(moved, tmp_path / "again.hyb").read_bytes() == bundle.read_bytes()


def test_an_import_can_be_exported_again(bundle: Path, new: Store, tmp_path: Path) -> None:
    new.import_bundle(bundle)
    again = export(new.path, tmp_path / "again.hyb")
    with open_archive(tmp_path / "third", write=True, create=True) as third:
        third.import_bundle(again)
        assert third.verify() == []
        assert content(third, "demo") == content(new, "demo")


def test_the_manifest_names_every_member_with_its_hash(bundle: Path) -> None:
    parts = members(bundle)
    manifest = json.loads(parts.pop("manifest.json"))
    assert manifest["members"] == {
        name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in parts.items()
    }
    assert manifest["counts"] == {
        "campaign": 1,
        "variant": 3,
        "evaluation": 9,
        "outcome": 18,
        "model_call": 18,
        "event": len(parts["rows/event.jsonl"].splitlines()),
        "promotion": 0,
        "object": sum(name.startswith("git/") for name in parts),
        "blob": sum(name.startswith("blobs/") for name in parts),
    }


def test_a_lineage_is_a_variant_and_its_ancestors_only(home: Path, new: Store, tmp_path: Path) -> None:
    with open_archive(home) as source:
        child = source.variant("demo/2")
    new.import_bundle(export(home, tmp_path / "line.hyb", lineage=child.id))
    assert [one.step for one in new.variants("demo")] == [0, 2]
    assert new.verify() == []
    assert {call.variant for call in new.calls(campaign=child.campaign)} == {one.id for one in new.variants("demo")}
    with pytest.raises(UsageError, match="not of the campaign"):
        export(home, tmp_path / "x.hyb", "other", lineage=child.id)


def test_without_calls_scores_and_costs_stay_and_nothing_is_on_record(home: Path, new: Store, tmp_path: Path) -> None:
    small = export(home, tmp_path / "small.hyb", calls=False)
    assert not [name for name in members(small) if name.startswith("blobs/")]
    campaign = new.import_bundle(small)
    assert new.verify() == []
    with open_archive(home) as source:
        assert new.spend(campaign.id) == source.spend(campaign.id)
        assert new.variants("demo") == source.variants("demo")
        key = CallKey(f"{campaign.id}/1/m/validation", "a", 0)
        assert source.recorded_call(key) is not None
    assert new.recorded_call(key) is None
    assert not [event for event in new.events("demo") if event.kind == "mutation_started"]


# -- names and seconds


def test_a_taken_name_gets_a_number_and_refs_and_references_follow(bundle: Path, new: Store) -> None:
    make_campaign(new, "demo")
    assert new.import_bundle(bundle).name == "demo-2"
    assert new.variant("demo-2/1").id != new.variant("demo/1").id
    assert new.verify() == []


def test_a_name_can_be_chosen(bundle: Path, new: Store) -> None:
    assert new.import_bundle(bundle, "theirs").name == "theirs"
    assert new.verify() == []
    with pytest.raises(ConfigError):
        new.import_bundle(bundle, "../theirs")


def test_a_second_import_says_so(bundle: Path, new: Store) -> None:
    new.import_bundle(bundle)
    before = snapshot(new)
    with pytest.raises(UsageError, match="in the archive already: 'demo'"):
        new.import_bundle(bundle, "again")
    assert snapshot(new) == before


def test_a_campaign_here_never_reuses_what_a_bundle_brought(home: Path, bundle: Path, new: Store) -> None:
    """Seals are no signatures: a score or reply of unknown origin must not become one of ours."""
    campaign = new.import_bundle(bundle)
    call = new.calls(campaign=campaign.id)[0]
    variant = new.variant("demo/1")
    assert new.recorded_call(call.key) is not None  # its own replay does find it
    assert new.cached_call(call.request_hash) is None
    found = new.find_evaluation(variant.tree, "m", "validation", "c")
    assert found is not None
    assert new.variant(found.variant).campaign == new.campaign("mine").id
    with open_archive(home) as source:
        assert source.cached_call(call.request_hash) is not None


# -- hostile bundles


FORGERIES: dict[str, Callable[[Rows, Parts], object]] = {
    "a score above 1": lambda rows, parts: first(rows, "outcome", score=2.0),
    "a score that is text": lambda rows, parts: first(rows, "outcome", score="1"),
    "a score that is no number": lambda rows, parts: first(rows, "outcome", score=float("nan")),
    "a truth value as a number": lambda rows, parts: first(rows, "variant", step=True),
    "a number no database holds": lambda rows, parts: first(rows, "model_call", prompt_tokens=2**70),
    "a call that earns money": lambda rows, parts: first(rows, "model_call", cost=-5.0),
    "an unknown column": lambda rows, parts: first(rows, "variant", extra=1),
    "an unknown status": lambda rows, parts: first(rows, "variant", status="promoted"),
    "an overlong text": lambda rows, parts: first(rows, "model_call", model="m" * 1000),
    "a NUL in a name": lambda rows, parts: first(rows, "campaign", name="a\0b"),
    "a config that is no object": lambda rows, parts: first(rows, "campaign", config="[]"),
    "a config with NaN": lambda rows, parts: first(rows, "campaign", config='{"a":NaN}'),
    "a config nested without end": lambda rows, parts: first(rows, "campaign", config="[" * 100_000),
    "tasks that are no texts": lambda rows, parts: first(rows, "evaluation", tasks="[[1]]"),
    "a sandbox of another shape": lambda rows, parts: first(rows, "evaluation", sandbox='{"warnings":3}'),
    "a payload that is no object": lambda rows, parts: first(rows, "event", payload="[]"),
    "a payload with a list for a digest": lambda rows, parts: first(rows, "event", payload='{"evidence":[1]}'),
    "a variant of another campaign": lambda rows, parts: first(rows, "variant", id="0123456789ab"),
    "a generation that is wrong": lambda rows, parts: first(rows, "variant", generation=4),
    "a parent that is not there": lambda rows, parts: first(rows, "variant", parent="0123456789ab"),
    "an outcome of no task": lambda rows, parts: first(rows, "outcome", task="z"),
    "an outcome twice": lambda rows, parts: rows["outcome"].append({**rows["outcome"][0], "id": 999}),
    "a row twice": lambda rows, parts: rows["variant"].append(rows["variant"][0]),
    "an evaluation of nobody": lambda rows, parts: first(rows, "evaluation", variant="0123456789ab"),
    "calls of a job of another campaign": of_another,
    "two campaigns": other_campaign,
    "no campaign": lambda rows, parts: rows["campaign"].clear(),
    "an event of a row that is not there": lambda rows, parts: rows["outcome"].pop(),
    "a row that the journal does not know": lambda rows, parts: rows.update(event=rows["event"][:2]),
    "a blob left out": lambda rows, parts: parts.pop(next(name for name in parts if name.startswith("blobs/"))),
    "a blob that nobody names": lambda rows, parts: parts.update({f"blobs/{hashlib.sha256(b'x').hexdigest()}": b"x"}),
    "a blob with other bytes": lambda rows, parts: parts.update(
        {next(name for name in parts if name.startswith("blobs/")): b"x"}
    ),
    "a member of another name": lambda rows, parts: parts.update({"../../evil": b"x"}),
    "an absolute member": lambda rows, parts: parts.update({"/etc/evil": b"x"}),
    "a git object with other bytes": lambda rows, parts: parts.update(
        {next(name for name in parts if name.startswith("git/")): b"blob 1\0x"}
    ),
    "a git object that nobody needs": lambda rows, parts: git_object(parts, b"blob", b"stray"),
    "a git object left out": lambda rows, parts: parts.pop(next(name for name in parts if name.startswith("git/"))),
    "a commit of another tree": lambda rows, parts: first(rows, "variant", tree="0" * 40),
    "a commit that is no commit": lambda rows, parts: first(rows, "variant", commit=rows["variant"][0]["tree"]),
    "a program without a tree": lambda rows, parts: first(rows, "variant", tree=""),
    "a symbolic link": entry(b"120000", b"link", b"/etc/passwd"),
    "a submodule": entry(b"160000", b"module"),
    "an executable": entry(b"100755", b"run"),
    "a path out of the program": entry(b"100644", b".."),
    "a folder of git's": entry(b"100644", b".GIT"),
    "a slash in a name": entry(b"100644", b"a/b"),
    "a name that is no UTF-8": entry(b"100644", b"\xff"),
    "a tree of garbage": evil_tree(b"garbage"),
    "a tree in another order": of_names(b"b", b"a"),
    "a name twice in a tree": of_names(b"a", b"a"),
    "a tree that unfolds without end": tree_bomb,
}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with open_archive(tmp_path_factory.mktemp("target") / "home", write=True, create=True) as archive:
        make_campaign(archive, "mine")
        yield archive
        assert archive.verify() == []


@pytest.mark.parametrize("what", FORGERIES)
def test_a_forged_bundle_is_refused_and_changes_nothing(bundle: Path, target: Store, tmp_path: Path, what: str) -> None:
    forged = forge(bundle, tmp_path / "forged.hyb", FORGERIES[what])
    before = snapshot(target)
    with pytest.raises(ArchiveDamaged):
        target.import_bundle(forged)
    assert snapshot(target) == before


def test_what_the_forger_changes_here_does_not_break_a_bundle_by_itself(
    bundle: Path, new: Store, tmp_path: Path
) -> None:
    """Forgeries are refused for what they are: repacked, resealed and rechained, the same bundle is taken."""
    new.import_bundle(forge(bundle, tmp_path / "same.hyb", lambda rows, parts: None))
    assert new.verify() == []
    with open_archive(tmp_path / "plain", write=True, create=True) as other:
        other.import_bundle(forge(bundle, tmp_path / "file.hyb", of_names(b"a", b"task_agent.py")))
        assert other.verify() == []


def test_a_changed_row_or_event_shows_without_a_resealing(bundle: Path, target: Store, tmp_path: Path) -> None:
    for table, change in (("outcome", {"score": 0.25}), ("event", {"created": 1.0}), ("campaign", {"random_seed": 9})):
        forged = forge(
            bundle, tmp_path / "x.hyb", lambda rows, parts, t=table, c=change: first(rows, t, **c), sealed=False
        )
        with pytest.raises(ArchiveDamaged, match="changed"):
            target.import_bundle(forged)


@pytest.mark.parametrize("name", ["../../evil", "a/b", "x.lock", "-x", ""])
def test_a_campaign_name_that_is_no_name_is_refused(bundle: Path, target: Store, tmp_path: Path, name: str) -> None:
    forged = forge(bundle, tmp_path / "x.hyb", lambda rows, parts: first(rows, "campaign", name=name))
    before = snapshot(target)
    with pytest.raises(ConfigError):
        target.import_bundle(forged)
    assert snapshot(target) == before


def test_a_file_that_is_no_bundle_says_so(bundle: Path, target: Store, tmp_path: Path) -> None:
    text = tmp_path / "x.hyb"
    with pytest.raises(NotFoundError):
        target.import_bundle(text)
    text.write_bytes(b"no zip at all")
    with pytest.raises(ArchiveDamaged, match="is no bundle"):
        target.import_bundle(text)
    with zipfile.ZipFile(text, "w") as packed:
        packed.writestr("README", "words")
    with pytest.raises(ArchiveDamaged, match="no manifest"):
        target.import_bundle(text)
    text.write_bytes(bundle.read_bytes()[:-2000])
    with pytest.raises(ArchiveDamaged):
        target.import_bundle(text)


def test_members_that_lie_about_their_size_are_not_unpacked(bundle: Path, target: Store, tmp_path: Path) -> None:
    parts = members(bundle)
    name = next(name for name in parts if name.startswith("blobs/"))
    manifest = json.loads(parts["manifest.json"])
    for size in (10**12, -1, 5, "5", None):
        manifest["members"][name]["size"] = size
        forged = write(tmp_path / "x.hyb", {**parts, "manifest.json": json.dumps(manifest).encode()}, manifest=False)
        with pytest.raises(ArchiveDamaged):
            target.import_bundle(forged)
    manifest["version"] = 99
    forged = write(tmp_path / "x.hyb", {**parts, "manifest.json": json.dumps(manifest).encode()}, manifest=False)
    with pytest.raises(ArchiveDamaged, match="schema version 99"):
        target.import_bundle(forged)


def test_a_member_that_fits_everything_but_the_manifest_is_refused(bundle: Path, target: Store, tmp_path: Path) -> None:
    forged = members(forge(bundle, tmp_path / "x.hyb", lambda rows, parts: first(rows, "campaign", random_seed=2)))
    parts = {**members(bundle), "rows/campaign.jsonl": forged["rows/campaign.jsonl"]}
    with pytest.raises(ArchiveDamaged, match="not what its manifest says"):
        target.import_bundle(write(tmp_path / "x.hyb", parts, manifest=False))


def test_a_member_twice_is_refused(bundle: Path, target: Store, tmp_path: Path) -> None:
    file = shutil.copy(bundle, tmp_path / "x.hyb")
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(file, "a") as packed:
        packed.writestr("rows/variant.jsonl", b"")
    with pytest.raises(ArchiveDamaged, match="twice"):
        target.import_bundle(Path(file))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 10**6), byte=st.integers(0, 255), cut=st.integers(0, 3))
def test_any_changed_byte_is_refused_or_harmless(
    bundle: Path, tmp_path: Path, position: int, byte: int, cut: int
) -> None:
    """Some bytes of a zip file carry nothing (times, permissions); all others are under a hash."""
    data = bytearray(bundle.read_bytes())
    data[position % len(data)] = byte
    file = tmp_path / "x.hyb"
    file.write_bytes(bytes(data[: len(data) - cut]))
    try:
        with Bundle(file) as opened:
            found = (
                read_rows(opened),
                read_objects(opened),
                [opened.read(f"blobs/{one}") for one in opened.names("blobs")],
            )
    except ArchiveDamaged:
        return
    with Bundle(bundle) as opened:
        assert found == (
            read_rows(opened),
            read_objects(opened),
            [opened.read(f"blobs/{one}") for one in opened.names("blobs")],
        )
