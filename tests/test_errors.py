import copy
import errno
import pickle
from pathlib import Path

import pytest

import tritcoder.errors as errors
from tritcoder.errors import AskedWronglyError, StorageError, TritcoderError, WorkFailedError, storage_errors

EVERY = sorted(
    (kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, TritcoderError)),
    key=lambda kind: kind.__name__,
)
LEAVES = [kind for kind in EVERY if kind not in (TritcoderError, AskedWronglyError, WorkFailedError)]


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn: dict[str, str] = {}
    above = [""]
    for line in (errors.__doc__ or "").splitlines():
        name = line.lstrip("│├└─ ").split(" ")[0]
        if name.endswith("Error"):
            depth = (len(line) - len(line.lstrip("│├└─ "))) // 4
            above[depth:] = [name]
            drawn[name] = above[depth - 1] if depth else "Exception"
    assert drawn == {kind.__name__: kind.__bases__[0].__name__ for kind in EVERY}


@pytest.mark.parametrize("kind", LEAVES)
def test_mistakes_exit_with_2_and_failures_with_1(kind: type[TritcoderError]) -> None:
    asked_wrongly, failed = issubclass(kind, AskedWronglyError), issubclass(kind, WorkFailedError)
    assert asked_wrongly != failed
    assert issubclass(kind, ValueError) == asked_wrongly
    signalled = kind is errors.InterruptedRunError  # as shells count: 128 and SIGINT
    assert kind("x").exit_code == (2 if asked_wrongly else 130 if signalled else 1)


@pytest.mark.parametrize("kind", EVERY)
def test_errors_survive_pickling_with_their_hint(kind: type[TritcoderError]) -> None:
    error = kind("what happened", "what to do")
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(other) is kind
        assert (other.message, other.hint, str(other)) == ("what happened", "what to do", "what happened")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM])
def test_a_refusing_disk_is_a_storage_error_that_names_the_path(number: int) -> None:
    with pytest.raises(StorageError, match=r"runs/x\.json") as caught, storage_errors(Path("runs/x.json")):
        raise OSError(number, "no")
    assert caught.value.hint
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize("error", [OSError(errno.EIO, "broken disk"), KeyError("x"), TritcoderError("own")])
def test_other_errors_pass_through(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, storage_errors(Path("x")):
        raise error
    assert caught.value is error
