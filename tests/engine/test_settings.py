"""What the environment may say of the engine."""

import os

import pytest

from tritcoder.engine.core import open_core
from tritcoder.engine.settings import KERNEL_VARIABLE, THREADS_VARIABLE, asked_kernel, threads_for
from tritcoder.errors import ConfigError


def test_what_the_caller_says_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KERNEL_VARIABLE, "numpy")
    monkeypatch.setenv(THREADS_VARIABLE, "3")
    assert (asked_kernel(), asked_kernel("scalar")) == ("numpy", "scalar")
    assert (threads_for(), threads_for(5)) == (3, 5)


def test_by_default_every_core_that_this_process_may_use_has_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(THREADS_VARIABLE, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    assert threads_for() == 3


@pytest.mark.parametrize("text", ["0", "-1", "two", "1025", "1.5"])
def test_a_number_of_threads_that_makes_no_sense_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(THREADS_VARIABLE, text)
    with pytest.raises(ConfigError, match=f"{THREADS_VARIABLE} must be a number"):
        threads_for()


@pytest.mark.parametrize("asked", [0, -2, 1025])
def test_threads_that_a_caller_asks_for_are_checked(asked: int) -> None:
    with pytest.raises(ConfigError, match="threads must be a number"):
        threads_for(asked)


def test_the_environment_can_take_the_slow_core(monkeypatch: pytest.MonkeyPatch) -> None:
    from random_models import SMALL, random_weights

    monkeypatch.setenv(KERNEL_VARIABLE, "numpy")
    assert open_core(random_weights(SMALL)).kernel == "numpy"
