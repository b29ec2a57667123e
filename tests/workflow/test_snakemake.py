"""`snakemake`: everything once, then only what a change can affect."""

import re
import shutil
from collections.abc import Callable

import pytest

from lutra.limits import processors
from tests.workflow.project import EXPERIMENTS, PER_EXPERIMENT, Project, block, params

pytestmark = pytest.mark.xdist_group("snakemake")

Jobs = dict[str, int]
"""Name of a rule: how many of its jobs there are."""


@pytest.fixture(scope="module")
def built(make: Callable[[bool], Project]) -> Project:
    project = make(False)
    assert snakemake(project) == {"prepare": 2, **dict.fromkeys(PER_EXPERIMENT, 3), "report": 2}
    return project


def snakemake(project: Project, *options: str) -> Jobs:
    """The jobs that Snakemake runs, or would run with -n."""
    output = project.python("-m", "snakemake", "--cores", "2", *options)
    table = re.search(r"^job +count\n-+ +-+\n(.*?)\ntotal ", output, re.MULTILINE | re.DOTALL)
    lines = table.group(1).splitlines() if table else []
    return {rule: int(count) for rule, count in map(str.split, lines) if rule != "all"}


def planned(project: Project) -> Jobs:
    return snakemake(project, "-n")


def test_every_experiment_is_scored_and_reported(built: Project) -> None:
    root = built.folder / "runs" / "snakemake"
    for name, task in EXPERIMENTS.items():
        assert (root / "evaluate" / task / name / "metrics.json").is_file()
        assert list((root / "evaluate" / task / name / "sheets").glob("*.png"))
        for report in ("report.md", "report.html"):
            assert name in (root / "report" / task / report).read_text()
        for stage in PER_EXPERIMENT:
            of = f"{task}/{name}" if stage == "evaluate" else name
            assert (root / "logs" / stage / f"{of}.log").is_file()
            assert (root / "benchmarks" / stage / f"{of}.tsv").is_file()


def test_experiments_share_the_cores_and_what_they_wait_for_has_all(built: Project) -> None:
    logs = built.folder / "runs" / "snakemake" / "logs"
    assert f"; threads: {min(2, processors())}\n" in (logs / "prepare" / "x2.log").read_text()
    assert "; threads: 1\n" in (logs / "finetune" / "first.log").read_text()


def test_another_file_of_parameters_has_outputs_of_its_own(built: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    (built.folder / "recipes.yaml").write_text(params(tracking=False) + block("fourth", "x2"))
    monkeypatch.setenv("LUTRA_PARAMS", "recipes.yaml")
    assert planned(built) == {"prepare": 2, **dict.fromkeys(PER_EXPERIMENT, 4), "report": 2}
    said = built.python("-m", "snakemake", "--cores", "1", "-n", "-p")
    assert "export --experiment fourth --root runs/recipes --params recipes.yaml > runs/recipes/logs/" in said
    monkeypatch.delenv("LUTRA_PARAMS")
    assert planned(built) == {}


def test_the_report_holds_metrics_and_sheets(built: Project) -> None:
    built.python("-m", "snakemake", "--report", "report.html")
    text = (built.folder / "report.html").read_text()
    for path in ("metrics.json", "comparison.png", "report.md", "report/x2/report.html", "evaluate/x2/first/sheets"):
        assert path in text


def test_one_page_holds_all_tasks(built: Project) -> None:
    unevaluated = block("fourth", "x2")
    with built.edited("params.yaml", lambda text: text + unevaluated):
        said = built.python("-m", "pipeline", "report", "--root", "runs/snakemake")
    assert said.strip() == "runs/snakemake/report/report.html"
    text = (built.folder / "runs/snakemake/report/report.html").read_text()
    assert re.findall('<article class="wide" id="(.*?)">', text) == ["x2", "noise"]
    assert all(f"</svg> {name}</th>" in text for name in EXPERIMENTS)
    assert "fourth" not in text


def test_a_second_run_runs_nothing(built: Project) -> None:
    assert snakemake(built) == {}


def another_line(text: str) -> str:
    return text + "\n_EDITED = 1\n"


def test_edits_rerun_what_they_can_change_and_nothing_else(built: Project) -> None:
    for path in ("lutra/cli/restoring.py", "lutra/reference/units.py", "pipeline/stages/train.py", "README.md"):
        (built.folder / path).touch()
    with built.edited("lutra/cli/restoring.py", another_line):
        assert planned(built) == {}
    with built.commented("pipeline/stages/train.py"):
        assert planned(built) == {}
    with built.edited("pipeline/stages/report.py", another_line):
        assert planned(built) == {"report": 2}
    with built.edited("pipeline/reporting/templates/report.css", lambda text: text + "\n"):
        assert planned(built) == {"report": 2}
    with built.edited("lutra/reference/units.py", another_line):
        assert planned(built) == {**dict.fromkeys(PER_EXPERIMENT, 3), "report": 2}


def test_a_changed_block_reruns_its_stages_alone(built: Project) -> None:
    with built.edited("params.yaml", lambda text: text.replace("sheets: 1", "sheets: 0", 1)):
        assert planned(built) == {"evaluate": 1, "report": 2}
    with built.edited("params.yaml", lambda _: params(tracking=False, finetune_steps=3)):
        assert snakemake(built) == {"finetune": 1, "evaluate": 1, "report": 2}
        assert planned(built) == {}


def test_a_new_image_makes_the_data_stale(built: Project) -> None:
    image = built.folder / "images" / "train" / "new.png"
    image.write_bytes((built.folder / "images" / "train" / "0.png").read_bytes())
    try:
        assert planned(built)["prepare"] == 2
    finally:
        image.unlink()


def starting_from(model: str, name: str) -> str:
    return block(name, "x2").replace("train: {", f"train: {{init: {model}, ")


def test_a_model_that_a_training_starts_from_is_made_first_and_watched(built: Project) -> None:
    made = "runs/snakemake/finetune/fourth/model.safetensors"
    blocks = starting_from("mine.safetensors", "fourth") + starting_from(made, "fifth")
    mine, trained = built.folder / "mine.safetensors", "runs/snakemake/train/fourth/network.safetensors"
    shutil.copy(built.folder / "runs/snakemake/finetune/first/model.safetensors", mine)
    with built.edited("params.yaml", lambda text: text + blocks):
        wanted = snakemake(built, "-n", "runs/snakemake/train/fifth/network.safetensors")
        assert wanted == {"train": 2, "export": 1, "finetune": 1}
        assert snakemake(built, trained) == {"train": 1}
        assert snakemake(built, "-n", trained) == {}
        shutil.copy(built.folder / "runs/snakemake/finetune/second/model.safetensors", mine)
        assert snakemake(built, "-n", trained) == {"train": 1}


def test_what_was_made_before_a_rerun_failed_is_not_taken_for_current(built: Project) -> None:
    snakemake(built)  # after the change that the test above puts back
    where = "runs/snakemake/finetune/first"
    tables = built.folder / where
    with built.edited("params.yaml", lambda text: text.replace("finetune: {steps: 2", "finetune: {steps: 3", 1)):
        # What a job that is cancelled on a cluster leaves: neither outputs nor what Snakemake knew of them
        built.python("-m", "snakemake", "--cleanup-metadata", *(f"{where}/{path.name}" for path in tables.iterdir()))
        shutil.rmtree(tables)
        assert planned(built) == {"finetune": 1, "evaluate": 1, "report": 2}
    assert planned(built) == {}  # the scores are of these parameters, though their tables are gone


def test_parameters_from_elsewhere_are_refused(built: Project) -> None:
    with pytest.raises(AssertionError, match=r"the stages read params\.yaml alone"):
        snakemake(built, "-n", "--config", "tracking={enabled: true}")
