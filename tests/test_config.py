import dataclasses
import json
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tritcoder.config import build, fingerprint, load, plain, to_toml
from tritcoder.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Optim:
    lr: float = 3e-4
    betas: tuple[float, ...] = (0.9, 0.95)
    kind: Literal["adamw", "sgd"] = "adamw"

    def __post_init__(self) -> None:
        if self.lr <= 0:
            raise ConfigError(f"lr must be above 0, found {self.lr}", "try 3e-4")


@dataclass(frozen=True, slots=True)
class Source:
    path: str
    weight: float = 1.0
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    steps: int = 10
    name: str = "a"
    warm: bool = False
    limit: int | None = None
    either: int | str = 0
    optim: Optim = field(default_factory=Optim)
    sources: tuple[Source, ...] = ()
    shares: dict[str, float] = field(default_factory=dict)


numbers = st.floats(allow_nan=False)
words = st.text().filter(lambda text: not text.startswith("$"))
samples = st.builds(
    Sample,
    steps=st.integers(-(2**63), 2**63 - 1),
    name=words,
    warm=st.booleans(),
    limit=st.none() | st.integers(0, 9),
    either=st.integers(0, 9) | words,
    optim=st.builds(
        Optim,
        lr=st.floats(min_value=1e-300, allow_infinity=False),
        betas=st.lists(numbers).map(tuple),
        kind=st.sampled_from(["adamw", "sgd"]),
    ),
    sources=st.lists(st.builds(Source, words, numbers, st.none() | words), max_size=3).map(tuple),
    shares=st.dictionaries(st.text(), numbers, max_size=3),
)


def read(tmp_path: Path, text: str, *overrides: str) -> Sample:
    path = tmp_path / "run.toml"
    path.write_text(text, encoding="utf-8")
    return load(path, Sample, overrides)


@given(samples)
@example(Sample(name="\x7f\\u", shares={"": 1.0, "a.b": 2.0, 'q"\n': 3.0, "é": 0.0}))
def test_toml_is_read_back_as_it_was_written(sample: Sample) -> None:
    assert build(Sample, tomllib.loads(to_toml(sample))) == sample


def test_a_written_file_is_loaded_as_it_was(tmp_path: Path) -> None:
    sample = Sample(
        name="é\r\n\x7f'\"", sources=(Source("a b"), Source("c", float("inf"), "x")), shares={"a.b": 1e-300}
    )
    assert read(tmp_path, to_toml(sample)) == sample


@given(samples)
def test_plain_data_builds_the_same_value(sample: Sample) -> None:
    assert build(Sample, json.loads(json.dumps(plain(sample)))) == sample


def test_defaults_and_given_values_stand_side_by_side(tmp_path: Path) -> None:
    sample = read(tmp_path, "steps = 3\n[optim]\nlr = 1\n[[sources]]\npath = 'x'\n")
    assert sample == Sample(steps=3, optim=Optim(lr=1.0), sources=(Source("x"),))
    assert isinstance(sample.optim.lr, float)


def test_overrides_win_and_make_tables(tmp_path: Path) -> None:
    text = "steps = 3\n[optim]\nlr = 1.0\n"
    sample = read(tmp_path, text, "steps=4", "optim.lr=1e-3", " optim.kind = sgd", "name=a=b", "shares.x=2")
    assert sample == Sample(steps=4, name="a=b", optim=Optim(lr=1e-3, kind="sgd"), shares={"x": 2.0})
    assert read(tmp_path, text, "steps=5", "steps=6").steps == 6
    assert read(tmp_path, text, 'name="7"').name == "7"
    assert read(tmp_path, text, "optim.betas=[1, 2]").optim.betas == (1.0, 2.0)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("steps", "reads key=value"),
        ("=3", "reads key=value"),
        ("steps.more=3", "'steps' is a value, not a table"),
        ("optim=3", "optim must be a table"),
        ("stepps=3", "unknown key stepps"),
        ("optim.lr=fast", "optim.lr must be float, found 'fast'"),
    ],
)
def test_bad_overrides_are_named(override: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, "steps = 3", override)
    assert sentence in caught.value.message


@pytest.mark.parametrize(
    ("text", "key", "near"),
    [
        ("step = 1", "step", "steps"),
        ("nmae = 'x'", "nmae", "name"),
        ("[optim]\nbeta = []", "optim.beta", "optim.betas"),
        ("[optimizer]\nlr = 1", "optimizer", "optim"),
    ],
)
def test_unknown_keys_name_their_nearest_neighbour(text: str, key: str, near: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert caught.value.message.endswith(f"unknown key {key}")
    assert caught.value.hint == f"did you mean {near}?"


def test_a_key_like_no_other_is_answered_with_all(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, "[optim]\nzzz = 1")
    assert caught.value.hint == "valid keys here: lr, betas, kind"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("steps = 1.5", "steps must be int, found 1.5 (float)"),
        ("steps = true", "steps must be int, found True (bool)"),
        ("steps = '3'", "steps must be int, found '3' (str)"),
        ("warm = 1", "warm must be bool, found 1 (int)"),
        ("name = 3", "name must be str, found 3 (int)"),
        ("limit = 'x'", "limit must be int, found 'x' (str)"),
        ("optim = 3", "optim must be a table, found 3"),
        ("sources = 3", "sources must be tuple, found 3 (int)"),
        ("sources = [3]", "sources[0] must be a table, found 3"),
        ("[[sources]]\nweight = 1", "lacks a value"),
        ("[shares]\nx = 'y'", "shares.x must be float, found 'y' (str)"),
        ("[optim]\nlr = true", "optim.lr must be float, found True (bool)"),
        ("[optim]\nbetas = [1, 'x']", "optim.betas[1] must be float, found 'x' (str)"),
        ("[optim]\nkind = 'adam'", "optim.kind must be one of 'adamw', 'sgd'; found 'adam'"),
        ("[optim]\nlr = -1.0", "[optim] lr must be above 0, found -1.0"),
        ("steps = ", "is not valid TOML"),
        ("steps = 1\nsteps = 2", "is not valid TOML"),
    ],
)
def test_bad_values_name_file_key_expected_and_found(text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert sentence in caught.value.message
    assert caught.value.message.startswith(str(tmp_path / "run.toml"))


def test_the_hint_of_a_check_is_kept(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, "", "optim.lr=0")
    assert caught.value.hint == "try 3e-4"


def test_files_that_are_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no configuration file at"):
        load(tmp_path / "none.toml", Sample)
    (tmp_path / "bytes.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(ConfigError, match="is not valid TOML"):
        load(tmp_path / "bytes.toml", Sample)
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path, Sample)


def test_an_environment_variable_may_begin_a_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_FOLDER", "/data/x")
    assert read(tmp_path, "name = '$SOME_FOLDER/train.jsonl'").name == "/data/x/train.jsonl"
    assert read(tmp_path, "name = 'a$SOME_FOLDER'").name == "a$SOME_FOLDER"
    monkeypatch.delenv("SOME_FOLDER")
    with pytest.raises(ConfigError, match="environment variable SOME_FOLDER is not set"):
        read(tmp_path, "name = '$SOME_FOLDER/train.jsonl'")


@given(samples, samples)
def test_fingerprints_are_equal_exactly_when_the_values_are(one: Sample, other: Sample) -> None:
    assert fingerprint(one) == fingerprint(dataclasses.replace(one))
    assert (fingerprint(one) == fingerprint(other)) == (json.dumps(plain(one)) == json.dumps(plain(other)))


def test_any_field_changes_the_fingerprint() -> None:
    base = Sample()
    changed: list[dict[str, Any]] = [
        {"steps": 11},
        {"name": "b"},
        {"warm": True},
        {"limit": 0},
        {"either": "0"},
        {"optim": Optim(lr=3.1e-4)},
        {"optim": Optim(betas=(0.9,))},
        {"optim": Optim(kind="sgd")},
        {"sources": (Source("x"),)},
        {"shares": {"x": 1.0}},
    ]
    assert {name for change in changed for name in change} == {one.name for one in dataclasses.fields(Sample)}
    prints = [fingerprint(base), *(fingerprint(dataclasses.replace(base, **change)) for change in changed)]
    assert len(set(prints)) == len(prints)
    assert all(len(one) == 16 and int(one, 16) >= 0 for one in prints)


def test_fingerprints_do_not_move_from_one_release_to_the_next() -> None:
    # printf '[{"betas": [0.9, 0.95], "kind": "adamw", "lr": 0.0003}]' | sha256sum
    assert fingerprint(Optim()) == "2ed7691ebb3c3a21"
    assert fingerprint(1, "a") != fingerprint("1a")


def test_the_files_we_stand_behind_are_toml() -> None:
    for path in (Path(__file__).parents[1] / "configs").glob("*.toml"):
        assert tomllib.loads(path.read_text(encoding="utf-8")) is not None
