"""What an untrusted program may ask of the kernel: an allow-list, as the bytes of a seccomp filter.

Whatever is not named here fails with EPERM, so that a program sees an ordinary OSError. No entry makes a process,
sends a signal, opens a socket, changes a file's name, owner or mode, or traces. The filter is built outside, because
libseccomp cannot be found from within an empty file system.

Source: the names are those of CPython 3.11-3.14, numpy and glibc under strace; values from the kernel's uapi headers.
"""

import functools
import tempfile
from typing import Any

from tritcoder.errors import SandboxError

_ALLOWED = {
    "memory": "brk mmap munmap mremap mprotect madvise msync mincore membarrier",
    "descriptors": "read readv pread64 preadv write writev pwrite64 pwritev lseek close close_range "
    "dup dup2 dup3 fstat ftruncate pipe pipe2 fsync fdatasync",
    "names of files, opening none": "stat lstat newfstatat statx access faccessat faccessat2 "
    "readlink readlinkat getdents64 getcwd",
    "about itself": "getpid gettid getppid getuid geteuid getgid getegid getresuid getresgid getpgid getpgrp "
    "getsid getgroups uname sysinfo times getrusage getrlimit getcpu sched_yield sched_getaffinity "
    "sched_getparam sched_getscheduler sched_get_priority_max sched_get_priority_min getpriority",
    "threads": "futex futex_waitv set_robust_list get_robust_list rseq set_tid_address arch_prctl exit exit_group",
    "signals to itself": "rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend "
    "sigaltstack pause restart_syscall alarm setitimer getitimer",
    "time": "clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time "
    "select pselect6 poll ppoll getrandom",
}
_OPENING = "open openat"

_CLONE_THREAD = 0x00010000
_RLIMIT_STACK = 3
_FCNTL_COMMANDS = (0, 1, 2, 3, 4, 1030, 1032, 1034)
"""F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, F_GETPIPE_SZ, F_GET_SEALS. Not F_SETOWN and F_SETSIG,
by which a pipe sends any signal to any process of the same user."""
_IOCTL_REQUESTS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS (isatty), TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX."""
_PRCTL_OPTIONS = (15, 16)
"""PR_SET_NAME, PR_GET_NAME."""
_EPERM, _ENOSYS = 1, 38


@functools.cache
def build_filter(open_files: bool) -> bytes:
    """The filter for this machine's architecture, as an array of `struct sock_filter` (8 bytes each).

    Args:
        open_files: whether files may be opened; True only where something else says which.

    Raises:
        SandboxError: pyseccomp or libseccomp is missing, or too old to know `clone` or `prctl`.
    """
    seccomp = _load_pyseccomp()
    rules = seccomp.SyscallFilter(seccomp.ERRNO(_EPERM))
    rules.set_attr(seccomp.Attr.CTL_OPTIMIZE, 2)  # a binary tree: it is walked at every system call
    names = " ".join(_ALLOWED.values()) + (f" {_OPENING}" if open_files else "")
    for name in names.split():
        _add(seccomp, rules, seccomp.ALLOW, name)

    def equal(argument: int, value: int) -> Any:
        return seccomp.Arg(argument, seccomp.EQ, value)

    # A thread is allowed, a process is not; glibc asks by clone when clone3, whose flags lie in memory, is unknown.
    thread = seccomp.Arg(0, seccomp.MASKED_EQ, _CLONE_THREAD, _CLONE_THREAD)
    _add(seccomp, rules, seccomp.ALLOW, "clone", thread)
    _add(seccomp, rules, seccomp.ERRNO(_ENOSYS), "clone3")
    _add(seccomp, rules, seccomp.ALLOW, "prlimit64", equal(0, 0), equal(2, 0))  # one's own, reading only
    # Programs that recurse ask for a larger stack; theirs is as large as it gets. Say yes, and change nothing.
    _add(seccomp, rules, seccomp.ERRNO(0), "prlimit64", equal(1, _RLIMIT_STACK), seccomp.Arg(2, seccomp.NE, 0))
    _add(seccomp, rules, seccomp.ERRNO(0), "setrlimit", equal(0, _RLIMIT_STACK))
    for command in _FCNTL_COMMANDS:
        _add(seccomp, rules, seccomp.ALLOW, "fcntl", equal(1, command))
    for request in _IOCTL_REQUESTS:
        _add(seccomp, rules, seccomp.ALLOW, "ioctl", equal(1, request))
    for option in _PRCTL_OPTIONS:
        _add(seccomp, rules, seccomp.ALLOW, "prctl", equal(0, option))
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()


def _add(seccomp: Any, rules: Any, action: int, name: str, *arguments: Any) -> None:
    number = seccomp.resolve_syscall(seccomp.Arch.NATIVE, name)
    if number >= 0:  # else this architecture or this libseccomp does not know it: it stays forbidden
        rules.add_rule(action, number, *arguments)


def _load_pyseccomp() -> Any:
    try:
        import pyseccomp  # here, so that reading limits and results needs no libseccomp
    except ImportError:
        raise SandboxError("the sandbox needs pyseccomp, which is not installed", "pip install pyseccomp") from None
    except (RuntimeError, OSError) as error:  # its own words for a missing shared library
        raise SandboxError(
            f"pyseccomp cannot load libseccomp ({error})",
            "apt-get install libseccomp2 (dnf install libseccomp, apk add libseccomp)",
        ) from None
    return pyseccomp
