"""One bounded window of samples, in memory: how loud it is, and encoded as a provider wants it.

pydub does it, but for FLAC: its ffmpeg takes five times the processor time that libsndfile takes here.

What people upload never comes here. pydub and the ffmpeg behind it get raw samples only, since both would
follow a playlist to other files.
"""

from __future__ import annotations

import warnings
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import soundfile

from speech.types import SAMPLE_RATE

if TYPE_CHECKING:
    from pydub import AudioSegment

Container = Literal["wav", "flac", "mp3", "ogg"]

# Speech at 16 kHz gains nothing from more. Ogg is Opus, which every provider that takes ogg reads.
_EXPORTS: dict[Container, dict[str, Any]] = {
    "wav": {},
    "mp3": {"bitrate": "64k"},
    # At level 2 as many words are right as at level 5 and in the plain samples, for less processor time.
    "ogg": {"codec": "libopus", "bitrate": "32k", "parameters": ["-compression_level", "2"]},
}
_SILENCE_DBFS = -96.0


def level_dbfs(samples: npt.NDArray[np.float32]) -> float:
    """The mean level (RMS) in dB below full scale, never under -96, which is silence in 16 bits."""
    return max(float(_segment(samples).dBFS), _SILENCE_DBFS)


def encode(samples: npt.NDArray[np.float32], container: Container) -> bytes:
    """A whole file of that kind with these samples (from -1 to 1, 16 kHz mono): exact for wav and flac."""
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
    """pydub's class with an ffmpeg that comes by pip. Imported late: it costs time and warns of no ffmpeg."""
    import imageio_ffmpeg

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pydub import AudioSegment
    AudioSegment.converter = imageio_ffmpeg.get_ffmpeg_exe()
    return AudioSegment
