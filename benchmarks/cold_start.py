"""How long from nothing: an interpreter, the package, and the first token of `tritcoder generate`."""

import subprocess
import sys
import time

from measuring import spread

GENERATE = "from tritcoder.cli import main; main()"


def cold_starts(model: str, repeats: int) -> dict[str, dict[str, float] | None]:
    """Seconds of each; the first token only if a model is given."""
    return {
        "python": spread([_whole([sys.executable, "-c", "pass"]) for _ in range(repeats)]),
        "import tritcoder": spread([_whole([sys.executable, "-c", "import tritcoder"]) for _ in range(repeats)]),
        "generate to first token": spread([_first_byte(model) for _ in range(repeats)]) if model else None,
    }


def _whole(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - began


def _first_byte(model: str) -> float:
    """Until the first byte of the answer is on standard output."""
    words = [
        "generate",
        "Print the sum of two integers.",
        "--model",
        model,
        "--max-tokens",
        "8",
        "--temperature",
        "0",
    ]
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", GENERATE, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
    ) as process:
        assert process.stdout
        byte = process.stdout.read(1)
        seconds = time.perf_counter() - began
        process.stdout.read()
    assert byte, f"tritcoder generate wrote nothing with {model}"
    return seconds


def main() -> None:
    """Print the medians."""
    for name, found in cold_starts(sys.argv[1] if len(sys.argv) > 1 else "", 5).items():
        print(f"{name:24} {found['median']:.3f} s" if found else f"{name:24} no model was given")


if __name__ == "__main__":
    main()
