"""Tests that need a cluster skip without one; at the end, what ran where is printed."""

import os
from pathlib import Path

import pytest

from tests.cluster import slurm


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Asking SLURM itself takes long where it does not answer."""
    if slurm.MARK not in os.environ:
        here = Path(__file__).parent
        for item in items:
            if here in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="needs SLURM: make test-cluster"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if slurm.MARK in os.environ:
        terminalreporter.section("what ran where")
        terminalreporter.write_line(slurm.table())
