"""PyanNet of pyannote segmentation-3.0: from a waveform to the probabilities of 7 classes, every 17 ms."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx

from speech.speakers.networks.checkpoint import Weights
from speech.speakers.networks.graph import Graph
from speech.types import SAMPLE_RATE

_LEAST_HZ = 50.0
_HIDDEN = 128
_LAYERS = 4
_SLOPE = 0.01


def segmentation(weights: Weights) -> onnx.ModelProto:
    """Return the network: `waveform` (batch, 1, samples) to `powerset` (batch, frames, 7) of log
    probabilities.
    """
    graph = Graph()
    x = _sincnet(graph, weights)
    x = graph.add("Transpose", x, perm=[2, 0, 1])
    for layer in range(_LAYERS):
        x = _lstm(graph, x, weights, layer)
    for name in ("linear.0", "linear.1"):
        x = graph.add("LeakyRelu", _linear(graph, x, weights, name), alpha=_SLOPE)
    x = graph.add("Transpose", _linear(graph, x, weights, "classifier"), perm=[1, 0, 2])
    graph.add("LogSoftmax", x, out="powerset", axis=-1)
    return graph.model(
        "segmentation", ("waveform", ["batch", 1, "samples"]), ("powerset", ["batch", "frames", 7])
    )


def _sincnet(graph: Graph, weights: Weights) -> str:
    x = _norm(graph, "waveform", weights, "sincnet.wav_norm1d")
    x = graph.add("Conv", x, graph.weights(_filters(weights)), strides=[10])
    x = graph.add("Abs", x)
    for layer in range(3):
        if layer:
            name = f"sincnet.conv1d.{layer}"
            weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
            x = graph.add("Conv", x, graph.weights(weight), graph.weights(bias))
        x = graph.add("MaxPool", x, kernel_shape=[3], strides=[3])
        x = graph.add("LeakyRelu", _norm(graph, x, weights, f"sincnet.norm1d.{layer}"), alpha=_SLOPE)
    return x


def _norm(graph: Graph, x: str, weights: Weights, name: str) -> str:
    constants = [graph.weights(weights[f"{name}.{part}"]) for part in ("weight", "bias")]
    return graph.add("InstanceNormalization", x, *constants, epsilon=1e-5)


def _filters(weights: Weights) -> npt.NDArray[np.float32]:
    """Return the filters of the first layer, 40 even and 40 odd ones of 251 taps (Ravanelli 2018)."""
    low_hz, band_hz, window, places = (
        weights[f"sincnet.conv1d.0.filterbank.{name}_"].astype(np.float64)
        for name in ("low_hz", "band_hz", "window", "n")
    )
    low = _LEAST_HZ + np.abs(low_hz)
    high = np.clip(low + _LEAST_HZ + np.abs(band_hz), _LEAST_HZ, SAMPLE_RATE / 2)
    band = high - low
    lower, higher = low * places, high * places  # `places` are 2 pi times the seconds before the middle
    even = (np.sin(higher) - np.sin(lower)) / (places / 2) * window
    odd = (np.cos(lower) - np.cos(higher)) / (places / 2) * window
    even = np.concatenate([even, 2 * band, even[:, ::-1]], axis=1)
    odd = np.concatenate([odd, np.zeros_like(band), -odd[:, ::-1]], axis=1)
    return (np.concatenate([even, odd]) / np.tile(2 * band, (2, 1)))[:, None].astype(np.float32)


def _lstm(graph: Graph, x: str, weights: Weights, layer: int) -> str:
    """Add a bidirectional LSTM: from (frames, batch, values) to (frames, batch, 2 * _HIDDEN)."""

    def both(name: str) -> list[npt.NDArray[np.float32]]:
        return [_gates(weights[f"lstm.{name}_l{layer}{way}"]) for way in ("", "_reverse")]

    biases = [np.concatenate(pair) for pair in zip(both("bias_ih"), both("bias_hh"), strict=True)]
    constants = [graph.weights(np.stack(stack)) for stack in (both("weight_ih"), both("weight_hh"), biases)]
    x = graph.add("LSTM", x, *constants, direction="bidirectional", hidden_size=_HIDDEN)
    x = graph.add("Transpose", x, perm=[0, 2, 1, 3])
    return graph.add("Reshape", x, graph.integers(0, 0, 2 * _HIDDEN))


def _gates(torch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """PyTorch has the gates in the order i, f, g, o, and ONNX as i, o, f, c (which is g)."""
    i, f, g, o = np.split(torch, 4)
    return np.concatenate([i, o, f, g])


def _linear(graph: Graph, x: str, weights: Weights, name: str) -> str:
    x = graph.add("MatMul", x, graph.weights(np.ascontiguousarray(weights[f"{name}.weight"].T)))
    return graph.add("Add", x, graph.weights(weights[f"{name}.bias"]))
