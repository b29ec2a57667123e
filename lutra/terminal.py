"""Print what commands report. Text from files, servers and names goes through `printable` first."""

from __future__ import annotations

import sys
import warnings
from io import TextIOWrapper
from typing import Any

from rich import table as rich_table
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

_LONGEST = 1000
"""The most characters of a line that are shown."""


def prepare_streams() -> None:
    """Print characters that an encoding lacks as escapes, and warnings as one line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    warnings.formatwarning = lambda message, *_, **__: f"note: {printable(message)}\n"


def printable(text: object) -> str:
    """Return text as one line, with escapes for characters that could change a terminal, such as \\x1b."""
    line = " ".join(str(text)[:_LONGEST].split())
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in line)


def say(text: object) -> None:
    """Print one line to standard output."""
    print(printable(text))


def error(text: object) -> None:
    """Print an error to standard error, as one line, which the lines of other processes do not cut."""
    sys.stderr.write(f"error: {printable(text)}\n")


class TextTable(rich_table.Table):
    """A table that shows its cells unchanged: brackets are no markup, colons are no emoji."""

    def add_row(self, *cells: object, **options: Any) -> None:
        """Add a row of texts."""
        super().add_row(*map(printable, cells), **options)

    def show(self) -> None:
        """Print the table, as wide as it needs to be where the output is not a terminal."""
        width = None if sys.stdout.isatty() else 140
        Console(width=width, markup=False, emoji=False, highlight=False).print(self)


class _Rate(ProgressColumn):
    """The number of steps a second."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        super().__init__()

    def render(self, task: Task) -> Text:
        """Return the number, or nothing while it is not known."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} {self._unit}/s")


def progress(unit: str | None = None) -> Progress:
    """Return a progress bar on standard error, which shows nothing if that is no terminal.

    Args:
        unit: what is counted, such as "frames", to show how many a second.
    """
    columns: list[ProgressColumn] = [
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        *([_Rate(unit)] if unit else []),
        TimeRemainingColumn(),
    ]
    # While the bar is shown, Rich prints above it what goes to stderr.
    console = Console(stderr=True, markup=False, emoji=False)
    return Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty())
