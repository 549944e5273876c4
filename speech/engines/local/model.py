"""The Whisper model, loaded by faster-whisper."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import ctranslate2
import numpy as np
from ctranslate2 import DataType, StorageView
from faster_whisper import WhisperModel

from speech.engines.base import CPU, CUDA, EngineSettings
from speech.engines.local.device import Device, cpu, find_device, no_gpu, reason, turn
from speech.errors import AGAIN, EngineFailed, ModelUnavailable
from speech.languages.prior import LanguagePrior

logger = logging.getLogger(__name__)


LONGEST_FRAMES = 3000
"""Half a minute."""
SILENCE_FRAMES = 250
"""2.5 s. With less silence behind an utterance, Whisper says more of it a second time."""


KEPT_ENCODINGS = 4
"""A window has no more half minutes, and an encoding takes a few megabytes."""


class Model(WhisperModel):  # type: ignore[misc]
    """Encodes a half minute once, both to detect its language and to transcribe it.

    A language that faster-whisper detects by itself is the likeliest with `prior`.

    With `least_frames` it encodes the sound and SILENCE_FRAMES of silence, and as many frames at least, not
    half a minute, which is 4 to 17 times faster. Whisper then needs its time stamps: without them it does not
    know where to stop, and says the end again.
    """

    least_frames: int | None = None
    leaves_out = False
    """Whether faster-whisper has left out text since this was set to False: without word times, it leaves out
    what begins and ends at the same time stamp.
    """
    runs_on = Device()
    prior = LanguagePrior()

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._encoded: deque[tuple[Any, Any]] = deque(maxlen=KEPT_ENCODINGS)
        self._generated: deque[tuple[Any, Any, Any]] = deque(maxlen=KEPT_ENCODINGS)

    @property
    def first_time_token(self) -> int:
        """The token of the time 0."""
        return int(self.hf_tokenizer.token_to_id("<|notimestamps|>")) + 1

    def detect_language(self, audio: Any = None, features: Any = None, **options: Any) -> Any:
        # Transcribing leaves out the last frame. This leaves it out, too, so that short windows are encoded
        # only once.
        *_, heard = super().detect_language(audio, features[..., :-1], **options)
        best = next(iter(self.prior.weigh(dict(heard)).items()))
        return *best, heard

    def _split_segments_by_timestamps(self, *given: Any, **named: Any) -> Any:
        segments, *rest = super()._split_segments_by_timestamps(*given, **named)
        self.leaves_out |= any(one["start"] == one["end"] for one in segments)
        return segments, *rest

    def generate_with_fallback(
        self, encoder_output: Any, prompt: list[int], tokenizer: Any, options: Any
    ) -> Any:
        # What was decoded without word times is not decoded again to make them.
        asked = (list(prompt), replace(options, word_timestamps=False))
        for encoded, question, answer in self._generated:
            if encoded is encoder_output and question == asked:
                return answer
        answer = super().generate_with_fallback(encoder_output, prompt, tokenizer, options)
        self._generated.append((encoder_output, asked, answer))
        return answer

    def encode(self, features: Any) -> Any:
        """Encode `features` of shape (bands, frames), or several of them."""
        if self.least_frames is not None:
            features = _without_padding(features, self.least_frames)
        if features.ndim == 2:
            encoded = self._kept(features)
            if encoded is None:
                encoded = super().encode(features)
                self._encoded.append((features, encoded))
            return encoded
        kept = [self._kept(one) for one in features]
        missing = [number for number, one in enumerate(kept) if one is None]
        if len(missing) == len(kept):
            encoded = super().encode(features)
            if self.runs_on.kind == CPU:
                # What comes out badly is decoded again by itself.
                ones = np.split(as_array(encoded), len(features))
                self._encoded.extend(zip(features, map(StorageView.from_array, ones), strict=True))
            return encoded
        fresh = iter(as_array(super().encode(features[missing]))) if missing else iter(())
        return StorageView.from_array(
            np.stack([next(fresh) if one is None else as_array(one)[0] for one in kept])
        )

    def _kept(self, features: Any) -> Any:
        """Return the encoding of `features`, or None if it was not kept."""
        return next((encoded for known, encoded in self._encoded if np.array_equal(known, features)), None)


def as_array(encoded: StorageView) -> Any:
    """Return an encoding as an array of shape (windows, frames, values), copied from the device it is on.

    CTranslate2 brings what it is given back onto its device, and into the type that the model computes in.
    """
    copy = encoded.to_device(ctranslate2.Device.cpu)
    # NumPy has no such type.
    return np.asarray(copy.to(DataType.float32) if copy.dtype == DataType.bfloat16 else copy)


def part_of(frames: Any, first: int, last: int, n_mels: int) -> StorageView:
    """Return some frames of an encoding, as an encoding.

    CTranslate2 takes as many frames as a model has bands for a spectrum that is not encoded yet, so that
    one more is taken, or one less at the end.
    """
    last = min(max(last, first + 1), frames.shape[1])
    if last - first == n_mels:
        last += 1 if last < frames.shape[1] else -1
    return StorageView.from_array(np.ascontiguousarray(frames[:, first:last]))


def _without_padding(features: Any, least_frames: int) -> Any:
    """Cut off what faster-whisper filled `features` up with, of shape (bands, frames), but for a little."""
    sound = np.flatnonzero(features.any(axis=0))
    frames = int(sound[-1]) + 1 + SILENCE_FRAMES if len(sound) else SILENCE_FRAMES
    frames = max(frames, least_frames)
    # The encoder halves them.
    return np.ascontiguousarray(features[:, : frames + frames % 2])


def load_model(settings: EngineSettings) -> Model:
    """Load the model of the settings on the device that they ask for, or on the CPU if that fails.

    Raises:
        EngineFailed: the memory is too small.
        ModelUnavailable: the model cannot be loaded for another reason.
    """
    device = find_device(settings)
    if device.kind == CUDA:
        try:
            return _on_gpu(settings, device)
        except (RuntimeError, ValueError, MemoryError) as e:
            problem = reason(e)
            if settings.device == CUDA:
                raise no_gpu(problem) from e
            device = cpu(settings, problem)
    if device.why:
        logger.warning("The model %s computes on the CPU: %s", settings.model, device.why)
    return load_on_cpu(settings, device)


def _on_gpu(settings: EngineSettings, device: Device) -> Model:
    with turn(settings.gpu_lock) if settings.gpu_lock else nullcontext():
        model = _load(settings, device)
        # Libraries of CUDA are looked for at the first use.
        model.encode(np.zeros((model.model.n_mels, LONGEST_FRAMES), dtype=np.float32))
    logger.info("The model %s computes on the GPU (%s)", settings.model, device.compute_type)
    return model


def load_on_cpu(settings: EngineSettings, device: Device) -> Model:
    try:
        return _load(settings, device)
    except MemoryError as e:
        raise engine_failed(e) from e
    except Exception as e:
        # Whatever the tokenizer or the runtime raise.
        logger.warning("The model %s cannot be loaded", settings.model, exc_info=e)
        raise ModelUnavailable(
            f"The speech model {settings.model!r} could not be loaded. Run `make setup`, or set LOCAL_MODEL "
            "to the name or directory of one that is on this machine."
        ) from e


def _load(settings: EngineSettings, device: Device) -> Model:
    model = Model(
        settings.model_dir or settings.model,
        device=device.kind,
        compute_type=device.compute_type,
        cpu_threads=settings.threads,
        # Nothing is fetched while somebody waits for a transcript.
        local_files_only=True,
    )
    model.runs_on = device
    return model


@contextmanager
def typed_failure() -> Iterator[None]:
    """Raise what goes wrong inside of faster-whisper as a SpeechError."""
    try:
        yield
    except (RuntimeError, ValueError, MemoryError) as e:
        raise engine_failed(e) from e


def typed_failures(heard: Any) -> Any:
    """Yield the same segments. An error while they are made becomes a SpeechError."""
    with typed_failure():
        yield from heard


def engine_failed(error: Exception) -> EngineFailed:
    """Log what went wrong in faster-whisper, and return it as an EngineFailed."""
    logger.warning("faster-whisper failed", exc_info=error)
    if isinstance(error, MemoryError):
        return EngineFailed(f"The memory of the server was too small just now.{AGAIN}")
    return EngineFailed()
