from __future__ import annotations

import json
from pathlib import Path

import pytest

from hyperagent.errors import ConfigError, DataUnavailable, NotFoundError, UsageError
from hyperagent.evaluation.fetch import download_url, fetch, read_ids
from hyperagent.evaluation.manifest import read_manifest
from hyperagent.evaluation.pack import load_pack, parse_records


def refused(url: str) -> bytes:
    raise OSError("no route to host")


def test_upstream_files_become_records(toy: Path, tmp_path: Path, no_data: Path) -> None:
    asked: list[str] = []
    lines: list[str] = []

    def download(url: str) -> bytes:
        asked.append(url)
        return (tmp_path / "upstream" / "words.txt").read_bytes()

    path = fetch(toy, download=download, progress=lines.append)
    assert asked == ["https://example.org/raw/words.txt"]
    assert path == no_data / "toy" / "real.jsonl"
    assert lines[-1] == f"real: 4 records in {path}"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(r["id"], r["split"]) for r in records] == [
        ("a", "train"),
        ("b", "train"),
        ("c", "validation"),
        ("d", "test"),
    ]
    assert all(record["meta"] == {"canary": "toy-canary"} for record in records)
    pack = load_pack(toy)
    assert (pack.source, pack.notes) == ("real", ())


@pytest.mark.parametrize("folder", ["mirror", "mirror/toy", "upstream"])
def test_from_a_local_folder(toy: Path, tmp_path: Path, folder: str) -> None:
    path = fetch(toy, "real", from_directory=tmp_path / folder, cache=tmp_path / "c", download=refused)
    assert path == tmp_path / "c" / "toy" / "real.jsonl"
    assert load_pack(toy, data=tmp_path / "c").source == "real"
    assert [file.name for file in path.parent.iterdir()] == ["real.jsonl"]


def test_no_network_says_what_else_there_is(toy: Path) -> None:
    with pytest.raises(DataUnavailable, match="cannot be downloaded: no route to host") as caught:
        fetch(toy, download=refused)
    assert "hyperagent benchmark fetch toy --from DIR" in caught.value.hint
    assert "HYPERAGENT_BENCHMARK_DATA" in caught.value.hint


@pytest.mark.parametrize("file", ["upstream/words.txt", "mirror/toy/real.jsonl"])
def test_a_changed_file_is_refused_with_both_hashes(toy: Path, tmp_path: Path, no_data: Path, file: str) -> None:
    changed = tmp_path / file
    changed.write_bytes(changed.read_bytes() + b"x")
    with pytest.raises(
        DataUnavailable, match=rf"{changed.name} .*expected SHA-256 [0-9a-f]{{64}}, found [0-9a-f]{{64}}"
    ):
        fetch(toy, from_directory=tmp_path / file.split("/")[0])
    assert not no_data.exists()


def test_a_changed_transformation_is_refused(toy: Path, tmp_path: Path) -> None:
    (toy / "ids.txt").write_text("a train\nb train\nd validation\nc test\n")
    with pytest.raises(DataUnavailable, match="made of words"):
        fetch(toy, from_directory=tmp_path / "upstream")


def test_a_missing_record_is_named(toy: Path, tmp_path: Path) -> None:
    (toy / "ids.txt").write_text("z train\n")
    with pytest.raises(DataUnavailable, match="record z"):
        fetch(toy, from_directory=tmp_path / "upstream")


def test_an_empty_folder_is_named(toy: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataUnavailable, match="holds neither"):
        fetch(toy, from_directory=tmp_path / "empty")


def test_a_source_without_upstream_files_needs_a_mirror(no_data: Path) -> None:
    with pytest.raises(DataUnavailable, match="can only be taken from a mirror") as caught:
        fetch("math_grading", "opc", download=refused)
    assert "--from DIR" in caught.value.hint


def test_generated_data_cannot_be_fetched(toy: Path) -> None:
    with pytest.raises(UsageError, match="is generated"):
        fetch(toy, "made")
    with pytest.raises(NotFoundError, match="no source 'rael'") as caught:
        fetch(toy, "rael")
    assert "'real'" in caught.value.hint


def test_a_cache_that_cannot_be_written(toy: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataUnavailable, match="cannot be written"):
        fetch(toy, from_directory=tmp_path / "upstream", cache=tmp_path / "file")


def test_a_malformed_id_list(tmp_path: Path) -> None:
    (tmp_path / "ids").write_text("one\n")
    with pytest.raises(ConfigError, match="ID SPLIT"):
        read_ids(tmp_path / "ids")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_ids(tmp_path / "none")


def test_download_reads_a_url(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert download_url((tmp_path / "x").as_uri()) == b"abc"
    with pytest.raises(OSError, match="No such file"):
        download_url((tmp_path / "y").as_uri())


@pytest.mark.data
@pytest.mark.parametrize("source", ["gsm8k", "imo_gradingbench"])
def test_upstream_files_give_the_mirrors_records(mirror: Path, tmp_path: Path, source: str) -> None:
    manifest = read_manifest("math_grading")
    chosen = manifest.source(source)
    path = fetch("math_grading", source, from_directory=mirror / "raw", cache=tmp_path, download=refused)
    built = parse_records(manifest, chosen, path.read_bytes(), "built")
    mirrored = parse_records(manifest, chosen, (mirror / "math_grading" / chosen.file).read_bytes(), "mirror")

    def comparable(records: list[dict[str, object]]) -> dict[object, dict[str, object]]:
        names = {"search": "train"}
        rows = [{**r, "split": names.get(str(r["split"]), r["split"]), "meta": None, "source": None} for r in records]
        return {row["id"]: row for row in rows}

    assert comparable([dict(r) for r in built]) == comparable([dict(r) for r in mirrored])
