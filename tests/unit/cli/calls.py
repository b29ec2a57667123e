"""Calls of the command line, as a user makes them."""

import os
import signal
import subprocess
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
from PIL import Image

from lutra.cli import main
from lutra.model import artifact
from tests.golden import cases


def run(*arguments: object, before: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command: in this process, or in one of its own after the code `before`, or with another encoding."""
    words = list(map(str, arguments))
    if not before and "PYTHONIOENCODING" not in variables:
        return _run_here(words, variables)
    code = f"import sys; {before or 'pass'}; from lutra.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | variables)
    assert "Traceback" not in done.stderr
    return done


def _run_here(words: list[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the command with streams and warnings as a process has them; nothing of it stays."""
    output, errors = (TextIOWrapper(BytesIO(), "utf-8", write_through=True) for _ in range(2))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    with (
        pytest.MonkeyPatch.context() as patch,
        warnings.catch_warnings(),
        redirect_stdout(output),
        redirect_stderr(errors),
    ):
        patch.setattr(sys, "argv", ["lutra", *words])
        patch.setattr(warnings, "formatwarning", warnings.formatwarning)
        patch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
        for name, value in variables.items():
            patch.setenv(name, value)
        warnings.simplefilter("default")
        for unseen in (DeprecationWarning, PendingDeprecationWarning, ResourceWarning):
            warnings.simplefilter("ignore", unseen)
        warnings.showwarning = lambda *warning, **_: print(warnings.formatwarning(*warning), end="", file=errors)
        status = main()
    for number, handler in handlers.items():
        signal.signal(number, handler)
    return subprocess.CompletedProcess(words, status, *(it.buffer.getvalue().decode() for it in (output, errors)))


def lutra(*arguments: object, code: int = 0, **variables: str) -> str:
    """Run the command; returns stdout, or stderr when it is to fail."""
    done = run(*arguments, **variables)
    assert done.returncode == code, done.stderr
    if code:
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    return done.stderr if code else done.stdout


def piped(*arguments: object, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", "import sys; from lutra.cli import main; sys.exit(main())", *map(str, arguments)]
    return subprocess.run(command, input=given, capture_output=True, check=False)


def saved(folder: Path, name: str) -> Path:
    path = folder / f"{name}.safetensors"
    artifact.save(path, cases.model(name))
    return path
