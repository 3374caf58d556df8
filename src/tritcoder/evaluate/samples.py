"""Samples files: one completion a line, from our generators or from any other tool."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast, get_args

from tritcoder.errors import DatasetError
from tritcoder.provenance import write_jsonl
from tritcoder.records import Completion, FinishReason


def write_samples(path: Path, completions: Iterable[Completion]) -> None:
    """Write one line for each completion; the file appears whole or not at all.

    Raises:
        StorageError: the disk is full or refuses to be written.
    """
    write_jsonl(path, map(sample_to_json, completions))


def read_samples(path: Path, *, resuming: bool = False) -> list[Completion]:
    """Read the completions of a samples file.

    Two fields are enough, `task_id` and `completion`; samples without a number are numbered by their
    order among those of the same task. Fields that we do not know are passed over.

    Args:
        path: JSON Lines.
        resuming: pass over a last line that was cut while it was appended.

    Raises:
        DatasetError: the file is missing, or a line breaks the schema; names the line and the field.
    """
    completions: list[Completion] = []
    numbered: Counter[str] = Counter()
    seen: set[tuple[str, int]] = set()
    for place, row in _rows(path, resuming):
        completion = sample_from_json(row, place, numbered)
        if (completion.task_id, completion.sample) in seen:
            raise DatasetError(
                f"{place}: sample {completion.sample} of task {completion.task_id!r} is there twice",
                "give each its own `sample` number, or leave the field out everywhere",
            )
        seen.add((completion.task_id, completion.sample))
        completions.append(completion)
    return completions


def sample_to_json(completion: Completion) -> dict[str, Any]:
    """One line of a samples file, as JSON data."""
    return {
        "task_id": completion.task_id,
        "sample": completion.sample,
        "completion": _sound(completion.text),
        "finish_reason": completion.finish_reason,
        "n_prompt_tokens": completion.n_prompt_tokens,
        "n_tokens": completion.n_tokens,
        "first_token_s": completion.first_token_s,
        "seconds": completion.seconds,
        "model": completion.model,
        "error": _sound(completion.error),
    }


def sample_from_json(row: Any, place: str = "sample", numbered: Counter[str] | None = None) -> Completion:
    """The completion that one line of a samples file holds.

    Args:
        row: the parsed line.
        place: what errors call it, such as `samples.jsonl line 3`.
        numbered: how many samples of each task came before, brought up to date; without it a line
            that has no number is sample 0.

    Raises:
        DatasetError: names the place and the field.
    """
    if not isinstance(row, Mapping):
        raise DatasetError(f"{place}: expected an object, found {_kind(row)}")
    task_id = _task_id(row, place)
    order = numbered[task_id] if numbered is not None else 0
    if numbered is not None:
        numbered[task_id] += 1
    return Completion(
        task_id=task_id,
        sample=_integer(row, "sample", place, order),
        text=_text(row, "completion", place),
        finish_reason=_reason(row, place),
        n_prompt_tokens=_integer(row, "n_prompt_tokens", place),
        n_tokens=_integer(row, "n_tokens", place),
        first_token_s=_number(row, "first_token_s", place),
        seconds=_number(row, "seconds", place),
        model=_text(row, "model", place, ""),
        error=_text(row, "error", place, ""),
    )


def _rows(path: Path, resuming: bool) -> Iterator[tuple[str, Any]]:
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise DatasetError(
            f"the samples file {path} cannot be read ({error.strerror})", "generate the samples first"
        ) from None
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield f"{path} line {number}", json.loads(line.decode("utf-8"))
            except (ValueError, RecursionError) as error:
                if resuming and number == len(lines):
                    return
                raise DatasetError(
                    f"{path} line {number}: expected one JSON object, found text that is none ({error})",
                    "delete the line, or generate the samples again",
                ) from None


def _task_id(row: Mapping[str, Any], place: str) -> str:
    value = row.get("task_id")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise _wrong(place, "task_id", "text", row)
    return value


def _reason(row: Mapping[str, Any], place: str) -> FinishReason:
    value = row.get("finish_reason")
    if value is None:
        return "stop"
    for reason in get_args(FinishReason):
        if value == reason:
            return cast(FinishReason, reason)
    raise _wrong(place, "finish_reason", f"one of {', '.join(get_args(FinishReason))}", row)


def _integer(row: Mapping[str, Any], name: str, place: str, default: int = 0) -> int:
    value = row.get(name)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _wrong(place, name, "a whole number, 0 or more", row)
    return value


def _number(row: Mapping[str, Any], name: str, place: str) -> float:
    value = row.get(name)
    if value is None:
        return 0.0
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1e15:
        raise _wrong(place, name, "seconds, 0 or more", row)
    return float(value)


def _text(row: Mapping[str, Any], name: str, place: str, default: str | None = None) -> str:
    value = row.get(name, default)
    if not isinstance(value, str):
        raise _wrong(place, name, "text", row)
    return value


def _wrong(place: str, name: str, expected: str, row: Mapping[str, Any]) -> DatasetError:
    found = f"found {_kind(row[name])}" if name in row else "it is missing"
    hint = 'a line reads {"task_id": "...", "completion": "..."}, with more fields at will'
    return DatasetError(f"{place}: field {name!r} should be {expected}, {found}", hint)


def _kind(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:60]}... ({type(value).__name__})"


def _sound(text: str) -> str:
    """The text with what UTF-8 cannot hold (halves of surrogate pairs) replaced."""
    return text.encode("utf-8", errors="replace").decode("utf-8")
