"""Everything that can go wrong in `speech`, each with a code for programs and a sentence for people.

`permanent` says whether trying again is useless. `outage` says that the other side is away or overloaded,
whatever it was asked, so that this audio is not to blame. `retry_after_s` is set where the other side named
a time.
Any other exception that leaves `speech` is a bug.
"""

from __future__ import annotations

AGAIN = " It is tried again by itself."
"""At the end of what is said of an error that may pass."""


class SpeechError(Exception):
    """Base class. `str(error)` is a sentence for people that names the remedy."""

    code = "speech_error"
    permanent = False
    outage = False
    requests = 0
    """How many requests were sent to a provider before it."""
    message = "The audio could not be transcribed."

    def __init__(self, message: str = "", *, retry_after_s: float | None = None) -> None:
        super().__init__(message or self.message)
        self.retry_after_s = retry_after_s

    @property
    def why(self) -> str:
        """`str(error)` for where nobody tries again."""
        return str(self).replace(AGAIN, "")


class UnreadableAudio(SpeechError):
    code = "unreadable_audio"
    permanent = True
    message = (
        "This file could not be read as audio or video. It may be damaged or incomplete; "
        "play it in a media player, then export and upload it again."
    )


class NoAudio(SpeechError):
    code = "no_audio"
    permanent = True
    message = "This file has no sound in it. Upload a recording that has an audio track."


class UnsupportedMedia(SpeechError):
    code = "unsupported_media"
    permanent = True
    message = (
        "This is not an audio or video file of a kind that is accepted. "
        "Upload MP3, M4A, WAV, FLAC, OGG, WebM, MP4 or another common kind."
    )


class AudioTooLong(SpeechError):
    code = "audio_too_long"
    permanent = True
    message = "This recording is longer than is allowed. Split it and upload the parts."


class NotSupported(SpeechError):
    """The engine or model cannot do what was asked of it."""

    code = "not_supported"
    permanent = True
    message = "The chosen engine cannot do this. Choose another engine or leave the option out."


class ModelUnavailable(SpeechError):
    code = "model_unavailable"
    permanent = True
    message = (
        "The speech model could not be loaded. Run `make setup`, or set LOCAL_MODEL to one that is here."
    )


class EngineFailed(SpeechError):
    """The engine gave up on this audio this time."""

    code = "engine_failed"
    message = f"The speech engine failed.{AGAIN}"


class ProviderBusy(SpeechError):
    """The provider answers, and asks for fewer requests (429)."""

    code = "provider_busy"
    outage = True
    message = f"The provider has too many requests just now.{AGAIN}"


class ProviderUnavailable(SpeechError):
    """No connection, no answer in time, or a gateway's word that nobody is behind it (502, 503, 504)."""

    code = "provider_unavailable"
    outage = True
    message = f"The provider could not be reached.{AGAIN}"


class ProviderFailed(SpeechError):
    """The provider failed at this request, or answered what is no transcript."""

    code = "provider_failed"
    message = f"The provider failed.{AGAIN}"


class ProviderRefused(SpeechError):
    """The provider will say no again: a wrong key, an unknown model, an account without credit."""

    code = "provider_refused"
    permanent = True
    message = "The provider refused the request. Ask the people who run this server to look at its settings."
