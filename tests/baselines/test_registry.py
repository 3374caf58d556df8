import subprocess
import sys

import pytest

from tritcoder.baselines.limits import ServiceLimits, Spending
from tritcoder.baselines.registry import NAMES, open_baseline
from tritcoder.errors import AccessError, ConfigError, MissingExtraError, ModelFileError
from tritcoder.records import Problem, Prompt, Sampling, TestCase

PROBLEMS = [Problem("1", "Add.", solutions=("print(2)",), tests=(TestCase("1 1", "2"),))]


@pytest.mark.parametrize("name", ["naive:constant", "naive:retrieval"])
def test_naive_rivals_are_fitted_and_keep_their_name(name: str) -> None:
    assert open_baseline(name, PROBLEMS).name == name


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("naive:retreival", "naive:retrieval"),
        ("naive:const", "naive:constant"),
        ("naive:", "naive:"),
        ("naive", "naive:"),
        ("gemni:flash", "gemini:NAME"),
        ("gemini:", "gemini:NAME"),
        ("openia:m@http://localhost", "openai:NAME@URL"),
        ("openai:@http://localhost", "openai:NAME@URL"),
        ("hf:", "hf:PATH"),
        ("hf", "hf:PATH"),
    ],
)
def test_unknown_names_are_answered_with_the_nearest(name: str, near: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_baseline(name, PROBLEMS)
    assert repr(name) in caught.value.message
    assert f"did you mean {near}" in caught.value.hint


def test_names_like_no_other_are_answered_with_all() -> None:
    with pytest.raises(ConfigError) as caught:
        open_baseline("runs/demo", PROBLEMS)
    assert all(name in caught.value.hint for name in NAMES)


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("openai:org/m@v2@http://host:8000", "openai:org/m@v2@http://host:8000/v1"),
        ("openai:m@https://host/x/v1/", "openai:m@https://host/x/v1"),
    ],
)
def test_server_is_what_follows_the_last_at(name: str, called: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openai", reason="openai is not installed")
    assert open_baseline(name, []).name == called


@pytest.mark.parametrize(("name", "module"), [("gemini:m", "google.genai"), ("openai:m@http://host", "openai")])
def test_limits_and_earlier_spending_are_handed_on(name: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(module, reason=f"{module} is not installed")
    monkeypatch.setenv("GEMINI_API_KEY", "test-key")
    limits = ServiceLimits(max_cost_usd=1, usd_per_million_input=1, usd_per_million_output=1)
    rival = open_baseline(name, [], limits, Spending(3, 2_000_000))
    with pytest.raises(AccessError, match=f"{name}.* has cost 2.0000 USD"):
        list(rival.generate([Prompt("Add.")], Sampling()))


def test_vendors_without_a_key_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("GEMINI_API_KEY", "GOOGLE_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    for name, module in (("gemini:gemini-2.5-flash", "google.genai"), ("openai:gpt", "openai")):
        pytest.importorskip(module, reason=f"{module} is not installed")
        with pytest.raises(AccessError, match="needs a key"):
            open_baseline(name, [])


def test_directory_without_a_checkpoint_is_refused(tmp_path: object) -> None:
    pytest.importorskip("transformers", reason="transformers is not installed")
    with pytest.raises(ModelFileError, match="transformers cannot load"):
        open_baseline(f"hf:{tmp_path}", [])


@pytest.mark.parametrize(
    ("name", "module"), [("hf:x", "transformers"), ("gemini:x", "google.genai"), ("openai:x", "openai")]
)
def test_missing_library_is_named_with_its_extra(name: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # what Python does with a module that must not be imported
    with pytest.raises(MissingExtraError, match=f"{name} needs ({module.partition('.')[0]}|torch)") as caught:
        open_baseline(name, [])
    assert "tritcoder[baselines" in caught.value.hint


def test_opening_a_naive_rival_imports_no_library_of_the_others() -> None:
    code = (
        "import sys; from tritcoder.baselines.registry import open_baseline;"
        "import tritcoder.baselines.hf, tritcoder.baselines.gemini, tritcoder.baselines.openai;"
        "heavy = {'torch', 'transformers', 'google.genai', 'openai', 'scipy', 'sklearn'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
