"""The registry: which version is the best, and under which name models stand."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.params import TaskParams
from pipeline.reporting import logged
from pipeline.tracking import registry
from tests.unit.pipeline.tracking.registered import MODEL, NAME, evaluate


def client(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def best(uri: str) -> str:
    found = client(uri).get_model_version_by_alias(NAME, "best")
    return str(found.tags["experiment"])


def test_versions_without_a_finite_score_do_not_compete() -> None:
    def version(number: int, **tags: str) -> Any:
        return SimpleNamespace(version=str(number), tags={"scored": "a/psnr", **tags})

    good = version(3, score="30.1", table_bytes="9")
    others = [
        version(1, score="inf", table_bytes="1"),
        version(2, score="99"),  # a tag that anybody may set
        version(4, table_bytes="1"),
        version(5, score="high", table_bytes="1"),
        version(6, score="30.1", table_bytes="10"),
    ]
    assert registry.best_of([*others, good], "a/psnr") is good
    assert registry.best_of(others[1:4], "a/psnr") is None


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{name}.safetensors" for name in ("first", "second", "third")]
    for path in paths:
        path.write_text(path.stem)
    return paths


def test_an_infinite_score_of_an_older_version_is_never_the_best() -> None:
    def version(number: int, score: str) -> Any:
        return SimpleNamespace(version=str(number), tags={"score": score, "scored": "a/psnr_y", "table_bytes": "1"})

    versions = [version(1, "inf"), version(2, "30.5"), version(3, "nan"), version(4, "31.0")]
    found = registry.best_of(versions, "a/psnr_y")
    assert found is not None and found.version == "4"
    alone = registry.best_of(versions[:1], "a/psnr_y")
    assert alone is not None and alone.version == "1"


def test_best_moves_to_the_best_score_and_among_equals_to_the_fewer_bytes(uri: str, models: list[Path]) -> None:
    first, second, third = models
    evaluate(uri, first, 29.5, 200)
    assert best(uri) == "first"
    evaluate(uri, second, 29.4)
    assert best(uri) == "first"
    evaluate(uri, third, 29.5, 100)
    assert best(uri) == "third"
    versions = client(uri).search_model_versions(f"name = '{NAME}'")
    assert {version.tags["experiment"]: version.version for version in versions} == {
        "first": 1,
        "second": 2,
        "third": 3,
    }
    assert all(version.tags["root"] == "runs/dvc" for version in versions)
    evaluate(uri, second, 20.0, scored="Set5/psnr_y")
    assert best(uri) == "second"  # scores on other images are not compared with these


def test_the_same_model_evaluated_again_stays_one_version_with_the_new_score(uri: str, models: list[Path]) -> None:
    first, second, _ = models
    evaluate(uri, first, 29.5)
    evaluate(uri, second, 29.4)
    evaluate(uri, first, 29.3)
    versions = client(uri).search_model_versions(f"name = '{NAME}'")
    assert {version.tags["experiment"]: version.tags["score"] for version in versions} == {
        "first": "29.300000",
        "second": "29.400000",
    }
    assert best(uri) == "second"
    experiment = client(uri).get_experiment_by_name("lutra").experiment_id
    logged = client(uri).search_logged_models([experiment])
    assert len(logged) == 2
    assert all(model.status.value == "READY" for model in logged)
    figures = {model.name: {metric.value for metric in model.metrics if "psnr" in metric.key} for model in logged}
    assert figures == {"first": {29.5, 29.3}, "second": {29.4}}
    runs = client(uri).search_runs([experiment])
    assert all(run.data.metrics.keys() == {"samples/psnr_y_finetuned", "table_bytes"} for run in runs)


def test_what_is_logged_holds_no_pickle_and_names_no_package_that_is_not_on_pypi(uri: str) -> None:
    evaluate(uri, MODEL, 29.8)
    folder = Path(uri.removeprefix("sqlite:///")).parent / "mlruns"
    (description,) = folder.rglob("MLmodel")
    files = {path.relative_to(description.parent).as_posix() for path in description.parent.rglob("*.*")}
    assert files == {
        "artifacts/srlut-x4.safetensors",
        "conda.yaml",
        "input_example.json",
        "python_env.yaml",
        "requirements.txt",
        "served.py",
        "serving_input_example.json",
    }
    required = (description.parent / "requirements.txt").read_text().split()
    assert [line.partition("==")[0] for line in required] == ["mlflow", "numpy", "pillow", "safetensors"]


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ({"task": "sr", "scale": 4}, "lutra-sr-x4"),
        ({"task": "sr", "scale": 2, "bicubic": "uint8"}, "lutra-sr-x2"),
        ({"task": "sr", "scale": 2, "bicubic": "double"}, "lutra-sr-x2-bicubicdouble"),
        ({"task": "denoise", "sigma": 25}, "lutra-denoise-sigma25"),
        ({"task": "denoise", "sigma": [5, 12.5]}, "lutra-denoise-sigma5-12.5"),
        ({"task": "deblock", "quality": 10}, "lutra-deblock-quality10"),
        ({"task": "deblur"}, "lutra-deblur"),
        ({"task": "deblur", "length": [5, 10], "sigma": 1}, "lutra-deblur"),
        ({"task": "deblur", "length": [5, 15], "sigma": 1}, "lutra-deblur-length5-15"),
        ({"task": "deblur", "length": [5, 10], "sigma": 1, "inertia": 0.2}, "lutra-deblur-inertia0.2"),
        ({"task": "deblur", "length": 9, "pairs": True}, "lutra-deblur-length9-pairs"),
    ],
)
def test_models_that_do_the_same_are_registered_under_one_name(task: dict[str, Any], name: str) -> None:
    assert logged.registered_name(TaskParams(**task)) == name
