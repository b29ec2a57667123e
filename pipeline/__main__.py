"""The command line of the stages: `python -m pipeline STAGE --experiment NAME --root DIR`.

A mistake of the user's ends in exit code 2 and one line on stderr. Modules are imported when their command runs,
because some take seconds.
"""

import signal

import typer

from pipeline.commands import inputs, project, recording, stages
from pipeline.commands.options import Commands

app = typer.Typer(
    cls=Commands,
    help="Train tables on photographs, and measure them. Run it in the project's folder.",
    epilog="LUTRA_TRACE=1 shows the stack trace of an error.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # else the brackets of defaults are taken for styles
)
for group in (stages, inputs, recording, project):
    app.add_typer(group.app)

if __name__ == "__main__":
    # A scheduler's SIGTERM unwinds as Ctrl-C does: temporary files go, the tracked run is marked as killed
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app(prog_name="python -m pipeline")
