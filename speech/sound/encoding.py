"""Encode one window of samples in memory, as a provider wants it, and measure its level.

pydub does this except for FLAC, for which its ffmpeg takes five times the processor time of libsndfile.

What people upload never comes here. pydub and its ffmpeg get only raw samples, because both would follow a
playlist to other files.
"""

from __future__ import annotations

import warnings
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import soundfile

from speech.types import SAMPLE_RATE, Container

if TYPE_CHECKING:
    from pydub import AudioSegment

# Higher bit rates gain nothing for speech at 16 kHz. Ogg holds Opus, which every provider reads that takes
# ogg.
_EXPORTS: dict[Container, dict[str, Any]] = {
    "wav": {},
    "mp3": {"bitrate": "64k"},
    # At level 2 as many words are right as at level 5 and in the samples themselves, for less processor time.
    "ogg": {"codec": "libopus", "bitrate": "32k", "parameters": ["-compression_level", "2"]},
}


def encode_audio(samples: npt.NDArray[np.float32], container: Container) -> bytes:
    """Return a whole file with these samples (from -1 to 1, 16 kHz mono). It is exact for wav and flac."""
    with BytesIO() as file:
        if container == "flac":
            soundfile.write(file, _pcm(samples), SAMPLE_RATE, format="FLAC", subtype="PCM_16")
        else:
            _segment(samples).export(file, format=container, **_EXPORTS[container])
        return file.getvalue()


def _pcm(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    pcm: npt.NDArray[np.int16] = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype("<i2")
    return pcm


def _segment(samples: npt.NDArray[np.float32]) -> AudioSegment:
    data = _pcm(samples).tobytes()
    return _pydub_segment()(data=data, sample_width=2, frame_rate=SAMPLE_RATE, channels=1)


@cache
def _pydub_segment() -> Any:
    """Return pydub's class, with the ffmpeg that pip has installed.

    It is imported late, because the import takes time and warns if there is no ffmpeg.
    """
    import imageio_ffmpeg

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pydub import AudioSegment
    AudioSegment.converter = imageio_ffmpeg.get_ffmpeg_exe()
    return AudioSegment
