"""`dvc repro` and `snakemake` at the same time in one checkout: both complete, with equal results, tracked apart."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.declaration import STAGES
from tests.workflow import jobs
from tests.workflow.project import Project, block

pytestmark = pytest.mark.xdist_group("side_by_side")

HEAD = """
data: {train: images/train, evaluate: [images/check], validate: 1}
tasks: {x2: {task: sr, scale: 2}}
experiments:
"""


def test_dvc_and_snakemake_do_not_disturb_each_other(make: Callable[[bool], Project]) -> None:
    project = make(True)
    params = HEAD + block("first", "x2")
    (project.folder / "params.yaml").write_text(params)
    with ThreadPoolExecutor(2) as pool:
        dvc = pool.submit(project.run, "dvc", "repro")
        snakemake = pool.submit(project.python, "-m", "snakemake", "--cores", "1")
        said = {"dvc": dvc.result(), "snakemake": snakemake.result()}
    assert not [line for text in said.values() for line in text.splitlines() if line.startswith("tracking:")], said

    runs = project.folder / "runs"
    extras = ("logs/", "benchmarks/", ".snakemake_timestamp")  # Snakemake's own
    found = {name: jobs.contents(runs / name) for name in said}
    found["snakemake"] = {name: it for name, it in found["snakemake"].items() if not any(it in name for it in extras)}
    assert found["dvc"] == found["snakemake"]
    assert {name.split("/")[0] for name in found["dvc"]} == {stage.name for stage in STAGES}

    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{project.folder}/runs/mlflow.db")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    rows = client.search_runs(experiments, "tags.latest = 'true'")
    expected = {(f"runs/{name}", stage.name) for name in said for stage in STAGES}
    assert Counter((row.data.tags["root"], row.data.tags["stage"]) for row in rows) == dict.fromkeys(expected, 1)
    assert {row.info.status for row in rows} == {"FINISHED"}

    assert "Running stage" not in project.run("dvc", "repro")
    assert "Nothing to be done" in project.python("-m", "snakemake", "--cores", "1")
