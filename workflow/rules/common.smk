# What the rules share: how they read the declaration of the stages.

import dataclasses
import hashlib
import re
import sys
from pathlib import Path

import yaml

sys.path.insert(0, workflow.basedir)

from pipeline import params as parameter_file
from pipeline import declaration
from lutra import limits
from lutra.files import sha256_of

ROOT = "runs/snakemake" if PARAMS == "params.yaml" else f"runs/{Path(PARAMS).stem}"
PYTHON = sys.executable  # a name, not text in the rules: a moved environment is no reason to rerun them

if Path.cwd() != Path(workflow.basedir):
    raise WorkflowError(f"{Path.cwd()}: found another folder than the Snakefile's, expected no --directory")

try:
    SETTINGS = parameter_file.load(Path(PARAMS))
except ValueError as error:
    raise WorkflowError(str(error)) from None

if config != yaml.safe_load(Path(PARAMS).read_text()):
    raise WorkflowError(f"the stages read {PARAMS} alone: change it there, not with --config or --configfile")


wildcard_constraints:
    experiment="|".join(map(re.escape, SETTINGS.experiments)) or "(?!)",
    task="|".join(map(re.escape, SETTINGS.tasks)) or "(?!)",


def inputs(name):
    stage = declaration.find(name)
    return {key: _input(stage, f"{ROOT}/{path}") for key, path in stage.inputs.items()}


def _input(stage, path):
    if stage.per == "task" and "{experiment}" in path:
        return lambda wildcards: expand(path, task=wildcards.task, experiment=_experiments_of(wildcards.task))
    if "{task}" in path:
        return lambda wildcards: path.format(**_target(wildcards))
    return path


def _experiments_of(task):
    return [name for name, block in SETTINGS.experiments.items() if block.task == task]


def _target(wildcards):
    """What the stage is run for: a task, or an experiment and its task."""
    named = dict(wildcards.items())
    if "experiment" in named:
        named["task"] = SETTINGS.experiment(named["experiment"]).task
    return named


def source_files():
    """The images in the user's folders: one that is new, gone or changed makes `prepare` run."""
    folders = declaration.source_folders(SETTINGS.image_sets())
    return sorted(str(path) for folder in folders for path in Path(folder).rglob("*") if path.is_file())


IMAGES = hashlib.sha256(
    "\n".join(f"{path} {Path(path).stat().st_size}" for path in source_files()).encode()
).hexdigest()


def outputs(name, **decorate):
    """Paths of the stage's outputs; `decorate` maps an output's name to what wraps its path, such as report()."""
    found = {}
    for key, output in declaration.find(name).outputs.items():
        path = f"{ROOT}/{output.path}"
        path = directory(path) if output.kind == "folder" else path
        found[key] = decorate[key](path) if key in decorate else path
    return found


def benchmark_of(name):
    return f"{ROOT}/{declaration.find(name).benchmark}"


def start_of(wildcards):
    """The model that a training starts from, if this workflow makes it."""
    start = SETTINGS.experiment(wildcards.experiment).train.start
    return [str(start)] if start and start.is_relative_to(ROOT) else []


def _content_of_start(experiment):
    start = SETTINGS.experiment(experiment).train.start
    return sha256_of(start) if start and start.is_file() and not start.is_relative_to(ROOT) else None


# Snakemake forgets a job whose rerun failed, and takes what was made of its earlier outputs for current. So a stage
# is told the parameters, the code and the images of all that it builds on, too: it sees for itself that they changed.
def parameters(name):
    def resolved(wildcards):
        target = _target(wildcards)
        found = {"images": IMAGES}
        for stage in declaration.upstream(declaration.find(name)):
            if stage.per in target:  # report, of a task, depends on all experiments by itself
                found |= stage.resolved(SETTINGS, **target)
                if stage.name == "train":
                    found["start"] = _content_of_start(target["experiment"])
        return found

    return resolved


def code(name):
    built_on = declaration.upstream(declaration.find(name))
    return declaration.content_hash(file for stage in built_on for file in stage.modules)


def threads_of(name):
    return lambda wildcards: _resources(name, wildcards).threads


def resources_of(name):
    """What a job asks of a scheduler; --set-resources and profiles override it."""
    return {
        "mem_mb": lambda wildcards: _resources(name, wildcards).mem_mb,
        "runtime": lambda wildcards: _resources(name, wildcards).runtime,
        "gpu": lambda wildcards: _resources(name, wildcards).gpu,
    }


def _resources(name, wildcards):
    declared = declaration.find(name).resources_of(SETTINGS, **_target(wildcards))
    if workflow.non_local_exec:
        return declared
    if declaration.find(name).per == "task":  # all experiments of the task wait for it, or it waits for them
        return declared
    # On this machine the experiments share the cores, because two stages with one thread each end sooner than one after
    # the other with two. A training on a GPU keeps its threads. Models are the same for any number of threads.
    gpu = min(declared.gpu, len(list(Path("/dev").glob("nvidia[0-9]*"))))
    cores = workflow.resource_settings.cores or limits.processors()  # `snakemake --report` gives none
    share = max(1, cores // max(1, len(SETTINGS.experiments)))
    return dataclasses.replace(declared, threads=declared.threads if gpu else min(declared.threads, share), gpu=gpu)
