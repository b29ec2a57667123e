"""The declaration of the stages holds together, and names the code that each stage really uses."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lutra import _core
from pipeline import PROJECT, code, declaration, params
from pipeline.declaration import STAGES, Stage

LOADED = """
import json, os, sys
import accelerate, matplotlib.figure, torch
import pipeline.params
before = set(sys.modules)
for stage in sys.argv[1:]:
    if os.fork() == 0:
        __import__(f"pipeline.stages.{stage}")
        new = [sys.modules[name] for name in sorted(set(sys.modules) - before)]
        files = {getattr(module, "__file__", None) or "" for module in new}
        ours = [file for file in files if file.startswith(str(pipeline.PROJECT)) and ".venv" not in file]
        print(json.dumps([stage, sorted(ours)]))
        sys.exit()
    assert os.wait()[1] == 0, stage
"""
"""Import once what takes long and is not ours."""

each_stage = pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)


@pytest.fixture(scope="module")
def loaded() -> dict[str, set[str]]:
    """The files of ours that a process has loaded when it has imported a stage, by stage."""
    command = [sys.executable, "-c", LOADED, *(stage.name for stage in STAGES)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    found = dict(json.loads(line) for line in done.stdout.splitlines())
    return {stage: {str(Path(file).relative_to(PROJECT)) for file in files} for stage, files in found.items()}


@pytest.mark.xdist_group("loaded")
@each_stage
def test_a_stage_depends_on_the_files_that_it_loads(stage: Stage, loaded: dict[str, set[str]]) -> None:
    without = {name.replace(".", "/") for name in code.WITHOUT_EFFECT}
    tracking = {file for file in loaded[stage.name] if file.startswith("pipeline/tracking/")}
    effective = {
        file for file in loaded[stage.name] if file.removesuffix(".py").removesuffix("/__init__") not in without
    }
    assert f"pipeline/stages/{stage.name}.py" in effective
    assert not effective - tracking - set(stage.modules)


EDITS = {
    "lutra/_core/plan.cpp": {"train", "export", "finetune", "evaluate", "report"},
    "lutra/_core/bind.hpp": {"train", "export", "finetune", "evaluate", "report"},
    "lutra/_core/kernels.hpp": {"train", "export", "finetune", "evaluate", "report"},
    "lutra/_core/pool.cpp": {"train", "export", "finetune", "evaluate", "report"},
    "lutra/_core/tables.cpp": {"train", "export", "finetune", "evaluate", "report"},
    "lutra/_core/kernel/level_avx2.cpp": {"train", "export", "finetune", "evaluate", "report"},
    "CMakeLists.txt": {"train", "export", "finetune", "evaluate", "report"},
    "lutra/_core/engine.cpp": {"evaluate", "report"},
    "lutra/_core/region.hpp": {"evaluate", "report"},
    "lutra/training/multigrid.py": {"train", "export", "finetune"},
    "lutra/reference/lookup/layered.py": {"train", "export", "finetune", "evaluate", "report"},
    "lutra/_core/sums_back.cpp": {"train", "export", "finetune", "evaluate", "report"},
    "lutra/_core/layers_region.cpp": {"evaluate", "report"},
    "lutra/training/least_squares.py": {"train"},
    "lutra/reference/simplex.py": {"train", "export", "finetune", "evaluate", "report"},
    "lutra/imaging/resize.py": {"prepare", "train", "export", "finetune", "evaluate", "report"},
    "pipeline/data/leaves/deadleaves.py": {"prepare"},
    "lutra/training/fitting.py": {"train", "export", "finetune"},
    "pipeline/reporting/page.py": {"report"},
    "pipeline/reporting/templates/report.css": {"report"},
    "results/published.json": {"report"},
    "data/catalogue.yaml": {"prepare"},
    "pipeline/tracking/sending.py": set(),
    "pipeline/running/progress.py": set(),
    "pipeline/__main__.py": set(),
    "pipeline/commands/stages.py": set(),
    "pipeline/running/guard.py": set(),
    "lutra/zoo/__init__.py": set(),
    "README.md": set(),
}


@pytest.mark.parametrize("file", EDITS)
def test_an_edit_makes_the_right_stages_stale_and_no_others(file: str, tmp_path: Path) -> None:
    copied = tmp_path / "project"
    for folder in ("lutra", "pipeline", "data", "results"):
        skipped = shutil.ignore_patterns("__pycache__", "*.safetensors", "[A-Z]*")
        shutil.copytree(PROJECT / folder, copied / folder, ignore=skipped)
    for name in ("CMakeLists.txt", "README.md"):
        shutil.copy(PROJECT / name, copied / name)

    def hashes() -> dict[str, str]:
        return {
            stage.name: declaration.content_hash(
                [*code.files_of(f"pipeline.stages.{stage.name}", copied), *stage.data], copied
            )
            for stage in STAGES
        }

    before = hashes()
    path = copied / file
    path.write_text(path.read_text() + "\nedited = 1\n")
    after = hashes()
    assert {name for name in before if before[name] != after[name]} == EDITS[file]


def test_what_training_leaves_out_of_the_core_is_used_by_the_engine_alone() -> None:
    core = PROJECT / code.CORE
    headers = {name for name in code.ENGINE_ONLY if name.endswith(".hpp")}
    for file in core.rglob("*.[ch]pp"):
        included = set(re.findall(r'#include "(?:\.\./)*([^"/]+)"', file.read_text()))
        assert file.name in code.ENGINE_ONLY or not included & headers, file.name
    assert all((core / name).is_file() for name in code.ENGINE_ONLY)


def test_the_compiled_core_knows_the_sources_it_was_built_from(tmp_path: Path) -> None:
    assert _core.core.sources == code.core_hash(PROJECT)
    code.check_core(PROJECT)
    shutil.copytree(PROJECT / code.CORE, tmp_path / code.CORE)
    shutil.copy(PROJECT / code.BUILD, tmp_path / code.BUILD)
    code.check_core(tmp_path)
    (tmp_path / code.CORE / "plan.cpp").write_text("// another rotation order")
    with pytest.raises(ValueError, match="found a compiled core of other sources than"):
        code.check_core(tmp_path)


def test_the_library_of_the_checkout_is_the_one_that_runs(tmp_path: Path) -> None:
    """Another checkout in the environment of this one, which an editable installation leads here."""
    copied = tmp_path / "other"
    for folder in ("lutra", "pipeline"):
        skipped = shutil.ignore_patterns("__pycache__", "*.safetensors")
        shutil.copytree(PROJECT / folder, copied / folder, ignore=skipped)
    with (copied / "lutra" / "reference" / "simplex.py").open("a") as file:
        file.write('\nOTHER = "checkout"\n')
    run = (
        "import pipeline, lutra, lutra._core as core; from lutra.reference import simplex; "
        "print(simplex.OTHER, lutra.__file__, core.available())"
    )
    done = subprocess.run([sys.executable, "-c", run], cwd=copied, capture_output=True, text=True, check=True)
    assert done.stdout == f"checkout {copied / 'lutra' / '__init__.py'} True\n"


@each_stage
def test_what_a_stage_declares_exists(stage: Stage) -> None:
    assert not [module for module in stage.modules if not (PROJECT / module).exists()]


@pytest.mark.parametrize("name", ["train", "finetune"])
def test_training_never_depends_on_what_comes_after_it(name: str) -> None:
    later = ("lutra/cli", "lutra/engine", "pipeline/stages/evaluate.py", "pipeline/reporting", "pipeline/tracking")
    modules = [Path(entry) for entry in declaration.find(name).modules]
    assert not [path for path in map(Path, later) if any(path == entry or entry in path.parents for entry in modules)]


def test_inputs_are_outputs_of_earlier_stages() -> None:
    written: set[str] = set()
    for stage in STAGES:
        assert set(stage.inputs.values()) <= written
        written |= {output.path for output in stage.outputs.values()}


def test_what_a_stage_builds_on() -> None:
    chosen = [declaration.find(name) for name in ("prepare", "export", "report")]
    names = [[one.name for one in declaration.upstream(stage)] for stage in chosen]
    assert names == [["prepare"], ["prepare", "train", "export"], [stage.name for stage in STAGES]]


def test_no_two_stages_write_the_same() -> None:
    written = [output.path for stage in STAGES for output in stage.outputs.values()]
    assert len(set(written)) == len(written)


def test_unknown_stages_are_refused() -> None:
    with pytest.raises(ValueError, match=r"stage 'distil' is not one of prepare, train"):
        declaration.find("distil")


def test_parameters_are_resolved_with_their_defaults() -> None:
    content = (
        "data: {train: photos, evaluate: [samples], validate: 1}\n"
        "tasks: {x4: {task: sr, scale: 4}}\n"
        "experiments:\n"
        "  a: {family: srlut, task: x4, model: {}, network: {}, table: {}, train: {steps: 7}, finetune: {},"
        " evaluate: {}}\n"
    )
    resolved = declaration.find("train").resolved(params.parse(content.encode(), "test"), experiment="a", task="x4")
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
    finetune, prepare = declaration.find("finetune"), declaration.find("prepare")
    one, four = finetune.resources, finetune.resources_of(settings, experiment="a", task="x4")
    assert (four.threads, four.mem_mb, four.gpu) == (4 * one.threads, 4 * one.mem_mb, 4)
    assert four.runtime == one.runtime
    without_steps = declaration.find("train").resources_of(settings, experiment="a", task="x4")
    assert (without_steps.threads, without_steps.gpu) == (declaration.find("train").resources.threads, 0)
    assert prepare.resources_of(settings, task="x4") == prepare.resources


def test_content_hash_sees_names_and_contents_and_no_caches(tmp_path: Path) -> None:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "a.py").write_text("1")
    first = declaration.content_hash(["code"], tmp_path)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "a.pyc").write_text("x")
    assert declaration.content_hash(["code", "code/a.py"], tmp_path) == first
    (folder / "a.py").write_text("2")
    changed = declaration.content_hash(["code"], tmp_path)
    (folder / "a.py").rename(folder / "b.py")
    assert len({first, changed, declaration.content_hash(["code"], tmp_path)}) == 3


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
    before = declaration.content_hash(["a.py"], tmp_path)
    assert edit[0] in CODE
    (tmp_path / "a.py").write_text(CODE.replace(*edit))
    assert (declaration.content_hash(["a.py"], tmp_path) != before) == counts


def test_other_files_count_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "a.cpp").write_text("int a; // a")
    before = declaration.content_hash(["a.cpp"], tmp_path)
    (tmp_path / "a.cpp").write_text("int a; // b")
    assert declaration.content_hash(["a.cpp"], tmp_path) != before


def test_content_hash_refuses_missing_modules(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.py"):
        declaration.content_hash(["absent.py"], tmp_path)


def test_source_folders_are_the_folders_among_the_names(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "data" / "Set5").mkdir(parents=True)
    assert declaration.source_folders(["photos", "mine", "mine", "Set5"], tmp_path) == ["data/Set5", "mine"]
