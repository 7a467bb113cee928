"""What stops attacks, in the words of the catalogue."""

from __future__ import annotations

FILTER = "system call filter: an allow-list"
SPACES = "own mount and process namespaces; none of the host's paths is mounted"
NETWORK = "own network namespace with nothing but loopback"
NO_PRIVILEGE = "no capability, not root, no-new-privileges"
MEMORY = "memory limit of the sandbox, swap included; the program is what the kernel kills first"
PIDS = "limit on processes"
SWEEP = "the runner adopts orphans, stops and kills every descendant after each run"
FRESH = "the session ends, charged to the program; the next one is new"
COPY = "the runner copies regular files only and follows nothing, after the run's last process is dead"
NONCE = "frames carry a nonce that no program sees; the runner's descriptors are closed to it"
FIRST = "the runner is the first process of its namespace: the kernel keeps every signal from inside away from it"
OWN_LIMITS = "the filter lets a process set limits and priority of itself only"
