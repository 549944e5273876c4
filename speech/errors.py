"""Everything that can go wrong in `speech`. Each error has a code for programs and a sentence for people.

`permanent` says that another try cannot help. `outage` says that the provider is away or overloaded, so the
audio is not to blame. `retry_after_s` is set if the provider named a time. Any other exception that leaves
`speech` is a bug.
"""

from __future__ import annotations

AGAIN = " It is tried again by itself."
"""The end of a message about an error that may pass."""


class SpeechError(Exception):
    """The base class. `str(error)` is a sentence for people that says what to do."""

    code = "speech_error"
    permanent = False
    outage = False
    requests = 0
    """How many requests were sent to a provider before the error."""
    message = "The audio could not be transcribed."

    def __init__(self, message: str = "", *, retry_after_s: float | None = None) -> None:
        super().__init__(message or self.message)
        self.retry_after_s = retry_after_s

    @property
    def why(self) -> str:
        """Return `str(error)` without the promise to try again, for places where nothing tries again."""
        return str(self).replace(AGAIN, "")


class UnreadableAudio(SpeechError):
    code = "unreadable_audio"
    permanent = True
    message = (
        "This file could not be read as audio or video. It may be damaged or incomplete; "
        "play it in a media player, then export and upload it again."
    )


class ProtectedMedia(UnreadableAudio):
    code = "protected_media"
    message = (
        "This file is protected by its seller, and no program but the seller's can read it. "
        "Upload a recording without copy protection."
    )


class NoAudio(SpeechError):
    code = "no_audio"
    permanent = True
    message = "This file has no sound in it. Upload a recording that has an audio track."


class NoSuchTrack(SpeechError):
    code = "no_such_track"
    permanent = True
    message = "This file has no audio track of this number. Choose another one, or `auto`."


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
    """The engine or model cannot do what was asked. `option` is the name of the option to change."""

    code = "not_supported"
    permanent = True
    message = "The chosen engine cannot do this. Choose another engine or leave the option out."

    def __init__(self, message: str = "", *, option: str = "") -> None:
        super().__init__(message)
        self.option = option


class UnknownLanguage(NotSupported):
    """No language has this name. The message quotes what was written."""

    code = "unknown_language"

    def __init__(self, wish: str) -> None:
        super().__init__(
            f"There is no language {wish[:40]!r} here. Write a code such as en, pt-BR or zh-Hant, or its "
            "English name; leave it out to have the language found out.",
            option="language",
        )


class ModelUnavailable(SpeechError):
    code = "model_unavailable"
    permanent = True
    message = (
        "The speech model could not be loaded. Run `make setup`, or set LOCAL_MODEL to one that is here."
    )


class UnreadableVoices(SpeechError):
    """The voices of a window were packed by another version, or are damaged. They have to be heard again."""

    code = "unreadable_voices"
    permanent = True
    message = (
        "The speakers of this recording were heard by another version of this service. "
        "Transcribe it again to tell them apart."
    )


class EngineFailed(SpeechError):
    """The engine failed on this audio this time."""

    code = "engine_failed"
    message = f"The speech engine failed.{AGAIN}"


class ProviderBusy(SpeechError):
    """The provider answers, and asks for fewer requests (429)."""

    code = "provider_busy"
    outage = True
    message = f"The provider has too many requests just now.{AGAIN}"


class ProviderUnavailable(SpeechError):
    """The provider cannot be reached, does not answer in time, or its gateway says that it is away (502, 503,
    504).
    """

    code = "provider_unavailable"
    outage = True
    message = f"The provider could not be reached.{AGAIN}"


class ProviderFailed(SpeechError):
    """The provider failed on this request, or its answer is not a transcript."""

    code = "provider_failed"
    message = f"The provider failed.{AGAIN}"


class ProviderRefused(SpeechError):
    """The provider will refuse again: a wrong key, an unknown model, or an account without credit."""

    code = "provider_refused"
    permanent = True
    message = "The provider refused the request. Ask the people who run this server to look at its settings."


class ModelNotInstalled(NotSupported):
    """A model that is known is not on this machine."""

    code = "model_not_installed"

    def __init__(self, model: str, *, option: str = "model") -> None:
        super().__init__(
            f"The model {model[:200]!r} is not installed here. Choose another one, or ask the people who run "
            f"this server to run `manage.py models install {model[:200]}`.",
            option=option,
        )


class CannotInstall(SpeechError):
    """A model cannot be installed or removed. The message says what to do."""

    code = "cannot_install"
    permanent = True
    message = "The model cannot be installed."
