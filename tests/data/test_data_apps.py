import gzip
import io
import json
import os
import shutil
import tarfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tritcoder.data.apps import count, problems_identity, read_problems
from tritcoder.data.config import ProblemsConfig
from tritcoder.data.humaneval import read_humaneval
from tritcoder.data.mbpp import read_mbpp
from tritcoder.errors import DatasetError
from tritcoder.records import DIFFICULTIES, Problem, TestCase

SPLITS = ("train", "test")


def row(number: int, **changes: Any) -> dict[str, Any]:
    """A problem in JSON values; every third calls a function, every fifth has neither tests nor solutions."""
    tests: Any = {"inputs": [f"{number}\n", "2\n"], "outputs": [f"{number + 1}\n", "3\n"]}
    if number % 3 == 0:
        tests = {"fn_name": "f", "inputs": [[number], [2]], "outputs": [[number + 1], [3]]}
    return {
        "problem_id": number,
        "question": f"Add one to {number}. – Größe: 1 ≤ n\u2028",
        "solutions": [] if number % 5 == 0 else [f"print(int(input()) + 1)  # {n}" for n in range(3)],
        "input_output": None if number % 5 == 0 else tests,
        "difficulty": DIFFICULTIES[number % 3],
        "url": f"https://example.org/{number}",
        "starter_code": "def f(n):\n    " if number % 3 == 0 else "",
        **changes,
    }


def expected(number: int) -> Problem:
    """What `row` means, worked out by hand."""
    bare, called = number % 5 == 0, number % 3 == 0
    tests = (TestCase([number], [number + 1]), TestCase([2], [3]))
    if not called:
        tests = (TestCase(f"{number}\n", f"{number + 1}\n"), TestCase("2\n", "3\n"))
    return Problem(
        problem_id=str(number),
        question=f"Add one to {number}. – Größe: 1 ≤ n\u2028",
        solutions=() if bare else tuple(f"print(int(input()) + 1)  # {n}" for n in range(3)),
        tests=() if bare else tests,
        fn_name="f" if called and not bare else None,
        difficulty=DIFFICULTIES[number % 3],
        url=f"https://example.org/{number}",
        starter_code="def f(n):\n    " if called else "",
    )


NUMBERS = {"train": range(1, 9), "test": range(11, 17)}


def jsonl_bytes(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in rows).encode()


def in_strings(one: dict[str, Any]) -> dict[str, Any]:
    """The row as codeparrot/apps dresses it."""
    dressed = {name: json.dumps(one[name]) if one[name] else "" for name in ("solutions", "input_output")}
    return {**one, **dressed}


def lay_folders(root: Path) -> Path:
    """The authors' folders of problems."""
    for split in SPLITS:
        for number in NUMBERS[split]:
            one, place = row(number), root / split / f"{number:04}"
            place.mkdir(parents=True)
            (place / "question.txt").write_bytes(one["question"].encode())
            facts = {"difficulty": one["difficulty"], "url": one["url"]}
            (place / "metadata.json").write_text(json.dumps(facts), encoding="utf-8")
            if one["solutions"]:
                (place / "solutions.json").write_text(json.dumps(one["solutions"]), encoding="utf-8")
                (place / "input_output.json").write_text(json.dumps(one["input_output"]), encoding="utf-8")
            if one["starter_code"]:
                (place / "starter_code.py").write_text(one["starter_code"], encoding="utf-8")
    return root


def _as_jsonl(root: Path, dress: Any, packed: bool, prefix: str = "") -> ProblemsConfig:
    root.mkdir()
    for split in SPLITS:
        data = jsonl_bytes([dress(row(number)) for number in NUMBERS[split]])
        path = root / f"{prefix}{split}.jsonl{'.gz' if packed else ''}"
        path.write_bytes(gzip.compress(data) if packed else data)
    return ProblemsConfig(source=str(root))


def _as_one_file(root: Path) -> ProblemsConfig:
    root.mkdir()
    rows = [row(number, split=split) for split in SPLITS for number in NUMBERS[split]]
    (root / "all.jsonl").write_bytes(jsonl_bytes(rows))
    return ProblemsConfig(source=str(root / "all.jsonl"))


def _as_two_paths(root: Path) -> ProblemsConfig:
    _as_jsonl(root, dict, packed=False)
    (root / "train.jsonl").rename(root / "a.jsonl")
    lay_folders(root / "folders")
    return ProblemsConfig(train=str(root / "a.jsonl"), test=str(root / "folders" / "test"))


def _as_archive(root: Path) -> ProblemsConfig:
    lay_folders(root / "APPS")
    with tarfile.open(root / "APPS.tar.gz", "w:gz") as archive:
        archive.add(root / "APPS", "APPS")
    shutil.rmtree(root / "APPS")
    return ProblemsConfig(source=str(root / "APPS.tar.gz"))


FORMS = {
    "values": lambda root: _as_jsonl(root, dict, packed=False),
    "values_packed": lambda root: _as_jsonl(root, dict, packed=True),
    "named_apps": lambda root: _as_jsonl(root, dict, packed=True, prefix="apps-"),
    "strings": lambda root: _as_jsonl(root, in_strings, packed=False),
    "one_file": _as_one_file,
    "two_paths": _as_two_paths,
    "folders": lambda root: ProblemsConfig(source=str(lay_folders(root))),
    "folders_within": lambda root: ProblemsConfig(source=str(lay_folders(root / "APPS").parent)),
    "archive": _as_archive,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("split", SPLITS)
def test_every_form_holds_the_same_problems(form: str, split: Any, tmp_path: Path) -> None:
    problems = read_problems(FORMS[form](tmp_path / "apps"), split)
    assert sorted(problems, key=lambda problem: int(problem.problem_id)) == [
        expected(number) for number in NUMBERS[split]
    ]


def test_the_hub_is_read_from_its_plain_files(tmp_path: Path) -> None:
    root = Path(_as_jsonl(tmp_path / "hub", in_strings, packed=False).source)

    class FolderHub:
        def commit(self, dataset: str, revision: str) -> str:
            return "e" * 40

        def files(self, dataset: str, revision: str) -> list[str]:
            raise AssertionError

        def fetch(self, dataset: str, name: str, revision: str) -> Path:
            assert dataset == "codeparrot/apps"
            return root / name

    config = ProblemsConfig(source="hub")
    assert read_problems(config, "test", FolderHub()) == [expected(number) for number in NUMBERS["test"]]
    assert problems_identity(config, FolderHub()) == problems_identity(config, FolderHub())


@pytest.mark.parametrize("form", ["values", "folders", "archive", "one_file"])
def test_a_limit_takes_each_difficulty_in_proportion(form: str, tmp_path: Path) -> None:
    config = replace(FORMS[form](tmp_path / "apps"), test_limit=3)
    problems = read_problems(config, "test")
    assert Counter(problem.difficulty for problem in problems) == dict.fromkeys(DIFFICULTIES, 1)
    assert problems == read_problems(config, "test")
    assert len(read_problems(config, "train")) == len(NUMBERS["train"])
    assert len(read_problems(replace(config, test_limit=100), "test")) == len(NUMBERS["test"])


def test_a_sample_depends_on_the_seed_and_not_on_the_order_of_rows(tmp_path: Path) -> None:
    rows = [row(number) for number in range(1, 301)]
    (tmp_path / "a.jsonl").write_bytes(jsonl_bytes(rows))
    (tmp_path / "b.jsonl").write_bytes(jsonl_bytes(rows[::-1]))
    config = ProblemsConfig(train=str(tmp_path / "a.jsonl"), train_limit=30)
    ids = [problem.problem_id for problem in read_problems(config, "train")]
    again = read_problems(replace(config, train=str(tmp_path / "b.jsonl")), "train")
    assert ids == [problem.problem_id for problem in again][::-1]
    assert ids == sorted(ids, key=int)
    assert len(ids) == 30
    assert ids != [problem.problem_id for problem in read_problems(replace(config, seed=1), "train")]


@pytest.mark.parametrize("limit", [1, 2, 5, 7, 10, 11])
def test_a_sample_has_exactly_as_many_as_asked(limit: int, tmp_path: Path) -> None:
    difficulties = ["introductory"] * 7 + ["interview"] * 3 + ["competition"]
    rows = [row(number + 1, difficulty=name) for number, name in enumerate(difficulties)]
    (tmp_path / "a.jsonl").write_bytes(jsonl_bytes(rows))
    problems = read_problems(ProblemsConfig(train=str(tmp_path / "a.jsonl"), train_limit=limit), "train")
    assert len(problems) == limit
    if limit == 5:  # 5 * (7, 3, 1) / 11 = 3.18, 1.36, 0.45
        found = Counter(problem.difficulty for problem in problems)
        assert found == {"introductory": 3, "interview": 1, "competition": 1}


def test_the_counts_say_what_is_missing(tmp_path: Path) -> None:
    counted = count(read_problems(FORMS["values"](tmp_path / "apps"), "train"))
    assert counted == {
        "problems": 8,
        "by_difficulty": {"introductory": 2, "interview": 3, "competition": 3},
        "call_based": 2,
        "without_tests": 1,
        "without_solutions": 1,
        "tests": 14,
        "solutions": 21,
    }


def test_tests_and_solutions_are_capped(tmp_path: Path) -> None:
    config = replace(FORMS["archive"](tmp_path / "apps"), max_tests=1, max_solutions=2)
    problems = read_problems(config, "train")
    assert {len(problem.tests) for problem in problems} == {0, 1}
    assert {len(problem.solutions) for problem in problems} == {0, 2}


def _file(tmp_path: Path, data: bytes, name: str = "a.jsonl") -> ProblemsConfig:
    (tmp_path / name).write_bytes(data)
    return ProblemsConfig(train=str(tmp_path / name))


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "no problem of the train split"),
        (b"\n\n", "no problem of the train split"),
        (b"[]\n", "line 1: expected a JSON object"),
        (jsonl_bytes([row(1), row(1)]), "line 2: a second problem with the id 1"),
        (jsonl_bytes([row(1), row(2, question=None)]), "line 2, field question"),
        (jsonl_bytes([row(1, split="test")]), "no problem of the train split"),
        (jsonl_bytes([row(1)])[:-30], "line 1"),
    ],
)
def test_a_broken_file_is_named_by_line(tmp_path: Path, data: bytes, found: str) -> None:
    with pytest.raises(DatasetError, match=found) as caught:
        read_problems(_file(tmp_path, data), "train")
    assert "a.jsonl" in caught.value.message


def test_a_limit_does_not_hide_a_broken_row(tmp_path: Path) -> None:
    config = replace(_file(tmp_path, jsonl_bytes([row(1), row(2, difficulty="odd")])), train_limit=1)
    with pytest.raises(DatasetError, match="line 2, field difficulty"):
        read_problems(config, "train")


@pytest.mark.parametrize("source", ["none", "none.jsonl", "none.jsonl.gz", "none.tar.gz"])
def test_a_missing_source_is_a_sentence_with_a_hint(tmp_path: Path, source: str) -> None:
    with pytest.raises(DatasetError, match="there is no data file") as caught:
        read_problems(ProblemsConfig(source=str(tmp_path / source)), "train")
    assert caught.value.hint


def test_a_folder_without_the_split_says_what_it_should_hold(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no train split") as caught:
        read_problems(ProblemsConfig(source=str(tmp_path)), "train")
    assert "train.jsonl" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("question.txt", None, "question.txt is missing"),
        ("metadata.json", "[]", "metadata.json: expected a JSON object"),
        ("metadata.json", "{", "metadata.json: expected a JSON object"),
        ("solutions.json", "{", "field solutions"),
        ("input_output.json", '{"inputs": []}', "field input_output.outputs"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_broken_problem_folder_is_named(
    tmp_path: Path, name: str, text: str | None, found: str, packed: bool
) -> None:
    root = lay_folders(tmp_path / "APPS")
    place = root / "train" / "0002" / name
    place.unlink() if text is None else place.write_text(text, encoding="utf-8")
    source = root
    if packed:
        source = tmp_path / "APPS.tar"
        with tarfile.open(source, "w") as archive:
            archive.add(root, "APPS")
    with pytest.raises(DatasetError, match=found) as caught:
        read_problems(ProblemsConfig(source=str(source)), "train")
    assert "0002" in caught.value.message


def test_text_that_is_not_utf8_in_a_folder_is_a_sentence(tmp_path: Path) -> None:
    root = lay_folders(tmp_path / "APPS")
    (root / "train" / "0001" / "question.txt").write_bytes(b"\xff")
    with pytest.raises(DatasetError, match=r"question\.txt: cannot be read"):
        read_problems(ProblemsConfig(source=str(root)), "train")


@pytest.mark.parametrize("damage", [lambda data: data[:-200], lambda data: b"no" + data, lambda data: data[:30]])
def test_a_damaged_archive_is_a_sentence(tmp_path: Path, damage: Any) -> None:
    path = Path(_as_archive(tmp_path / "apps").source)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DatasetError, match=r"APPS\.tar\.gz"):
        read_problems(ProblemsConfig(source=str(path)), "test")


def test_an_archive_that_lacks_any_of_its_end_or_was_altered_is_a_sentence(tmp_path: Path) -> None:
    path = Path(_as_archive(tmp_path / "apps").source)
    whole = path.read_bytes()
    cut = [whole[:-n] for n in (1, 4, 8, 9, 20, 50, 100)]
    altered = [whole[:-n] + bytes([whole[-n] ^ 1]) + whole[len(whole) - n + 1 :] for n in (2, 5)]  # length, checksum
    for data in (*cut, *altered):
        path.write_bytes(data)
        with pytest.raises(DatasetError, match="damaged or cut short"):
            read_problems(ProblemsConfig(source=str(path)), "test")


def _archive(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> ProblemsConfig:
    with tarfile.open(path, "w:gz") as archive:
        for member, data in members:
            member.size = len(data) if member.isreg() else 0
            archive.addfile(member, io.BytesIO(data))
    return ProblemsConfig(source=str(path))


def _member(
    name: str, data: bytes = b"Add.", kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member, data


def test_a_hostile_archive_writes_nothing_and_follows_nothing(tmp_path: Path) -> None:
    config = _archive(
        tmp_path / "a.tar.gz",
        [
            _member("train/1/question.txt"),
            _member("../../escaped/train/2/question.txt"),
            _member("/tmp/train/3/question.txt"),
            _member("train/4/question.txt", b"", tarfile.SYMTYPE, "/etc/passwd"),
            _member("train/5/question.txt", b"", tarfile.LNKTYPE, "/etc/passwd"),
            _member("train/6/evil.py"),
            _member("question.txt"),
        ],
    )
    before = sorted(tmp_path.rglob("*"))
    problems = read_problems(config, "train")
    assert [(problem.problem_id, problem.question) for problem in problems] == [(n, "Add.") for n in "123"]
    assert sorted(tmp_path.rglob("*")) == before


def test_an_archive_whose_problems_are_torn_apart_is_refused(tmp_path: Path) -> None:
    config = _archive(
        tmp_path / "a.tar.gz",
        [_member("train/1/question.txt"), _member("train/2/question.txt"), _member("train/1/solutions.json", b"[]")],
    )
    with pytest.raises(DatasetError, match="problem 1 are not together"):
        read_problems(config, "train")


def test_the_identity_changes_with_either_split(tmp_path: Path) -> None:
    config = FORMS["values"](tmp_path / "apps")
    seen = [problems_identity(config), problems_identity(ProblemsConfig())]
    for split in SPLITS:
        path = tmp_path / "apps" / f"{split}.jsonl"
        path.write_bytes(path.read_bytes() + b"\n")
        seen.append(problems_identity(config))
    assert len(set(seen)) == 4
    assert problems_identity(config) == seen[-1]


REAL = os.environ.get("TRITCODER_DATA", "")


@pytest.mark.skipif(not REAL, reason="TRITCODER_DATA names no folder of the real data sets")
def test_the_real_data_sets_are_read_whole() -> None:
    config = ProblemsConfig(source=REAL, max_solutions=0)
    train, test = read_problems(config, "train"), read_problems(config, "test")
    assert count(train)["by_difficulty"] == {"introductory": 2639, "interview": 2000, "competition": 361}
    assert (count(train)["without_tests"], count(train)["solutions"]) == (552, 115_623)
    assert count(test)["by_difficulty"] == {"introductory": 807, "interview": 2386, "competition": 807}
    sample = read_problems(replace(config, test_limit=100, max_tests=5), "test")
    assert count(sample)["by_difficulty"] == {"introductory": 20, "interview": 60, "competition": 20}
    for name, n in (("humaneval", 164), ("humaneval-plus", 164)):
        assert len(read_humaneval(Path(REAL, f"{name}.jsonl.gz"))) == n
    for name, n in (("mbpp", 974), ("mbpp-sanitized", 427), ("mbpp-plus", 378)):
        problems = read_mbpp(Path(REAL, f"{name}.jsonl.gz"))
        assert len(problems) == n
        assert all(problem.fn_name for problem in problems)
