"""How a bubblewrap sandbox is held to its limits: by control groups, and by resource limits for what they lack."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass

from hyperagent.sandbox.cgroups import Cgroups
from hyperagent.types import Limits

_NAMES = {"memory": "memory", "pids": "processes", "cpu": "cpu"}
_DELEGATE = "systemd-run --user --scope -p Delegate=yes hyperagent ..."


@dataclass(frozen=True)
class Limiter:
    """What this machine offers. ``processes``: whether the kernel counts RLIMIT_NPROC per user namespace."""

    cgroups: Cgroups | None
    processes: bool

    def describe(self) -> str:
        """``memory, processes, cpu by cgroup v2``, or what else there is."""
        grouped, rest = self._split()
        parts = [f"{', '.join(grouped)} by cgroup v{self.cgroups.version}"] if self.cgroups and grouped else []
        limited = [name for name in rest if name == "memory" or (name == "processes" and self.processes)]
        if limited:
            parts.append(f"{', '.join(limited)} by rlimit")
        return "; ".join(parts)

    def warnings(self) -> tuple[str, ...]:
        """One line for what is held less well than in a container."""
        _, rest = self._split()
        said = {
            "memory": "memory is limited per process, not per sandbox, and the number of files is not limited",
            "processes": "" if self.processes else "the number of processes is not limited",
            "cpu": "the processor share is not limited",
        }
        found = [said[name] for name in rest if said[name]]
        if not found:
            return ()
        return (f"bubblewrap without a delegated control group: {'; '.join(found)}; for all limits: {_DELEGATE}",)

    def _split(self) -> tuple[list[str], list[str]]:
        held = self.cgroups.places if self.cgroups else {}
        grouped = [said for name, said in _NAMES.items() if name in held]
        return grouped, [said for name, said in _NAMES.items() if name not in held]

    def command(self, command: Sequence[str], limits: Limits) -> list[str]:
        """The command, inside the sandbox, under the resource limits that stand in for missing controllers.

        Set from inside: RLIMIT_NPROC is to count the sandbox's own user namespace only, and another user's limits may
        be set by nobody but the most privileged.
        """
        held = self.cgroups.places if self.cgroups else {}
        options = []
        if "memory" not in held:
            # Private writable memory; address space, which the runtime limits, too, counts what is only reserved.
            options += ["-d", str(limits.memory_mb << 10)]
        if "pids" not in held and self.processes:
            options += ["-u", str(limits.processes)]
        if not options:
            return list(command)
        return ["bash", "-c", f'ulimit {" ".join(options)} && exec "$@"', "limits", *command]


def counts_per_namespace() -> bool:
    """RLIMIT_NPROC is counted per user namespace since Linux 5.14; before, all of the user's processes count."""
    numbers = platform.release().split("-")[0].split(".")[:2]
    return os.name == "posix" and all(map(str.isdigit, numbers)) and tuple(map(int, numbers)) >= (5, 14)
