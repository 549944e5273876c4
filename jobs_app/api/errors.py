"""The errors of the API: those of `rest`, and the requests that `speech` refuses."""

from __future__ import annotations

from collections.abc import Mapping

from rest_framework.response import Response

from rest import errors
from rest.refusals import Refusal
from speech.errors import SpeechError, UnsupportedMedia


class RefusedBySpeech(Refusal):
    """A refusal by `speech`, which knows nothing of HTTP.

    The code and the sentence are those of its error.
    """

    def __init__(self, error: SpeechError) -> None:
        super().__init__(str(error))
        self.status = 415 if isinstance(error, UnsupportedMedia) else 422
        self.code = error.code
        self.param = getattr(error, "option", "")


def refusal_of(exc: Exception, context: Mapping[str, object]) -> Refusal | None:
    """Return the Refusal that an exception of a view means; None if the exception is a bug."""
    return RefusedBySpeech(exc) if isinstance(exc, SpeechError) else errors.refusal_of(exc, context)


def exception_handler(exc: Exception, context: Mapping[str, object]) -> Response | None:
    """Answer an exception. REST_FRAMEWORK names this function.

    If it returns None, Django logs the bug and answers with its handler500.
    """
    refusal = refusal_of(exc, context)
    return None if refusal is None else errors.answer(refusal)
