"""The seccomp profile as the program that the kernel takes, for a sandbox that no container engine compiles it for.

Classic BPF over ``struct seccomp_data`` (see seccomp(2)). Understood is what ``sandboxes/seccomp.json`` uses: allow and
errno actions, and conditions ``SCMP_CMP_EQ`` and ``SCMP_CMP_MASKED_EQ`` on arguments, all of a rule's to hold. Anything
else is refused, so that a profile never means less here than in Docker.
"""

from __future__ import annotations

import errno
import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from hyperagent.sandbox import policy

ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
"""``SECCOMP_RET_...`` values; the low 16 bits of ``ERRNO`` hold the error number."""
ARCHITECTURES = {"x86_64": ("SCMP_ARCH_X86_64", 0xC000003E), "aarch64": ("SCMP_ARCH_AARCH64", 0xC00000B7)}
"""Machine -> its name in a profile and its ``AUDIT_ARCH_...`` value. Both store the low half of a word first."""
_LOAD, _AND, _EQUAL, _RETURN = 0x20, 0x54, 0x15, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_MOST_INSTRUCTIONS = 4096
_LOW = 0xFFFFFFFF

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, operand: one ``struct sock_filter``."""


class UnknownProfile(ValueError):
    """The profile says something that cannot be compiled here."""


def compile_profile(profile: str, machine: str, numbers: Mapping[str, Mapping[str, int]] | None = None) -> bytes:
    """The program for ``bwrap --seccomp``, 8 bytes an instruction.

    Args:
        profile: JSON in Docker's format.
        machine: As ``platform.machine()`` says it.
        numbers: Machine -> name -> number of the system calls; None = ``sandboxes/syscalls.json``.

    Raises:
        UnknownProfile: An action, operator, architecture or system call is not known.
    """
    rules = json.loads(profile)
    tables = numbers or json.loads((policy.data_directory() / "syscalls.json").read_text())
    label, audit = ARCHITECTURES.get(machine, ("", 0))
    if machine not in tables or label not in [entry["architecture"] for entry in rules["archMap"]]:
        raise UnknownProfile(f"there is no seccomp profile for {machine}")
    code: list[Instruction] = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, audit), (_RETURN, 0, 0, KILL)]
    code.append((_LOAD, 0, 0, _NUMBER))
    for rule in rules["syscalls"]:
        for name in rule["names"]:
            if not any(name in table for table in tables.values()):
                raise UnknownProfile(f"the number of the system call {name} is not known")
            if name in tables[machine]:  # some exist on one machine only
                code += _rule(tables[machine][name], rule)
    code.append((_RETURN, 0, 0, _action(rules["defaultAction"], rules.get("defaultErrnoRet"))))
    if len(code) > _MOST_INSTRUCTIONS:
        raise UnknownProfile(f"the profile needs {len(code)} instructions, the kernel takes {_MOST_INSTRUCTIONS}")
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)


def _rule(number: int, rule: Mapping[str, Any]) -> list[Instruction]:
    """Return the action where number and arguments match; else go on behind it, with the number loaded again."""
    tests = [step for condition in rule.get("args") or () for step in _condition(condition)]
    body: list[Instruction] = [*tests, (_RETURN, 0, 0, _action(rule["action"], rule.get("errnoRet")))]
    code: list[Instruction] = [(_EQUAL, 0, len(body), number), *body]
    for index, (kind, _, _, operand) in enumerate(code):
        if kind == _EQUAL:
            code[index] = (kind, 0, len(code) - index - 1, operand)
    return [*code, (_LOAD, 0, 0, _NUMBER)] if tests else code


def _condition(condition: Mapping[str, Any]) -> Iterator[Instruction]:
    """Both halves of a 64-bit argument against a value; where to jump on a mismatch is for :func:`_rule` to fill in."""
    value, second = condition["value"], condition.get("valueTwo", 0)
    if condition["op"] == "SCMP_CMP_EQ":
        mask, wanted = None, value
    elif condition["op"] == "SCMP_CMP_MASKED_EQ":
        mask, wanted = value, second
    else:
        raise UnknownProfile(f"the operator {condition['op']} is not known")
    for offset, shift in ((0, 0), (4, 32)):
        yield _LOAD, 0, 0, _ARGUMENTS + 8 * condition["index"] + offset
        if mask is not None:
            yield _AND, 0, 0, (mask >> shift) & _LOW
        yield _EQUAL, 0, 0, (wanted >> shift) & _LOW


def _action(name: str, number: int | None) -> int:
    if name == "SCMP_ACT_ALLOW":
        return ALLOW
    if name == "SCMP_ACT_ERRNO":
        return ERRNO | (errno.EPERM if number is None else number)
    raise UnknownProfile(f"the action {name} is not known")
