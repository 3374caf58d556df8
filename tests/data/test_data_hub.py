import errno
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tritcoder.data import hub as hub_module
from tritcoder.data.hub import HuggingFaceHub
from tritcoder.errors import AccessError, MissingExtraError, StorageError

DATASET = "bigcode/the-stack-dedup"


class GatedRepoError(Exception):
    """As huggingface_hub names it."""


class LocalEntryNotFoundError(OSError):
    """As huggingface_hub names it: neither in the cache nor reachable."""


class HttpError(OSError):
    """Carries a response, as HfHubHTTPError does."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status} Client Error\nfor url ...")
        self.response = SimpleNamespace(status_code=status)


def _library(error: Exception | None, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    calls: list[tuple[Any, ...]] = []

    def answer(value: Any) -> Callable[..., Any]:
        def method(*arguments: Any, **options: Any) -> Any:
            calls.append((*arguments, options))
            if error:
                raise error
            return value

        return method

    library = SimpleNamespace(
        HfApi=lambda: SimpleNamespace(
            dataset_info=answer(SimpleNamespace(sha="b" * 40)), list_repo_files=answer(["z.parquet", "a.parquet"])
        ),
        hf_hub_download=answer("/cache/a.parquet"),
    )
    monkeypatch.setattr(hub_module, "require", lambda name: library)
    return calls


def test_the_hub_is_asked_for_a_data_set_at_a_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = _library(None, monkeypatch)
    hub = HuggingFaceHub()
    assert hub.commit(DATASET, "") == "b" * 40
    assert hub.files(DATASET, "v1") == ["a.parquet", "z.parquet"]
    assert hub.fetch(DATASET, "a.parquet", "v1") == Path("/cache/a.parquet")
    assert calls == [
        (DATASET, {"revision": None}),
        (DATASET, {"repo_type": "dataset", "revision": "v1"}),
        (DATASET, "a.parquet", {"repo_type": "dataset", "revision": "v1"}),
    ]


def test_a_whole_commit_needs_no_question(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = _library(HttpError(500), monkeypatch)
    assert HuggingFaceHub().commit(DATASET, "c" * 40) == "c" * 40
    assert calls == []


def _ask(hub: HuggingFaceHub) -> list[Callable[[], Any]]:
    return [
        lambda: hub.commit(DATASET, ""),
        lambda: hub.files(DATASET, ""),
        lambda: hub.fetch(DATASET, "a.parquet", ""),
    ]


@pytest.mark.parametrize("error", [HttpError(401), HttpError(403), GatedRepoError("gated")])
def test_a_refusal_tells_where_the_terms_are_and_how_to_give_a_token(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    _library(error, monkeypatch)
    for question in _ask(HuggingFaceHub()):
        with pytest.raises(AccessError) as caught:
            question()
        assert f"https://huggingface.co/datasets/{DATASET}" in caught.value.hint
        for word in ("terms", "opt-outs", "up to date", "HF_TOKEN"):
            assert word in caught.value.hint


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (HttpError(404), "no such data set"),
        (HttpError(500), "500 Client Error for url"),
        (LocalEntryNotFoundError("cannot find the requested files"), "cannot find the requested files"),
        (ConnectionError("Name or service not known"), "Name or service not known"),
        (RuntimeError("anything else"), "anything else"),
    ],
)
def test_every_other_failure_is_one_sentence(error: Exception, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _library(error, monkeypatch)
    for question in _ask(HuggingFaceHub()):
        with pytest.raises(AccessError, match=said):
            question()


def test_a_full_disk_is_told_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    _library(OSError(errno.ENOSPC, "No space left on device"), monkeypatch)
    with pytest.raises(StorageError, match="no space left"):
        HuggingFaceHub().fetch(DATASET, "a.parquet", "")


def test_the_hub_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError) as caught:
        HuggingFaceHub().files(DATASET, "")
    assert "huggingface_hub" in caught.value.message
    assert caught.value.hint == "pip install 'tritcoder[data]'"
