"""What one program may use."""

from dataclasses import dataclass

from tritcoder.errors import ConfigError

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use on one input; beyond any of these it is stopped."""

    cpu_s: float = 4.0
    """Processor time of all its threads, in seconds: the same on an idle and on a busy machine."""
    wall_s: float = 10.0
    """Time on the clock, in seconds: for programs that sleep."""
    memory_bytes: int = 512 * MIB
    """Address space beyond that of the interpreter, stacks of threads included."""
    output_bytes: int = 4 * MIB
    """Most that it may write to standard output; standard error and a returned value may each be as long."""

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
