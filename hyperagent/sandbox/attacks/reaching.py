"""Attacks that reach for what is not theirs."""

from __future__ import annotations

from hyperagent.sandbox.attacks import judges, walls
from hyperagent.sandbox.attacks.attack import Attack


def _call(name: str, tries: str, function: str, stops: str = walls.FILTER) -> Attack:
    return Attack(name, tries, stops, function, host_kernel=True)


LOOKING = (
    Attack(
        "host files",
        "Reads and writes files of the host, by path and through /proc.",
        walls.SPACES,
        "looking.host_files",
    ),
    Attack("/proc/1/root", "Leaves through the root folders of other processes.", walls.SPACES, "looking.roots"),
    Attack(
        "keys",
        "Searches environments, command lines and all files for a secret.",
        "keys stay in the host's process; the environment is built anew",
        "looking.keys",
        seconds=40.0,
    ),
    Attack(
        "runner's memory",
        "Opens memory, environment and descriptors of the runner.",
        "runner and fork server are not dumpable",
        "looking.memory",
    ),
    Attack(
        "host processes",
        "Sees, reads and signals a process of the same user on the host.",
        "own process namespace",
        "looking.other_processes",
    ),
    Attack(
        "kernel memory",
        "Reads kcore, kmsg, kallsyms, key and timer lists, /dev/mem.",
        "masked files; no capability",
        "looking.kernel",
    ),
    Attack(
        "firmware", "Reads /sys/firmware and the debug file systems.", "masked, or no /sys at all", "looking.firmware"
    ),
    Attack(
        "kernel settings",
        "Opens sysrq-trigger, core_pattern, modprobe and others for writing.",
        "/proc/sys read-only or owned by root; not root",
        "looking.settings",
    ),
    Attack(
        "control groups",
        "Writes release_agent and its own limits.",
        "/sys/fs/cgroup read-only or absent",
        "looking.control_groups",
    ),
    Attack(
        "docker.sock, /dev/kvm",
        "Looks for sockets of daemons and for devices.",
        "never mounted; a /dev of its own",
        "looking.sockets_and_devices",
    ),
    Attack("identity", "Looks for root, its group, any capability.", walls.NO_PRIVILEGE, "looking.identity"),
)
CHANGING = (
    Attack(
        "delete /bin",
        "Deletes, renames, rewrites the system's files.",
        "read-only root file system",
        "changing.system_files",
    ),
    Attack(
        "runtime's files", "Rewrites the runtime's code or byte code.", "mounted read-only", "changing.runtime_files"
    ),
    Attack(
        "close the temporary folder",
        "Takes all rights from the folders that the next run needs.",
        "the runner takes them back, or owns the folder",
        "changing.temporary_folders",
    ),
    Attack(
        "setuid", "Becomes root: by asking, by set-user-id files.", f"{walls.NO_PRIVILEGE}; nosuid", "changing.setuid"
    ),
    Attack(
        "patched clocks",
        "Patches time so that a second does not count.",
        "the runner measures",
        "changing.clock",
        judge=judges.counted_in_full,
    ),
    Attack(
        "stopped clocks",
        "Runs on with its alarms ignored and its clocks standing still.",
        "wall-clock limit of the runner; kill, not SIGTERM",
        "changing.clock_stopped",
        ends=("timeout",),
        seconds=1.0,
    ),
)
CALLS = (
    _call("io_uring", "Sets up a ring, past the filter's eyes.", "calls.io_uring"),
    _call("new namespaces", "unshare, setns, chroot, clone with new namespaces.", "calls.namespaces"),
    _call("mount", "mount, pivot_root and the newer calls.", "calls.mounts"),
    _call("key rings", "keyctl, add_key, request_key.", "calls.key_rings"),
    _call("bpf", "Loads a program into the kernel.", "calls.bpf"),
    _call("perf_event_open", "Counts events of the processor.", "calls.perf"),
    _call("userfaultfd", "Halts the kernel in a page fault.", "calls.userfaultfd"),
    _call("ptrace", "ptrace, process_vm_readv, pidfd_getfd on another process of its own.", "calls.other_memory"),
    _call("kernel modules", "init_module, kexec, reboot.", "calls.modules", f"{walls.FILTER}; {walls.NO_PRIVILEGE}"),
    _call("administration", "Swap, accounting, quota, host name, kernel log, files by handle.", "calls.administration"),
    _call(
        "set the clock",
        "settimeofday, clock_settime, clock_adjtime.",
        "calls.clock",
        f"{walls.FILTER}; {walls.NO_PRIVILEGE}",
    ),
    _call(
        "32-bit calls",
        "The same calls by int 0x80 and by x32 numbers.",
        "calls.other_architecture",
        "the filter checks the architecture",
    ),
    _call("AF_VSOCK", "Talks to the hypervisor.", "calls.vsock", "the filter allows local and internet sockets only"),
    _call("AF_PACKET", "Raw packets.", "calls.packet", f"the same; {walls.NETWORK}"),
    _call(
        "AF_NETLINK and others",
        "Every other address family.",
        "calls.netlink",
        "the filter allows local and internet sockets only",
    ),
)
NETWORK = (
    Attack("host's listeners", "Connects to a listener on each address of the host.", walls.NETWORK, "network.host"),
    Attack(
        "local sockets",
        "Connects to local sockets of the host, with and without a file.",
        f"{walls.NETWORK}; {walls.SPACES}",
        "network.local_sockets",
    ),
    Attack("metadata address", "Asks the cloud for the machine's keys.", walls.NETWORK, "network.metadata"),
    Attack("DNS", "Looks up a name, which would carry data out.", walls.NETWORK, "network.names"),
    Attack("any route", "Looks for an interface or a route.", walls.NETWORK, "network.routes"),
)
