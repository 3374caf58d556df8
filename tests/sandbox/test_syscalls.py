"""The filter, read by another interpreter of BPF than the kernel's."""

import platform
import struct

import pytest

from tritcoder.errors import SandboxError
from tritcoder.sandbox.syscalls import build_filter

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers below are those of x86-64")
ARCHITECTURE = 0xC000003E
ALLOW, EPERM, ENOSYS, NOTHING, KILL = 0x7FFF0000, 0x50001, 0x50026, 0x50000, 0x00000000

ALLOWED = {"read": 0, "write": 1, "mmap": 9, "brk": 12, "futex": 202, "exit_group": 231, "getrandom": 318}
FORBIDDEN = {
    "fork": 57, "vfork": 58, "execve": 59, "execveat": 322, "kill": 62, "tkill": 200, "tgkill": 234,
    "rt_sigqueueinfo": 129, "pidfd_send_signal": 424, "pidfd_open": 434, "pidfd_getfd": 438,
    "socket": 41, "socketpair": 53, "connect": 42, "sendmsg": 46, "recvmsg": 47, "bind": 49,
    "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312,
    "unshare": 272, "setns": 308, "mount": 165, "chroot": 161, "pivot_root": 155, "open_by_handle_at": 304,
    "memfd_create": 319, "shmget": 29, "msgget": 68, "semget": 64, "mq_open": 240,
    "io_uring_setup": 425, "io_setup": 206, "bpf": 321, "userfaultfd": 323, "perf_event_open": 298,
    "keyctl": 250, "add_key": 248, "seccomp": 317, "personality": 135, "setuid": 105, "capset": 126,
    "rename": 82, "unlink": 87, "mkdir": 83, "symlink": 88, "link": 86, "chmod": 90, "chown": 92, "truncate": 76,
    "openat2": 437, "creat": 85, "fsopen": 430, "move_mount": 429, "sched_setaffinity": 203, "setpriority": 141,
    "timer_create": 222, "inotify_init1": 294, "eventfd2": 290, "epoll_create1": 291, "modify_ldt": 154,
}  # fmt: skip


def _evaluate(program: bytes, number: int, arguments: tuple[int, ...] = (), architecture: int = ARCHITECTURE) -> int:
    """What a filter answers: classic BPF over `struct seccomp_data`."""
    data = struct.pack("<iIQ6Q", number, architecture, 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
    instructions = [struct.unpack_from("<HBBI", program, at) for at in range(0, len(program), 8)]
    accumulator, at = 0, 0
    while True:
        code, if_true, if_false, constant = instructions[at]
        at += 1
        if code == 0x20:  # load a word
            (accumulator,) = struct.unpack_from("<I", data, constant)
        elif code == 0x54:  # and
            accumulator &= constant
        elif code == 0x05:  # jump
            at += constant
        elif code == 0x06:  # return
            return int(constant)
        else:
            holds = {
                0x15: accumulator == constant,
                0x25: accumulator > constant,
                0x35: accumulator >= constant,
                0x45: bool(accumulator & constant),
            }[code]
            at += if_true if holds else if_false


@pytest.fixture(params=[True, False], ids=["files", "no files"])
def open_files(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def program(open_files: bool) -> bytes:
    try:
        return build_filter(open_files)
    except SandboxError as error:
        pytest.skip(str(error))


def test_what_an_interpreter_needs_is_allowed(program: bytes) -> None:
    assert {name: _evaluate(program, number) for name, number in ALLOWED.items()} == dict.fromkeys(ALLOWED, ALLOW)


def test_what_reaches_out_is_forbidden(program: bytes) -> None:
    answers = {name: _evaluate(program, number) for name, number in FORBIDDEN.items()}
    assert answers == dict.fromkeys(FORBIDDEN, EPERM)


def test_numbers_not_yet_given_are_forbidden(program: bytes) -> None:
    assert {_evaluate(program, number) for number in range(470, 1000)} == {EPERM}


def test_files_open_only_where_something_else_says_which(program: bytes, open_files: bool) -> None:
    expected = ALLOW if open_files else EPERM
    assert (_evaluate(program, 2), _evaluate(program, 257)) == (expected, expected)


def test_a_thread_is_allowed_and_a_process_is_not(program: bytes) -> None:
    clone, clone3 = 56, 435
    assert _evaluate(program, clone, (0x3D0F00,)) == ALLOW  # what pthread_create asks for
    assert _evaluate(program, clone, (0x1200011,)) == EPERM  # what fork asks for
    assert _evaluate(program, clone, (0x10000000,)) == EPERM  # a user namespace
    assert _evaluate(program, clone3) == ENOSYS


def test_limits_can_be_read_and_only_the_stack_seems_to_change(program: bytes) -> None:
    prlimit64, setrlimit, stack, address_space = 302, 160, 3, 9
    assert _evaluate(program, prlimit64, (0, address_space, 0, 0x7000)) == ALLOW
    assert _evaluate(program, prlimit64, (0, address_space, 0x7000, 0)) == EPERM
    assert _evaluate(program, prlimit64, (0, address_space, 0x7000_0000_0000, 0)) == EPERM
    assert _evaluate(program, prlimit64, (99, address_space, 0, 0x7000)) == EPERM
    assert _evaluate(program, prlimit64, (0, stack, 0x7000, 0)) == NOTHING
    assert _evaluate(program, setrlimit, (stack, 0x7000)) == NOTHING
    assert _evaluate(program, setrlimit, (address_space, 0x7000)) == EPERM


def test_other_sets_of_system_calls_are_killed(program: bytes) -> None:
    assert _evaluate(program, 2, architecture=0x40000003) == KILL  # 32-bit x86
    assert _evaluate(program, 0x40000000) == KILL  # x32


def test_a_pipe_gets_no_owner_and_a_terminal_no_input(program: bytes) -> None:
    fcntl, ioctl, prctl = 72, 16, 157
    assert [_evaluate(program, fcntl, (0, command)) for command in (1, 3, 1030)] == [ALLOW] * 3
    assert [_evaluate(program, fcntl, (0, command)) for command in (8, 10, 15, 1031, 1033)] == [EPERM] * 5
    assert _evaluate(program, ioctl, (0, 0x5401)) == ALLOW
    assert _evaluate(program, ioctl, (0, 0x5412)) == EPERM
    assert _evaluate(program, prctl, (15,)) == ALLOW
    assert [_evaluate(program, prctl, (option,)) for option in (1, 4, 22, 23, 38)] == [EPERM] * 5
