"""What a process gives up before it runs untrusted lines, by raw system calls: Linux on x86-64 and arm64.

Source: prctl(2), capset(2), landlock(7) and seccomp(2); numbers from the kernel's uapi headers.
"""

import _signal
import ctypes
import os
import struct
import sys
from typing import Any

if sys.platform != "win32":
    import resource

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_SECCOMP_MODE_FILTER = 2
_SIGKILL = 9
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446  # the same on every architecture
_LANDLOCK_RULE_PATH_BENEATH = 1
_LANDLOCK_WRITE_FILE, _LANDLOCK_READ_FILE, _LANDLOCK_READ_DIR = 1 << 1, 1 << 2, 1 << 3
_LANDLOCK_RIGHTS_BY_ABI = (13, 14, 15, 15, 16)
"""How many file rights, lowest bits first, ABI 1, 2, ... knows; later ones know as many as the last."""
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


class FilterProgram(ctypes.Structure):
    """`struct sock_fprog` of linux/filter.h: a seccomp filter as prctl wants it."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def filter_program(instructions: bytes) -> FilterProgram | None:
    """Wrap the bytes of a filter; none for no bytes."""
    return FilterProgram(len(instructions) // 8, instructions) if instructions else None


def confine_zygote(landlock: str, readable: list[str]) -> int:
    """What children inherit: no privilege to gain, no memory that others may read, and Landlock.

    Args:
        landlock: "required", "if_there" or "no".
        readable: files and folders that stay readable under Landlock.

    Returns:
        Landlock's ABI version, 0 where it is not in use.
    """
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_DUMPABLE, 0)
    _drop_capabilities()
    abi = _landlock_abi() if landlock != "no" else 0
    if abi:
        _apply_landlock(abi, readable)
    elif landlock == "required":
        raise OSError("this kernel has no Landlock")
    return abi


def limit_for_all(descriptors: int, stack_bytes: int) -> None:
    """Limits that are the same for every program, and that children inherit."""
    _set_limit(resource.RLIMIT_CORE, 0)
    _set_limit(resource.RLIMIT_NOFILE, descriptors)
    _set_limit(resource.RLIMIT_STACK, stack_bytes)
    _signal.signal(_signal.SIGXFSZ, _signal.SIG_DFL)  # ends a flood of output at once


def confine_child(cpu_s: float, address_space: int, largest_file: int, filter_: FilterProgram | None) -> None:
    """The limits of one program, then the filter, from which there is no way back."""
    os.setsid()
    _prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
    _set_limit(resource.RLIMIT_CPU, int(cpu_s) + 3)  # if the watcher should sleep
    _set_limit(resource.RLIMIT_FSIZE, largest_file)
    _set_limit(resource.RLIMIT_AS, address_space)
    if filter_ is not None:
        _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(filter_))


_call_prctl = _libc.prctl
_call_prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)


def _prctl(option: int, argument: int, address: int = 0) -> None:
    if _call_prctl(option, argument, address, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl {option} refused")


def _syscall(number: int, *arguments: Any) -> int:
    """A raw system call; whole numbers are passed as long, as the kernel reads them. -1 on failure."""
    wide = [ctypes.c_long(item) if isinstance(item, int) else item for item in (number, *arguments)]
    return int(_libc.syscall(*wide))


def _set_limit(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _drop_capabilities() -> None:
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    if _libc.capset(header, (ctypes.c_uint32 * 6)()):
        raise OSError(ctypes.get_errno(), "capset refused")


def _landlock_abi() -> int:
    return max(0, _syscall(_LANDLOCK_CREATE, 0, 0, 1))


def _apply_landlock(abi: int, readable: list[str]) -> None:
    """From here on: read these paths, write /dev/null, and nothing else of any file, port or outer process."""
    every = (1 << _LANDLOCK_RIGHTS_BY_ABI[min(abi, len(_LANDLOCK_RIGHTS_BY_ABI)) - 1]) - 1
    attributes = (ctypes.c_uint64 * 3)(every, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = _syscall(_LANDLOCK_CREATE, attributes, size, 0)
    if ruleset < 0:
        raise OSError(ctypes.get_errno(), "Landlock refused a set of rules")
    for path in filter(os.path.exists, readable):
        rights = _LANDLOCK_READ_FILE | (_LANDLOCK_READ_DIR if os.path.isdir(path) else 0)  # noqa: PTH112
        _landlock_allow(ruleset, path, rights | (_LANDLOCK_WRITE_FILE if path == os.devnull else 0))
    if _syscall(_LANDLOCK_RESTRICT, ruleset, 0):
        raise OSError(ctypes.get_errno(), "Landlock refused to restrict")
    os.close(ruleset)


def _landlock_allow(ruleset: int, path: str, rights: int) -> None:
    parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, parent), 12)
    refused = _syscall(_LANDLOCK_ADD, ruleset, _LANDLOCK_RULE_PATH_BENEATH, rule, 0)
    os.close(parent)
    if refused:
        raise OSError(ctypes.get_errno(), f"Landlock refused {path}")
