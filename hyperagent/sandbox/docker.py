"""The only user of docker-py: a thin engine that speaks this package's errors. Safe to use from several threads."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import requests
from docker.errors import APIError, BuildError, DockerException, ImageNotFound, NotFound
from docker.types import Mount

from hyperagent.errors import SandboxLost, SandboxUnavailable
from hyperagent.types import Json

_TIMEOUT = 30.0
"""Seconds for one request; a dead daemon refuses at once, only a hanging one takes this long."""
_PROBE_TIMEOUT = 5.0
_BUILD_TIMEOUT = 900.0
_DEFAULT_SOCKET = "/var/run/docker.sock"


def _url() -> str:
    return os.environ.get("DOCKER_HOST", f"unix://{_DEFAULT_SOCKET}")


def _probe(url: str) -> None:
    """Raise OSError where nothing listens; docker-py would leave its socket open on finding that out."""
    scheme, _, path = url.partition("://")
    if scheme == "unix":
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(_PROBE_TIMEOUT)
            probe.connect(path)


def docker_status(connect: Callable[..., Any] = docker.APIClient) -> tuple[bool, str, str]:
    """Whether an engine answers: ``(True, version, "")`` or ``(False, what is wrong, what to do)``."""
    url = _url()
    try:
        _probe(url)
        with contextlib.closing(connect(base_url=url, version="auto", timeout=_PROBE_TIMEOUT)) as client:
            return True, str(client.version()["Version"]), ""
    except (DockerException, requests.RequestException, OSError, ValueError, KeyError) as error:
        return _explain(url, error)


def _explain(url: str, error: Exception) -> tuple[bool, str, str]:
    scheme, _, path = url.partition("://")
    if scheme != "unix":
        return False, f"no Docker engine answers at {url}: {error}", "check DOCKER_HOST, or unset it"
    if not os.path.exists(path):
        if shutil.which("dockerd") or shutil.which("docker"):
            return False, f"the Docker engine is not running ({path} is missing)", "start it: systemctl start docker"
        return False, "Docker is not installed", "install it (Debian, Ubuntu: apt-get install docker.io) and start it"
    if not os.access(path, os.R_OK | os.W_OK):
        hint = "add yourself to the group `docker` (usermod -aG docker NAME) and log in again, or run as root"
        return False, f"no permission to use {path}", hint
    try:
        _probe(url)
    except OSError:
        return False, f"the Docker engine is dead: nothing listens at {path}", "start it: systemctl restart docker"
    return False, f"the Docker engine at {path} does not answer: {error}", "restart it: systemctl restart docker"


class Engine:
    """What the sandbox needs of a Docker engine.

    Args:
        connect: Makes a docker-py ``APIClient``; called once per thread, a client is not shared.
    """

    def __init__(self, connect: Callable[..., Any] = docker.APIClient) -> None:
        self._connect = connect
        self._local = threading.local()

    @property
    def _client(self) -> Any:
        if not hasattr(self._local, "client"):
            _probe(_url())
            self._local.client = self._connect(base_url=_url(), version="auto", timeout=_TIMEOUT)
        return self._local.client

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        """Turn every failure of the engine into SandboxLost."""
        try:
            yield
        except (DockerException, requests.RequestException, OSError) as error:
            if not isinstance(error, APIError):
                self.leave()  # its connection is no good any more
            raise SandboxLost(
                f"the Docker engine failed to {what}: {error}",
                hint="check the engine with `hyperagent sandbox doctor`, then `hyperagent resume`",
            ) from error
        finally:
            # docker-py keeps a connection open for each of the last 25 addresses, and each container is another one.
            # The client itself stays usable.
            if hasattr(self._local, "client"):
                self._local.client.close()

    def check(self) -> str:
        """The engine's version.

        Raises:
            SandboxUnavailable: None answers; the hint says what to do.
        """
        answers, text, hint = docker_status(self._connect)
        if not answers:
            raise SandboxUnavailable(text, hint=hint)
        return text

    def runtimes(self) -> list[str]:
        """Names of the OCI runtimes the engine knows."""
        with self._asking("name its runtimes"):
            return sorted(self._client.info().get("Runtimes") or {})

    def leave(self) -> None:
        """Close this thread's connection; for threads that end before the process does."""
        client = self._local.__dict__.pop("client", None)
        if client is not None:
            client.close()

    # images

    def image_id(self, tag: str) -> str | None:
        with self._asking("look for an image"):
            try:
                return str(self._client.inspect_image(tag)["Id"])
            except ImageNotFound:
                return None

    def can_pull(self, tag: str) -> bool:
        """Whether a registry that has the image answers within seconds."""
        try:
            with contextlib.closing(self._connect(base_url=_url(), version="auto", timeout=_PROBE_TIMEOUT)) as client:
                client.inspect_distribution(tag)
        except (DockerException, requests.RequestException, OSError):
            return False
        return True

    def build(self, folder: Path, tag: str, arguments: Mapping[str, str] | None = None) -> None:
        """Build the Dockerfile in a folder.

        Args:
            arguments: Values of its ``ARG`` lines.

        Raises:
            SandboxUnavailable: The build failed.
        """
        client = docker.DockerClient.from_env(timeout=int(_BUILD_TIMEOUT))
        try:
            client.images.build(path=str(folder), tag=tag, rm=True, forcerm=True, buildargs=dict(arguments or {}))
        except (BuildError, DockerException, requests.RequestException) as error:
            raise SandboxUnavailable(f"the image build failed: {error}") from error
        finally:
            client.close()

    def import_image(self, tar: Path, repository: str, tag: str, changes: Sequence[str]) -> None:
        with self._asking("import the image"):
            self._client.import_image(src=str(tar), repository=repository, tag=tag, changes=list(changes))
        if self.image_id(f"{repository}:{tag}") is None:
            raise SandboxUnavailable("the engine did not accept the assembled image", hint="check its disk space")

    # containers

    def create(
        self,
        image: str,
        command: Sequence[str],
        *,
        user: str,
        environment: Mapping[str, str],
        labels: Mapping[str, str],
        mounts: Mapping[str, str],
        options: Mapping[str, Json],
    ) -> str:
        """Create a container without a network whose stdin ends with the attached client; returns its id."""
        with self._asking("create a container"):
            binds = [Mount(target, source, type="bind", read_only=True) for target, source in mounts.items()]
            host_config = self._client.create_host_config(mounts=binds, **options)
            made = self._client.create_container(
                image,
                list(command),
                user=user,
                stdin_open=True,
                network_disabled=True,
                working_dir="/",
                environment=dict(environment),
                labels=dict(labels),
                host_config=host_config,
            )
            return str(made["Id"])

    def attach(self, container: str) -> socket.socket:
        """The raw stream: bytes written go to stdin, stdout comes back in the engine's 8-byte-header chunks."""
        with self._asking("attach to a container"):
            stream = self._client.attach_socket(container, params={"stdin": 1, "stdout": 1, "stream": 1})
            original: socket.socket = stream._sock
            duplicate = original.dup()
            stream._response.close()  # docker-py would keep the first one open until it is collected
            original.close()
            return duplicate

    def start(self, container: str) -> None:
        with self._asking("start a container"):
            self._client.start(container)

    def state(self, container: str) -> dict[str, Json]:
        with self._asking("inspect a container"):
            found: dict[str, Json] = self._client.inspect_container(container)["State"]
            return found

    def events(self, container: str, since: float) -> list[str]:
        """Actions the engine remembers of a container, oldest first (``start``, ``die``, ``kill``, ``oom`` ...)."""
        with self._asking("list its events"):
            stream = self._client.events(
                since=f"{since - 1:.6f}", until=f"{time.time():.6f}", filters={"container": container}, decode=True
            )
            return [str(event.get("Action", "")) for event in stream]

    def remove(self, container: str) -> None:
        """Kill and remove; no matter if it is gone already."""
        with self._asking("remove a container"):
            try:
                self._client.remove_container(container, force=True, v=True)
            except NotFound:
                return
            except APIError as error:
                if error.status_code != 409:  # 409: its removal is in progress
                    raise

    def list(self, label: str) -> list[tuple[str, dict[str, str]]]:
        """``(id, labels)`` of every container with a label, stopped ones included."""
        with self._asking("list containers"):
            found = self._client.containers(all=True, filters={"label": label})
            return [(str(item["Id"]), dict(item.get("Labels") or {})) for item in found]
