"""What `hyperagent watch` takes of the processor: scripts/bench_watch.py ARCHIVE [CAMPAIGN] [--seconds 60]

Starts it on a terminal of 120 x 36, lets it settle, and reads its processor time from /proc. Prints a row of Markdown:
archive, start (processor seconds until settled), share of one core, bytes written per second, resident MB, exit code.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

SETTLING = 25.0
"""Seconds after which even a busy machine has drawn the first screen."""


def drain(terminal: int, seconds: float) -> int:
    """Read what comes for so long; returns the number of bytes."""
    end, count = time.monotonic() + seconds, 0
    while (left := end - time.monotonic()) > 0:
        if select.select([terminal], [], [], left)[0]:
            count += len(os.read(terminal, 65536))
    return count


def processor(pid: int) -> float:
    """Seconds of processor time of a process so far, all its threads together (proc(5), fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> float:
    """Resident megabytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", type=Path)
    parser.add_argument("campaign", nargs="?", default="")
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    terminal, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))
    command = [
        sys.executable,
        "-m",
        "hyperagent",
        "watch",
        "--archive",
        str(given.archive),
        *filter(None, [given.campaign]),
    ]
    environment = {**os.environ, "TERM": "xterm-256color"}
    with subprocess.Popen(command, stdin=other, stdout=other, stderr=other, env=environment) as watching:
        os.close(other)
        drain(terminal, SETTLING)
        start, before = processor(watching.pid), time.monotonic()
        written = drain(terminal, given.seconds)
        share = (processor(watching.pid) - start) / (time.monotonic() - before)
        memory = resident(watching.pid)
        os.write(terminal, b"q")
        drain(terminal, 2.0)
        code = watching.wait(30)
    figures = (f"{start:.1f} s", f"{share:.1%}", f"{written / given.seconds:.0f}", f"{memory:.0f}", str(code))
    print(f"| {given.archive.name} | {' | '.join(figures)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
