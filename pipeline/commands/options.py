"""The options that commands share, and the lines and exit codes of their errors."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from lutra import terminal


class Commands(TyperGroup):
    """Turn what a command raises into an exit code and a line for the user."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        terminal.prepare_streams()
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            raise SystemExit(130) from None
        except (ValueError, OSError) as error:
            if os.environ.get("LUTRA_TRACE"):
                raise
            terminal.error(error)
            raise SystemExit(2) from None


ExperimentName = Annotated[str, typer.Option(help="The experiment: the name of a block under `experiments:`.")]


def _root(text: str | Path) -> Path:
    if not str(text).strip():
        raise typer.BadParameter("found an empty name, expected a folder")
    return Path(text)


Root = Annotated[
    Path, typer.Option(parser=_root, metavar="FOLDER", help="The folder that holds the outputs of all stages.")
]
ParamsFile = Annotated[Path, typer.Option("--params", help="The file of parameters.")]
Check = Annotated[bool, typer.Option("--check", help="Write nothing; fail when the file is stale.")]


DEFAULT_ROOT = Path("runs/local")
DEFAULT_PARAMS = Path("params.yaml")
