"""Limits: what is within passes, what is beyond is told, and the numbers are those that were asked for."""

import subprocess
import sys

import pytest

from tritcoder.errors import ConfigError
from tritcoder.sandbox.jail import Jail
from tritcoder.sandbox.limits import MIB, Limits


@pytest.mark.parametrize(
    "wrong",
    [
        {"cpu_s": 0},
        {"cpu_s": -1},
        {"wall_s": 0},
        {"wall_s": float("inf")},
        {"cpu_s": float("nan")},
        {"memory_bytes": 1},
        {"output_bytes": 0},
    ],
)
def test_limits_under_which_nothing_runs_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"sandbox limits: {next(iter(wrong))}"):
        Limits(**wrong)  # type: ignore[arg-type]


def test_memory_is_counted_beyond_the_interpreter(jail: Jail) -> None:
    limits = Limits(cpu_s=20, wall_s=60, memory_bytes=100 * MIB)
    assert jail.run("x = bytearray(80 << 20)\nprint(len(x))", "", limits).stdout == f"{80 * MIB}\n"
    beyond = jail.run("x = bytearray(120 << 20)", "", limits)
    assert (beyond.ended, beyond.error) == ("memory_limit", "MemoryError (limit 100 MiB)")


def test_the_same_memory_is_there_with_numpy(jail: Jail) -> None:
    pytest.importorskip("numpy")
    limits = Limits(cpu_s=20, wall_s=60, memory_bytes=100 * MIB)
    program = "import numpy as np\nprint(np.ones({} << 17).sum())"
    assert jail.run(program.format(80), "", limits).stdout == f"{float(80 << 17)}\n"
    assert jail.run(program.format(120), "", limits).ended == "memory_limit"


def test_a_program_may_catch_its_memory_error(jail: Jail) -> None:
    limits = Limits(cpu_s=20, wall_s=60, memory_bytes=64 * MIB)
    execution = jail.run("try:\n bytearray(1 << 40)\nexcept MemoryError:\n print('caught')", "", limits)
    assert (execution.ended, execution.stdout) == ("finished", "caught\n")


def test_the_smallest_memory_still_runs_an_ordinary_program(jail: Jail) -> None:
    limits = Limits(cpu_s=20, wall_s=60, memory_bytes=16 * MIB)
    execution = jail.run("print(sum(map(int, input().split())))", "1 2 3", limits)
    assert (execution.ended, execution.stdout) == ("finished", "6\n"), execution.error


def test_output_up_to_the_limit_passes_and_one_more_does_not(jail: Jail) -> None:
    limits = Limits(cpu_s=20, wall_s=60, output_bytes=10_000)
    program = "import sys\nsys.stdout.write('x' * {})"
    exact = jail.run(program.format(10_000), "", limits)
    assert (exact.ended, len(exact.stdout)) == ("finished", 10_000)
    beyond = jail.run(program.format(10_001), "", limits)
    assert (beyond.ended, len(beyond.stdout)) == ("output_limit", 10_000)


def test_processor_time_and_clock_are_told_apart(jail: Jail) -> None:
    busy = jail.run("while True: pass", "", Limits(cpu_s=0.2, wall_s=60))
    assert (busy.ended, busy.error) == ("time_limit", "used more than 0.2 s of processor time")
    assert busy.cpu_s >= 0.2
    idle = jail.run("import time\ntime.sleep(60)", "", Limits(cpu_s=20, wall_s=0.3))
    assert (idle.ended, idle.error) == ("time_limit", "still running after 0.3 s on the clock")
    assert idle.wall_s >= 0.3 > idle.cpu_s


def test_all_threads_together_have_the_processor_time_of_one(jail: Jail) -> None:
    program = "import threading\nfor _ in range(3): threading.Thread(target=lambda: sum(range(10**12))).start()"
    assert jail.run(program, "", Limits(cpu_s=0.2, wall_s=60)).ended == "time_limit"


def test_what_was_printed_before_the_limit_is_kept(jail: Jail) -> None:
    execution = jail.run("print('begun', flush=True)\nwhile True: pass", "", Limits(cpu_s=0.2, wall_s=60))
    assert (execution.ended, execution.stdout) == ("time_limit", "begun\n")


def test_peak_memory_grows_with_what_is_used(jail: Jail) -> None:
    limits = Limits(cpu_s=20, wall_s=60)
    small = jail.run("x = 1", "", limits).peak_memory_bytes
    large = jail.run("x = b'x' * (64 << 20)", "", limits).peak_memory_bytes
    assert 60 * MIB < large - small < 80 * MIB


AT_ANY_LOAD = {
    "right": ("print(sum(map(int, input().split())))", "finished"),
    "works for a while": ("import time\nwhile time.process_time() < 0.15: pass\nprint(3)", "finished"),
    "works for too long": ("while True: pass", "time_limit"),
    "sleeps a little": ("import time\ntime.sleep(0.05)\nprint(3)", "finished"),
    "waits for a thread": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(0.05,)).start()\nprint(3)",
        "finished",
    ),
    "too much memory": ("bytearray(1 << 40)", "memory_limit"),
    "too much output": ("while True: print('x' * 1000)", "output_limit"),
    "wrong": ("1 / 0", "raised"),
}


def test_a_busy_machine_changes_no_verdict(jail: Jail) -> None:
    limits = Limits(cpu_s=0.5, wall_s=20, output_bytes=64 * 1024)
    load = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(8)]
    try:
        ended = {name: jail.run(program, "1 2", limits).ended for name, (program, _) in AT_ANY_LOAD.items()}
    finally:
        for process in load:
            process.kill()
            process.wait()
    assert ended == {name: expected for name, (_, expected) in AT_ANY_LOAD.items()}
