"""Calls of the command line, as a user makes them."""

import os
import subprocess
import sys
from pathlib import Path

from lutra.model import artifact
from tests.golden import cases


def run(*arguments: object, before: str = "pass", **variables: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys; {before}; from lutra.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | variables)
    assert "Traceback" not in done.stderr
    return done


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
