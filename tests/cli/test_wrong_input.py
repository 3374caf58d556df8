"""Every command answers wrong input with one clear sentence: no traceback, nothing on standard output."""

import json
import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

Command = Callable[..., tuple[int, str, str]]

ASKED_WRONGLY, WORK_FAILED = 2, 1

CONFIG = """
name = "toy"
[corpus]
source = "folder"
path = "{path}/corpus"
held_out_share = 0.0
"""

ROW = {
    "problem_id": 1,
    "question": "Add.",
    "difficulty": "introductory",
    "input_output": {"inputs": [], "outputs": []},
}


@pytest.fixture
def place(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, which holds one of everything that can be wrong; `model` is whole."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus").mkdir()
    (tmp_path / "good.toml").write_text(CONFIG.format(path=tmp_path))
    (tmp_path / "broken.toml").write_text("name = 'x'\n[pretrain\nsteps = 3\n")
    (tmp_path / "latin.toml").write_bytes(b"name = '\xe9'\n")
    (tmp_path / "misspelt.toml").write_text('name = "x"\n[pretrain]\nlearning_rate = 1.0\nstepps = 3\n')
    (tmp_path / "kind.toml").write_text('name = "x"\n[pretrain]\nsteps = "many"\n')
    (tmp_path / "table.toml").write_text('name = "x"\npretrain = 3\n')
    (tmp_path / "variable.toml").write_text('name = "x"\n[problems]\nsource = "$NO_SUCH_VARIABLE/apps.jsonl"\n')
    (tmp_path / "rows.jsonl").write_text(json.dumps(ROW) + "\n" + json.dumps(ROW | {"problem_id": 2, "question": 3}))
    (tmp_path / "lines.jsonl").write_text(json.dumps(ROW) + "\n\n{nonsense\n")
    (tmp_path / "samples.jsonl").write_text('{"task_id": "35", "completion": "x"}\n{"task_id": "35"}\n')
    (tmp_path / "fine.jsonl").write_text('{"task_id": "35", "completion": "x"}\n')
    (tmp_path / "strange.jsonl").write_text('{"task_id": "no-such-problem", "completion": "x"}\n')
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "binary.jsonl").write_bytes(bytes(range(256)))
    (tmp_path / "file").write_text("a file")
    (tmp_path / "empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("line", "status", "told", "hint"),
    [
        # what the parser refuses
        ("frobnicate", 2, 'Unknown command "frobnicate"', "tritcoder --help"),
        ("runn good.toml", 2, 'Unknown command "runn"', "tritcoder --help"),
        ("run", 2, "CONFIG requires an argument", "tritcoder run --help"),
        ("run good.toml --frob 1", 2, "--frob", "tritcoder run --help"),
        ("run good.toml other.toml", 2, "other.toml", "tritcoder run --help"),
        ("run good.toml --runs", 2, "--runs", "tritcoder run --help"),
        ("evaluate", 2, "BENCHMARK requires an argument", "tritcoder evaluate --help"),
        ("evaluate embedded", 2, "found neither", "--model naive:constant"),
        ("evaluate embedded --gold --model naive:constant", 2, "found both", "--model"),
        ("evaluate humaneva --gold", 2, "found 'humaneva'", "did you mean humaneval"),
        ("evaluate humaneval --gold", 2, "expected a place to read HumanEval from", "--problems PATH"),
        ("{e} --max-cost 5", 2, "needs usd_per_million_input", "price list"),
        ("{e} --requests-per-minute -1", 2, "requests_per_minute must be 0 or more", ""),
        ("evaluate embedded --gold --attempts 0", 2, "--attempts must be at least 1", ""),
        ("evaluate embedded --gold --sandbox none", 2, "--sandbox none lets programs do all", "--unsafe"),
        ("evaluate embedded --gold --sandbox ful", 2, "no sandbox level is called 'ful'", "the levels are"),
        ("evaluate embedded --gold --timeout 0", 2, "cpu_s must be above 0", ""),
        ("{e} --exclude nowhere.json", 2, "nowhere.json cannot be read", "--gold"),
        ("generate hello --samples many", 2, "many", "tritcoder generate --help"),
        ("generate hello --temperature hot", 2, "hot", "tritcoder generate --help"),
        ("generate", 2, "PROMPT requires an argument", "tritcoder generate --help"),
        ("score", 2, "SAMPLES requires an argument", "tritcoder score --help"),
        ("report", 2, "RUN requires an argument", "tritcoder report --help"),
        ("export", 2, "RUN requires an argument", "tritcoder export --help"),
        ("export {m}", 2, "--to requires an argument", "tritcoder export --help"),
        ("export {m} --to onnx", 2, "onnx", "tritcoder export --help"),
        ("doctor please", 2, "please", "tritcoder doctor --help"),
        # configuration
        ("run nowhere.toml", 2, "no configuration file at nowhere.toml", "configs/"),
        ("run file/x.toml", 2, "file/x.toml cannot be read", ".toml"),
        ("run empty", 2, "empty cannot be read", ".toml"),
        ("run broken.toml", 2, "broken.toml is not valid TOML", ""),
        ("run latin.toml", 2, "latin.toml is not valid TOML", ""),
        ("run misspelt.toml", 2, "unknown key pretrain.learning_rate", "valid keys here"),
        ("run good.toml --set pretrain.stepps=3", 2, "unknown key pretrain.stepps", "did you mean pretrain.steps?"),
        ("run kind.toml", 2, "pretrain.steps must be int, found 'many'", ""),
        ("run table.toml", 2, "pretrain must be a table, found 3", ""),
        ("run variable.toml", 2, "NO_SUCH_VARIABLE is not set", "export NO_SUCH_VARIABLE=FOLDER"),
        ("run good.toml --set garbage", 2, "an override reads key=value, found 'garbage'", "--set pretrain.lr=1e-3"),
        ("run good.toml --set =3", 2, "an override reads key=value", ""),
        ("run good.toml --set name.x=3", 2, "'name' is a value, not a table", ""),
        ("run good.toml --set pretrain=3", 2, "pretrain must be a table", ""),
        ("run good.toml --set pretrain.steps=0", 2, "steps must be at least 1, found 0", ""),
        ("run good.toml --set pretrain.lr=nan", 2, "lr must be above 0 and finite", ""),
        ("run good.toml --set model.dim=100", 2, "dim must be a multiple of 256, found 100", ""),
        ("run good.toml --set 'evaluate.baselines=[\"naive:wise\"]'", 2, "no rival called 'naive:wise'", "naive:"),
        ("run good.toml --set 'evaluate.baselines=[\"nowhere\"]'", 2, "nowhere does not exist", "naive:retrieval"),
        ("run good.toml --only ternary/pretrian", 2, "no stage 'ternary/pretrian'", "did you mean ternary/pretrain?"),
        # data
        ("run good.toml", 2, "nothing is left to train on", ""),
        ("run good.toml --set corpus.path=nowhere", 2, "no folder of source files at nowhere", ""),
        ("run good.toml --set problems.source=rows.jsonl", 2, "line 2, field question", "docs/data.md"),
        ("run good.toml --set problems.source=nowhere.jsonl", 2, "nowhere.jsonl", ""),
        ("evaluate apps --model naive:constant --problems lines.jsonl", 2, "lines.jsonl, line 3: expected a", ""),
        ("evaluate apps --model naive:constant --problems rows.jsonl", 2, "line 2, field question", "docs/data.md"),
        ("evaluate apps --model naive:constant --problems nowhere.jsonl", 2, "no data file at nowhere.jsonl", ""),
        ("evaluate apps --model naive:constant --problems binary.jsonl", 2, "binary.jsonl, line 1", ""),
        ("evaluate apps --model naive:constant --problems empty.jsonl", 2, "no problem of the test split", ""),
        ("evaluate apps --model naive:constant --problems empty", 2, "there is no test split", ""),
        ("{e} --train-problems nowhere.jsonl", 2, "no data file at nowhere.jsonl", ""),
        ("score nowhere.jsonl", 2, "nowhere.jsonl cannot be read", ""),
        ("score empty", 2, "empty cannot be read", ""),
        ("score samples.jsonl", 2, "samples.jsonl line 2: field 'completion' should be text", "task_id"),
        ("score binary.jsonl", 2, "binary.jsonl line 1", ""),
        ("score strange.jsonl", 2, "no-such-problem", ""),
        ("score empty.jsonl", 2, "empty.jsonl holds no sample", "generate"),
        ("report nowhere", 2, "nowhere should be a run directory, found nothing", ""),
        ("report empty", 2, "found neither manifest.json nor config.toml", ""),
        ("report file", 2, "file should be a run directory, found a file", ""),
        # settings outside their range
        ("generate hello --model {m} --temperature -1", 2, "temperature must be 0 or more, found -1.0", ""),
        ("generate hello --model {m} --temperature nan", 2, "temperature must be 0 or more, found nan", ""),
        ("generate hello --model {m} --samples 0", 2, "--samples must be at least 1, found 0", ""),
        ("generate hello --model {m} --top-p 0", 2, "top_p must be above 0 and at most 1", ""),
        ("generate hello --model {m} --top-k -1", 2, "top_k must be 0 or more", ""),
        ("generate hello --model {m} --max-tokens 0", 2, "max_tokens must be at least 1", ""),
        ("{e} --samples 0", 2, "samples must be at least 1, found 0", ""),
        ("{e} --temperature -1", 2, "temperature must be 0 or more", ""),
        ("{e} --limit -1", 2, "the limit must be 0 or more, found -1", ""),
        ("{e} --timeout 0", 2, "cpu_s must be above 0, found 0.0", ""),
        ("{e} --workers -1", 2, "workers must be 0 or more, found -1", ""),
        ("score strange.jsonl --timeout -1", 2, "cpu_s must be above 0, found -1.0", ""),
        # prompts and models
        ("generate '' --model {m}", 2, "the prompt is empty", "say in words"),
        ("generate ' ' --model {m}", 2, "the prompt is empty", ""),
        ("generate empty.jsonl --model {m}", 2, "the prompt is empty", ""),
        ("generate hello --model nowhere", 2, "nowhere does not exist", "naive:retrieval"),
        ("generate hello --model empty", 2, "empty holds no model yet", ""),
        ("generate hello --model file", 2, "file is a file", ""),
        ("generate hello --model :x:", 2, ":x: does not exist", ""),
        ("generate hello --model [bold]", 2, "[bold] does not exist", ""),
        ("generate hello --model naive:wise", 2, "no rival called 'naive:wise'", "did you mean naive:"),
        ("generate hello --model nave:constant", 2, "nave:constant", "naive:"),
        ("evaluate embedded --model naive:wise", 2, "no rival called 'naive:wise'", "did you mean naive:"),
        ("evaluate embedded --model nowhere", 2, "nowhere does not exist", ""),
        ("export nowhere --to gguf", 2, "nowhere does not exist", "give a run directory"),
        ("export nowhere.gguf --to hf", 2, "nowhere.gguf does not exist", "give the path of a model file"),
        ("export empty --to hf", 2, "empty holds no model yet", ""),
        ("export file --to gguf", 2, "file should hold at least 24 bytes, found 6", ""),
        ("export binary.jsonl --to hf", 2, "binary.jsonl: should begin with GGUF", ""),
        ("export {m} --to hf --ternary tq1_0", 2, "has one layout of trits", "leave --ternary out"),
        ("export {m} --to hf --embedding q8_0", 2, "is f32 or f16, found q8_0", ""),
        ("export {m} --to hf --out {m}", 2, "holds the model itself", "--out"),
        ("export {m} --to hf --out file", 2, "file is a file", ""),
        ("export {m} --to gguf --out empty", 2, "empty is a folder", "--out empty/model.gguf"),
        # places that cannot be written
        ("export {m} --to gguf --out file/x.gguf", 1, "a file stands where a folder should be", "choose another"),
        ("run good.toml --runs file", 1, "a file stands where a folder should be", "choose another place"),
        ("run good.toml --directory file", 1, "a file stands where a folder should be", "choose another place"),
        ("{e} --output file", 1, "a file stands where a folder should be", ""),
        ("score fine.jsonl --outcomes empty", 1, "should be an outcomes file, found a directory", "name a file"),
    ],
)  # fmt: skip
def test_wrong_input_gets_one_sentence(
    place: Path, tritcoder: Command, line: str, status: int, told: str, hint: str
) -> None:
    line = line.replace("{m}", str(place / "model")).replace("{e}", "evaluate embedded --model naive:constant")
    said = tritcoder(*shlex.split(line))
    message, advice = one_sentence(said, status)
    assert told in message
    assert hint in advice


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("config.json", b'{"model_type": "gpt2", "n_layer": 12}', "a model of kind 'gpt2', tritcoder reads 'bitnet'"),
        ("config.json", b"{", "config.json is not JSON"),
        ("config.json", b"[]", "config.json should hold an object"),
        ("config.json", b'{"model_type": "bitnet", "tie_word_embeddings": true}', "lacks or garbles 'vocab_size'"),
        ("model.safetensors", None, "no model.safetensors"),
        ("model.safetensors", b"", "model.safetensors is damaged"),
        ("model.safetensors", b"\xff" * 64, "model.safetensors is damaged"),
        ("model.safetensors", 0.5, "model.safetensors is damaged"),
        ("model.safetensors", 0.9999, "model.safetensors is damaged"),
        ("tokenizer.json", None, "no tokenizer at"),
        ("tokenizer.json", b"{}", "tokenizer.json"),
        ("tokenizer.json", 0.5, "tokenizer.json"),
        ("tokenizer.json", b"\xff\xfe", "tokenizer.json"),
    ],
)
def test_damaged_model_directory_is_named(
    place: Path, tritcoder: Command, file: str, content: bytes | float | None, told: str
) -> None:
    path = place / "model" / file
    if content is None:
        path.unlink()
    else:
        whole = path.read_bytes()
        path.write_bytes(content if isinstance(content, bytes) else whole[: int(content * len(whole))])
    message, _ = one_sentence(tritcoder("generate", "hello", "--model", place / "model"), ASKED_WRONGLY)
    assert told in message
    assert "model" in message


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"vocab_size": 10**12}, "weights, config.json describes"),
        ({"num_hidden_layers": 10**9}, "weights, config.json describes"),
        ({"max_position_embeddings": 10**13}, "max_position_embeddings (10000000000000)"),
        ({"max_position_embeddings": "9"}, "max_seq_len must be int, found '9'"),
        ({"hidden_size": 256.0}, "dim must be int, found 256.0"),
        ({"hidden_size": 100}, "dim must be a multiple of 256, found 100"),
        ({"intermediate_size": 512}, "should have shape"),
        ({"hidden_act": "gelu"}, "hidden_act must be one of"),
        ({"rope_theta": "x"}, "rope_theta must be float, found 'x'"),
        ({"rope_theta": -1.0}, "rope_theta (-1.0)"),
        ({"rope_theta": None, "rope_parameters": None}, "lacks or garbles"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps (nan)"),
        ({"quantization_config": [1]}, "should quantise as BitNet does"),
        ({"tie_word_embeddings": False}, "an output head of its own"),
    ],
)
def test_hostile_model_configuration_is_refused(
    place: Path, tritcoder: Command, change: dict[str, object], told: str
) -> None:
    path = place / "model" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    message, _ = one_sentence(tritcoder("generate", "hello", "--model", "model"), ASKED_WRONGLY)
    assert told in message
    assert message.startswith("model")


def test_prompt_that_is_no_utf8_is_read_all_the_same(place: Path, tritcoder: Command) -> None:
    (place / "prompt.txt").write_bytes(b"Add \xff\xfe numbers.")
    status, _, err = tritcoder("generate", "prompt.txt", "--model", "model", "--max-tokens", 1)
    assert status == 0, err


@contextmanager
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every file is opened, but what is written never reaches the disk."""

    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        yield


@pytest.mark.parametrize(
    "line",
    [
        "run good.toml --directory here",
        "evaluate embedded --model naive:constant --output here",
        "export model --to hf --out here",
        "export model --to gguf --out here/x.gguf",
    ],
)
def test_full_disk_is_one_sentence_and_leaves_no_half_file(
    place: Path, tritcoder: Command, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    with full_disk(monkeypatch):
        message, hint = one_sentence(tritcoder(*line.split()), WORK_FAILED)
    assert "no space left on the disk that holds here" in message
    assert "free some space" in hint
    assert [path for path in (place / "here").rglob("*") if path.is_file() and path.stat().st_size] == []


@pytest.fixture
def tiny_disk(place: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    mounted = place / "tiny"
    mounted.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mounted)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root can mount a small file system")
    yield mounted
    subprocess.run(["umount", "-l", str(mounted)], check=True)


def test_disk_that_runs_full_keeps_what_was_done(place: Path, tiny_disk: Path, tritcoder: Command) -> None:
    for number in range(40):
        text = "".join(f"def name_{number}_{k}(value):\n    return value * {k} + {number}\n\n\n" for k in range(800))
        (place / "corpus" / f"file{number}.py").write_text(text)
    wanted = ("run", "good.toml", "--set", "corpus.licences=['unknown']", "--directory", tiny_disk)
    message, _ = one_sentence(tritcoder(*wanted), WORK_FAILED)
    assert f"no space left on the disk that holds {tiny_disk}" in message
    assert (tiny_disk / "config.toml").read_text().startswith('name = "toy"')
    assert not list(tiny_disk.rglob("*.tmp"))
    assert not (tiny_disk / "corpus" / "train.jsonl").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_that_may_not_be_written_is_one_sentence(place: Path, tritcoder: Command) -> None:
    (place / "empty").chmod(0o500)
    message, _ = one_sentence(tritcoder("run", "good.toml", "--runs", "empty"), WORK_FAILED)
    assert "empty/toy cannot be written" in message


def one_sentence(said: tuple[int, str, str], status: int) -> tuple[str, str]:
    """The message and the hint of a command that failed as it should: nothing else of importance is printed."""
    found, out, err = said
    assert found == status, err
    assert out == ""
    assert "Traceback" not in err
    lines = [line for line in err.splitlines() if not line.startswith("  ") and line != "toy"]  # what stages say
    message, *hints = lines
    assert message.startswith("error: ")
    assert len(hints) <= 1
    assert all(hint.startswith("try:   ") for hint in hints)
    assert len(message) < 600
    return message.removeprefix("error: "), (hints or [""])[0].removeprefix("try:   ")
