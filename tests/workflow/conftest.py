"""Projects to build, once per module of tests."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.workflow import quick, warm
from tests.workflow.project import Project, make_project
from tests.workflow.warm import Built


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], Project]:
    """Makes a project; the argument says whether its runs are tracked."""
    return lambda tracking: make_project(tmp_path_factory.mktemp("workflow") / "project", tracking)


@pytest.fixture(scope="package")
def quick_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a `python` that starts at once."""
    with quick.python(tmp_path_factory.mktemp("quick") / "bin") as folder:
        yield folder


@pytest.fixture(scope="module")
def make_quick(tmp_path_factory: pytest.TempPathFactory, quick_python: Path) -> Callable[[bool], Project]:
    """Makes a project whose stages start at once, for tests of what is run and not of how it starts."""
    return lambda tracking: make_project(tmp_path_factory.mktemp("workflow") / "project", tracking, quick_python)


@pytest.fixture(scope="package")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """Every stage of `jobs` run to the end once, and a warm process to run more of them."""
    with warm.built(tmp_path_factory.mktemp("stages")) as made:
        yield made
