"""The refusals of requests. Each has a status, a code for programs, and a sentence for people.

Code that cannot do what a request asks for raises a Refusal, however far below the view it is. No code
between translates it: the REST API, `/v1` and the pages each answer it in their own form. Refusals that
several folders raise are here; every other one is beside the code that raises it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.conf import settings

TRY_AGAIN_AFTER_S = 5


class Refusal(Exception):
    """The base class of all refusals.

    `str(refusal)` is a sentence that names the remedy. The answer has the values in `more` beside it. A code
    has one meaning: two classes share a code only if one of them is a kind of the other.
    """

    status = 400
    code = "refused"
    sentence = "This cannot be done. Ask for something else."
    headers: Mapping[str, str] = {}
    """The answer has these headers."""
    param = ""
    """The name of the value that is refused, if it is a single one."""

    def __init__(self, sentence: str = "", **more: object) -> None:
        super().__init__(sentence or self.sentence)
        self.more = more


class Invalid(Refusal):
    """Values are wrong. `fields` has sentences about each value, by its name."""

    code = "invalid"

    def __init__(self, fields: Mapping[str, Sequence[str]], sentence: str = "") -> None:
        super().__init__(sentence or " ".join(" ".join(each) for each in fields.values()), fields=fields)
        self.fields = fields


class Unsupported(Refusal):
    """The request asks for something that is known, but that this server does not do."""

    code = "not_supported"
    sentence = "This is not done here. Leave it out."


class FileTooLarge(Refusal):
    status = 413
    code = "file_too_large"

    def __init__(self, sentence: str = "") -> None:
        super().__init__(
            sentence
            or f"This file is larger than {settings.MAX_UPLOAD_BYTES // settings.MIB} MB. "
            "Send the sound alone (as MP3, for example), or split the recording."
        )


class NotAuthenticated(Refusal):
    status = 401
    code = "not_authenticated"
    sentence = "Log in, or send a valid token, and try again."


class NotFound(Refusal):
    status = 404
    code = "not_found"
    sentence = "There is nothing here. Check the address, and that you use the account that owns it."


class WrongState(Refusal):
    """The request is possible at another time, but not in the present state."""

    status = 409
    code = "wrong_state"
    sentence = "This cannot be done now. Wait until what goes on has ended."


class NotReady(Refusal):
    """The result that the request asks for does not exist yet."""

    status = 409
    code = "not_ready"
    sentence = "This is not ready. Ask again when it is."


class Throttled(Refusal):
    status = 429
    code = "throttled"
    sentence = "That was too many requests. Wait a while, then try again."


class TryAgain(Refusal):
    """The database does not answer at the moment, which should soon be over."""

    status = 503
    code = "try_again"
    sentence = "The database does not answer at the moment. Try again in a few seconds."
    headers = {"Retry-After": str(TRY_AGAIN_AFTER_S)}
