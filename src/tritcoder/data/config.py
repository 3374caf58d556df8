"""What to read, what to keep and what to hold out: the data room's part of the configuration."""

from dataclasses import dataclass
from typing import Any, Literal

from tritcoder.errors import ConfigError

PERMISSIVE = (
    "0BSD",
    "Apache-2.0",
    "BlueOak-1.0.0",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CNRI-Python",
    "HPND",
    "ISC",
    "LicenseRef-BSD",
    "MIT",
    "MIT-0",
    "MIT-CMU",
    "NCSA",
    "PostgreSQL",
    "PSF-2.0",
    "Python-2.0",
    "Unlicense",
    "UPL-1.0",
    "X11",
    "Zlib",
)
"""SPDX ids under which text may be copied and changed at no more than the price of naming its authors.

`LicenseRef-BSD` is a package that calls itself BSD and does not say which of the family's texts it means.
"""

CorpusSource = Literal["installed", "folder", "the-stack"]


@dataclass(frozen=True, slots=True)
class CorpusConfig:
    """Where the code to learn from comes from, and which of it is kept."""

    source: CorpusSource = "installed"
    """`installed`: this interpreter's library and packages; `folder`: source files; `the-stack`: its files."""
    path: str = ""
    """`folder`: the folder. `the-stack`: local parquet or JSONL, a file or a folder; empty: from the hub."""
    dataset: str = "bigcode/the-stack-dedup"
    """The data set's name on the hub, for `the-stack` without `path`."""
    revision: str = ""
    """Commit or tag of `dataset`; empty: the newest."""
    max_files: int = 0
    """`the-stack` from the hub: download at most this many files, chosen by (seed, name); 0: all."""
    languages: tuple[str, ...] = ("Python",)
    """Programming languages, as The Stack spells them."""
    licences: tuple[str, ...] = PERMISSIVE
    """SPDX ids that are allowed; `unknown` admits text whose licence is not known."""
    opt_out: str = ""
    """A file of one repository (`owner/name`) or user (`owner`) a line whose code is never read."""
    packages: tuple[str, ...] = ()
    """`installed`: only these (`rich`, `stdlib`, `stdlib/json`); empty: all."""
    exclude_packages: tuple[str, ...] = ()
    """`installed`: all but these."""
    include_tests: bool = False
    """Whether test files are read too."""
    require_parse: bool = False
    """Whether Python that this interpreter cannot parse is dropped."""
    held_out: tuple[str, ...] = ()
    """Groups (packages, repositories) that are never trained on; empty: `held_out_share` chooses."""
    held_out_share: float = 0.05
    """Share of the bytes to hold out, as whole groups in hash order; 0: none."""
    held_out_max_bytes: int = 4_000_000
    """The held-out text has at most this many bytes of UTF-8; 0: no limit."""
    max_bytes: int = 0
    """The training text has at most this many bytes of UTF-8, files taken in hash order; 0: no limit."""
    max_bytes_per_group: int = 20_000_000
    """One group gives at most this many bytes to the training text, in hash order; 0: no limit."""
    min_file_bytes: int = 64
    """Shorter files are dropped; bytes of UTF-8."""
    max_file_bytes: int = 1_000_000
    """Longer files are dropped; bytes of UTF-8."""
    max_mean_line: float = 100
    """Files whose lines have more characters than this on average are dropped."""
    max_line: int = 1000
    """Files with a line of more characters than this are dropped."""
    min_alphanumeric: float = 0.25
    """Files in which a smaller share of the characters is letters and digits are dropped."""
    seed: int = 0
    """Decides the hash order of groups and files."""

    def __post_init__(self) -> None:
        """Refuse settings that no corpus can meet."""
        _require_at_least_0(
            self, "max_files", "held_out_max_bytes", "max_bytes", "max_bytes_per_group", "min_file_bytes"
        )
        checks = {
            "source = 'folder' needs path, the folder to read": self.source != "folder" or bool(self.path),
            "dataset must read owner/name, or path be set": bool(self.path) or self.dataset.count("/") == 1,
            "languages must name at least one language": bool(self.languages) and all(self.languages),
            "licences must allow at least one licence": bool(self.licences) and all(self.licences),
            f"held_out_share must be 0 or more and below 1, found {self.held_out_share}": (
                0 <= self.held_out_share < 1
            ),
            f"max_file_bytes must be above min_file_bytes = {self.min_file_bytes}, found {self.max_file_bytes}": (
                self.max_file_bytes > self.min_file_bytes
            ),
            f"max_mean_line must be above 0, found {self.max_mean_line}": self.max_mean_line > 0,
            f"max_line must be at least 1, found {self.max_line}": self.max_line >= 1,
            f"min_alphanumeric must be from 0 to 1, found {self.min_alphanumeric}": (0 <= self.min_alphanumeric <= 1),
            "source = 'installed' reads Python alone: languages must include 'Python'": (
                self.source != "installed" or "Python" in self.languages
            ),
        }
        _require(checks)


@dataclass(frozen=True, slots=True)
class ProblemsConfig:
    """Where the programming problems come from, and how many of them are used."""

    source: str = "embedded"
    """`embedded` (ours, a few dozen), `hub` (codeparrot/apps), or a path: a .jsonl[.gz] file whose rows name
    their split, a folder of `train.jsonl[.gz]` and `test.jsonl[.gz]`, or the APPS authors' archive (a folder
    with train/ and test/ in it, or a .tar.gz of one)."""
    train: str = ""
    """Path of the training problems, where they lie apart; wins over `source`."""
    test: str = ""
    """Path of the test problems, where they lie apart; wins over `source`."""
    train_limit: int = 0
    """At most this many training problems, sampled evenly over the difficulties; 0: all."""
    test_limit: int = 0
    """At most this many test problems, sampled evenly over the difficulties; 0: all."""
    max_tests: int = 0
    """The first so many tests of each problem; 0: all."""
    max_solutions: int = 20
    """The first so many solutions of each problem; 0: all."""
    seed: int = 0
    """Decides which problems a limit takes."""

    def __post_init__(self) -> None:
        """Refuse negative limits and a source that names nothing."""
        _require_at_least_0(self, "train_limit", "test_limit", "max_tests", "max_solutions")
        _require({"source must be embedded, hub or a path": bool(self.source.strip())})


def _require_at_least_0(config: object, *names: str) -> None:
    values: dict[str, Any] = {name: getattr(config, name) for name in names}
    _require({f"{name} must be 0 or more, found {value}": value >= 0 for name, value in values.items()})


def _require(checks: dict[str, bool]) -> None:
    for message, holds in checks.items():
        if not holds:
            raise ConfigError(message)
