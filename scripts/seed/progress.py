"""How far it is: a bar with rate and remaining time on a terminal, else a line for each tenth, or batch."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text
from typing_extensions import override

Advance = Callable[[int], None]


class Rate(ProgressColumn):
    """Tasks in a second."""

    @override
    def render(self, task: Task) -> Text:
        return Text(f"{task.finished_speed or task.speed or 0:,.0f}/s")


def progress(total: int) -> AbstractContextManager[Advance]:
    """Shows on standard error what is advanced."""
    terminal = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    return bar(total) if terminal else lines(total)


@contextmanager
def bar(total: int) -> Iterator[Advance]:
    columns = (TextColumn("tasks"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task("tasks", total=total)
        yield lambda number: shown.advance(task, number)


@contextmanager
def lines(total: int) -> Iterator[Advance]:
    began = time.monotonic()
    done = said = 0

    def advance(number: int) -> None:
        nonlocal done, said
        done += number
        if done * 10 // total > said:
            said = done * 10 // total
            rate = done / (time.monotonic() - began)
            left = f"{(total - done) / rate:.0f} s left" if done < total else "done"
            print(f"seed: {done:,} of {total:,} tasks, {rate:,.0f}/s, {left}", file=sys.stderr, flush=True)

    yield advance
