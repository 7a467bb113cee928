"""Attacks that use up, outlive, break or trick what runs beside them."""

from __future__ import annotations

from hyperagent.sandbox.attacks import judges, walls
from hyperagent.sandbox.attacks.attack import Attack

_KEPT = {"kept": b"kept"}

EXHAUSTING = (
    Attack("memory bomb", "Takes four times the memory.", walls.MEMORY, "exhausting.memory", ends=("memory", "killed")),
    Attack(
        "memory bomb of many",
        "Six processes of half the limit each.",
        walls.MEMORY,
        "exhausting.memory_of_many",
        ends=("ok", "memory", "killed"),
    ),
    Attack(
        "fork bomb",
        "Forks and lets the children fork.",
        f"{walls.PIDS}; {walls.SWEEP}",
        "exhausting.processes",
        ends=("ok", "error", "timeout", "killed", "memory"),
    ),
    Attack("threads", "Starts threads without end.", walls.PIDS, "exhausting.threads"),
    Attack(
        "disk filling",
        "Fills every place that can be written.",
        "read-only root; a size on every writable folder, in memory",
        "exhausting.space",
        ends=("ok", "memory", "killed"),
    ),
    Attack(
        "inode filling",
        "Makes 200,000 empty files.",
        f"limit on inodes, or on the memory that they take; then {walls.FRESH}",
        "exhausting.inodes",
        ends=("ok", "memory", "killed"),
        ruins=True,
    ),
    Attack(
        "output flood",
        "Writes 256 MB to its output.",
        "the runner keeps the tail, and kills at the limit",
        "exhausting.output",
        ends=("output",),
    ),
    Attack(
        "huge answer",
        "Answers with 64 MB.",
        "size limit on frames and trees",
        "exhausting.answer",
        ends=("output", "memory"),
    ),
    Attack("open files", "Opens 5,000 descriptors.", "resource limit", "exhausting.descriptors"),
)
OUTLIVING = (
    Attack("daemon", "Forks twice, ignores every signal, writes on.", walls.SWEEP, "outliving.daemon"),
    Attack(
        "daemon of a hang",
        "The same behind a run that ignores SIGTERM.",
        walls.SWEEP,
        "outliving.daemon_of_a_hang",
        ends=("timeout",),
        seconds=2.0,
    ),
    Attack(
        "kill PID 1",
        "Kills, stops and ends the first process.",
        walls.FIRST,
        "outliving.first_process",
    ),
    Attack(
        "kill the runner",
        "Kills the process that watches it.",
        walls.FIRST,
        "outliving.kill_runner",
    ),
    Attack(
        "stop the runner",
        "Stops it instead, so that nothing ends.",
        f"{walls.FIRST}; the runner's own clock, and the host's behind it",
        "outliving.stop_runner",
        ends=("timeout",),
        seconds=0.5,
    ),
    Attack("kill everything", "kill(-1).", walls.FRESH, "outliving.kill_all", ends=("killed",), ruins=True),
    Attack(
        "squeeze the runner",
        "Takes the runner's files and processor time by prlimit.",
        walls.OWN_LIMITS,
        "outliving.squeeze_runner",
    ),
    Attack(
        "close descriptors",
        "Closes all of its own.",
        "a run without an answer is an error",
        "outliving.close_descriptors",
        ends=("error",),
    ),
    Attack(
        "forge frames",
        "Writes answers to every descriptor it finds.",
        walls.NONCE,
        "outliving.forge_frames",
        ends=("ok", "error", "killed"),
        judge=judges.no_forgery,
    ),
)
LEAVING = (
    Attack(
        "links in the output",
        "Leaves links to files of the host.",
        walls.COPY,
        "leaving.links",
        judge=judges.only_kept,
        workspace=_KEPT,
    ),
    Attack(
        "swaps while copying",
        "Lets file, link, hard link and fifo take turns while the copy is made.",
        walls.COPY,
        "leaving.swaps",
        judge=judges.only_kept,
        workspace=_KEPT,
    ),
    Attack(
        "fifo, socket, device",
        "Leaves what blocks or harms its reader.",
        f"{walls.COPY}; {walls.NO_PRIVILEGE}",
        "leaving.special_files",
        judge=judges.only_kept,
        workspace=_KEPT,
    ),
    Attack(
        "10 GB sparse file",
        "Leaves files that take no space until they are read.",
        "limit on a file's size; limit on the copy, checked before reading",
        "leaving.sparse",
        ends=("output",),
        workspace=_KEPT,
    ),
    Attack(
        "zip and tar bombs",
        "Leaves archives that unpack to far more.",
        "nothing is ever unpacked on the host; size of the writable folder",
        "leaving.bombs",
        ends=("ok", "memory"),
        judge=judges.bombs_unopened,
        workspace=_KEPT,
    ),
    Attack(
        "names",
        "../, absolute paths, backslashes, control characters.",
        "the host takes normal relative names only, and never writes them to disk",
        "leaving.names",
        ends=("output", "ok"),
        judge=judges.hostile_archives_refused,
        workspace=_KEPT,
    ),
    Attack(
        "deep folders",
        "2,000 levels; folders closed to their owner.",
        "limit on depth; the folder is wiped before the next run",
        "leaving.deep",
        ends=("output",),
        workspace=_KEPT,
    ),
)
MODEL = (
    Attack(
        "hold the model socket",
        "Leaves a hundred half requests open.",
        "connections end with their run; the runner forwards 16 at once",
        "model.hold",
        ends=("error",),
    ),
    Attack(
        "garbage to the model", "Sends what is no request.", "the host's door reads bounded requests", "model.garbage"
    ),
    Attack(
        "take the model's place",
        "Replaces the socket, listens on its port.",
        "its folder is mounted read-only; the port is taken",
        "model.takeover",
    ),
)
