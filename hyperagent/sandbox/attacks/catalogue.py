"""Every attack, with what stops it."""

from __future__ import annotations

from hyperagent.sandbox.attacks import judges
from hyperagent.sandbox.attacks.attack import Attack

_FILTER = "system call filter: an allow-list"
_SPACES = "own namespaces; none of the host's paths is mounted"
_NETWORK = "own network namespace with nothing but loopback"
_NO_PRIVILEGE = "no capability, not root, no-new-privileges"
_MEMORY = "memory limit of the sandbox, swap included; the program is what the kernel kills first"
_PIDS = "limit on processes"
_SWEEP = "the runner adopts orphans, stops and kills every descendant after each run"
_FRESH = "the session is marked as destroyed and charged to the program; the next one is new"
_COPY = "the runner copies regular files only and follows nothing, after the run's last process is dead"
_NONCE = "frames carry a nonce that no program sees; the runner's descriptors are closed to it"
_KEPT = {"kept": b"kept"}

LOOKING = (
    Attack("host files", "Reads and writes files of the host, by path and through /proc.", _SPACES, "looking.host_files"),
    Attack("/proc/1/root", "Leaves through the root folders of other processes.", _SPACES, "looking.roots"),
    Attack("keys", "Searches environments, command lines and all files for a secret.", "keys stay in the host's process; the environment is built anew", "looking.keys", seconds=40.0),
    Attack("runner's memory", "Opens memory, environment and descriptors of the runner.", "runner and fork server are not dumpable", "looking.memory"),
    Attack("host processes", "Sees, reads and signals a process of the same user on the host.", "own process namespace", "looking.other_processes"),
    Attack("kernel memory", "Reads kcore, kmsg, kallsyms, key and timer lists, /dev/mem.", "masked files; no capability", "looking.kernel"),
    Attack("firmware", "Reads /sys/firmware and the debug file systems.", "masked, or no /sys at all", "looking.firmware"),
    Attack("kernel settings", "Opens sysrq-trigger, core_pattern, modprobe and others for writing.", "/proc/sys read-only or owned by root; not root", "looking.settings"),
    Attack("control groups", "Writes release_agent and its own limits.", "/sys/fs/cgroup read-only or absent", "looking.control_groups"),
    Attack("docker.sock, /dev/kvm", "Looks for sockets of daemons and for devices.", "never mounted; a /dev of its own", "looking.sockets_and_devices"),
    Attack("identity", "Looks for root, its group, any capability.", _NO_PRIVILEGE, "looking.identity"),
)  # fmt: skip
CHANGING = (
    Attack("delete /bin", "Deletes, renames, rewrites the system's files.", "read-only root file system", "changing.system_files"),
    Attack("runtime's files", "Rewrites the runtime's code or byte code.", "mounted read-only", "changing.runtime_files"),
    Attack("setuid", "Becomes root: by asking, by set-user-id files.", f"{_NO_PRIVILEGE}; nosuid", "changing.setuid"),
    Attack("patched clocks", "Patches time so that a second does not count.", "the runner measures", "changing.clock", judge=judges.counted_in_full),
    Attack("stopped clocks", "Runs on with its alarms ignored and its clocks standing still.", "wall-clock limit of the runner; kill, not SIGTERM", "changing.clock_stopped", ends=("timeout",), seconds=1.0),
)  # fmt: skip
CALLS = (
    Attack("io_uring", "Sets up a ring, past the filter's eyes.", _FILTER, "calls.io_uring", host_kernel=True),
    Attack("new namespaces", "unshare, setns, chroot, clone with new namespaces.", _FILTER, "calls.namespaces", host_kernel=True),
    Attack("mount", "mount, pivot_root and the newer calls.", _FILTER, "calls.mounts", host_kernel=True),
    Attack("key rings", "keyctl, add_key, request_key.", _FILTER, "calls.key_rings", host_kernel=True),
    Attack("bpf", "Loads a program into the kernel.", _FILTER, "calls.bpf", host_kernel=True),
    Attack("perf_event_open", "Counts events of the processor.", _FILTER, "calls.perf", host_kernel=True),
    Attack("userfaultfd", "Halts the kernel in a page fault.", _FILTER, "calls.userfaultfd", host_kernel=True),
    Attack("ptrace", "ptrace, process_vm_readv, pidfd_getfd on another process of its own.", _FILTER, "calls.other_memory", host_kernel=True),
    Attack("kernel modules", "init_module, kexec, reboot.", f"{_FILTER}; {_NO_PRIVILEGE}", "calls.modules", host_kernel=True),
    Attack("administration", "Swap, accounting, quota, host name, kernel log, files by handle.", _FILTER, "calls.administration", host_kernel=True),
    Attack("set the clock", "settimeofday, clock_settime, clock_adjtime.", f"{_FILTER}; {_NO_PRIVILEGE}", "calls.clock", host_kernel=True),
    Attack("32-bit calls", "The same calls by int 0x80 and by x32 numbers.", "the filter checks the architecture", "calls.other_architecture", host_kernel=True),
    Attack("AF_VSOCK", "Talks to the hypervisor.", "the filter allows local and internet sockets only", "calls.vsock", host_kernel=True),
    Attack("AF_PACKET", "Raw packets.", f"the same; {_NETWORK}", "calls.packet", host_kernel=True),
    Attack("AF_NETLINK and others", "Every other address family.", "the filter allows local and internet sockets only", "calls.netlink", host_kernel=True),
)  # fmt: skip
NETWORK = (
    Attack("host's listeners", "Connects to a listener on each address of the host.", _NETWORK, "network.host"),
    Attack("local sockets", "Connects to local sockets of the host, with and without a file.", f"{_NETWORK}; {_SPACES}", "network.local_sockets"),
    Attack("metadata address", "Asks the cloud for the machine's keys.", _NETWORK, "network.metadata"),
    Attack("DNS", "Looks up a name, which would carry data out.", _NETWORK, "network.names"),
    Attack("any route", "Looks for an interface or a route.", _NETWORK, "network.routes"),
)  # fmt: skip
EXHAUSTING = (
    Attack("memory bomb", "Takes four times the memory.", _MEMORY, "exhausting.memory", ends=("memory", "killed")),
    Attack("memory bomb of many", "Six processes of half the limit each.", _MEMORY, "exhausting.memory_of_many", ends=("ok", "memory", "killed")),
    Attack("fork bomb", "Forks and lets the children fork.", f"{_PIDS}; {_SWEEP}", "exhausting.processes", ends=("ok", "error", "timeout", "killed", "memory")),
    Attack("threads", "Starts threads without end.", _PIDS, "exhausting.threads"),
    Attack("disk filling", "Fills every place that can be written.", "read-only root; a size on every writable folder, in memory", "exhausting.space", ends=("ok", "memory", "killed")),
    Attack("inode filling", "Makes 200,000 empty files.", "number of inodes, or the memory limit that they count against", "exhausting.inodes", ends=("ok", "memory", "killed")),
    Attack("output flood", "Writes 256 MB to its output.", "the runner keeps the tail, and kills at the limit", "exhausting.output", ends=("output",)),
    Attack("huge answer", "Answers with 64 MB.", "size limit on frames and trees", "exhausting.answer", ends=("output", "memory")),
    Attack("open files", "Opens 5,000 descriptors.", "resource limit", "exhausting.descriptors"),
)  # fmt: skip
OUTLIVING = (
    Attack("daemon", "Forks twice, ignores every signal, writes on.", _SWEEP, "outliving.daemon"),
    Attack("daemon of a hang", "The same behind a run that ignores SIGTERM.", _SWEEP, "outliving.daemon_of_a_hang", ends=("timeout",), seconds=2.0),
    Attack("kill PID 1", "Kills, stops and ends the first process.", f"the kernel shields it; where it passes SIGTERM on: {_FRESH}", "outliving.first_process", ends=("ok", "killed"), ruins=True),
    Attack("kill the runner", "Kills the process that watches it.", _FRESH, "outliving.kill_runner", ends=("killed",), ruins=True),
    Attack("stop the runner", "Stops it instead, so that nothing ends.", f"the host's own clock; {_FRESH}", "outliving.stop_runner", ends=("timeout",), seconds=2.0, ruins=True),
    Attack("kill everything", "kill(-1).", _FRESH, "outliving.kill_all", ends=("killed",), ruins=True),
    Attack("squeeze the runner", "Takes the runner's files and processor time by prlimit.", f"harms its own session only; {_FRESH}", "outliving.squeeze_runner", ends=("ok", "killed", "error"), ruins=True),
    Attack("close descriptors", "Closes all of its own.", "a run without an answer is an error", "outliving.close_descriptors", ends=("error",)),
    Attack("forge frames", "Writes answers to every descriptor it finds.", _NONCE, "outliving.forge_frames", ends=("ok", "error", "killed"), judge=judges.no_forgery),
)  # fmt: skip
LEAVING = (
    Attack("links in the output", "Leaves links to files of the host.", _COPY, "leaving.links", judge=judges.only_kept, workspace=_KEPT),
    Attack("swaps while copying", "Lets file, link, hard link and fifo take turns while the copy is made.", _COPY, "leaving.swaps", judge=judges.only_kept, workspace=_KEPT),
    Attack("fifo, socket, device", "Leaves what blocks or harms its reader.", f"{_COPY}; {_NO_PRIVILEGE}", "leaving.special_files", judge=judges.only_kept, workspace=_KEPT),
    Attack("10 GB sparse file", "Leaves files that take no space until they are read.", "limit on a file's size; limit on the copy, checked before reading", "leaving.sparse", ends=("output",), workspace=_KEPT),
    Attack("zip and tar bombs", "Leaves archives that unpack to far more.", "nothing is ever unpacked on the host; size of the writable folder", "leaving.bombs", ends=("ok", "memory"), judge=judges.bombs_unopened, workspace=_KEPT),
    Attack("names", "../, absolute paths, backslashes, control characters.", "the host takes normal relative names only, and never writes them to disk", "leaving.names", ends=("output", "ok"), judge=judges.hostile_archives_refused, workspace=_KEPT),
    Attack("deep folders", "2,000 levels; folders closed to their owner.", "limit on depth; the folder is wiped before the next run", "leaving.deep", ends=("output",), workspace=_KEPT),
)  # fmt: skip
MODEL = (
    Attack("hold the model socket", "Leaves a hundred half requests open.", "connections end with their run; the runner forwards 16 at once", "model.hold", ends=("error",)),
    Attack("garbage to the model", "Sends what is no request.", "the host's door reads bounded requests", "model.garbage"),
    Attack("take the model's place", "Replaces the socket, listens on its port.", "its folder is mounted read-only; the port is taken", "model.takeover"),
)  # fmt: skip
ATTACKS: tuple[Attack, ...] = (
    *LOOKING, *CHANGING, *CALLS, *NETWORK, *EXHAUSTING, *OUTLIVING, *LEAVING, *MODEL
)  # fmt: skip
