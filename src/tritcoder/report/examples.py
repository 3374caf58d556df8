"""Problems, what the models wrote, and what became of it: cut to what a page can hold, and saying so."""

import json
from collections.abc import Sequence
from typing import Any

from tritcoder.report.wording import items, mapping, one_line, shortened, words

_MOST_EXAMPLES, _MOST_TESTS = 24, 12
_CODE_CHARS, _TEXT_CHARS, _QUESTION_CHARS = 6000, 600, 8000
_SYMBOLS = {"passed": "✓", "sandbox_failed": "!"}


def example_views(examples: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Problems with what each model wrote and what became of it; long texts are cut, and say so."""
    return [
        {
            "title": one_line(example.get("problem_id", ""), 60),
            "difficulty": words(example.get("difficulty") or ""),
            "form": "call-based" if example.get("call_based") else "standard input",
            "question": shortened(_text(example.get("question")).strip(), _QUESTION_CHARS),
            "answers": [_answer(mapping(answer)) for answer in items(example.get("answers"))],
        }
        for example in examples[:_MOST_EXAMPLES]
    ]


def _answer(answer: dict[str, Any]) -> dict[str, Any]:
    results = [mapping(result) for result in items(answer.get("results"))]
    verdicts = [str(result.get("verdict", "")) for result in results]
    return {
        "title": one_line(answer.get("title") or answer.get("model") or "unnamed", 60),
        "code": shortened(_text(answer.get("completion")).rstrip(), _CODE_CHARS),
        "counts": [(_verdict(name), verdicts.count(name)) for name in dict.fromkeys(verdicts)],
        "tests": [_test(index + 1, result) for index, result in enumerate(results[:_MOST_TESTS])],
        "more_tests": max(0, len(results) - _MOST_TESTS),
    }


def _verdict(name: str) -> dict[str, str]:
    return {"name": words(name), "symbol": _SYMBOLS.get(name, "✗"), "good": "good" if name == "passed" else ""}


def _test(place: int, result: dict[str, Any]) -> dict[str, Any]:
    texts = {key: shortened(_text(result.get(key)), _TEXT_CHARS) for key in ("input", "expected", "output", "error")}
    return {"place": place, "verdict": _verdict(str(result.get("verdict", ""))), **texts}


def _text(value: Any) -> str:
    """Text with its lines ended alike; other JSON values (call-based arguments) as JSON."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.replace("\r\n", "\n")
