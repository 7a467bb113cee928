from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def no_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without real data; returns its (empty) cache folder."""
    monkeypatch.delenv("HYPERAGENT_BENCHMARK_DATA", raising=False)
    monkeypatch.setenv("HYPERAGENT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "benchmarks"


@pytest.fixture
def mirror() -> Path:
    """The mirror of real data; only for tests marked ``data``."""
    return Path(os.environ["HYPERAGENT_BENCHMARK_DATA"])


TOY = """
name = "toy"
description = "Which word is it?"
metric = "accuracy"
licence = "Apache-2.0"
length_field = "text"
canary = "toy-canary"
labels = ["yes", "no"]
fields = ["text"]
instructions = "Answer with {labels}."

[sources.real]
file = "real.jsonl"
sha256 = "MIRROR"
splits = { train = 2, validation = 1, test = 1 }

[sources.real.upstream]
url = "https://example.org/toy"
commit = "0000000"
licence = "MIT"
attribution = "nobody"
built_sha256 = "BUILT"
ids = "ids.txt"
transform = "toy_sources.py"

[[sources.real.upstream.files]]
url = "https://example.org/raw/words.txt"
name = "words.txt"
sha256 = "RAW"

[sources.made]
generator = "toy_generator.py"
splits = { train = 2, validation = 1, test = 1 }
"""
IDS = "# id split\na train\nb train\nc validation\nd test\n"
WORDS = b"a yes\nb no\nc yes\nd no\ne yes\n"
SOURCES = """
def records(source, files):
    pairs = [line.split() for line in files["words.txt"].decode().splitlines()]
    return [
        {"id": i, "group": i, "input": {"text": f"word {i}"}, "hidden": {"label": label}} for i, label in pairs
    ]
"""
GENERATOR = """
def generate(random_seed, count):
    splits = ["train", "train", "validation", "test"]
    return [
        {
            "id": f"{random_seed}-{n}", "group": str(n), "split": splits[n],
            "input": {"text": "w", "secret": "s"}, "hidden": {"label": "yes"},
        }
        for n in range(count)
    ]
"""


@pytest.fixture
def toy(tmp_path: Path, no_data: Path) -> Path:
    """A small pack of its own, hashes filled in. Upstream file in ``tmp_path/upstream``."""
    import hashlib

    from hyperagent.evaluation.fetch import transform
    from hyperagent.evaluation.manifest import read_manifest

    folder = tmp_path / "packs" / "toy"
    folder.mkdir(parents=True)
    files = {"ids.txt": IDS, "toy_sources.py": SOURCES, "toy_generator.py": GENERATOR, "benchmark.toml": TOY}
    for name, text in files.items():
        (folder / name).write_text(text)
    manifest = read_manifest(folder)
    source = manifest.source("real")
    assert source.upstream is not None
    built = transform(manifest, source, source.upstream, {"words.txt": WORDS})
    mirrored = built.replace(b"toy-canary", b"mirror-canary")
    digests = {"BUILT": built, "MIRROR": mirrored, "RAW": WORDS}
    text = TOY
    for mark, content in digests.items():
        text = text.replace(f'"{mark}"', f'"{hashlib.sha256(content).hexdigest()}"')
    (folder / "benchmark.toml").write_text(text)
    (tmp_path / "upstream").mkdir()
    (tmp_path / "upstream" / "words.txt").write_bytes(WORDS)
    (tmp_path / "mirror" / "toy").mkdir(parents=True)
    (tmp_path / "mirror" / "toy" / "real.jsonl").write_bytes(mirrored)
    return folder
