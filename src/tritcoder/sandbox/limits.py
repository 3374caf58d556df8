"""What one program may use."""

from dataclasses import dataclass

from tritcoder.errors import ConfigError
from tritcoder.sandbox.inside.wire import MIN_BUSY_SHARE

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use on one input; beyond any of these it is stopped."""

    cpu_s: float = 4.0
    """Processor time of all its threads, in seconds: the same on an idle and on a busy machine."""
    wall_s: float = 10.0
    """Time on the clock, in seconds: for programs that sleep. One that gets at least a twentieth of a processor goes
    on until its processor time is used up, so that a busy machine changes no verdict."""
    memory_bytes: int = 512 * MIB
    """Address space beyond that of the interpreter, stacks of threads included."""
    output_bytes: int = 4 * MIB
    """Most that it may write to standard output; standard error and a returned value may each be as long."""

    @property
    def longest_s(self) -> float:
        """The most that a run may take on the clock."""
        return max(self.wall_s, self.cpu_s / MIN_BUSY_SHARE) + 1

    def __post_init__(self) -> None:
        """Refuse limits under which not even an empty program runs."""
        checks = {
            f"cpu_s must be above 0, found {self.cpu_s}": 0 < self.cpu_s < float("inf"),
            f"wall_s must be above 0, found {self.wall_s}": 0 < self.wall_s < float("inf"),
            f"memory_bytes must be at least 16 MiB, found {self.memory_bytes}": self.memory_bytes >= 16 * MIB,
            f"output_bytes must be at least 1024, found {self.output_bytes}": self.output_bytes >= 1024,
        }
        for message, holds in checks.items():
            if not holds:
                raise ConfigError(f"sandbox limits: {message}")
