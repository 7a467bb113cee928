"""A campaign that ran here is replayed from its bundle in an archive elsewhere, without any model."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_campaign import Bench

from hyperagent.archive import open_archive
from hyperagent.engine.replay import Replayer
from hyperagent.types import SandboxInfo


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What was exported where the campaign ran, which is no more."""
    folder, sockets = tmp_path_factory.mktemp("made"), Path(tempfile.mkdtemp(prefix="ha-"))
    with open_archive(folder / "archive", write=True, create=True) as archive:
        Bench(archive, sockets).run()
        with (folder / "numbers.hyb").open("wb") as stream:
            archive.export_bundle(stream, "numbers")
    shutil.rmtree(folder / "archive")
    yield folder / "numbers.hyb"
    shutil.rmtree(sockets)


@pytest.fixture
def elsewhere(bundle: Path, tmp_path: Path) -> Iterator[Bench]:
    """A bench on an archive that took the bundle in, and whose model must not be asked."""
    sockets = Path(tempfile.mkdtemp(prefix="ha-"))
    with open_archive(tmp_path / "far" / "away", write=True, create=True) as archive:
        mine = archive.create_campaign("mine", 1, {})  # one of its own, so that no number is what it was
        variant = archive.start_step(mine.id, 0, None, {})
        archive.start_evaluation(variant.id, "m", "train", ["a"], 0, "c", SandboxInfo("process", "none"))
        there = Bench(archive, sockets)
        there.reply = lambda request: AssertionError("a replay asked the model")  # type: ignore[method-assign]
        there.campaign = archive.import_bundle(bundle, "theirs")
        yield there
    shutil.rmtree(sockets)


def test_evaluations_and_mutations_replay_identically(elsewhere: Bench) -> None:
    seed, child = elsewhere.variants()
    replayer = Replayer(elsewhere.parts(elsewhere.config(), replay=True), lambda text: None)
    assert replayer.evaluation(seed).identical
    evaluation, mutation = replayer.evaluation(child), replayer.mutation(child)
    assert (evaluation.identical, evaluation.compared) == (True, 4)
    assert mutation.identical, mutation.divergence


def test_a_campaign_that_was_taken_in_can_be_gone_on_with(elsewhere: Bench) -> None:
    elsewhere.reply = lambda request: "pardon?" if "task" in str(request.messages) else "{}"  # type: ignore[method-assign]
    before = len(elsewhere.variants())
    elsewhere.run(variants=2, steps=2)  # the reply edits nothing: one more attempt
    assert len(elsewhere.variants()) == before + 1
    assert elsewhere.archive.verify() == []
