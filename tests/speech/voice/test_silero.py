"""The model of voice activity in this repository is the one that comes with faster-whisper."""

from __future__ import annotations

import onnx

from speech.voice.silero.build import TARGET, build


def test_the_stored_model_is_what_is_built_from_the_original() -> None:
    stored, built = onnx.load(TARGET), build()
    assert onnx.printer.to_text(stored.graph) == onnx.printer.to_text(built.graph)
    assert [tensor.raw_data for tensor in stored.graph.initializer] == [
        tensor.raw_data for tensor in built.graph.initializer
    ]
