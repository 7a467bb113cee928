"""System calls that no program needs: each is asked for with arguments that do nothing where it is let through."""

from __future__ import annotations

import ctypes
import functools
import mmap
import os
import platform
import signal
import socket
from collections.abc import Iterator

from .common import REFUSALS, Given, in_child

_NUMBERS: dict[str, tuple[int, int]] = {
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "unshare": (272, 97), "setns": (308, 268), "chroot": (161, 51),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "mount_setattr": (442, 442),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438), "kcmp": (312, 272), "process_madvise": (440, 440),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142),
    "swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89), "quotactl": (179, 60), "syslog": (103, 116),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266),
    "sethostname": (170, 161), "setdomainname": (171, 162),
    "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264), "fanotify_init": (300, 262),
    "move_pages": (279, 239), "migrate_pages": (256, 238), "mbind": (237, 235), "vmsplice": (278, 75),
}  # fmt: skip
"""Numbers on x86_64 and aarch64, as in the kernel's tables."""
_HERE = {"x86_64": 0, "aarch64": 1}
_NEW_USER, _NEW_NAMESPACES = 0x10000000, 0x10000000 | 0x00020000 | 0x40000000 | 0x20000000
_PTRACE_ATTACH, _PTRACE_SEIZE = 16, 0x4206
_AF_VSOCK, _AF_ALG = 40, 38


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _attempt(name: str, *arguments: int) -> bool:
    """Whether a system call gets past the filter: it then works, or fails for what its arguments are."""
    machine = _HERE.get(platform.machine())
    if machine is None:
        return False
    number = _NUMBERS[name][machine]
    ctypes.set_errno(0)
    answer = _libc().syscall(ctypes.c_long(number), *(ctypes.c_long(value) for value in arguments))
    return answer != -1 or ctypes.get_errno() not in REFUSALS


def _through(calls: dict[str, tuple[int, ...]]) -> list[str]:
    return [name for name, arguments in calls.items() if in_child(functools.partial(_attempt, name, *arguments))]


def io_uring(given: Given) -> list[str]:
    return _through({"io_uring_setup": (1, 0), "io_uring_enter": (-1, 0, 0, 0), "io_uring_register": (-1, 0, 0, 0)})


def namespaces(given: Given) -> list[str]:
    """``chroot`` and ``setns`` with nothing, new namespaces in a child that ends at once."""
    found = _through({"unshare": (_NEW_USER,), "setns": (-1, 0), "chroot": (0,)})
    flags = _NEW_NAMESPACES | signal.SIGCHLD

    def clone() -> bool:
        number = (56, 220)[_HERE[platform.machine()]]
        child = _libc().syscall(ctypes.c_long(number), ctypes.c_long(flags), ctypes.c_long(0), ctypes.c_long(0))
        if child == 0:
            os._exit(0)
        return bool(child > 0)

    return found + (["clone into new namespaces"] if platform.machine() in _HERE and in_child(clone) else [])


def mounts(given: Given) -> list[str]:
    return _through(
        {
            "mount": (0, 0, 0, 0, 0),
            "umount2": (0, 0),
            "pivot_root": (0, 0),
            "open_tree": (-1, 0, 0),
            "move_mount": (-1, 0, -1, 0, 0),
            "fsopen": (0, 0),
            "mount_setattr": (-1, 0, 0, 0, 0),
        }
    )


def key_rings(given: Given) -> list[str]:
    return _through({"keyctl": (0, -3, 0), "add_key": (0, 0, 0, 0, 0), "request_key": (0, 0, 0, 0)})


def bpf(given: Given) -> list[str]:
    return _through({"bpf": (0, 0, 0)})


def perf(given: Given) -> list[str]:
    return _through({"perf_event_open": (0, 0, -1, -1, 0)})


def userfaultfd(given: Given) -> list[str]:
    return _through({"userfaultfd": (1,)})


def other_memory(given: Given) -> list[str]:
    """Memory and descriptors of another process of the same user: one's own child, which elsewhere is allowed."""
    victim = os.fork()
    if victim == 0:
        signal.pause()
        os._exit(0)
    try:
        return _through(
            {
                "ptrace": (_PTRACE_ATTACH, victim, 0, 0),
                "process_vm_readv": (victim, 0, 0, 0, 0, 0),
                "process_vm_writev": (victim, 0, 0, 0, 0, 0),
                "pidfd_getfd": (-1, 0, 0),
                "kcmp": (victim, victim, 0, 0, 0),
                "process_madvise": (-1, 0, 0, 0, 0),
            }
        ) + (["ptrace (seize)"] if in_child(lambda: _attempt("ptrace", _PTRACE_SEIZE, victim, 0, 0)) else [])
    finally:
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)


def modules(given: Given) -> list[str]:
    """Kernel modules, another kernel, a reboot with a wrong magic number."""
    return _through(
        {
            "init_module": (0, 0, 0),
            "finit_module": (-1, 0, 0),
            "delete_module": (0, 0),
            "kexec_load": (0, 0, 0, 0),
            "kexec_file_load": (-1, -1, 0, 0, 0),
            "reboot": (0, 0, 0, 0),
        }
    )


def administration(given: Given) -> list[str]:
    """Swap, accounting, quotas, names, the kernel's log, files by handle, pages by node."""
    return _through(
        {
            "swapon": (0, 0),
            "swapoff": (0,),
            "acct": (1,),  # an address that is none: 0 would switch accounting off
            "quotactl": (0, 0, 0, 0),
            "syslog": (10, 0, 0),
            "sethostname": (0, -1),
            "setdomainname": (0, -1),
            "open_by_handle_at": (-1, 0, 0),
            "name_to_handle_at": (-1, 0, 0, 0, 0),
            "fanotify_init": (0, 0),
            "move_pages": (1, 0, 0, 0, 0, 0),
            "migrate_pages": (1, 0, 0, 0),
            "mbind": (0, 0, 0, 0, 0, 0),
            "vmsplice": (-1, 0, 0, 0),
        }
    )


def clock(given: Given) -> list[str]:
    """Setting the machine's clock, with times that are none."""
    return _through({"settimeofday": (1, 0), "clock_settime": (0, 1), "clock_adjtime": (0, 1)})


def _socket(family: int, kind: int) -> bool:
    try:
        socket.socket(family, kind).close()
    except OSError:
        return False
    return True


def vsock(given: Given) -> list[str]:
    """The host of a virtual machine answers there, past every network namespace."""
    return ["AF_VSOCK"] if _socket(_AF_VSOCK, socket.SOCK_STREAM) else []


def packet(given: Given) -> list[str]:
    raw = [name for name, family in (("AF_INET", 2), ("AF_INET6", 10)) if _socket(family, socket.SOCK_RAW)]
    return (["AF_PACKET"] if _socket(17, socket.SOCK_RAW) else []) + [f"raw {name}" for name in raw]


def netlink(given: Given) -> list[str]:
    return [f"family {family}" for family in _odd_families() if _socket(family, socket.SOCK_DGRAM)]


def _odd_families() -> Iterator[int]:
    """Every family of addresses but local, internet, and those that have attacks of their own."""
    yield from (number for number in range(3, 46) if number not in (10, 17, _AF_VSOCK))


def other_architecture(given: Given) -> list[str]:
    """``io_uring_setup`` by the 32-bit entry and the x32 numbers, which a filter by number alone would miss."""
    if platform.machine() != "x86_64":
        return []
    found = ["x32 numbers"] if in_child(_x32) else []
    return found + (["int 0x80"] if in_child(_int80) else [])


def _x32() -> bool:
    answer = _libc().syscall(ctypes.c_long(0x40000000 | 425), ctypes.c_long(1), ctypes.c_long(0))
    return answer != -1 or ctypes.get_errno() not in REFUSALS


def _int80() -> bool:
    """push rbx; mov eax, 425; mov ebx, 1; xor ecx, ecx; int 0x80; pop rbx; ret"""
    code = bytes.fromhex("53b8a9010000bb0100000031c9cd805bc3")
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    answer = ctypes.CFUNCTYPE(ctypes.c_int)(address)()
    return -answer not in REFUSALS
