"""Every error that tritcoder raises on purpose.

TritcoderError                 says what was expected, what was found, and what to do
├── AskedWronglyError          the caller's mistake: the command line exits with 2
│   ├── ConfigError            a key, a value or a file of the configuration
│   ├── DatasetError           a missing or malformed data file; names the line and the field
│   ├── EmptyCorpusError       every document was filtered away, or there was none
│   ├── ModelFileError         a model directory or file that is missing, cut short or of another kind
│   ├── NotFiniteError         NaN or infinity where a number is needed
│   ├── PromptError            a prompt that cannot be answered: empty, or longer than the context
│   └── MissingExtraError      an optional dependency is not installed
└── WorkFailedError            the work itself failed: the command line exits with 1
    ├── StorageError           the disk is full or cannot be written
    ├── AccessError            a hub or an API refused, or its key is missing
    ├── SandboxError           no safe place to run an untrusted program, or it broke down
    ├── TrainingError          the loss is not finite, a checkpoint does not fit
    └── InterruptedRunError    stopped by a signal; everything is saved
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class TritcoderError(Exception):
    """A problem that one sentence explains.

    Args:
        message: what was expected and what was found, in one sentence.
        hint: what to do now; printed after `try:`.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[type["TritcoderError"], tuple[str, str]]:
        return type(self), (self.message, self.hint)


class AskedWronglyError(TritcoderError, ValueError):
    """The caller asked for something that cannot be done."""

    exit_code = 2


class ConfigError(AskedWronglyError):
    """A configuration that cannot be read or does not make sense."""


class DatasetError(AskedWronglyError):
    """A data file that is missing, or whose rows break their schema."""


class EmptyCorpusError(AskedWronglyError):
    """No document is left to learn from."""


class ModelFileError(AskedWronglyError):
    """A model that cannot be loaded from where it was said to be."""


class NotFiniteError(AskedWronglyError):
    """NaN or infinity where a finite number is needed."""


class PromptError(AskedWronglyError):
    """A prompt that no model can answer."""


class MissingExtraError(AskedWronglyError):
    """An optional dependency that this verb needs is not installed."""


class WorkFailedError(TritcoderError):
    """The request was sound; carrying it out failed."""


class StorageError(WorkFailedError):
    """The disk is full, or refuses to be written."""


class AccessError(WorkFailedError):
    """A remote service refused: no token, no permission, no network, no quota."""


class SandboxError(WorkFailedError):
    """There is no safe place to run an untrusted program, or it broke down."""


class TrainingError(WorkFailedError):
    """Training cannot go on: a loss that is not finite, a checkpoint that does not fit."""


class InterruptedRunError(WorkFailedError):
    """A signal stopped the run; what was done is saved."""

    exit_code = 130


_REFUSED = (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP)
_IN_THE_WAY = {
    errno.EEXIST: "a file stands where a folder should be",
    errno.ENOTDIR: "a file stands where a folder should be",
    errno.EISDIR: "a folder stands where the file should be",
}


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write `path` into a StorageError that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(
                f"no space left on the disk that holds {path}",
                "free some space there, then give the same command again: finished stages are kept",
            ) from error
        if error.errno in _REFUSED or error.errno in _IN_THE_WAY:
            why = _IN_THE_WAY.get(error.errno, error.strerror)
            raise StorageError(f"{path} cannot be written ({why})", "choose another place") from error
        raise
