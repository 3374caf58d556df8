"""A small run directory such as the rooms before this one write it, numbers worked out by hand or plausible."""

import json
import math
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tritcoder.records import Run
from tritcoder.report.load import load_run

SIGNATURE = {
    "time": "2026-03-04T05:06:07+00:00",
    "commit": "0123456789ab",
    "command": ["/home/somebody/bin/tritcoder", "run", "configs/demo.toml", "--set", "train.seed=1"],
    "versions": {"python": "3.11.9", "torch": "2.11.0"},
    "machine": {
        "processor": "Example CPU 9000",
        "cores": 4,
        "memory_bytes": 16_000_000_000,
        "system": "Linux 6.1",
        "architecture": "x86_64",
    },
}
CODE = "n = int(input())\nif n < 2 and n > -1:\n    print('small & <odd>')\nelse:\n    print(n * n)"

QUESTION = "Read n.\n\nPrint its square, unless it is small.\n\n-----Input-----\nOne line."


def manifest() -> dict[str, Any]:
    return {
        "name": "demo",
        "title": "A ternary code model on one laptop",
        "notes": ["A model trained for two minutes shows the road and is not useful yet."],
        "started": "2026-03-04T05:00:00+00:00",
        "finished": "2026-03-04T05:06:07+00:00",
        "signature": SIGNATURE,
        "corpus": {
            "source": "installed",
            "files_read": 1305,
            "dropped": {"near_duplicate": 31, "licence_unknown": 7, "too_long_lines": 90},
            "filters": {"require_parse": True, "max_line": 1000},
            "held_out_groups": ["jinja2", "email"],
            "totals": {
                "train": {"documents": 1117, "bytes": 21_819_753, "sha256": "ab" * 32},
                "held_out": {"documents": 60, "bytes": 900_000, "sha256": "cd" * 32},
            },
            "sources": {
                "numpy 2.3.1": {"documents": 512, "bytes": 9_876_543, "licences": ["BSD-3-Clause"]},
                "jinja2 3.1.6": {"documents": 25, "bytes": 543_210, "licences": ["BSD-3-Clause"]},
                "python 3.11 standard library": {"documents": 640, "bytes": 12_300_000, "licences": ["PSF-2.0"]},
            },
            "licences": {
                "BSD-3-Clause": {"documents": 537, "bytes": 10_419_753},
                "PSF-2.0": {"documents": 640, "bytes": 12_300_000},
            },
        },
        "tokenizer": {"vocab_size": 4096, "bytes_per_token": 3.21},
        "tokens": {"train": 6_797_430, "held_out": 280_373},
        "problems": {"source": "apps", "train": 320, "test": 200},
        "stages": [
            {"name": "corpus", "key": "aa11bb22", "seconds": 12.34, "cached": False},
            {"name": "pretrain ternary", "key": "cc33dd44", "seconds": 83.0, "cached": True},
        ],
        "models": {"ternary": trained(3_145_728, "ternary", 1.871), "twin": trained(0, "none", 1.798)},
        "fine_tuning": {arm: {"problems": 300, "epochs": 2.5} for arm in ("ternary", "twin")},
    }


def trained(ternary_parameters: int, quantization: str, held_out: float) -> dict[str, Any]:
    return {
        "parameters": 5_243_904,
        "ternary_parameters": ternary_parameters,
        "quantization": quantization,
        "dim": 256,
        "held_out": {"held_out_loss": held_out * 2.25, "held_out_bits_per_byte": held_out},
    }


def references() -> dict[str, Any]:
    return {
        "unigram": 4.812,
        "3-gram": 2.345,
        "zlib": 2.106,
        "xz": 1.913,
        "published": [
            {
                "model": "GPT-2 0.1B",
                "source": "arXiv 2105.09938",
                "status": "published, not run here",
                "how": "fine-tuned",
                "average": {"introductory": 5.64, "interview": 6.93, "competition": 4.37, "all": 6.16},
                "strict": {"introductory": 1.0, "interview": 0.33, "competition": 0.0, "all": 0.4},
            },
            {
                "model": "GPT-Neo 2.7B",
                "source": "arXiv 2105.09938",
                "status": "published, not run here",
                "how": "fine-tuned",
                "average": {"introductory": 14.68, "interview": 9.85, "competition": 6.54, "all": 10.15},
                "strict": {"introductory": 3.9, "interview": 0.57, "competition": 0.0, "all": 1.12},
            },
        ],
    }


def metrics(start: float, end: float, key: str = "held_out_bits_per_byte") -> list[dict[str, float]]:
    rows: list[dict[str, float]] = []
    for step in range(0, 600, 2):
        loss = end + (start - end) * math.exp(-step / 90) + 0.08 * math.sin(step * 1.7)
        rows.append(
            {"step": step, "tokens": step * 8192, "loss": loss, "lr": 1e-3, "grad_norm": 1.0, "seconds": step / 5}
        )
        if step % 100 == 0:
            held_out = {"step": step, "tokens": step * 8192, "held_out_loss": loss * 1.05}
            rows.append(held_out | ({key: loss * 0.44} if key != "held_out_loss" else {}))
    return rows


def accuracy(n: int, average: float, strict: float, spread: float) -> dict[str, Any]:
    def share(value: float) -> dict[str, float]:
        return {"value": value, "low": max(0.0, value - spread), "high": min(1.0, value + spread)}

    return {
        "n": n,
        "average": share(average),
        "strict": share(strict),
        "average_apps": share(average * 1.31),
        "strict_apps": share(strict * 1.5),
        "average_micro": average * 0.9,
    }


def score(model: str, kind: str, average: float, **more: Any) -> dict[str, Any]:
    scopes = {"introductory": (80, 1.4), "interview": (80, 0.9), "competition": (40, 0.4), "all": (200, 1.0)}
    return {
        "model": model,
        "kind": kind,
        "benchmark": "apps",
        "n_problems": 200,
        "n_problems_total": 5000,
        "kept": {"problems": {"all": {"n": 4500, "of": 5000}}, "reasons": {"no_tests": 500}, "list": "0123456789ab"},
        "n_samples": 200,
        "left_out": {"without_tests": 3, "sandbox_failed": 1},
        "finish_reasons": {"length": 20, "stop": 180},
        "isolation": ["full"],
        "table": {scope: accuracy(n, average * by, average * by / 8, 0.011) for scope, (n, by) in scopes.items()},
        "pass_at_k": {"1": {"value": average / 8, "low": 0.0, "high": 0.02, "n": 200}},
        "verdicts": {
            "passed": 123,
            "wrong_answer": 2345,
            "syntax_error": 678,
            "runtime_error": 910,
            "time_limit": 11,
        },
        "comparers_differ": 0.0123,
        "bleu": {"corpus": 3.456, "best_single": 21.09, "signature": "nrefs:var|tok:13a", "n": 200},
        "perplexity": {"per_token": 12.34, "bits_per_byte": 1.234, "bits_per_char": 1.239, "n_tokens": 45_678},
        "speed": {"tokens_per_second": 87.65, "n_tokens": 23_456},
        "signature": SIGNATURE,
    } | more


def scores() -> list[dict[str, Any]]:
    silent = {"bleu": None, "perplexity": None, "speed": None}
    return [
        score("ternary", "ternary", 0.0412),
        score("twin", "twin", 0.0478, speed={"tokens_per_second": 54.32, "n_tokens": 20_001}),
        score("naive:constant", "naive", 0.0357, **silent),
        score("naive:retrieval", "naive", 0.0291, **silent),
    ]


def examples() -> list[dict[str, Any]]:
    results = [
        {
            "verdict": "passed",
            "input": "1\n",
            "expected": "small & <odd>\n",
            "output": "small & <odd>\n",
            "error": "",
        },
        {"verdict": "wrong_answer", "input": "7\n", "expected": "50\n", "output": "49\n", "error": ""},
        {
            "verdict": "runtime_error",
            "input": "",
            "expected": "0",
            "output": "",
            "error": "EOFError: EOF when reading a line",
        },
    ]
    answers = [
        {"model": "ternary", "title": "ternary", "completion": CODE, "results": results},
        {
            "model": "twin",
            "title": "full-precision twin",
            "completion": "print(" * 3,
            "results": [{"verdict": "syntax_error"}] * 14,
        },
        {"model": "naive:constant", "title": "naive:constant", "completion": "", "results": []},
    ]
    call = {"verdict": "wrong_answer", "input": [[1, 2], "a"], "expected": [3], "output": "[4]", "error": None}
    return [
        {
            "problem_id": "4001", "question": QUESTION,
            "difficulty": "introductory", "call_based": False, "answers": answers,
        },
        {
            "problem_id": "4002", "question": "Return the sum.", "difficulty": "interview", "call_based": True,
            "answers": [{"model": "ternary", "completion": "def f(a, b): return [4]", "results": [call]}],
        },
    ]  # fmt: skip


def write_run(directory: Path) -> Path:
    """A whole run, as if just finished."""
    contents = {"manifest.json": manifest(), "references.json": references(), "examples.json": examples()}
    contents |= {f"scores/{entry['model'].replace(':', '-')}.json": entry for entry in scores()}
    for name, value in contents.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value), encoding="utf-8")
    (directory / "config.toml").write_text("# demo\n[model]\ndim = 256\n", encoding="utf-8")
    curves = {
        "ternary/pretrain": metrics(8.3, 2.9),
        "twin/pretrain": metrics(8.3, 2.7),
        "ternary/finetune": metrics(3.1, 2.2, "held_out_loss"),
        "twin/finetune": metrics(2.9, 2.0, "held_out_loss"),
    }
    for name, rows in curves.items():
        path = directory / name / "metrics.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return directory


@pytest.fixture(scope="session")
def run_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run that no test may change."""
    return write_run(tmp_path_factory.mktemp("runs") / "demo")


@pytest.fixture
def run(run_directory: Path) -> Run:
    """The whole run read anew, free to be changed."""
    return load_run(run_directory)


class Page(HTMLParser):
    """A page read by another's parser; fails on a tag that is not closed, or closed out of turn."""

    VOID = frozenset(("meta", "link", "br", "hr", "img", "input", "base", "wbr"))

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.declarations: list[str] = []
        self._open: list[str] = []
        self._texts: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    @property
    def text(self) -> str:
        """All that a reader sees, spaces between pieces set to one."""
        return " ".join(" ".join(self._texts).split())

    def attributes(self, name: str) -> list[str]:
        """Every value of an attribute, whatever the tag."""
        return [value or "" for _, attributes in self.tags for key, value in attributes.items() if key == name]

    def handle_decl(self, decl: str) -> None:
        self.declarations.append(decl)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute twice: {tag} {attrs}"
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open[-1] == tag, f"</{tag}> within <{self._open[-1]}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self._texts.append(data)


@pytest.fixture(scope="session")
def read_page() -> type[Page]:
    """The reader of pages."""
    return Page
