"""The declaration of the stages holds together, and names the code that each stage really uses."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import params, stages
from pipeline.stages import PROJECT, STAGES, Stage

# Code that a stage loads and that cannot change its outputs, so that an edit must rerun nothing: it logs, words
# errors, describes where a result came from, or is a package's empty front. What pipeline.params loads only checks.
WITHOUT_EFFECT = {
    "lutra",
    "lutra.imaging",
    "lutra.sources",
    "lutra.zoo",
    "pipeline",
    "pipeline.compared",
    "pipeline.mistakes",
    "pipeline.progress",
    "pipeline.provenance",
    "pipeline.stages",
    "pipeline.tracking",
    "pipeline.tracking.journal",
    "pipeline.tracking.store",
    "pipeline.tracking.views",
}
PARAMETERS = "pipeline.params"

LOADED = """
import json, sys
import pipeline.params
before = set(sys.modules)
import pipeline.{stage}
print(json.dumps(sorted(set(sys.modules) - before)))
"""

each_stage = pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)


def path_of(module: str) -> Path | None:
    path = Path(*module.split("."))
    found = [file for file in (path.with_suffix(".py"), path / "__init__.py") if (PROJECT / file).is_file()]
    return found[0] if found else None


def imported_by(module: str) -> Iterator[str]:
    """What a module imports, in its functions too, and the packages around it."""
    path = path_of(module)
    assert path is not None
    for node in ast.walk(ast.parse((PROJECT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
    while "." in module:
        module = module.rpartition(".")[0]
        yield module


def ours(modules: Iterator[str]) -> set[str]:
    return {name for name in modules if name.split(".")[0] in ("lutra", "pipeline") and path_of(name)}


def needed_by(stage: Stage) -> set[str]:
    """The modules that a stage's code reaches, apart from those without effect."""
    reached: set[str] = set()
    ahead = {f"pipeline.{stage.name}"}
    while ahead:
        module = ahead.pop()
        reached.add(module)
        if module not in WITHOUT_EFFECT | {PARAMETERS}:
            ahead |= ours(imported_by(module)) - reached
    return reached - WITHOUT_EFFECT


def declared(stage: Stage, module: str) -> bool:
    path = path_of(module)
    assert path is not None
    return any(path == Path(entry) or Path(entry) in path.parents for entry in stage.modules)


@each_stage
def test_a_stage_declares_the_modules_that_its_code_reaches(stage: Stage) -> None:
    assert not {module for module in needed_by(stage) if not declared(stage, module)}


@each_stage
def test_a_stage_declares_no_module_that_its_code_does_not_reach(stage: Stage) -> None:
    needed = {str(path_of(module)) for module in needed_by(stage)}
    assert not {entry for entry in stage.modules if entry.endswith(".py") and entry not in needed}


@each_stage
def test_a_stage_declares_the_modules_that_it_loads(stage: Stage) -> None:
    command = [sys.executable, "-c", LOADED.format(stage=stage.name)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    loaded = ours(iter(json.loads(done.stdout))) - WITHOUT_EFFECT
    assert f"pipeline.{stage.name}" in loaded
    assert not {module for module in loaded if not declared(stage, module)}


@each_stage
def test_what_a_stage_declares_exists(stage: Stage) -> None:
    assert not [module for module in stage.modules if not (PROJECT / module).exists()]


@pytest.mark.parametrize("name", ["train", "finetune"])
def test_training_never_depends_on_what_comes_after_it(name: str) -> None:
    later = ("lutra/cli.py", "lutra/engine", "pipeline/evaluate.py", "pipeline/report.py", "pipeline/tracking")
    modules = [Path(entry) for entry in stages.find(name).modules]
    assert not [path for path in map(Path, later) if any(path == entry or entry in path.parents for entry in modules)]


def test_inputs_are_outputs_of_earlier_stages() -> None:
    written: set[str] = set()
    for stage in STAGES:
        assert set(stage.inputs.values()) <= written
        written |= {output.path for output in stage.outputs.values()}


def test_what_a_stage_builds_on() -> None:
    names = [[one.name for one in stages.upstream(stages.find(name))] for name in ("prepare", "export", "report")]
    assert names == [["prepare"], ["prepare", "train", "export"], [stage.name for stage in STAGES]]


def test_no_two_stages_write_the_same() -> None:
    written = [output.path for stage in STAGES for output in stage.outputs.values()]
    assert len(set(written)) == len(written)


def test_unknown_stages_are_refused() -> None:
    with pytest.raises(ValueError, match=r"stage 'distil' is not one of prepare, train"):
        stages.find("distil")


def test_parameters_are_resolved_with_their_defaults() -> None:
    content = (
        "data: {train: photos, evaluate: [samples], validate: 1}\n"
        "tasks: {x4: {task: sr, scale: 4}}\n"
        "experiments:\n"
        "  a: {family: srlut, task: x4, model: {}, network: {}, table: {}, train: {steps: 7}, finetune: {},"
        " evaluate: {}}\n"
    )
    resolved = stages.find("train").resolved(params.parse(content.encode(), "test"), experiment="a", task="x4")
    assert resolved["experiments.a.family"] == "srlut"
    assert resolved["experiments.a.train"]["steps"] == 7
    assert resolved["experiments.a.train"]["seed"] == 0
    assert resolved["tasks.x4"]["scale"] == 4
    assert json.loads(json.dumps(resolved)) == resolved


def test_a_training_asks_for_a_gpu_and_threads_for_every_process() -> None:
    content = (
        "data: {train: photos, evaluate: [samples], validate: 1}\n"
        "tasks: {x4: {task: sr, scale: 4}}\n"
        "experiments:\n"
        "  a: {family: srlut, task: x4, model: {}, network: {}, table: {}, train: {num_processes: 2},"
        " finetune: {num_processes: 4}, evaluate: {}}\n"
    )
    settings = params.parse(content.encode(), "test")
    finetune, prepare = stages.find("finetune"), stages.find("prepare")
    one, four = finetune.resources, finetune.resources_of(settings, experiment="a", task="x4")
    assert (four.threads, four.mem_mb, four.gpu) == (4 * one.threads, 4 * one.mem_mb, 4)
    assert four.runtime == one.runtime
    without_steps = stages.find("train").resources_of(settings, experiment="a", task="x4")
    assert (without_steps.threads, without_steps.gpu) == (stages.find("train").resources.threads, 0)
    assert prepare.resources_of(settings, task="x4") == prepare.resources


def test_content_hash_sees_names_and_contents_and_no_caches(tmp_path: Path) -> None:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "a.py").write_text("1")
    first = stages.content_hash(["code"], tmp_path)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "a.pyc").write_text("x")
    assert stages.content_hash(["code", "code/a.py"], tmp_path) == first
    (folder / "a.py").write_text("2")
    changed = stages.content_hash(["code"], tmp_path)
    (folder / "a.py").rename(folder / "b.py")
    assert len({first, changed, stages.content_hash(["code"], tmp_path)}) == 3


CODE = """# a comment
def double(x):
    '''Return twice x.'''
    return 2 * x  # another


class Empty:
    '''Nothing.'''
"""


@pytest.mark.parametrize(
    ("edit", "counts"),
    [
        (("Return twice x.", "Return x, doubled."), False),
        (("    '''Return twice x.'''\n", ""), False),
        (("# a comment", "# other words"), False),
        (("2 * x  # another", "(2\n        * x)"), False),
        (("    '''Nothing.'''", "    pass"), False),
        (("2 * x", "3 * x"), True),
        (("return 2 * x", "return '''2 * x'''"), True),
        (("def double", "def twice"), True),
        (("def double", "def double("), True),  # no Python any more
    ],
)
def test_only_code_that_runs_counts(tmp_path: Path, edit: tuple[str, str], counts: bool) -> None:
    (tmp_path / "a.py").write_text(CODE)
    before = stages.content_hash(["a.py"], tmp_path)
    assert edit[0] in CODE
    (tmp_path / "a.py").write_text(CODE.replace(*edit))
    assert (stages.content_hash(["a.py"], tmp_path) != before) == counts


def test_other_files_count_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "a.cpp").write_text("int a; // a")
    before = stages.content_hash(["a.cpp"], tmp_path)
    (tmp_path / "a.cpp").write_text("int a; // b")
    assert stages.content_hash(["a.cpp"], tmp_path) != before


def test_content_hash_refuses_missing_modules(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.py"):
        stages.content_hash(["absent.py"], tmp_path)


def test_source_folders_are_the_folders_among_the_names(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "data" / "Set5").mkdir(parents=True)
    assert stages.source_folders(["photos", "mine", "mine", "Set5"], tmp_path) == ["data/Set5", "mine"]
