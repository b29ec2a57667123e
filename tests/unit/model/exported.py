"""Models of layers, written as their authors' files."""

from pathlib import Path

from lutra.model.published.tables import write_tables
from tests.golden import cases


def exported(tmp_path: Path, name: str) -> Path:
    """A folder with the files of a golden case."""
    write_tables(cases.model(name), tmp_path / name)
    return tmp_path / name
