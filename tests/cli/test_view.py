"""What is told of a stage where there is no terminal: seldom, and with what is left."""

import io

from rich.console import Console

from tritcoder.cli.view import LiveView


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_long_stage_is_told_of_every_half_minute_with_the_time_left() -> None:
    text, clock = io.StringIO(), Clock()
    with LiveView(Console(file=text, width=200), clock) as view:
        view.stage_began("scores")
        for done in range(1, 101):
            clock.now += 1
            view.stage_moved(done, 400, f"note {done}")
    lines = [line.strip() for line in text.getvalue().splitlines()]
    assert lines == [
        "… scores",
        "30 of 400, 6:10 left, note 30",
        "60 of 400, 5:40 left, note 60",
        "90 of 400, 5:10 left, note 90",
    ]


def test_a_stage_without_an_end_in_sight_tells_what_it_does() -> None:
    text, clock = io.StringIO(), Clock()
    with LiveView(Console(file=text, width=200), clock) as view:
        view.stage_began("corpus")
        clock.now += 31
        view.stage_moved(0, 0, "reading [1] file")
    assert text.getvalue().splitlines()[1:] == ["    reading [1] file"]
