"""Reading what is not theirs: files, keys, other processes, devices, the kernel."""

from __future__ import annotations

import contextlib
import os
import re
import stat

from .common import BAIT, Given, files_below, opens, pids, read, runner

_LARGEST = 1 << 20
_SOCKETS = ("docker.sock", "containerd.sock", "podman.sock", "crio.sock", "system_bus_socket", "private")
_USUAL_DEVICES = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "console"}
_KERNEL = (
    "/proc/kcore",
    "/proc/kmsg",
    "/proc/keys",
    "/proc/timer_list",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/acpi/wakeup",
    "/proc/scsi/scsi",
    "/proc/slabinfo",
    "/proc/vmallocinfo",
    "/proc/1/mem",
    "/dev/mem",
    "/dev/kmem",
    "/dev/port",
)
_SETTINGS = (
    "/proc/sysrq-trigger",
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/hostname",
    "/proc/sys/kernel/randomize_va_space",
    "/proc/sys/vm/drop_caches",
    "/proc/sys/fs/binfmt_misc/register",
    "/proc/sys/vm/overcommit_memory",
    "/proc/irq/default_smp_affinity",
    "/sys/kernel/uevent_helper",
    "/sys/power/state",
    "/sys/kernel/mm/transparent_hugepage/enabled",
)


def host_files(given: Given) -> list[str]:
    """The host's files by their paths, and by every way round that ``/proc`` offers."""
    found = []
    ways = ["", *(f"/proc/{pid}/root" for pid in pids()), *(f"/proc/{pid}/cwd" for pid in pids())]
    climb = "/".join([".."] * 40)
    for way in (*ways, climb):
        if BAIT.search(read(way + given["label"])):
            found.append(f"read {given['label']} through {way or '/'}")
        if opens(way + given["target"], os.O_WRONLY):
            found.append(f"may write {given['target']} through {way or '/'}")
        with contextlib.suppress(OSError):
            path = os.path.join(way + given["folder"], "new")
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
            found.append(f"made {path}")
    return found


def roots(given: Given) -> list[str]:
    """``/proc/1/root`` and its like lead nowhere else."""
    here = os.stat("/")
    found = []
    for pid in [1, *pids()]:
        with contextlib.suppress(OSError):
            there = os.stat(f"/proc/{pid}/root/")
            if (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino):
                found.append(f"/proc/{pid}/root is another file system")
    return found


def keys(given: Given) -> list[str]:
    """Secrets in the environment, the command lines, and every small file there is."""
    found = []
    for name, value in os.environ.items():
        if BAIT.search(value.encode()) or (re.search("KEY|TOKEN|SECRET|PASS", name) and value != "placeholder"):
            found.append(f"the variable {name}")
    for pid in [*pids(), os.getpid()]:
        for name in ("environ", "cmdline", "mountinfo"):
            if BAIT.search(read(f"/proc/{pid}/{name}")):
                found.append(f"a secret in /proc/{pid}/{name}")
    for entry in files_below("/"):
        with contextlib.suppress(OSError):
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISREG(status.st_mode) and status.st_size < _LARGEST and BAIT.search(read(entry.path)):
                found.append(f"a secret in {entry.path}")
    return found


def memory(given: Given) -> list[str]:
    """Memory, environment and descriptors of the runner and the fork server."""
    found = []
    for pid in (os.getppid(), runner()):
        for name in ("mem", "environ", "maps", "auxv", "stack", "syscall", "fd/0", "fd/1", "fd/3", "fd/4", "fd/5"):
            if opens(f"/proc/{pid}/{name}", os.O_RDONLY):
                found.append(f"opened /proc/{pid}/{name}")
        for name in ("mem", "oom_score_adj", "clear_refs", "coredump_filter"):
            if opens(f"/proc/{pid}/{name}", os.O_WRONLY):
                found.append(f"opened /proc/{pid}/{name} for writing")
    return found


def other_processes(given: Given) -> list[str]:
    """A process of the same user on the host: seen, read or reached by a signal."""
    victim = given["victim"]
    found = []
    if given["marker"].encode() in read(f"/proc/{victim}/cmdline"):
        found.append("a process of the host is visible")
    for pid in pids():
        if given["marker"].encode() in read(f"/proc/{pid}/cmdline"):
            found.append(f"process {pid} is the host's")
    with contextlib.suppress(OSError):
        os.kill(victim, 0)
        found.append(f"a signal to process {victim} of the host is allowed")
    return found


def kernel(given: Given) -> list[str]:
    """What tells about the machine's kernel and memory."""
    found = [f"read {path}" for path in _KERNEL if read(path, 64)]
    for line in read("/proc/kallsyms").splitlines()[:1000]:
        if line and line.split()[0].strip(b"0"):
            found.append("/proc/kallsyms tells addresses")
            break
    return found


def firmware(given: Given) -> list[str]:
    """Tables of the firmware, and the file systems for debugging."""
    tops = ("/sys/firmware", "/sys/kernel/debug", "/sys/kernel/tracing", "/sys/kernel/security", "/sys/fs/bpf")
    return [f"read {entry.path}" for top in tops for entry in files_below(top, ()) if read(entry.path, 16)][:5]


def settings(given: Given) -> list[str]:
    """Switches of the kernel, opened for writing and left as they are."""
    return [f"may write {path}" for path in _SETTINGS if opens(path, os.O_WRONLY)]


def control_groups(given: Given) -> list[str]:
    """``release_agent`` runs a program of the host's choosing as root; a limit that may be written is none."""
    found = []
    for base, _, names in os.walk("/sys/fs/cgroup"):
        for name in names:
            if opens(os.path.join(base, name), os.O_WRONLY):
                found.append(f"may write {os.path.join(base, name)}")
        if len(found) > 4:
            break
    with contextlib.suppress(OSError):
        os.mkdir("/sys/fs/cgroup/attack")
        os.rmdir("/sys/fs/cgroup/attack")
        found.append("made a control group")
    return found


def sockets_and_devices(given: Given) -> list[str]:
    """``docker.sock``, ``/dev/kvm``, disks: any socket of a daemon, any device beyond the usual ones."""
    found = []
    for entry in files_below("/"):
        with contextlib.suppress(OSError):
            mode = entry.stat(follow_symlinks=False).st_mode
            is_device = stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
            masked = is_device and os.stat(entry.path).st_rdev == os.stat("/dev/null").st_rdev
            usual = entry.name in _USUAL_DEVICES or entry.path.startswith("/dev/pts/")
            if (is_device and not usual and not masked) or (stat.S_ISSOCK(mode) and entry.name in _SOCKETS):
                found.append(f"{entry.path} is here")
    return found


def identity(given: Given) -> list[str]:
    """Root, its group, any capability."""
    found = []
    if 0 in (os.getuid(), os.geteuid(), os.getgid(), os.getegid(), *os.getgroups()):
        found.append("runs as root or in its group")
    status = dict(line.split(":\t", 1) for line in read("/proc/self/status").decode().splitlines() if ":\t" in line)
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        if int(status.get(name, "0"), 16):
            found.append(f"has capabilities: {name} {status[name]}")
    if status.get("NoNewPrivs") != "1":
        found.append("may gain privileges by executing a file")
    return found
