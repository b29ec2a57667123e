"""Fixtures of all tests: where the published tables, images and data sets lie, if they do."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lutra.limits import wait_passively

wait_passively()  # before a test imports torch, and for the processes that tests start
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a script's background jobs ignore it, and hand that down
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Workflows first, then other groups: they take minutes, and what is short fills up at the end."""
    items.sort(key=lambda item: ("workflow" not in item.path.parts, item.get_closest_marker("xdist_group") is None))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse versions of pytest and pytest-xdist with which every worker builds the fixtures of every group."""
    grouped = [item for item in session.items if item.get_closest_marker("xdist_group")]
    if getattr(session.config.option, "loadgroup", False) and not all("@" in item.nodeid for item in grouped):
        message = (
            "found tests without their xdist_group in their name, expected pytest-xdist to add it; is pytest too new?"
        )
        print(message, file=sys.__stderr__)  # pytest-xdist reports only that a worker ended
        raise pytest.UsageError(message)


def _finder(variable: str, default: str) -> Callable[[str], Path]:
    folder = Path(os.environ.get(variable) or ROOT / default)

    def find(name: str) -> Path:
        path = folder / name
        if not path.exists():
            pytest.skip(f"needs {path}, which is not in the repository ({variable} says where to look)")
        return path

    return find


@pytest.fixture(scope="session")
def reference() -> Callable[[str], Path]:
    """A file or folder of the published systems' inputs and outputs, by its path; skips where it is absent."""
    return _finder("LUTRA_REFERENCE", "../shared/reference")


@pytest.fixture(scope="session")
def dataset() -> Callable[[str], Path]:
    """The folder of a data set such as Set5, by name; skips where it is absent."""
    return _finder("LUTRA_DATASETS", "../shared/datasets")
