import pytest

from tritcoder.baselines.keys import find_key, without_key
from tritcoder.errors import AccessError


def test_first_variable_that_holds_a_key_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRST_KEY", " \n")
    monkeypatch.setenv("SECOND_KEY", "abc\n")
    assert find_key(["MISSING_KEY", "FIRST_KEY", "SECOND_KEY"]) == "abc"
    assert find_key(["MISSING_KEY"]) == ""


def test_key_that_no_header_can_carry_is_refused_without_quoting_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRST_KEY", "secret\nsecond line")
    with pytest.raises(AccessError, match="FIRST_KEY holds characters") as caught:
        find_key(["FIRST_KEY"])
    assert "secret" not in repr(caught.value)


def test_key_is_blotted_out() -> None:
    assert without_key("Bearer abc: abc", "abc") == "Bearer [the key]: [the key]"
    assert without_key("text", "") == "text"
