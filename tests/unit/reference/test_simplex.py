"""Simplex interpolation: exact at nodes, continuous across ties, linear maps reproduced, gradients right."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lutra.model.layouts import DenseLayout, DiagonalLayout, Layout
from lutra.reference.lookup import lookup
from lutra.reference.simplex import locate, simplex

INTERVALS = st.integers(4, 8)
POINT = st.tuples(*[st.integers(0, 255)] * 4)
LAYOUTS: list[Layout] = [
    DenseLayout(4),
    DenseLayout(6),
    DiagonalLayout(),
    DiagonalLayout(4, 1, 6, "xyz"),
    DiagonalLayout(5, 2, 7, "xy"),
]


def table_of(layout: Layout, weights: torch.Tensor, constant: float) -> torch.Tensor:
    nodes = torch.from_numpy(layout.nodes()).double()
    return nodes @ weights + constant


@given(INTERVALS, POINT)
def test_weights_are_a_convex_combination_of_the_point(interval: int, point: tuple[int, ...]) -> None:
    index, weight = simplex(torch.tensor([point], dtype=torch.float64), interval)
    nodes = torch.from_numpy(DenseLayout(interval).nodes()).double()[index[0]]
    assert weight.min() >= 0
    assert weight.sum() == 1
    assert torch.equal(weight[0] @ nodes, torch.tensor(point, dtype=torch.float64))


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_exact_at_every_node(layout: Layout) -> None:
    nodes = torch.from_numpy(layout.nodes()).float()
    values = torch.from_numpy(np.random.default_rng(0).integers(-127, 128, (layout.entries, 3))).float()
    if isinstance(layout, DiagonalLayout):  # a coarse node near the diagonal is read from the diagonal part
        near = (nodes[:, 1 : 1 + layout.bound_axes] - nodes[:, :1]).abs().amax(dim=1) <= layout.width << layout.interval
        keep = torch.ones(len(nodes), dtype=torch.bool)
        keep[layout.diagonal_entries :] = ~near[layout.diagonal_entries :]
        nodes, expected = nodes[keep], values[keep]
    else:
        expected = values
    inside = (nodes <= 255).all(dim=1)
    assert torch.equal(lookup(nodes[inside], values, layout), expected[inside])


@given(
    st.sampled_from(LAYOUTS),
    POINT,
    st.lists(st.integers(-8, 8), min_size=4, max_size=4),
    st.integers(-100, 100),
)
def test_any_linear_map_is_reproduced(layout: Layout, point: tuple[int, ...], slope: list[int], constant: int) -> None:
    weights = torch.tensor(slope, dtype=torch.float64).unsqueeze(1)
    taps = torch.tensor([point], dtype=torch.float64)
    assert torch.equal(lookup(taps, table_of(layout, weights, constant), layout), taps @ weights + constant)


@given(st.integers(0, 14), st.permutations(range(4)), st.sampled_from([1, 5, 8, 16]))
def test_continuous_across_ties(base: int, order: list[int], tied: int) -> None:
    values = torch.from_numpy(np.random.default_rng(base).integers(-127, 128, (17**4, 2))).double()
    point = torch.full((1, 4), base * 16.0 + tied, dtype=torch.float64)
    apart = point + torch.tensor(order, dtype=torch.float64) * 1e-9
    here, there = lookup(point, values, DenseLayout(4)), lookup(apart, values, DenseLayout(4))
    assert (here - there).abs().max() < 1e-5  # 4e-9 of a step between values at most 254 apart


def test_all_24_orders_walk_the_right_vertices() -> None:
    for order in itertools.permutations(range(4)):
        point = torch.zeros(1, 4)
        for rank, axis in enumerate(order):
            point[0, axis] = 12 - 3 * rank
        index, weight = simplex(point, 4)
        strides, walked, expected = [17**3, 17**2, 17, 1], 0, [0]
        for axis in order:
            walked += strides[axis]
            expected.append(walked)
        assert index[0].tolist() == expected
        assert (weight[0] * 16).tolist() == [4, 3, 3, 3, 3]


@given(st.sampled_from([layout for layout in LAYOUTS if isinstance(layout, DiagonalLayout)]), POINT)
def test_a_diagonal_cell_holds_every_vertex_that_counts(layout: DiagonalLayout, point: tuple[int, ...]) -> None:
    taps = torch.tensor([point], dtype=torch.float64)
    index, weight = locate(layout, taps)
    nodes = torch.from_numpy(layout.nodes()).double()[index[0]]
    assert torch.equal(weight[0] @ nodes, taps[0])
    near = all(abs(point[0] - other) <= layout.width << layout.interval for other in point[1 : 1 + layout.bound_axes])
    assert bool((index[0][weight[0] > 0] < layout.diagonal_entries).all()) is near


@pytest.mark.parametrize("layout", [DenseLayout(6), DiagonalLayout(5, 1, 6)], ids=str)
def test_gradients_to_table_and_taps(layout: Layout) -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(layout.entries, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    taps = torch.rand(3, 4, generator=generator, dtype=torch.float64) * 255
    taps[0] = taps[0, :1] + torch.tensor([0.0, 3, 7, 11])
    taps.requires_grad_(True)
    (got,) = torch.autograd.grad(lookup(taps, values, layout).sum(), values, retain_graph=True)
    index, weight = locate(layout, taps)
    expected = torch.zeros_like(values).index_add(0, index.flatten(), weight.detach().reshape(-1, 1).expand(-1, 2))
    assert torch.allclose(got, expected, rtol=0, atol=1e-12)
    assert torch.autograd.gradcheck(lambda x: lookup(x, values.detach(), layout), (taps,), eps=1e-5, atol=1e-6)


def test_a_table_of_the_wrong_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(5, 1\), expected \(83521, values\)"):
        lookup(torch.zeros(1, 4), torch.zeros(5, 1), DenseLayout(4))
