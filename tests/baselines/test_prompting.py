import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritcoder.baselines.prompting import apps_prompt, authors_text, cut_at_stop, instruction, seed_of, undecided
from tritcoder.errors import PromptError
from tritcoder.records import Prompt, Sampling


def test_apps_prompt_is_the_authors_text() -> None:
    assert apps_prompt(Prompt("Add.")) == "\nQUESTION:\nAdd.\nUse Standard Input format\nANSWER:\n"
    assert apps_prompt(Prompt("Add.\n", starter_code="def add(a):\n\t", call_based=True)) == (
        "\nQUESTION:\nAdd.\n\ndef add(a):\n\t\nUse Call-Based format\nANSWER:\n"
    )
    # A whole problem, as their script puts it together, typed out.
    question = "You are given n.\n\n-----Input-----\nn\n\n-----Output-----\n2n\n"
    assert apps_prompt(Prompt(question)) == (
        "\nQUESTION:\nYou are given n.\n\n-----Input-----\nn\n\n-----Output-----\n2n\n"
        "\nUse Standard Input format\nANSWER:\n"
    )
    # LeetCode-like rows exist whose starter code stands beside standard input.
    assert "Standard Input" in apps_prompt(Prompt("Add.", starter_code="def add(a):"))


def test_instruction_says_kind_question_and_starter_code() -> None:
    called = instruction(Prompt("Reverse it.", starter_code="def rev(s):", call_based=True))
    assert "Reverse it." in called
    assert "```python\ndef rev(s):\n```" in called
    assert "standard input" not in called
    assert "standard input" in instruction(Prompt("Add."))


def test_code_is_continued() -> None:
    prompt = Prompt("def f():\n    ", kind="code")
    assert apps_prompt(prompt) == prompt.text
    assert prompt.text in instruction(prompt)


@pytest.mark.parametrize("write", [instruction, apps_prompt])
def test_empty_prompts_and_gaps_are_refused(write: object) -> None:
    assert callable(write)
    with pytest.raises(PromptError, match="empty"):
        write(Prompt(" \n"))
    with pytest.raises(PromptError, match="gap"):
        write(Prompt("x = ", kind="code", suffix="\nprint(x)"))


@given(st.integers(), st.text(), st.integers(0))
def test_seed_fits_31_bits_and_depends_on_each_part(seed: int, task_id: str, sample: int) -> None:
    base = seed_of(Sampling(seed=seed), Prompt("q", task_id=task_id, sample=sample))
    assert 0 <= base < 2**31
    assert base == seed_of(Sampling(seed=seed, max_tokens=9), Prompt("other", task_id=task_id, sample=sample))
    others = {
        seed_of(Sampling(seed=seed + 1), Prompt("q", task_id=task_id, sample=sample)),
        seed_of(Sampling(seed=seed), Prompt("q", task_id=task_id + "x", sample=sample)),
        seed_of(Sampling(seed=seed), Prompt("q", task_id=task_id, sample=sample + 1)),
    }
    assert base not in others


@given(st.text("ab"), st.lists(st.text("ab", min_size=1, max_size=3)))
def test_no_stop_string_survives_the_cut(text: str, stops: list[str]) -> None:
    cut = cut_at_stop(text, stops)
    assert text.startswith(cut)
    assert not any(stop in cut for stop in stops)
    assert cut == text or any(text.startswith(cut + stop) for stop in stops)


def test_authors_text_is_tidied_as_prose_and_ends_at_a_second_answer() -> None:
    written = "n = int(input())\nif n != 1 :\n    print('a' , n)\nANSWER:\nmore<|endoftext|>"
    assert authors_text(written) == "n = int(input())\nif n!= 1 :\n    print('a', n)\n"
    assert authors_text("sep = ' '\nx = ' '.join(a)") == "sep =''\nx =''.join(a)"  # so their numbers were measured


def test_undecided_is_what_may_begin_a_stop_string_or_half_a_character() -> None:
    assert undecided("print(1)\n\nde", ("\n\ndef",)) == 4
    assert undecided("abc", ("cab", "bcd")) == 2
    assert undecided("é\ufffd", ()) == 1
    assert undecided("abc", ()) == 0
