"""Networks for ONNX Runtime, written node by node."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[np.float32] | npt.NDArray[np.float16] | npt.NDArray[np.int64] | npt.NDArray[np.int8]
Shape = list[int | str]

OPSET, IR_VERSION = 17, 8
_LARGE = 2048
"""A constant with as many values is stored with fewer bits. ONNX Runtime widens it when it loads."""


class Graph:
    """Nodes and constants in the order in which they were added. Each name ends in its number.

    Large constants are stored as float16, or, with `eight_bits`, as int8 with a scale for each row.
    """

    def __init__(self, *, eight_bits: bool = False) -> None:
        self._eight_bits = eight_bits
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def add(self, kind: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        out = out or f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [out], **attributes))
        return out

    def constant(self, values: Array) -> str:
        """Add a constant as it is."""
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def integers(self, *values: int) -> str:
        return self.constant(np.array(values, dtype=np.int64))

    def weights(self, values: npt.NDArray[np.float32]) -> str:
        """Add a constant, with fewer bits if it is large."""
        if values.size < _LARGE:
            return self.constant(values.astype(np.float32))
        if not self._eight_bits:
            return self.add("Cast", self.constant(values.astype(np.float16)), to=TensorProto.FLOAT)
        scale = np.abs(values).max(axis=tuple(range(1, values.ndim)), keepdims=True) / np.float32(127)
        rounded = np.rint(values / scale).astype(np.int8)
        whole = self.add("Cast", self.constant(rounded), to=TensorProto.FLOAT)
        return self.add("Mul", whole, self.constant(scale.astype(np.float32)))

    def model(self, name: str, given: tuple[str, Shape], made: tuple[str, Shape]) -> onnx.ModelProto:
        """Return the checked model with one input and one output."""
        values = [
            helper.make_tensor_value_info(one, TensorProto.FLOAT, shape) for one, shape in (given, made)
        ]
        model = helper.make_model(
            helper.make_graph(self._nodes, name, values[:1], values[1:], self._constants),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )
        onnx.checker.check_model(model, full_check=True)
        return model
