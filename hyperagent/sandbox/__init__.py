"""Sandboxes: where programs run. ``DockerSandbox`` and ``BubblewrapSandbox`` isolate, ``ProcessSandbox`` does not."""

from __future__ import annotations

from hyperagent.sandbox.bubblewrap import BubblewrapSandbox
from hyperagent.sandbox.bwrap import bubblewrap_status
from hyperagent.sandbox.container import DockerSandbox
from hyperagent.sandbox.image import build_image, image_tags
from hyperagent.sandbox.inprocess import InProcessSandbox
from hyperagent.sandbox.process import ProcessSandbox
from hyperagent.sandbox.transfer import pack, unpack

__all__ = [
    "BubblewrapSandbox",
    "DockerSandbox",
    "InProcessSandbox",
    "ProcessSandbox",
    "bubblewrap_status",
    "build_image",
    "docker_status",
    "image_tags",
    "pack",
    "unpack",
]


def docker_status() -> tuple[bool, str, str]:
    """Whether a Docker engine answers: ``(True, version, "")`` or ``(False, what is wrong, what to do)``."""
    from hyperagent.sandbox.docker import docker_status as status  # docker-py is slow to import

    return status()
