"""Write silero_vad.onnx: Silero VAD v6 as faster-whisper ships it, with matrix products instead of
convolutions.

    python -m speech.voice.silero.build

In the original, each frame of 32 ms is an item of a batch, so it convolves five or fewer columns at a time,
and ONNX Runtime spends most of its time on preparation. Here a block of frames is one matrix product for each
layer. The result is the same except for rounding, and takes less than half of the processor time.

Shapes: a block has n frames. Each frame has 64 samples of the frame before it and 512 of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faster_whisper
import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

ORIGINAL = Path(faster_whisper.__file__).parent / "assets" / "silero_vad_v6.onnx"
TARGET = Path(__file__).parent / "silero_vad.onnx"

OPSET = 18
IR_VERSION = 8
SAMPLES = 64 + 512
WINDOW, HOP, COLUMNS, BINS = 256, 128, 4, 129
"""The short-time Fourier transform: its window and hop in samples, its columns for one frame, its
frequencies.
"""
STATE = 128

Array = npt.NDArray[np.float32] | npt.NDArray[np.int64]


class _Graph:
    """Nodes and constants in the order in which they were added.

    Each name ends in its number in that order.
    """

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, values: Array) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def integers(self, *values: int) -> str:
        return self.constant(np.array(values, dtype=np.int64))

    def add(self, kind: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        out = out or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [out], **attributes))
        return out

    def slice(self, x: str, axis: int, start: int, end: int, step: int = 1) -> str:
        return self.add("Slice", x, *(self.integers(value) for value in (start, end, axis, step)))

    def reshape(self, x: str, *shape: int, out: str = "") -> str:
        return self.add("Reshape", x, self.integers(*shape), out=out)

    def product(self, x: str, weights: Array, bias: Array) -> str:
        return self.add("Gemm", x, self.constant(weights), self.constant(bias))


def build() -> onnx.ModelProto:
    """Return the model, with the weights of the original."""
    original = onnx.load(ORIGINAL).graph
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in original.initializer}
    graph = _Graph()
    x = _spectrum(graph, weights["encoder.feature_extractor.forward_basis_buffer"])
    columns = COLUMNS
    for layer, stride in enumerate((1, 2, 2, 1)):
        weight, bias = (weights[f"encoder.conv_layers.{layer}.{part}"] for part in ("weight", "bias"))
        x, columns = _convolution(graph, x, columns, weight, bias, stride)
    _decoder(graph, x, weights, next(node for node in original.node if node.op_type == "LSTM"))
    outputs: dict[str, list[int | str]] = {"speech_probs": ["n"], "hn": [1, 1, STATE], "cn": [1, 1, STATE]}
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "silero_vad",
            list(original.input),
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
                for name, shape in outputs.items()
            ],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _spectrum(graph: _Graph, basis: Array) -> str:
    """Turn (n, SAMPLES) into magnitudes of shape (n, COLUMNS, BINS).

    `basis` has the shape (2 * BINS, 1, WINDOW).
    """
    # The original pads both sides and drops the first column. The left padding is only for that column, so it
    # is left out here.
    padding = (COLUMNS - 1) * HOP + WINDOW - SAMPLES
    x = graph.add("Pad", "input", graph.integers(0, 0, 0, padding), mode="reflect")
    parts = [graph.slice(x, 1, HOP * column, HOP * column + WINDOW) for column in range(COLUMNS)]
    x = graph.reshape(graph.add("Concat", *parts, axis=1), -1, WINDOW)
    x = graph.add("MatMul", x, graph.constant(basis[:, 0].T))
    squares = [
        graph.add("Mul", part, part)
        for part in (graph.slice(x, 1, 0, BINS), graph.slice(x, 1, BINS, 2 * BINS))
    ]
    return graph.reshape(graph.add("Sqrt", graph.add("Add", *squares)), -1, COLUMNS, BINS)


def _convolution(
    graph: _Graph, x: str, columns: int, weight: Array, bias: Array, stride: int
) -> tuple[str, int]:
    """Add a convolution of width 3 and a ReLU: from (n, columns, channels) to (n, fewer columns,
    channels).
    """
    made, channels, width = weight.shape
    after = (columns - 1) // stride + 1
    padded = graph.add("Pad", x, graph.integers(0, 1, 0, 0, 1, 0))
    taps = [graph.slice(padded, 1, tap, tap + stride * (after - 1) + 1, stride) for tap in range(width)]
    x = graph.reshape(graph.add("Concat", *taps, axis=2), -1, width * channels)
    x = graph.product(x, weight.transpose(2, 1, 0).reshape(width * channels, made), bias)
    return graph.reshape(graph.add("Relu", x), -1, after, made), after


def _decoder(graph: _Graph, x: str, weights: dict[str, Array], original: onnx.NodeProto) -> None:
    """Turn (n, 1, STATE) into one probability per frame. The frames of a block are one sequence."""
    inputs = [x, *(graph.constant(weights[name]) for name in original.input[1:4]), "", "h", "c"]
    graph.nodes.append(helper.make_node("LSTM", inputs, ["lstm", "hn", "cn"], hidden_size=STATE))
    x = graph.add("Relu", graph.reshape("lstm", -1, STATE))
    weight, bias = (weights[f"decoder.conv1d.{part}"] for part in ("weight", "bias"))
    graph.reshape(graph.add("Sigmoid", graph.product(x, weight[:, :, 0].T, bias)), -1, out="speech_probs")


if __name__ == "__main__":
    onnx.save(build(), TARGET)
