"""An image of Debian's own packages, where there is no registry and this machine's Python cannot be taken along."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
from pathlib import Path

from hyperagent.sandbox.assemble import CannotAssemble

TOOL = "mmdebstrap"
PACKAGES = "python3 git bash coreutils diffutils patch findutils grep sed gawk tar gzip debianutils"
PYTHON = {"bookworm": "3.11", "trixie": "3.13"}
"""Release -> the Python that it ships."""
_SECONDS = 600.0
_FILES = {
    "/etc/passwd": "root:x:0:0:root:/:/bin/sh\\nnobody:x:65534:65534:nobody:/tmp:/bin/sh\\n",
    "/etc/group": "root:x:0:\\nnogroup:x:65534:\\n",
    "/etc/hosts": "127.0.0.1 localhost\\n",
}
_FOLDERS = "run/model opt/hyperagent tmp var/tmp proc sys dev"


def release() -> str:
    """Code name of the Debian release that the packages are taken from: this machine's own, else bookworm."""
    try:
        found = platform.freedesktop_os_release()
    except OSError:
        return "bookworm"
    name = found.get("VERSION_CODENAME", "")
    return name if name in PYTHON else "bookworm"


def write_image(path: Path) -> None:
    """Write the root file system as a tar. The packages are unpacked; none of their scripts is run.

    Raises:
        CannotAssemble: mmdebstrap is missing, may not be used, or failed.
    """
    tool = shutil.which(TOOL)
    if tool is None:
        raise CannotAssemble(f"{TOOL} is not installed (apt-get install {TOOL})")
    hooks = [f"mkdir -p {' '.join(f'$1/{name}' for name in _FOLDERS.split())}", 'ln -sf bash "$1/bin/sh"']
    hooks += ['ln -sf gawk "$1/usr/bin/awk"', 'ln -sf python3 "$1/usr/bin/python"', 'chmod 1777 "$1/tmp" "$1/var/tmp"']
    hooks += [f'printf {shlex.quote(text)} > "$1{place}"' for place, text in _FILES.items()]
    command = [tool, "--quiet", "--variant=extract", "--skip=cleanup/run", f"--include={PACKAGES.replace(' ', ',')}"]
    command += [f"--mode={'root' if os.geteuid() == 0 else 'unshare'}"]
    command += [f"--extract-hook={hook}" for hook in hooks]
    try:
        done = subprocess.run(
            [*command, release(), str(path)], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotAssemble(f"{TOOL} could not be run: {error}") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise CannotAssemble(f"{TOOL} failed: {last}")
