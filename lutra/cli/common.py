"""The application, the names of models, and the options of the tasks, which the commands share."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

import lutra
from lutra.model.tasks import PREFERRED, TASKS, Option, options
from lutra.terminal import printable

if TYPE_CHECKING:
    from lutra.model.artifact import Artifact

app = typer.Typer(
    name="lutra",
    help="Image restoration with lookup tables.",
    epilog="Set LUTRA_TRACE=1 to see the stack trace of an error.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # else brackets, such as those of defaults, are taken for styles
)

# Typer brings its own copy of Click or uses the one installed, so this class has no fixed address.
UsageError: Any = typer.BadParameter.__base__

MODEL = "A model file, a name that `lutra models` lists, or an https: or file: address with #sha256=..."
Model = Annotated[str, typer.Argument(help=MODEL)]
ModelOrNone = Annotated[
    str | None, typer.Option("--model", "-m", help=f"{MODEL} [default: one that fits --task and --scale].")
]
ChosenTask = Annotated[
    str | None,
    typer.Option(
        help=f"Where no model is named, choose the best one of this task: {', '.join(TASKS)} "
        f"[default: {', or else '.join(PREFERRED)}]."
    ),
]
Threads = Annotated[int | None, typer.Option(min=1, help="The number of threads [default: one for each processor].")]
Pixels = Annotated[int | None, typer.Option(min=1, help="The most pixels that a result may have [default: 268435456].")]

_Command = Callable[..., None]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"lutra {lutra.__version__}")
        raise typer.Exit


@app.callback()
def application(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Image restoration with lookup tables."""


def with_task_options(default: str | None = None) -> Callable[[_Command], _Command]:
    """Give a command an option for each option of a task, in the place of its parameter `options`.

    The scale is left out, because a model has one of its own. The command gets the values that were given, by name.

    Args:
        default: what the help texts state as the default; None for the task's own.
    """

    def extended(command: _Command) -> _Command:
        known = {name: list(of.items()) for name, of in options().items() if name != "scale"}

        @wraps(command)
        def run(**given: Any) -> None:
            values = {name: given.pop(name) for name in known}
            command(**given, options={name: value for name, value in values.items() if value is not None})

        added = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_typed(of, default))
            for name, of in known.items()
        ]
        parameters: list[inspect.Parameter] = []
        for parameter in inspect.signature(command, eval_str=True).parameters.values():
            keyword = parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            parameters += added if parameter.name == "options" else [keyword]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return extended


def _typed(of: list[tuple[str, Option]], default: str | None) -> Any:
    """Return the annotation of an option that the tasks in `of` have: its type and its help text."""
    _, option = of[0]
    kinds = {option.kind for _, option in of}
    values: Any = Literal[option.choices] if option.choices else int if kinds == {"whole range"} else float
    own = {_shown(option.default) for _, option in of}
    stated = default or (own.pop() if len(own) == 1 else "")
    text = f"{', '.join(task for task, _ in of)}: {option.meaning}" + (f" [default: {stated}]" if stated else "")
    return Annotated[values | None, typer.Option(help=f"{text}.")]


def _shown(default: Any) -> str:
    return " to ".join(map(str, default)) if isinstance(default, list) else "" if default is None else str(default)


def chosen_model(model: str | None, task: str | None, scale: float | None) -> Path:
    """Return the file of the model that was named, or that fits task and scale; print which one was chosen."""
    from lutra.restore import sources

    if model is not None:
        return sources.find_or_choose(model, task)
    path = sources.find_or_choose(None, task, scale)
    print(f"model: {printable(path.stem)}", file=sys.stderr)
    return path


def load(model: str | Path) -> Artifact:
    """Load a model by its file, its name or its address."""
    from lutra.model import artifact
    from lutra.restore import sources

    return artifact.load(sources.find_model(model))
