"""A database of MLflow's, made once."""

import shutil
from pathlib import Path

import pytest

from pipeline import tracking
from pipeline.params import TrackingParams


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow takes seconds to create one; the tests copy it."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    settings = TrackingParams(uri=f"sqlite:///{path}", experiment="another")
    with tracking.stage_run(settings, stage="train", experiment="a", root=Path("runs/dvc"), params={}):
        pass
    return path


@pytest.fixture
def uri(tmp_path: Path, empty_database: Path) -> str:
    copy = tmp_path / "tracking" / "mlflow.db"
    copy.parent.mkdir()
    shutil.copyfile(empty_database, copy)
    return f"sqlite:///{copy}"
