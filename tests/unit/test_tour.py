"""The notebook docs/tour.ipynb runs from its first cell to its last."""

import re
from pathlib import Path
from typing import Any

import pytest

import lutra

TOUR = Path(__file__).resolve().parents[2] / "docs" / "tour.ipynb"
SECONDS = 600
"""More than a cell takes on a busy machine."""


@pytest.fixture(scope="module")
def tour() -> Any:
    nbformat = pytest.importorskip("nbformat", reason="needs nbformat, which nbclient brings")
    return nbformat.read(TOUR, as_version=4)


def test_the_notebook_is_kept_without_results(tour: Any) -> None:
    cells = [cell for cell in tour.cells if cell.cell_type == "code"]
    assert cells and not any(cell.outputs or cell.execution_count for cell in cells)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # of the kernel's client
def test_the_notebook_runs(tour: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient, which is not installed")
    pytest.importorskip("ipykernel", reason="needs ipykernel, which is not installed")
    pytest.importorskip("torch", reason="needs torch, the extra `train`")
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # for the folder that the notebook makes
    client = nbclient.NotebookClient(
        tour, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    shown = [str(cell.outputs) for cell in tour.cells if cell.cell_type == "code"]
    assert lutra.models()[0].name in shown[0] and "<Restorer " in shown[1] and "image/png" in shown[3]
    assert "psnr_y" in shown[5] and "(2, 3, 128, 192)" in shown[6] and "True" in shown[7]
    assert "<Restorer mine: sr x4, srlut" in shown[8]
    before, *_, after = map(float, re.findall(r"([0-9.]+) dB", shown[8]))
    assert after > before + 1
