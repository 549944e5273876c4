"""What the model computes on: the processor, or a GPU if there is one that works.

CUDA must not be touched before a fork, so this is asked in the process that loads the model.
"""

from __future__ import annotations

import fcntl
import logging
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import ctranslate2

from speech.engines.base import AUTO_DEVICE, CPU, CUDA, EngineSettings
from speech.errors import ModelUnavailable

logger = logging.getLogger(__name__)

AT_ONCE_ON_CPU = 4
"""Half minutes that are decoded at once. More take more memory and little less time."""
AT_ONCE_IF_UNKNOWN = 8
MOST_AT_ONCE_ON_GPU = 16
PREFERRED = {CPU: ("int8", "float32"), CUDA: ("float16", "int8_float16", "float32")}
MB = 1_000_000
# What one half minute takes beside the weights, calculated from the keys and values of five beams: 0.2 of the
# 16-bit weights for large-v3, more for small models. Not measured on a GPU.
SHARE_OF_WEIGHTS = 0.25
LEAST_MB = 50
RESERVE_MB = 500
LOOK_EVERY_S = 0.02
TELL_EVERY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What a model computes on. `why` says why it is not the GPU, if that was wanted where there is one."""

    kind: str = CPU
    compute_type: str = "int8"
    at_once: int = AT_ONCE_ON_CPU
    why: str = ""

    @property
    def half_minutes(self) -> int:
        """How many half minutes a window should have, so that the device is used well; 0: as usual."""
        return self.at_once if self.kind == CUDA else 0

    def __str__(self) -> str:
        name = f"{self.kind} ({self.compute_type})"
        return f"{name}: {self.why}" if self.why else name


def find_device(settings: EngineSettings) -> Device:
    """Return the device for the settings: with `auto`, the GPU if CUDA finds one.

    Raises:
        ModelUnavailable: the settings ask for a GPU, and there is none.
    """
    if settings.device == CPU:
        return cpu(settings)
    try:
        found = ctranslate2.get_cuda_device_count() > 0
        problem = "no CUDA device was found"
    except RuntimeError as e:
        found, problem = False, reason(e)
    if found:
        return Device(
            kind=CUDA, compute_type=_compute_type(CUDA, settings.compute_type), at_once=_at_once(settings)
        )
    if settings.device != AUTO_DEVICE:
        raise no_gpu(problem)
    return cpu(settings, problem)


def cpu(settings: EngineSettings, why: str = "") -> Device:
    return Device(compute_type=_compute_type(CPU, settings.compute_type), why=why)


def no_gpu(problem: str) -> ModelUnavailable:
    return ModelUnavailable(
        f"LOCAL_DEVICE is cuda, but the GPU cannot be used: {problem}. Mend that, or set LOCAL_DEVICE=auto."
    )


def reason(error: BaseException) -> str:
    """Return in a few words why CUDA failed."""
    text = str(error)
    if isinstance(error, MemoryError) or "out of memory" in text.lower():
        return "its memory is too small (out of memory)"
    if "librar" in text.lower() and ("not found" in text or "cannot be loaded" in text):
        return f"a library is missing ({text[:200]})"
    return text[:200] or type(error).__name__


def gpu_failed(error: BaseException) -> bool:
    """Whether CUDA is to blame for an error of the model, and not the audio."""
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(
        name in text for name in ("cuda", "cublas", "cudnn", "out of memory")
    )


def _compute_type(kind: str, wish: str) -> str:
    able: set[str] = ctranslate2.get_supported_compute_types(kind)
    if wish and wish not in able:
        logger.warning("LOCAL_COMPUTE_TYPE: %s is not possible with %s here", wish, kind)
    return next(one for one in (wish, *PREFERRED[kind], *sorted(able)) if one in able)


def _at_once(settings: EngineSettings) -> int:
    """Return how many half minutes fit into what is free of the GPU's memory beside the model."""
    free_mb = free_memory_mb()
    if free_mb is None:
        return AT_ONCE_IF_UNKNOWN
    weights = Path(settings.model_dir, "model.bin")
    weights_mb = weights.stat().st_size / MB if weights.is_file() else 0
    each_mb = LEAST_MB + SHARE_OF_WEIGHTS * weights_mb
    return max(1, min(MOST_AT_ONCE_ON_GPU, int((free_mb - weights_mb - RESERVE_MB) / each_mb)))


def free_memory_mb() -> float | None:
    """Return how much of the first visible GPU's memory is free, in MB; None if that is not known."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip()
    command = ["nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(
            [*command, *(("-i", visible) if visible else ())], capture_output=True, text=True, timeout=10
        )
        return float(done.stdout.splitlines()[0]) * 1024**2 / MB
    except (OSError, subprocess.TimeoutExpired, IndexError, ValueError):
        return None


@contextmanager
def turn(lock: str, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Compute on the GPU while no other process of this machine does. `lock` is a file.

    `on_wait` is called once a second until then; an exception from it gives up the turn and passes through.
    The turn ends with the process, however that ends.
    """
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        told = time.monotonic()
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(LOOK_EVERY_S)
            if on_wait is not None and time.monotonic() - told >= TELL_EVERY_S:
                told = time.monotonic()
                on_wait()
        yield
    finally:
        os.close(handle)
