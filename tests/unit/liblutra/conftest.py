"""Fixtures of the tests of liblutra."""

import sys

import pytest

from tests.unit.liblutra.bound import Library
from tests.unit.liblutra.building import GCC, installed


@pytest.fixture(scope="session")
def library() -> Library:
    """liblutra, built by gcc."""
    if sys.platform != "linux":
        pytest.skip("liblutra's tests know the names of files on Linux")
    return Library(installed(GCC) / "lib" / "liblutra.so")
