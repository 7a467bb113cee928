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


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Bench]:
    """A bench on an archive that took in what another one exported, and whose model must not be asked."""
    sockets = [Path(tempfile.mkdtemp(prefix="ha-")) for _ in range(2)]
    bundle = tmp_path / "numbers.hyb"
    with open_archive(tmp_path / "here" / "archive", write=True, create=True) as archive:
        here = Bench(archive, sockets[0])
        here.run()
        with bundle.open("wb") as stream:
            archive.export_bundle(stream, "numbers")
    shutil.rmtree(tmp_path / "here")
    with open_archive(tmp_path / "far" / "away", write=True, create=True) as archive:
        there = Bench(archive, sockets[1])
        there.reply = lambda request: AssertionError("a replay asked the model")  # type: ignore[method-assign]
        mine = archive.create_campaign("mine", 1, {})  # one of its own, so that no number is what it was
        variant = archive.start_step(mine.id, 0, None, {})
        archive.start_evaluation(variant.id, "m", "train", ["a"], 0, "c", SandboxInfo("process", "none"))
        there.campaign = archive.import_bundle(bundle, "theirs")
        yield there
    for folder in sockets:
        shutil.rmtree(folder)


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
