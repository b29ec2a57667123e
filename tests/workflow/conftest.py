"""Projects to build, once per module of tests."""

from collections.abc import Callable, Iterator

import pytest

from tests.workflow import warm
from tests.workflow.project import Project, make_project
from tests.workflow.warm import Built


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], Project]:
    """Makes a project; the argument says whether its runs are tracked."""
    return lambda tracking: make_project(tmp_path_factory.mktemp("workflow") / "project", tracking)


@pytest.fixture(scope="package")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """Every stage of `jobs` run to the end once, and a warm process to run more of them."""
    with warm.built(tmp_path_factory.mktemp("stages")) as made:
        yield made
