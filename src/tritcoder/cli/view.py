"""One live view of a run: which stage, how far, how long still."""

import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_EVERY_S = 30.0
"""Where there is no terminal, a line each so many seconds."""


class LiveView:
    """Tells of the stages on standard error: a moving line on a terminal, plain lines elsewhere."""

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = console or Console(stderr=True, emoji=False)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[note]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(compact=True),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._task: TaskID | None = None
        self._note = ""
        self._clock, self._began, self._told = clock, 0.0, 0.0

    def __enter__(self) -> "LiveView":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def stage_began(self, name: str) -> None:
        """A stage starts working."""
        self._note = ""
        self._began = self._told = self._clock()
        self._task = self._progress.add_task(name, total=None, note="")
        if not self.console.is_terminal:
            self.console.print(f"  [dim]…[/] {escape(name)}", highlight=False)

    def stage_moved(self, done: float, total: float, note: str) -> None:
        """The current stage has done so much of so much."""
        self._note = note
        if self._task is not None:
            self._progress.update(self._task, completed=done, total=total or None, note=note)
        if not self.console.is_terminal and self._clock() - self._told >= _EVERY_S:
            self._told = self._clock()
            self.console.print(f"    {escape(self._standing(done, total))}", highlight=False, soft_wrap=True)

    def _standing(self, done: float, total: float) -> str:
        """How far the stage is, and how long it will take if it goes on like this."""
        if not total or not done:
            return self._note
        left_s = (total - done) / done * (self._clock() - self._began)
        minutes, seconds = divmod(round(left_s), 60)
        return f"{done:,.0f} of {total:,.0f}, {minutes}:{seconds:02d} left, {self._note}"

    def stage_ended(self, name: str, seconds: float, cached: bool) -> None:
        """A stage is done."""
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None
        mark, told = ("[dim]=[/]", "unchanged") if cached else ("[green]✓[/]", f"{seconds:6.1f} s  {self._note}")
        self.console.print(f"  {mark} {escape(f'{name:<28}')} [dim]{told}[/]", highlight=False)
        self._note = ""
