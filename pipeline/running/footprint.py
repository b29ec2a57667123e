"""Estimate the memory of a training from its settings; docs/needs.md compares the estimates with measurements.

The estimates count the parts that grow: the values that autograd keeps for a step, the arrays of a validation and of
least squares, and copies of tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lutra.evaluation.protocols import Protocol
from lutra.model import families
from lutra.model.artifact import layout_for
from lutra.model.description import Description, Merge, NetworkSpec, Sum
from pipeline.data.packed import read_index
from pipeline.params import Experiment, FitParams, TrainParams

FLOAT = 4  # bytes
BAND = 1 << 18  # values of input that the interpreter restores at once, and that least squares fits at once
PART = 1 << 17  # points that a network without gradients computes at once
LOOKUP = 22  # bytes for every value that tables return: a float in the sums, their roundings and their gradients
LAYER = 12  # bytes for every value that a sum of vectors writes: floats before and after rounding, and the gradient
OPERATIONS = 7  # operations on a network's value for each of which autograd keeps a float
STATES = 8  # copies of trained tables: values, gradient, Adam's two, average, best, and those being written
CHECKPOINT = 5  # copies of trained tables in a checkpoint
ROTATIONS = 4
RANKED = {"psnr_y": 8}  # bytes for every value of a validation image, by the measure that ranks it
RANKED_ELSE = 32


@dataclass(frozen=True)
class Footprint:
    """Bytes of one step, of the tables' copies, of a validation, of least squares, and of a checkpoint on disk.

    by: the quantity that a step's memory grows with, "patches" or "nodes" of the tables.
    """

    step: int
    states: int
    validation: int
    least_squares: int
    checkpoint: int
    by: str

    @property
    def peak(self) -> int:
        """The largest number of bytes in memory at once."""
        return self.states + max(self.step, self.validation, self.least_squares)


def of_training(block: Experiment, settings: FitParams, data: Path, protocol: Protocol) -> Footprint:
    """Return the footprint of one process.

    Args:
        block: the experiment.
        settings: its train or finetune section.
        data: the prepared folder; FileNotFoundError if it is missing.
        protocol: the task's protocol.
    """
    description = families.describe(block.family, protocol.whole_scale, block.model.model_dump())
    train = settings if isinstance(settings, TrainParams) else None
    direct = train is not None and train.method == "network"
    network = block.network_spec() if train is not None and not train.makes_tables else None
    pixels = _patches(settings) * settings.patch**2 if settings.steps else 0
    units = [(step, layout_for(unit, block.table.layout()).entries) for step, unit in description.units()]

    lookups = 0 if direct else LOOKUP * pixels * sum(step.values for step in description.unit_steps)
    lookups += LAYER * pixels * _layer_values(description)
    kept = 0
    if network is not None:
        half = settings.precision == "bf16"
        points = [(step, pixels * step.rotations if direct else entries) for step, entries in units]
        kept = sum(count * kept_bytes(network, step.values, half) for step, count in points)
    tables = FLOAT * sum(entries * step.values for step, entries in units) if network is None else 0
    forms = [description.form(step) for step, _ in description.layers()]
    tables += FLOAT * sum(form.inputs * form.outputs * form.levels for form in forms)
    tables += FLOAT * sum(step.entries(table) * step.upscale**2 for step, table in description.direct_tables())
    largest, values = _sizes(data)
    restored = _restoring(description, network if direct else None, min(BAND, largest))
    ranked = RANKED.get(protocol.main, RANKED_ELSE) * largest * protocol.whole_scale**2
    solved = train is not None and train.init == "least_squares"
    return Footprint(
        step=lookups + kept,
        states=STATES * tables,
        validation=restored + ranked,
        least_squares=_least_squares(description, largest, values) if solved else 0,
        checkpoint=CHECKPOINT * tables,
        by="patches" if direct or kept < lookups else "nodes",
    )


def kept_bytes(network: NetworkSpec, values: int, half: bool) -> int:
    """Return the bytes that autograd keeps for a point: each layer's output, twice for GELU, and dense layers' inputs.

    Args:
        network: the unit's network.
        values: how many values it returns.
        half: whether layers compute in bf16.
    """
    layers = network.depth + 1
    outputs = network.width * layers * (2 if network.activation == "gelu" else 1)
    inputs = network.width * layers * (layers + 1) // 2 if network.kind == "dense" else 0
    return (FLOAT // 2 if half else FLOAT) * (outputs + inputs) + FLOAT * OPERATIONS * values


def _patches(settings: FitParams) -> int:
    """Return the patches that one process computes at once."""
    return -(-settings.batch // (settings.ranks * settings.accumulate))


def _restoring(description: Description, network: NetworkSpec | None, band: int) -> int:
    """Return the bytes of restoring a band of an image without gradients, by tables or by a network."""
    if not description.has_units:
        return LAYER * band * _layer_values(description) // 2
    values = max(step.values * step.rotations for step in description.unit_steps)
    if network is None:
        return LOOKUP * band * values // 4  # rotations are added up at once
    layers = network.depth + 1
    features = network.width * (layers * (layers + 1) // 2 if network.kind == "dense" else 2)
    return FLOAT * (3 * band * values + min(PART, 4 * band) * features)


def _layer_values(description: Description) -> int:
    """Return the values that layers or direct tables make for a pixel, in all rotations; 0 for a model of units."""
    last = description.steps[-1]
    sums = sum(step.channels for step in description.steps if isinstance(step, Sum))
    direct = ROTATIONS * len(list(description.direct_tables())) * description.scale**2
    return sums * last.rotations if isinstance(last, Merge) else direct


def _least_squares(description: Description, largest: int, values: int) -> int:
    """Return the bytes of a batch's sums and gradient, and a byte for each value of the last step's input planes."""
    if not description.has_units:
        return 0
    last = description.unit_steps[-1]
    planes = {name for unit in last.units for name in unit.planes}
    return LOOKUP * max(largest, BAND) * last.values + values * len(planes)


def _sizes(data: Path) -> tuple[int, int]:
    """Return the values of the largest validation input, and of all training and validation inputs together."""
    train, validate = (input_sizes(data / name) for name in ("train", "validate"))
    return max(validate), sum(train) + sum(validate)


def input_sizes(folder: Path) -> list[int]:
    """Return how many values every prepared input in a folder has, from its index."""
    return read_index(folder).sizes
