"""The words that rooms speak to each other: frozen dataclasses, nothing else."""

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

Difficulty = Literal["introductory", "interview", "competition"]
DIFFICULTIES: tuple[Difficulty, ...] = ("introductory", "interview", "competition")

FinishReason = Literal["stop", "length", "cancelled", "error"]


@dataclass(frozen=True, slots=True)
class TestCase:
    """One input of a problem and the output that is right.

    Standard input: both are text. Call-based: `input` is the list of positional arguments,
    `output` the returned value, both plain JSON data.
    """

    __test__ = False  # its name begins with Test, but it is no pytest class

    input: Any
    output: Any


@dataclass(frozen=True, slots=True)
class Problem:
    """A programming problem in the APPS schema, whatever benchmark it comes from."""

    problem_id: str
    question: str
    solutions: tuple[str, ...] = ()
    """Programs by people, each right as far as the data set says."""
    tests: tuple[TestCase, ...] = ()
    fn_name: str | None = None
    """The function that the tests call; None for a program that reads standard input."""
    difficulty: Difficulty = "introductory"
    url: str = ""
    starter_code: str = ""
    check: str = ""
    """HumanEval, MBPP and their like: code that follows the completion and raises unless it is right."""
    preamble: str = ""
    """With `check`: code that goes before every answer, such as a site's imports."""
    unsuitable: str = ""
    """Why no result on it should be counted, as far as the data tell: its tests are the statement's examples, say."""
    note: str = ""
    """What a result on it should be told with: that it also occurs in training data, say."""

    @property
    def call_based(self) -> bool:
        """Whether the tests call a function, rather than run a program on standard input."""
        return self.fn_name is not None

    def prompt(self, sample: int = 0) -> "Prompt":
        """What a generator is told of it: the statement and the starter code, never a test or a solution."""
        return Prompt(
            text=self.question,
            starter_code=self.starter_code,
            call_based=self.call_based,
            task_id=self.problem_id,
            sample=sample,
        )


PromptKind = Literal["problem", "code", "message"]


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a Generator is asked to answer, once."""

    text: str
    """A problem in words (`kind == "problem"`), the beginning of some code (`"code"`), or a whole text that a
    benchmark has published (`"message"`): a chat model's message, what any other model continues."""
    kind: PromptKind = "problem"
    suffix: str = ""
    """Code that follows the gap: with `kind == "code"` the gap between the two is to be filled."""
    starter_code: str = ""
    call_based: bool = False
    task_id: str = ""
    sample: int = 0
    """Which of several answers to this task; with the seed it decides the random numbers."""
    stop: tuple[str, ...] = ()
    """Writing ends before the first of these strings, beside those of `Sampling.stop`."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen."""

    max_tokens: int = 512
    """At most so many tokens are written for one prompt."""
    temperature: float = 0.6
    """Divides the logits; 0 takes the most likely token always."""
    top_p: float = 0.95
    """Sample among the fewest tokens whose probabilities reach this sum."""
    top_k: int = 0
    """Sample among this many most likely tokens; 0 for all."""
    seed: int = 0
    """Same seed, same model, same prompt: same text, whatever else runs in the batch."""
    stop: tuple[str, ...] = ()
    """Writing ends before the first of these strings."""
    min_p: float = 0.0
    """Sample among tokens at least so probable as this share of the likeliest one's probability."""
    repetition_penalty: float = 1.0
    """Logits of tokens that occurred before are divided by it if positive, else multiplied (Keskar et al. 2019)."""
    logit_bias: tuple[tuple[int, float], ...] = ()
    """(token id, what is added to its logit)."""
    logprobs: int = 0
    """How many likeliest tokens are told with each token written, with their log-probabilities; 0 tells none."""
    json_schema: str = ""
    """The answer is JSON of this schema (a JSON text)."""
    regex: str = ""
    """The answer matches this regular expression."""
    grammar: str = ""
    """The answer keeps to this grammar, in Lark's notation."""

    def __post_init__(self) -> None:
        """Refuse settings outside their range, naming each."""
        from tritcoder.errors import ConfigError

        checks = {
            f"max_tokens must be at least 1, found {self.max_tokens}": self.max_tokens >= 1,
            f"temperature must be 0 or more, found {self.temperature}": self.temperature >= 0,
            f"top_p must be above 0 and at most 1, found {self.top_p}": 0 < self.top_p <= 1,
            f"top_k must be 0 or more, found {self.top_k}": self.top_k >= 0,
            "stop strings must not be empty": all(self.stop),
            f"min_p must be from 0 to 1, found {self.min_p}": 0 <= self.min_p <= 1,
            f"repetition_penalty must be above 0, found {self.repetition_penalty}": 0
            < self.repetition_penalty
            < math.inf,
            "logit_bias must be pairs of a token id (0 or more) and a number below infinity": all(
                token >= 0 and bias < math.inf for token, bias in self.logit_bias
            ),
            f"logprobs must be 0 or more, found {self.logprobs}": self.logprobs >= 0,
            "an answer is held to one of json_schema, regex and grammar": (
                bool(self.json_schema) + bool(self.regex) + bool(self.grammar) <= 1
            ),
        }
        for message, holds in checks.items():
            if not holds:
                raise ConfigError(message)


@dataclass(frozen=True, slots=True)
class TokenScore:
    """How probable a written token was, by the model's own logits (before any setting of the sampling)."""

    token: int
    log_prob: float
    top: tuple[tuple[int, float], ...] = ()
    """The likeliest tokens and their log-probabilities, likeliest first."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What a Generator wrote for one Prompt."""

    task_id: str
    sample: int
    text: str
    finish_reason: FinishReason
    n_prompt_tokens: int = 0
    n_tokens: int = 0
    first_token_s: float = 0.0
    """Seconds from the start of this prompt's batch to its first token."""
    seconds: float = 0.0
    """Seconds from the start of this prompt's batch to its last token."""
    model: str = ""
    error: str = ""
    """Why there is no text: a refusal (`finish_reason == "error"`), or an answer that came back empty."""
    scores: tuple[TokenScore, ...] = ()
    """Of each token written, if `Sampling.logprobs` asked for them."""


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How probable a model finds a text, given what came before it."""

    nats: float
    """Minus the natural logarithm of its probability."""
    n_tokens: int
    n_bytes: int
    """Length of the text as UTF-8."""
    n_chars: int


class Verdict(StrEnum):
    """What became of one program on one test."""

    PASSED = "passed"
    WRONG_ANSWER = "wrong_answer"
    SYNTAX_ERROR = "syntax_error"
    RUNTIME_ERROR = "runtime_error"
    TIME_LIMIT = "time_limit"
    MEMORY_LIMIT = "memory_limit"
    OUTPUT_LIMIT = "output_limit"
    SANDBOX_FAILED = "sandbox_failed"
    """Our fault, never theirs: retried, and never counted in a score."""


@dataclass(frozen=True, slots=True)
class TestResult:
    """One test of one program: the verdict and what it cost."""

    __test__ = False

    verdict: Verdict
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_memory_bytes: int = 0
    output: str = ""
    """The beginning of what was printed or returned, for people."""
    error: str = ""
    """The last line of a traceback, for people."""
    apps_lenient: bool = False
    """Whether the APPS authors' more forgiving comparison accepts the output."""
    tests_inside: bool = False
    """Whether the check ran in the program's own process, where a hostile program can feign success."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One sample of one problem, scored."""

    problem_id: str
    sample: int
    difficulty: Difficulty
    results: tuple[TestResult, ...]
    isolation: str
    """The jail's level: see sandbox."""

    @property
    def share_passed(self) -> float:
        """Share of the tests passed, in [0, 1]; 0 when there is none."""
        counted = [result for result in self.results if result.verdict is not Verdict.SANDBOX_FAILED]
        return sum(result.verdict is Verdict.PASSED for result in counted) / len(counted) if counted else 0.0

    @property
    def strict(self) -> bool:
        """Whether there are tests and every one is passed."""
        return bool(self.results) and all(result.verdict is Verdict.PASSED for result in self.results)


@dataclass(frozen=True, slots=True)
class Document:
    """One source file and where it comes from."""

    text: str
    path: str
    """Within its source: `numpy/linalg/_linalg.py`."""
    source: str
    """Package and version, repository and commit, or data set and split."""
    licence: str
    """SPDX expression, or the publisher's own words; never empty."""
    language: str = "Python"
    group: str = ""
    """What is held out as a whole (a package, a repository), so that no near-copy is on both sides."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a run directory says, read back: the report is a function of this."""

    name: str
    directory: str
    manifest: dict[str, Any]
    metrics: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """By training name (`ternary/pretrain`): the lines of its metrics.jsonl."""
    scores: list[dict[str, Any]] = field(default_factory=list)
    references: dict[str, Any] = field(default_factory=dict)
    examples: list[dict[str, Any]] = field(default_factory=list)
    """A few problems, with what each model answered and the verdict of each test."""
