"""FSRCNN, a small network that tables are compared with in speed, in ONNX Runtime."""

from __future__ import annotations

import importlib
from functools import partial
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from lutra.evaluation.timing import Call
from lutra.imaging.colour import rgb_to_y, to_three_channels


def network(scale: int) -> bytes:
    """Return FSRCNN(d = 56, s = 12, m = 4) of Dong et al., ECCV 2016, with random weights, as an ONNX file; needs onnx.

    One plane (1, 1, H, W) float32 named "image" in, (1, 1, scale * H, scale * W) out.
    """
    onnx = importlib.import_module("onnx")
    helper, from_array = onnx.helper, onnx.numpy_helper.from_array
    generator = np.random.default_rng(0)
    nodes, weights, last = [], [], "image"
    layers = [(1, 56, 5), (56, 12, 1), *[(12, 12, 3)] * 4, (12, 56, 1)]
    for index, (before, after, side) in enumerate(layers):
        kernel = generator.normal(0, np.sqrt(2 / (before * side**2)), (after, before, side, side))
        slope = np.full((after, 1, 1), 0.1)
        for name, values in ((f"w{index}", kernel), (f"b{index}", np.zeros(after)), (f"s{index}", slope)):
            weights.append(from_array(values.astype(np.float32), name))
        inputs = [last, f"w{index}", f"b{index}"]
        nodes.append(helper.make_node("Conv", inputs, [f"c{index}"], pads=[side // 2] * 4))
        nodes.append(helper.make_node("PRelu", [f"c{index}", f"s{index}"], [f"p{index}"]))
        last = f"p{index}"
    kernel = generator.normal(0, 0.01, (56, 1, 9, 9)).astype(np.float32)
    weights.append(from_array(kernel, "enlarge"))
    options = {"strides": [scale] * 2, "pads": [4] * 4, "output_padding": [scale - 1] * 2}
    nodes.append(helper.make_node("ConvTranspose", [last, "enlarge"], ["restored"], **options))
    ends = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 1, None, None])
        for name in ("image", "restored")
    ]
    graph = helper.make_graph(nodes, "fsrcnn", ends[:1], ends[1:], weights)
    # Old enough for every ONNX Runtime in use.
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])
    content: bytes = model.SerializeToString()
    return content


def call(frame: NDArray[np.uint8], scale: int, threads: int) -> Call | None:
    """Return a call that runs the network on the frame's luma, its published use; None where a package is missing.

    Bicubic enlargement of the colours is not counted.
    """
    runtime = optional("onnxruntime")
    if runtime is None or optional("onnx") is None:
        return None
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    # Its threads would otherwise wait for the next run in a loop, through the turns of the others.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = runtime.InferenceSession(network(scale), options, providers=["CPUExecutionProvider"])
    luma = (rgb_to_y(to_three_channels(frame)) / 255).astype(np.float32)[None, None]
    return partial(session.run, None, {"image": luma})


def optional(name: str) -> ModuleType | None:
    """Import a module; None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
