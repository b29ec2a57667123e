"""A step's sums of lookups over units and rotations as one operator of torch, run by the compiled core on the CPU.

`torch.ops.lutra.ensemble` is differentiable in planes, tables, sampling weights and shares. The result and all
gradients are the same for any number of threads.

The operators are registered piece by piece: `torch.library.custom_op` imports torch's compiler, which takes seconds,
when such an operator first runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from lutra._core import core
from lutra.model.description import (
    ROUNDINGS,
    ChannelTaps,
    ColourTaps,
    FixedTaps,
    Padding,
    Rounding,
    SampledTaps,
    Step,
    Unit,
)
from lutra.model.layouts import Layout

ROW = 64
"""Points to a row, where points are no image: as many as the core takes at once."""


@lru_cache(maxsize=256)
def plan_of(
    step: Step,
    layouts: tuple[Layout, ...],
    rounding: Rounding,
    padding: Padding,
    tap_bits: int | None,
    level: str = "",
    colour: int | None = None,
) -> str:
    """Return what the core needs to know of a step, as text, which torch.compile takes for a constant.

    Args:
        step: the step to sum the units of.
        layouts: the layouts of the units' tables, of those of `units_of` alone.
        rounding, padding, tap_bits: as in `Description`.
        level: the level of vector instructions; empty for the best.
        colour: the colour that is made, of a step with taps of several colours.
    """
    planes = planes_read(step)

    def number(name: str, shift: int = 0) -> int:
        return planes.index(name) if colour is None else 3 * planes.index(name) + (colour + shift) % 3

    units: list[list[Any]] = []
    for unit, layout in zip(units_of(step, colour), layouts, strict=True):
        previous = number(unit.previous) if unit.previous else -1
        if isinstance(unit.taps, ChannelTaps):
            units.append(["channel", [number(name) for name in unit.reads]])
        elif isinstance(unit.taps, ColourTaps):
            reads = [number(unit.reads[0], shift) for shift in unit.taps.colours]
            units.append(["coloured", _four(reads), _four(unit.taps.offsets)])
        elif isinstance(unit.taps, FixedTaps):
            units.append(["fixed", number(unit.reads[0]), previous, unit.taps.offsets])
        else:
            assert isinstance(unit.taps, SampledTaps)
            units.append(["sampled", number(unit.reads[0]), previous, unit.taps.kernel])
        units[-1] += [layout.numbers(), *([unit.turns] if unit.turns else [])]
    count = len(planes) * (1 if colour is None else 3)
    head = [count, step.values, step.upscale, step.rotations, ROUNDINGS.index(rounding), padding == "reflect"]
    return json.dumps({"head": [*head, -1 if tap_bits is None else tap_bits, level], "units": units})


def points_plan(layout: Layout, values: int, taps: int = 4) -> str:
    """Return the plan of a table whose taps are the values of three or four planes at one point."""
    unit = ["channel", _four(range(taps)), layout.numbers()]
    return json.dumps({"head": [taps, values, 1, 1, 0, False, -1, ""], "units": [unit]})


def _four(taps: Sequence[Any]) -> list[Any]:
    """Return four taps: a table of three axes reads the last one twice, and has no axis for it."""
    return [*taps, *taps[-1:]][:4]


def planes_read(step: Step) -> list[str]:
    """Return the planes that the step reads, each once."""
    return list(dict.fromkeys(name for unit in step.units for name in unit.planes))


def units_of(step: Step, colour: int | None) -> list[Unit]:
    """Return the units that make a colour; all of them where it is None."""
    return [unit for unit in step.units if colour is None or unit.colour in (None, colour)]


@lru_cache(maxsize=256)
def _built(plan: str, dtype: torch.dtype) -> tuple[Any, list[bool], list[bool]]:
    """Return the core's object, and which units have a sampler and which have shares."""
    content = json.loads(plan)
    built = (core.EnsembleDouble if dtype == torch.float64 else core.Ensemble)(*content["head"])
    for kind, *arguments in content["units"]:
        getattr(built, kind)(*arguments)
    sampled = [kind == "sampled" for kind, *_ in content["units"]]
    shared = [kind in ("fixed", "sampled") and arguments[1] >= 0 for kind, *arguments in content["units"]]
    return built, sampled, shared


def _array(tensor: Tensor) -> Any:
    return tensor.detach().contiguous().numpy()


def _by_unit(tensors: Sequence[Tensor], present: Sequence[bool]) -> list[Any]:
    """Return arrays for the units that have one, None for the others."""
    rest = iter(tensors)
    return [_array(next(rest)) if has else None for has in present]


def _ensemble(
    planes: Sequence[Tensor], tables: Sequence[Tensor], samplers: Sequence[Tensor], shares: Sequence[Tensor], plan: str
) -> Tensor:
    """Sum a step's lookups over its units and rotations.

    Args:
        planes: those that the step reads, in the plan's order: (N, H, W) each, 0..255.
        tables: of every unit: (entries, values), in levels; of the planes' dtype, float32 or float64.
        samplers: the weights of every unit with sampled taps: (4, kernel * kernel).
        shares: of the previous plane, of every unit that has one: (4,).
        plan: by `plan_of`.

    Returns:
        (N, H, W, values), turned back from each rotation, in levels.
    """
    built, sampled, shared = _built(plan, planes[0].dtype)
    out = planes[0].new_empty((*planes[0].shape, tables[0].shape[1]))
    built.forward(
        [_array(plane) for plane in planes],
        [_array(table) for table in tables],
        _by_unit(samplers, sampled),
        _by_unit(shares, shared),
        out.numpy(),
        torch.get_num_threads(),
    )
    return out


def _fake_ensemble(
    planes: Sequence[Tensor], tables: Sequence[Tensor], samplers: Sequence[Tensor], shares: Sequence[Tensor], plan: str
) -> Tensor:
    return planes[0].new_empty((*planes[0].shape, tables[0].shape[1]))


def _results(inputs: Sequence[Tensor], wanted: Sequence[bool]) -> list[Tensor]:
    """Return tensors to hold the gradients of the inputs that want one; empty ones for the others."""
    return [x.new_empty(x.shape if want else 0) for x, want in zip(inputs, wanted, strict=True)]


def _ensemble_backward(
    gradient: Tensor,
    planes: Sequence[Tensor],
    tables: Sequence[Tensor],
    samplers: Sequence[Tensor],
    shares: Sequence[Tensor],
    plan: str,
    wanted: Sequence[bool],
) -> list[Tensor]:
    """Return the gradients of `ensemble`'s tensors, planes first: those that `wanted` asks for, others empty."""
    built, sampled, shared = _built(plan, gradient.dtype)
    results = _results([*planes, *tables, *samplers, *shares], wanted)
    outputs = iter([result.numpy() if want else None for result, want in zip(results, wanted, strict=True)])
    built.backward(
        [_array(plane) for plane in planes],
        [_array(table) for table in tables],
        _by_unit(samplers, sampled),
        _by_unit(shares, shared),
        _array(gradient),
        [next(outputs) for _ in planes],
        [next(outputs) for _ in tables],
        [next(outputs) if has else None for has in sampled],
        [next(outputs) if has else None for has in shared],
        torch.get_num_threads(),
    )
    return results


def _fake_ensemble_backward(
    gradient: Tensor,
    planes: Sequence[Tensor],
    tables: Sequence[Tensor],
    samplers: Sequence[Tensor],
    shares: Sequence[Tensor],
    plan: str,
    wanted: Sequence[bool],
) -> list[Tensor]:
    return _results([*planes, *tables, *samplers, *shares], wanted)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *groups, ctx.plan = inputs
    ctx.sizes = [len(group) for group in groups]
    tensors = [tensor for group in groups for tensor in group]
    ctx.wanted = [tensor.requires_grad for tensor in tensors]
    ctx.save_for_backward(*tensors)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
    rest = iter(ctx.saved_tensors)
    groups = [[next(rest) for _ in range(size)] for size in ctx.sizes]
    found = ensemble_backward(gradient, *groups, ctx.plan, ctx.wanted)
    gradients = (one if want else None for one, want in zip(found, ctx.wanted, strict=True))
    return *([next(gradients) for _ in range(size)] for size in ctx.sizes), None


def lookup(taps: Tensor, table: Tensor, layout: Layout) -> Tensor:
    """Compute `lutra.reference.lookup.lookup` on the CPU."""
    points = taps.reshape(-1, taps.shape[-1])
    count, values = len(points), table.shape[1]
    rows = -(-count // ROW)
    padded = torch.nn.functional.pad(points.T, (0, rows * ROW - count)).reshape(taps.shape[-1], 1, rows, ROW)
    found: Tensor = ensemble(list(padded.unbind()), [table], [], [], points_plan(layout, values, taps.shape[-1]))
    return found.reshape(-1, values)[:count].reshape(*taps.shape[:-1], values)


def _operator(name: str, function: Callable[..., Any], fake: Callable[..., Any]) -> Any:
    """Register an operator of torch for the CPU and return it; `fake` computes shapes alone."""
    schema = torch.library.infer_schema(function, mutates_args=())
    torch.library.define(name, schema, tags=(torch.Tag.pt2_compliant_tag,))
    torch.library.impl(name, "cpu", function)
    torch.library.register_fake(name, fake)
    return getattr(torch.ops.lutra, name.rpartition(":")[2]).default


ensemble = _operator("lutra::ensemble", _ensemble, _fake_ensemble)
ensemble_backward = _operator("lutra::ensemble_backward", _ensemble_backward, _fake_ensemble_backward)
torch.library.register_autograd("lutra::ensemble", _backward, setup_context=_setup_context)
