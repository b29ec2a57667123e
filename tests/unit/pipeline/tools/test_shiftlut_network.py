"""The networks of ShiftLUT's paper compute what the vectors sampled from them compute."""

import pytest
import torch

from lutra.model import families
from lutra.model.description import NetworkSpec
from lutra.model.steps import Shift
from lutra.reference.build import untrained
from lutra.reference.layers import Vectors
from pipeline.tools.shiftlut_network import Depthwise, Pointwise, ShiftNetwork


@torch.no_grad()
def vectors_of(part: Depthwise | Pointwise, least: int, most: int) -> torch.Tensor:
    """The vectors behind a part: (inputs, outputs, levels)."""
    values = torch.arange(least, most + 1.0)
    if isinstance(part, Depthwise):
        return (part.weight[..., 0] * values + part.bias[..., 0]).clamp(-128, 127).round()
    alone = torch.zeros(part.channels, part.outputs, len(values))
    for channel in range(part.channels):
        shown = values.expand(part.channels, -1)[None, :, :, None]
        features = torch.relu(part.hidden[0](shown))
        for layer in list(part.hidden)[1:]:
            new = torch.relu(layer(features))
            both = [one.reshape(1, part.channels, -1, len(values), 1) for one in (features, new)]
            features = torch.cat(both, dim=2).reshape(1, -1, len(values), 1)
        each = part.last(features).clamp(-128, 127).round()
        alone[channel] = each.reshape(part.channels, part.outputs, len(values))[channel]
    return alone


@pytest.mark.parametrize(("blocks", "scale"), [(1, 4), (3, 2)])
def test_networks_equal_their_vectors(blocks: int, scale: int) -> None:
    description = families.describe("shiftlut", scale, {"blocks": blocks})
    torch.manual_seed(1)
    shifts = [step for step in description.steps if isinstance(step, Shift) and step.writes != "head"]
    network = ShiftNetwork([step.offsets for step in shifts], scale)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            parameter.data *= 3  # so that clips act
    parts: dict[str, torch.nn.Module] = {"dw0_low": network.low, "up": network.up}
    parts |= {f"dw{number}": part for number, part in enumerate(network.depthwise)}
    parts |= {f"pw{number}": part for number, part in enumerate(network.pointwise)}
    model = untrained(description, NetworkSpec())
    for name, part in parts.items():
        function = model.layer(name)
        assert isinstance(function, Vectors) and isinstance(part, Depthwise | Pointwise)
        function.samples.data = vectors_of(part, *function.form.bounds).flatten()
    image = torch.randint(0, 256, (2, 1, 12, 12)).float()
    assert torch.equal(model(image), network(image))
