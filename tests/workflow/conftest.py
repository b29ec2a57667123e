"""Projects to build, and programs that start at once."""

from collections.abc import Callable, Iterator

import pytest

from tests.workflow import jobs, warm
from tests.workflow.jobs import Built
from tests.workflow.project import Project, make_project
from tests.workflow.warm import Warm


@pytest.fixture(scope="package")
def warm_programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """A `python` and a `dvc` that start at once."""
    with warm.serving(tmp_path_factory.mktemp("warm") / "bin") as started:
        yield started


@pytest.fixture(scope="package")
def make(tmp_path_factory: pytest.TempPathFactory, warm_programs: Warm) -> Callable[[bool], Project]:
    """Makes a project whose stages start at once; the argument says whether its runs are tracked."""
    return lambda tracking: make_project(
        tmp_path_factory.mktemp("workflow") / "project", tracking, warm_programs.folder
    )


@pytest.fixture(scope="package")
def tracked(make: Callable[[bool], Project]) -> tuple[Project, str]:
    """A project of which DVC has run every stage, and what it printed; tests that use it belong to one xdist_group."""
    project = make(True)
    return project, project.run("dvc", "repro")


@pytest.fixture(scope="package")
def built(tmp_path_factory: pytest.TempPathFactory, warm_programs: Warm) -> Built:
    """Every stage of `jobs` run to the end once."""
    return jobs.build(tmp_path_factory.mktemp("stages"), warm_programs)
