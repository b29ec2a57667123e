"""`python -m pipeline new`: adds a documented experiment to params.yaml and leaves every other byte as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from lutra.files import write_whole
from lutra.model.families import FAMILIES, describe
from lutra.model.tasks import TASKS
from pipeline.params import Experiment, Params, ParamsError, parse, reading

Preset = Literal["quick", "published"]

_FIT: dict[Preset, dict[str, dict[str, Any]]] = {
    # minutes on two cores: tables from interpolation, or from least squares where that is all there is to it
    "quick": {
        "train": {},
        "finetune": {"steps": 3000, "learning_rate": 0.02, "final_learning_rate": 0.0005, "validate_every": 250},
    },
    # MuLUT's recipe (ECCV 2022, section 4.1), which the later systems share; days on two cores
    "published": {
        "train": {
            "method": "network",
            "init": "random",
            "steps": 200_000,
            "batch": 32,
            "average": 0.0,
            "validate_every": 2000,
            "checkpoint_every": 2000,
        },
        "finetune": {
            "steps": 2000,
            "learning_rate": 0.0001,
            "final_learning_rate": 0.0001,
            "coarse": [],
            "average": 0.0,
        },
    },
}

_LAYERS: dict[Preset, dict[str, Any]] = {
    # docs/training.md; there are no networks to train
    "quick": {"steps": 10_000, "batch": 8, "patch": 32},
    # ShiftLUT's steps and batch (CVPR 2026, section 4.1)
    "published": {"steps": 400_000, "batch": 32, "patch": 48},
}
_RATES = {"learning_rate": 0.0079, "final_learning_rate": 0.0002, "coarse": [4, 5, 6, 7], "validate_every": 500}

_NO_TEXT = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
"""Words that some readers of YAML take for a truth value or for nothing. They are quoted ("yes": three patterns)."""


def add_experiment(
    path: Path,
    name: str,
    family: str,
    preset: Preset = "quick",
    task: str = "x4",
    overrides: Sequence[str] = (),
) -> Experiment:
    """Add an experiment's block to a file of parameters; the file changes whole or not at all.

    Args:
        path: the file, which must be valid as it is.
        name: of the new experiment: small letters, digits and dashes.
        family: a key of `lutra.model.families.FAMILIES`, such as srlut.
        preset: quick (some minutes on two cores) or published (the papers' recipe).
        task: a name under `tasks:`; one such as x2, denoise25, deblock10 or deblur is added there when missing.
        overrides: "train.steps=100": keys within the block, with values in YAML.

    Returns:
        The block as it was added.

    Raises:
        ParamsError: the name is in use or the file would not be valid; says what and where.
    """
    text = path.read_bytes().decode("utf-8")
    known = parse(text.encode(), str(path))
    if name in known.experiments:
        raise ParamsError(f"{path}: experiments.{name} exists already: choose another name, or change it there")
    values = _values(family, preset, task, overrides)
    added = {} if task in known.tasks else usual_task(task)
    block = _checked(known, name, values, {task: added} if added else {}, path)
    if added:
        keys = ", ".join(f"{key}: {_scalar(value)}" for key, value in added.items())
        text = _with_block(text, "tasks", f"  {task}: {{{keys}}}\n")
    text = _with_block(text, "experiments", "\n".join(_lines(name, block)) + "\n")
    if not _holds(text, name, block):
        raise ParamsError(f"{path}: its layout is not one that a block can be added to; add experiments.{name} by hand")
    write_whole(path, text)
    return block


def _values(family: str, preset: Preset, task: str, overrides: Sequence[str]) -> dict[str, Any]:
    values: dict[str, Any] = {"family": family, "task": task}
    values |= {key: {} for key in ("model", "network", "table", "evaluate")}
    values |= {section: dict(keys) for section, keys in _FIT[preset].items()}
    if preset == "quick" and family == "srlut":
        values["train"]["init"] = "least_squares"
    if family in FAMILIES and describe(family, 4).is_layered:
        values |= {"train": {}, "finetune": _LAYERS[preset] | _RATES, "table": {"depthwise": 2, "pointwise": 2}}
    for override in overrides:
        keys, equals, value = override.partition("=")
        if not equals or not keys:
            raise ParamsError(f"--set {override}: expected KEY=VALUE, such as train.steps=100")
        *sections, last = keys.split(".")
        place = values
        for section in sections:
            inner = place.setdefault(section, {})
            if not isinstance(inner, dict):
                raise ParamsError(f"--set {override}: {section} holds no keys")
            place = inner
        try:
            place[last] = YAML(typ="safe", pure=True).load(value)
        except YAMLError:
            raise ParamsError(
                f"--set {override}: found no YAML in the value, expected one such as 100 or [1, 2]"
            ) from None
    return values


def usual_task(name: str) -> dict[str, Any]:
    """Return the options that the name of a task stands for, such as x4 or denoise25; none for other names."""
    for task in TASKS.values():
        if task.strength is None and name == task.short:
            return {"task": task.name}
        if task.strength and (match := re.fullmatch(f"{task.short}([1-9][0-9]*)", name)):
            return {"task": task.name, task.strength: int(match[1])}
    return {}


def _checked(
    known: Params, name: str, values: dict[str, Any], tasks: dict[str, dict[str, Any]], path: Path
) -> Experiment:
    """Return the block with its defaults, checked as part of the whole file with the tasks that it adds."""
    whole = known.model_dump(mode="json")
    whole["tasks"] |= tasks
    whole["experiments"][name] = values
    try:
        return Params.model_validate(whole).experiments[name]
    except ValidationError as error:
        raise ParamsError(f"{path} with the new block: {reading.explain(error, Params)}") from None


def _holds(text: str, name: str, block: Experiment) -> bool:
    try:
        return parse(text.encode(), "").experiments.get(name) == block
    except ParamsError:
        return False


def _lines(name: str, block: Experiment) -> Iterator[str]:
    yield f"  {_scalar(name)}:"
    yield from _section(block, "    ")


def _section(section: BaseModel, indent: str) -> Iterator[str]:
    """Return a section's keys, each with its meaning as a comment, without those that are null."""
    for key, field in type(section).model_fields.items():
        value = getattr(section, key)
        if isinstance(value, BaseModel):
            inner = list(_section(value, indent + "  "))
            yield f"{indent}{key}: {'' if inner else '{} '}# {field.description}"
            yield from inner
        elif value is not None:
            yield f"{indent}{key}: {_scalar(value)} # {field.description}"


def _scalar(value: Any) -> str:
    if isinstance(value, float):  # never 1e-05, which YAML 1.1 takes for text
        digits = f"{value:.12f}".rstrip("0")
        return digits + "0" if digits.endswith(".") else digits
    plain = isinstance(value, str) and re.fullmatch("[a-z]+[0-9a-z-]*", value) and value not in _NO_TEXT
    return str(value) if plain else json.dumps(value)


def _with_block(text: str, key: str, block: str) -> str:
    """Return the text with the block at the end of `key:`, after an empty line if blocks there have several lines."""
    lines = text.splitlines(keepends=True)
    start = next((number for number, line in enumerate(lines) if re.match(rf"{key}\s*:", line)), len(lines) - 1)
    end = next((number for number in range(start + 1, len(lines)) if re.match(r"[^\s#]", lines[number])), len(lines))
    while end > start + 1 and (not lines[end - 1].strip() or lines[end - 1].startswith("#")):
        end -= 1  # what stands above the next key belongs to it
    head = "".join(lines[:end])
    head = re.sub(rf"^({key}\s*:)\s*\{{\s*\}}", r"\1", head, flags=re.MULTILINE)
    head += "" if head.endswith("\n") else "\n"
    apart = "\n" if end > start + 1 and block.count("\n") > 1 else ""
    return head + apart + block + "".join(lines[end:])
