"""The Hugging Face hub, as little of it as the data room needs; tests put a folder in its place."""

import errno
import re
from pathlib import Path
from typing import Protocol

from tritcoder.data.sources import require
from tritcoder.errors import AccessError, StorageError, TritcoderError

_REFUSED = (401, 403)


class Hub(Protocol):
    """Where data sets are fetched from, file by file."""

    def commit(self, dataset: str, revision: str) -> str:
        """The commit that a revision (empty: the newest) stands for now."""
        ...

    def files(self, dataset: str, revision: str) -> list[str]:
        """The names of all files of a data set, with folders."""
        ...

    def fetch(self, dataset: str, name: str, revision: str) -> Path:
        """A local copy of one file."""
        ...


class HuggingFaceHub:
    """The hub itself, with the token of `HF_TOKEN` or `hf auth login`; fetched files stay in its cache.

    Every method raises AccessError when the hub refuses or cannot be reached, StorageError when the disk is
    full, MissingExtraError when huggingface_hub is not installed.
    """

    def commit(self, dataset: str, revision: str) -> str:
        """The commit that a revision (empty: the newest) stands for now."""
        if re.fullmatch(r"[0-9a-f]{40}", revision):
            return revision
        library = require("huggingface_hub")
        try:
            return str(library.HfApi().dataset_info(dataset, revision=revision or None).sha)
        except Exception as error:  # its families of errors change with its HTTP library
            raise _explained(error, dataset) from None

    def files(self, dataset: str, revision: str) -> list[str]:
        """The names of all files of a data set, with folders."""
        library = require("huggingface_hub")
        try:
            names = library.HfApi().list_repo_files(dataset, repo_type="dataset", revision=revision or None)
            return sorted(map(str, names))
        except Exception as error:
            raise _explained(error, dataset) from None

    def fetch(self, dataset: str, name: str, revision: str) -> Path:
        """A local copy of one file."""
        library = require("huggingface_hub")
        try:
            return Path(library.hf_hub_download(dataset, name, repo_type="dataset", revision=revision or None))
        except Exception as error:
            raise _explained(error, dataset) from None


def _explained(error: Exception, dataset: str) -> TritcoderError:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError("no space left for the hub's files", "free some, or let HF_HOME point to a larger disk")
    status = getattr(getattr(error, "response", None), "status_code", None)
    kind = type(error).__name__
    if status in _REFUSED or kind in ("GatedRepoError", "LocalTokenNotFoundError"):
        return refused(dataset)
    if status == 404 or kind in ("RepositoryNotFoundError", "EntryNotFoundError", "RevisionNotFoundError"):
        return AccessError(
            f"the hub has no such data set, revision or file: {dataset}",
            "check the name; a private data set needs the token of someone who may read it, in HF_TOKEN",
        )
    sentence = " ".join(str(error).split())[:200]
    return AccessError(
        f"the hub did not give {dataset} ({kind}: {sentence})",
        "check the network and try again: fetched files are kept; or set path to a local copy",
    )


def refused(dataset: str) -> AccessError:
    """The complaint about a data set that the hub does not show to us."""
    return AccessError(
        f"the hub refused access to {dataset}: the data set is gated, or the token is missing or not valid",
        f"accept its terms at https://huggingface.co/datasets/{dataset} (for The Stack: honour opt-outs and keep "
        "your copy up to date), then put a read token of the same account in HF_TOKEN or run `hf auth login`",
    )
