"""A project to build, once per module of tests."""

from collections.abc import Callable

import pytest

from tests.workflow.project import Project, make_project


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], Project]:
    """Makes a project; the argument says whether its runs are tracked."""
    return lambda tracking: make_project(tmp_path_factory.mktemp("workflow") / "project", tracking)
