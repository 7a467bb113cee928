"""The compiled filter must say of every call what the profile says: both are evaluated here, over and over."""

from __future__ import annotations

import errno
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperagent.sandbox import policy
from hyperagent.sandbox.seccomp import ALLOW, ARCHITECTURES, ERRNO, KILL, UnknownProfile, compile_profile

PROFILE = json.loads(policy.seccomp_profile())
NUMBERS = json.loads((policy.data_directory() / "syscalls.json").read_text())
MACHINES = sorted(ARCHITECTURES)
PROGRAMS = {machine: compile_profile(policy.seccomp_profile(), machine) for machine in MACHINES}


def interpret(program: bytes, audit: int, number: int, arguments: list[int]) -> int:
    """What the kernel makes of a call: a small classic-BPF machine over ``struct seccomp_data``."""
    data = struct.pack("<IIQ6Q", number, audit, 0, *arguments)
    code = list(struct.iter_unpack("<HBBI", program))
    accumulator, at = 0, 0
    while True:
        kind, yes, no, operand = code[at]
        at += 1
        if kind == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, operand)
        elif kind == 0x54:
            accumulator &= operand
        elif kind == 0x15:
            at += yes if accumulator == operand else no
        elif kind == 0x06:
            return operand
        else:
            raise AssertionError(f"an instruction {kind:#x} that the filter should not need")


def meant(profile: dict[str, Any], name: str, arguments: list[int]) -> int:
    """What the profile says of a call."""
    for rule in profile["syscalls"]:
        if name in rule["names"] and all(holds(condition, arguments) for condition in rule.get("args", [])):
            return ALLOW if rule["action"] == "SCMP_ACT_ALLOW" else ERRNO | rule.get("errnoRet", errno.EPERM)
    return ERRNO | errno.EPERM


def holds(condition: dict[str, Any], arguments: list[int]) -> bool:
    argument = arguments[condition["index"]]
    if condition["op"] == "SCMP_CMP_EQ":
        return bool(argument == condition["value"])
    return bool(argument & condition["value"] == condition["valueTwo"])


VALUES = sorted(
    {
        number
        for rule in PROFILE["syscalls"]
        for condition in rule.get("args", [])
        for base in (condition["value"], condition["valueTwo"])
        for number in (base, base + 1, base | 1 << 32)
    }
    | {40, 1 << 63, 0x10000000, 0x00020000, 0o010644, 0o020644}
)
arguments = st.lists(st.sampled_from(VALUES) | st.integers(0, 2**64 - 1), min_size=6, max_size=6)


@pytest.mark.parametrize("machine", MACHINES)
@given(data=st.data(), given_arguments=arguments)
def test_the_filter_says_what_the_profile_says(machine: str, data: st.DataObject, given_arguments: list[int]) -> None:
    with_conditions = [name for rule in PROFILE["syscalls"] if rule.get("args") for name in rule["names"]]
    names = sorted(NUMBERS[machine])
    name = data.draw(st.sampled_from(names) | st.sampled_from([name for name in with_conditions if name in names]))
    verdict = interpret(PROGRAMS[machine], ARCHITECTURES[machine][1], NUMBERS[machine][name], given_arguments)
    assert verdict == meant(PROFILE, name, given_arguments), name


@pytest.mark.parametrize("machine", MACHINES)
def test_every_listed_call_and_no_other_number_passes(machine: str) -> None:
    audit = ARCHITECTURES[machine][1]
    named = {number: name for name, number in NUMBERS[machine].items()}
    assert len(named) == len(NUMBERS[machine])
    for number in (*range(600), 0x40000000, 0x40000001, 2**32 - 1):
        verdict = interpret(PROGRAMS[machine], audit, number, [0] * 6)
        wanted = meant(PROFILE, named[number], [0] * 6) if number in named else ERRNO | errno.EPERM
        assert verdict == wanted, (number, named.get(number))


@pytest.mark.parametrize("machine", MACHINES)
def test_another_architecture_is_killed(machine: str) -> None:
    for audit in (0x40000003, *(value for name, (_, value) in ARCHITECTURES.items() if name != machine)):
        assert interpret(PROGRAMS[machine], audit, NUMBERS[machine]["read"], [0] * 6) == KILL


def test_numbers_that_everybody_knows() -> None:
    """From the kernel's tables; a wrong number would let another call through."""
    x86 = {"read": 0, "execve": 59, "socket": 41, "clone": 56, "clone3": 435, "openat": 257, "personality": 135}
    arm = {"read": 63, "execve": 221, "socket": 198, "clone": 220, "clone3": 435, "openat": 56, "personality": 92}
    assert x86.items() <= NUMBERS["x86_64"].items()
    assert arm.items() <= NUMBERS["aarch64"].items()
    assert "fork" not in NUMBERS["aarch64"]


def profile(**change: Any) -> str:
    rule = {"names": ["read"], "action": "SCMP_ACT_ALLOW"}
    made = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "archMap": [{"architecture": "SCMP_ARCH_X86_64"}],
        "syscalls": [{**rule, **change.pop("rule", {})}],
    }
    return json.dumps({**made, **change})


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (profile(rule={"names": ["no_such_call"]}), "no_such_call"),
        (profile(rule={"action": "SCMP_ACT_TRACE"}), "SCMP_ACT_TRACE"),
        (profile(rule={"args": [{"index": 0, "value": 1, "op": "SCMP_CMP_GE"}]}), "SCMP_CMP_GE"),
        (profile(defaultAction="SCMP_ACT_LOG"), "SCMP_ACT_LOG"),
        (profile(archMap=[]), "x86_64"),
        (profile(syscalls=[{"names": ["read"] * 3000, "action": "SCMP_ACT_ALLOW"}]), "instructions"),
    ],
)
def test_what_cannot_be_compiled_is_refused(text: str, word: str) -> None:
    with pytest.raises(UnknownProfile, match=word):
        compile_profile(text, "x86_64")


def test_an_unknown_machine_is_refused() -> None:
    with pytest.raises(UnknownProfile, match="riscv64"):
        compile_profile(policy.seccomp_profile(), "riscv64")


def test_all_conditions_of_a_rule_must_hold_and_one_rule_of_a_call() -> None:
    both = [{"index": 0, "value": 7, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 8, "op": "SCMP_CMP_EQ"}]
    other = {"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}
    text = profile(syscalls=[{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": both}, other])
    program = compile_profile(text, "x86_64")
    for given_arguments, wanted in (([7, 8], ALLOW), ([7, 9], ERRNO | 38), ([6, 8], ERRNO | 38)):
        assert interpret(program, ARCHITECTURES["x86_64"][1], 0, [*given_arguments, 0, 0, 0, 0]) == wanted
