"""The command itself: help at once, what is installed, results apart from progress, readers that go away."""

import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tritcoder import __version__
from tritcoder.cli.options import AnswerOptions, JailOptions, ServiceOptions
from tritcoder.sandbox.jail import best_level

Command = Callable[..., tuple[int, str, str]]

VERBS = {
    "run": "tritcoder.cli.run:run",
    "generate": "tritcoder.cli.generate:generate",
    "evaluate": "tritcoder.cli.evaluate:evaluate",
    "score": "tritcoder.cli.score:score",
    "bench": "tritcoder.cli.bench:bench",
    "report": "tritcoder.cli.report:report",
    "export": "tritcoder.cli.export:export",
    "doctor": "tritcoder.cli.doctor:doctor",
}

HEAVY = ("torch", "transformers", "matplotlib", "numpy", "jinja2")

ASK_FOR_HELP = """
import sys
from tritcoder.cli.app import run
try:
    run(sys.argv[2:])
finally:
    found = [name for name in sys.argv[1].split(",") if name in sys.modules]
    print("loaded:", *found)
"""


def python(code: str, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own."""
    environment = {**os.environ, "COLUMNS": "200", **more.pop("env", {})}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=environment,
        **more,
    )


def parameters(target: str) -> dict[str, inspect.Parameter]:
    """The parameters of a verb's function, those that verbs share taken apart."""
    module, name = target.split(":")
    found = dict(inspect.signature(getattr(import_module(module), name)).parameters)
    for name, shared in (("jail", JailOptions), ("answers", AnswerOptions), ("service", ServiceOptions)):
        if found.pop(name, None):
            found |= inspect.signature(shared).parameters
    return found


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_answers_without_heavy_imports(verb: str) -> None:
    said = python(ASK_FOR_HELP, ",".join(HEAVY), *verb.split(), "--help")
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith(f"Usage: tritcoder {verb}".rstrip())
    assert said.stdout.endswith("loaded:\n")
    assert said.stderr == ""


@pytest.mark.parametrize(("verb", "target"), VERBS.items())
def test_help_mentions_every_option_and_says_what_it_does(verb: str, target: str) -> None:
    text = python(ASK_FOR_HELP, "torch", *verb.split(), "--help").stdout
    for name, parameter in parameters(target).items():
        positional = parameter.kind is inspect.Parameter.POSITIONAL_ONLY
        shown = name.upper() if positional else "--" + name.rstrip("_").replace("_", "-")
        row = re.search(rf"^│.*{re.escape(shown)}\b(.*)", text, re.M)
        assert row, f"{shown} is not in the help of {verb}"
        assert len(row[1].strip(" │").split()) >= 3, f"{shown} says nothing of what it does"
    assert "--no-" not in text, "a flag's opposite is its absence"


def test_help_lists_every_verb() -> None:
    text = python(ASK_FOR_HELP, "torch", "--help").stdout
    listed = re.findall(r"^│ (\w+) {2,}", text, re.M)
    assert listed == list(VERBS)


def test_no_words_at_all_ask_for_help(tritcoder: Command) -> None:
    status, out, _ = tritcoder()
    assert status == 0
    assert out.startswith("Usage: tritcoder")


def test_version_is_the_packages(tritcoder: Command) -> None:
    assert tritcoder("--version") == (0, f"{__version__}\n", "")


def test_doctor_names_the_jail_and_the_extras(tritcoder: Command) -> None:
    status, out, err = tritcoder("doctor")
    assert (status, err) == (0, "")
    assert re.search(rf"^sandbox level +{re.escape(str(best_level()))}$", out, re.M)
    for extra in ("train", "data", "eval", "baselines", "report"):
        assert re.search(rf"^extra {extra} +(installed|lacks \S+)", out, re.M)
    facts = json.loads(out[: out.index("\nextra ")])
    assert facts["versions"]["tritcoder"] == __version__


def test_doctor_says_how_to_get_a_jail_where_there_is_none(
    tritcoder: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tritcoder.errors import SandboxError

    def none() -> str:
        raise SandboxError("no jail here", "install one")

    monkeypatch.setattr("tritcoder.sandbox.jail.best_level", none)
    status, out, _ = tritcoder("doctor")
    assert status == 0
    assert "none: no jail here" in out
    assert "install one" in out


@pytest.mark.parametrize("verb", ["run {config}", "generate hello --model {model}"])
def test_verb_without_torch_says_what_is_missing(verb: str, model: Path, tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text('name = "x"\n')
    arguments = verb.format(config=tmp_path / "x.toml", model=model).split()
    without_torch = "import sys; sys.modules['torch'] = None\nfrom tritcoder.cli.app import run\nrun(sys.argv[1:])"
    said = python(without_torch, *arguments, cwd=tmp_path)
    assert said.returncode == 2
    assert said.stdout == ""
    assert re.search(r"^error: .*needs torch, which is not installed$", said.stderr, re.M), said.stderr
    assert "Traceback" not in said.stderr


def test_prompt_comes_from_standard_input_in_any_bytes(tmp_path: Path) -> None:
    code = "import sys\nfrom tritcoder.cli.app import run\nrun(sys.argv[1:])"
    said = subprocess.run(
        [sys.executable, "-c", code, "generate", "-", "--model", "naive:retrieval"],
        input=b"Add \xff two numbers.",
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert said.stdout.strip()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_output_that_cannot_be_written_is_one_sentence() -> None:
    code = "import sys\nfrom tritcoder.cli.app import run\nrun(['--version'])"
    with Path("/dev/full").open("w") as full:
        said = subprocess.run(
            [sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, timeout=300, check=False
        )
    assert (said.returncode, said.stderr) == (1, "error: No space left on device\n")


def test_reader_that_goes_away_ends_the_command_quietly() -> None:
    code = "import sys, time\ntime.sleep(0.2)\nfrom tritcoder.cli.app import run\nrun(['doctor'])"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=300), errors) == (141, b"")


def test_broken_connection_elsewhere_does_not_end_the_process(tritcoder: Command) -> None:
    """The default action of SIGPIPE would: a jail or a service that closes its end must not take the run along."""
    import socket

    tritcoder("--version")
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours, pytest.raises(BrokenPipeError):
        ours.send(b"x")


@pytest.mark.parametrize("verb", ["generate", "evaluate", "score"])
def test_json_is_all_that_stands_on_standard_output(verb: str, tmp_path: Path, tritcoder: Command) -> None:
    (tmp_path / "s.jsonl").write_text('{"task_id": "35", "completion": "print(1)"}\n')
    lines: dict[str, list[object]] = {
        "generate": ["generate", "Add.", "--model", "naive:retrieval"],
        "evaluate": ["evaluate", "embedded", "--model", "naive:retrieval", "--limit", 1, "--output", tmp_path / "o"],
        "score": ["score", tmp_path / "s.jsonl"],
    }
    status, out, err = tritcoder(*lines[verb], "--json")
    assert status == 0, err
    assert isinstance(json.loads(out), dict)
