"""How fast can this machine read memory? What no decoder of a model larger than the caches can go beyond.

    python benchmarks/bandwidth.py [--threads 1,2,4] [--mib 1024] [--repetitions 5]

The probe is `bandwidth.c`, compiled when it is needed with the system's compiler; without one there is no number.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from measuring import spread

SOURCE = Path(__file__).with_name("bandwidth.c")
COMPILERS = ("cc", "gcc", "clang")


def probe_program() -> Path | None:
    """The compiled probe; None where there is no compiler, or it fails."""
    key = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]
    program = Path(tempfile.gettempdir()) / f"tritcoder-bandwidth-{os.getuid()}-{key}"
    if program.is_file():
        return program
    for compiler in filter(shutil.which, COMPILERS):
        fresh = program.with_suffix(f".{os.getpid()}")
        for flags in (["-O3", "-march=native"], ["-O3"]):
            command = [compiler, *flags, "-pthread", str(SOURCE), "-o", str(fresh)]
            if not subprocess.run(command, capture_output=True, check=False).returncode:
                return fresh.replace(program)
    return None


def read_gb_per_s(threads: int, mib: int = 1024, repetitions: int = 5) -> list[float] | None:
    """GB/s of each repetition with so many threads; None where the probe cannot be had."""
    program = probe_program()
    if program is None:
        return None
    printed = subprocess.check_output([str(program), str(mib), str(threads), str(repetitions)], text=True)
    return [float(line) for line in printed.split()]


def main() -> None:
    """Print what each number of threads reads."""
    parser = argparse.ArgumentParser(description="GB/s of reading memory")
    parser.add_argument("--threads", default=",".join(str(n + 1) for n in range(os.cpu_count() or 1)))
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--repetitions", type=int, default=5)
    asked = parser.parse_args()
    for threads in map(int, asked.threads.split(",")):
        found = read_gb_per_s(threads, asked.mib, asked.repetitions)
        print(f"{threads} threads: " + (f"{spread(found)}" if found else "no compiler: null"))


if __name__ == "__main__":
    main()
