"""The command line: `lutra restore | pipe | models | info | import | export | evaluate | bench | bench-video | ...`."""

from __future__ import annotations

import os
import signal
import sys

import typer

from lutra import terminal
from lutra.cli.common import UsageError, app

# Each adds its commands when it is imported: this is their order in --help.
from lutra.cli import restoring, piping, models, measuring  # isort: skip

__all__ = ["app", "main", "measuring", "models", "piping", "restoring"]

_INTERRUPTED = 128 + signal.SIGINT


def main() -> int:
    """Run the command line; return the process's exit code."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:  # nohup ignores SIGHUP
            signal.signal(number, _stop)
    terminal.prepare_streams()
    try:
        code = app(standalone_mode=False)
    except UsageError as error:
        if text := error.format_message():  # empty where the help was shown instead
            terminal.error(text)
        return 2
    except (typer.Abort, KeyboardInterrupt):
        code = _INTERRUPTED
    except (ValueError, OSError, MemoryError) as error:
        if os.environ.get("LUTRA_TRACE"):
            raise
        terminal.error(str(error) or "not enough memory")
        return 2
    if code == _INTERRUPTED:  # typer returns this number for Ctrl-C, or lets the exception through
        print("interrupted", file=sys.stderr)
    return code if isinstance(code, int) else 0


def _stop(number: int, _: object) -> None:
    """End as Ctrl-C does, so that temporary files are removed."""
    raise SystemExit(128 + number)
