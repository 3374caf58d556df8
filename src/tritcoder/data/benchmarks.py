"""Every problem set that models are compared on, behind one name: its problems, and the prompt it was published with.

A benchmark lies where it is said to (`path`), or in the folder that the environment variable TRITCODER_DATA names.
"""

import difflib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from tritcoder.config import fingerprint
from tritcoder.data import p3
from tritcoder.data.apps import problems_identity, read_problems
from tritcoder.data.conala import conala_prompt, read_conala
from tritcoder.data.config import ProblemsConfig
from tritcoder.data.contests import read_contests
from tritcoder.data.hub import Hub
from tritcoder.data.humaneval import humaneval_plus_prompt, humaneval_prompt, read_humaneval
from tritcoder.data.leetcode import leetcode_prompt, read_leetcode
from tritcoder.data.mbpp import EXAMPLE_TASKS, docstring_prompt, few_shot_prompt, read_mbpp, split_of
from tritcoder.data.odex import odex_prompt, read_odex
from tritcoder.data.rows import Split
from tritcoder.data.sampling import sample
from tritcoder.data.sources import listing_digest
from tritcoder.errors import ConfigError, DatasetError
from tritcoder.records import Problem, Prompt

DATA_FOLDER = "TRITCODER_DATA"
"""The environment variable that names the folder of data sets."""

JudgedBy = Literal["tests", "check", "bleu"]
PutPrompt = Callable[[Problem, int], Prompt]
"""Problem and sample number to the published prompt."""

NO_TESTS = "it has no tests"


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A problem set, ready to be asked and judged."""

    name: str
    """`humaneval+`: what it is asked for by."""
    title: str
    """`HumanEval+`: what a reader sees."""
    problems: tuple[Problem, ...]
    prompt: PutPrompt
    """The published prompt of a problem, with its stop strings, for the sample of that number."""
    source: str
    """A path, `embedded` or `hub`."""
    identity: str
    """A short text that changes whenever the problems may have."""
    judged_by: JudgedBy
    """`tests`: inputs and outputs; `check`: a program after the answer; `bleu`: likeness to the reference alone."""
    published_prompt: str
    """The form of the prompt in one sentence, and where it was published."""
    unsuitable: Mapping[str, str]
    """Ids of problems on which no result counts, with the reason, as far as the data tell it."""
    notes: Mapping[str, str]
    """Ids of problems whose results count, but are to be told apart: those that occur in training data, say."""


class _Read(NamedTuple):
    problems: list[Problem]
    prompt: PutPrompt


class _Set(NamedTuple):
    """What the registry knows of a benchmark before it is read."""

    title: str
    file: str
    """The name of its file in the folder of data sets, without .jsonl or .jsonl.gz; empty: it comes with us."""
    judged_by: JudgedBy
    published_prompt: str
    read: Callable[[Path], _Read] | None = None
    """None for the sets in APPS's schema, which have many forms."""
    split: Split = "test"


_APPS_FORM = (
    "question, starter code, and whether input is read or a function called, between QUESTION: and ANSWER: "
    "(hendrycks/apps, eval/generate_gpt_codes.py)"
)
_MBPP_FORM = (
    "three solved tasks (2, 3, 4), then words and tests, up to [BEGIN]; ends at [DONE] "
    "(google-research/google-research, mbpp/README.md)"
)


def _asked_as_apps(problem: Problem, number: int) -> Prompt:
    return problem.prompt(number)


def _plain(read: Callable[[Path], list[Problem]], prompt: PutPrompt) -> Callable[[Path], _Read]:
    return lambda path: _Read(read(path), prompt)


def _read_mbpp(path: Path) -> _Read:
    """The published test split, asked after the three tasks of the prompt split."""
    problems = read_mbpp(path)
    by_id = {problem.problem_id: problem for problem in problems}
    missing = [name for name in EXAMPLE_TASKS if name not in by_id]
    if missing:
        raise DatasetError(
            f"{path}: expected tasks 2, 3 and 4, which the published prompt shows, found no {missing[0]}",
            "give the whole file: all tasks, not the test split alone",
        )
    examples = [by_id[name] for name in EXAMPLE_TASKS]
    return _Read([one for one in problems if split_of(one) == "test"], partial(few_shot_prompt, examples))


_SETS: dict[str, _Set] = {
    "embedded": _Set("embedded problems", "", "tests", f"as APPS: {_APPS_FORM}"),
    "apps": _Set("APPS", "apps-test", "tests", _APPS_FORM),
    "apps-train": _Set("APPS (training split)", "apps-train", "tests", _APPS_FORM, split="train"),
    "humaneval": _Set(
        "HumanEval",
        "humaneval",
        "check",
        "the function's head and docstring, to be continued (openai/human-eval; stop strings of "
        "bigcode-project/bigcode-evaluation-harness, bigcode_eval/tasks/humaneval.py)",
        _plain(read_humaneval, humaneval_prompt),
    ),
    "humaneval+": _Set(
        "HumanEval+",
        "humaneval-plus",
        "check",
        "the same without blank lines around it (evalplus/evalplus, evalplus/codegen.py; stop strings of "
        "evalplus/provider/utility.py)",
        _plain(read_humaneval, humaneval_plus_prompt),
    ),
    "mbpp": _Set("MBPP", "mbpp", "check", _MBPP_FORM, _read_mbpp),
    "mbpp-sanitized": _Set("MBPP (sanitized)", "mbpp-sanitized", "check", _MBPP_FORM, _read_mbpp),
    "mbpp+": _Set(
        "MBPP+",
        "mbpp-plus",
        "check",
        "a docstring of the words and the first test, to be continued (bigcode-project/bigcode-evaluation-harness, "
        "bigcode_eval/tasks/mbppplus.py; stop strings of evalplus/evalplus, evalplus/provider/utility.py)",
        _plain(read_mbpp, docstring_prompt),
    ),
    "leetcode": _Set(
        "LeetCodeDataset",
        "leetcode-test",
        "check",
        "a message with statement, starter code and form of the answer (newfacade/LeetCodeDataset, field query)",
        _plain(read_leetcode, leetcode_prompt),
    ),
    "codeforces": _Set(
        "Codeforces", "codeforces-eval", "tests", f"as APPS: {_APPS_FORM}", _plain(read_contests, _asked_as_apps)
    ),
    "codecontests": _Set(
        "CodeContests", "codecontests-eval", "tests", f"as APPS: {_APPS_FORM}", _plain(read_contests, _asked_as_apps)
    ),
    "codecontests-train": _Set(
        "CodeContests (training sample)",
        "codecontests-train-sample",
        "tests",
        f"as APPS: {_APPS_FORM}",
        _plain(read_contests, _asked_as_apps),
    ),
    "odex": _Set(
        "ODEX",
        "odex-en",
        "check",
        "the function's head, the intent as its docstring, and the beginning of its line (zorazrw/odex, prompt.py)",
        _plain(read_odex, odex_prompt),
    ),
    "p3": _Set(
        "Python Programming Puzzles",
        "p3-puzzles",
        "check",
        "five solved puzzles, this one, and the head and docstring of its answer "
        "(microsoft/PythonProgrammingPuzzles, solvers/codex/run_codex_experiments.py)",
        _plain(lambda path: p3.one_of_each(p3.read_p3(path)), p3.p3_prompt),
    ),
    "conala": _Set(
        "CoNaLa",
        "conala-test",
        "bleu",
        "two solved intents and this one; the answer is one line (bigcode-project/bigcode-evaluation-harness, "
        "bigcode_eval/tasks/conala.py)",
        _plain(read_conala, conala_prompt),
    ),
}

NAMES: tuple[str, ...] = tuple(_SETS)
"""Every benchmark's name, for help texts."""


def open_benchmark(name: str, path: str = "", *, limit: int = 0, seed: int = 0, hub: Hub | None = None) -> Benchmark:
    """Read a benchmark.

    Args:
        name: one of NAMES.
        path: its file, or a folder that holds it; for APPS also any form that `read_problems` knows, or `hub`.
            Empty: the folder that TRITCODER_DATA names.
        limit: at most so many problems, each difficulty in its proportion; 0: all.
        seed: decides which problems a limit takes.
        hub: where `hub` fetches from, the Hugging Face hub unless told otherwise.

    Raises:
        ConfigError: no such benchmark, no place to read it from, or a place that it cannot be read from.
        DatasetError: the file is missing or damaged, or a row breaks its schema; names file, line and field.
        AccessError: the hub refuses, or cannot be reached.
    """
    known = _known(name)
    if limit < 0:
        raise ConfigError(f"the limit must be 0 or more, found {limit}", "leave it out for all problems")
    source = _source(known, path)
    if known.read is None:
        config = ProblemsConfig(source=source, train_limit=limit, test_limit=limit, seed=seed)
        read = _Read(read_problems(config, known.split, hub), _asked_as_apps)
        identity = fingerprint(name, problems_identity(config, hub))
    else:
        file = Path(source)
        identity = fingerprint(name, listing_digest(file, [file]))
        read = _limited(known.read(file), source, limit, seed)
    return Benchmark(
        name=name,
        title=known.title,
        problems=tuple(read.problems),
        prompt=read.prompt,
        source=source,
        identity=identity,
        judged_by=known.judged_by,
        published_prompt=known.published_prompt,
        unsuitable=_unsuitable(read.problems, known.judged_by),
        notes={problem.problem_id: problem.note for problem in read.problems if problem.note},
    )


def _known(name: str) -> _Set:
    if name not in _SETS:
        near = difflib.get_close_matches(name.lower(), NAMES, n=1, cutoff=0.5)
        listed = f"known are {', '.join(NAMES)}"
        hint = f"did you mean {near[0]}? {listed}" if near else listed
        raise ConfigError(f"expected the name of a benchmark, found {name!r}", hint)
    return _SETS[name]


def _source(known: _Set, path: str) -> str:
    """Where to read from: `embedded`, `hub`, or the path of a file (for APPS: of whatever holds it)."""
    if not known.file:
        if path:
            raise ConfigError(f"the {known.title} come with tritcoder, found a path to them: {path}", "leave it out")
        return "embedded"
    in_many_forms = known.read is None
    if path == "hub" and not in_many_forms:
        raise ConfigError(f"{known.title} is read from a file, found 'hub'", f"--problems PATH: {_names(known)}")
    if path:
        return path if in_many_forms or not Path(path).is_dir() else _within(Path(path), known)
    folder = os.environ.get(DATA_FOLDER, "")
    if folder:
        return _within(Path(folder), known)
    raise ConfigError(f"expected a place to read {known.title} from, found none", _ways(known, in_many_forms))


def _ways(known: _Set, in_many_forms: bool) -> str:
    ways = f"--problems PATH, or {DATA_FOLDER}=FOLDER with {_names(known)} in it"
    return f"{ways}, or --problems hub, which fetches it from the Hugging Face hub" if in_many_forms else ways


def _within(folder: Path, known: _Set) -> str:
    for packing in ("", ".gz"):
        if (folder / f"{known.file}.jsonl{packing}").is_file():
            return str(folder / f"{known.file}.jsonl{packing}")
    raise DatasetError(
        f"{folder}: expected {_names(known)} in this folder, found neither",
        f"put it there, or name another place with --problems or {DATA_FOLDER}",
    )


def _names(known: _Set) -> str:
    return f"{known.file}.jsonl or {known.file}.jsonl.gz"


def _limited(read: _Read, source: str, limit: int, seed: int) -> _Read:
    """The problems that the limit takes, once it is sure that they are told apart by their ids."""
    counted = Counter(problem.problem_id for problem in read.problems)
    if not counted:
        raise DatasetError(f"{source}: expected problems, found none", "give the whole file")
    twice, times = counted.most_common(1)[0]
    if times > 1:
        raise DatasetError(f"{source}: a second problem with the id {twice}", "ids must differ")
    if not limit:
        return read
    chosen = sample(((one.problem_id, one.difficulty) for one in read.problems), limit, seed)
    return _Read([one for one in read.problems if one.problem_id in chosen], read.prompt)


def _unsuitable(problems: Iterable[Problem], judged_by: JudgedBy) -> dict[str, str]:
    found = {}
    for problem in problems:
        untested = judged_by != "bleu" and not problem.tests and not problem.check
        if reason := problem.unsuitable or (NO_TESTS if untested else ""):
            found[problem.problem_id] = reason
    return found
