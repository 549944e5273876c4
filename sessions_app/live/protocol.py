"""What clients and server say to each other, and what ends a socket.

An error is a Refusal. It is said as `{"type": "error", "code", "detail"}`, and then the socket is closed with
4000 and the status that the Refusal has over HTTP; with 1013 if the client should try again.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rest.refusals import NotAuthenticated, Refusal, WrongState

CLOSE_NORMAL = 1000
CLOSE_TRY_AGAIN = 1013
APPLICATION_CODES = 4000
TRY_AGAIN_STATUS = 503

SAMPLE_RATES = range(8_000, 48_001)
MAX_FRAME_BYTES = 64 * 1024
_HAVE = re.compile(r"u(\d{1,9})", re.ASCII)


class BadMessage(Refusal):
    code = "bad_message"
    sentence = "This message is not understood. docs/live.md of this server describes all messages."


class BadFrame(Refusal):
    code = "bad_frame"
    sentence = (
        "Audio is sent after `start`, as 16 bit samples (little endian, mono), in frames of at most 64 KiB."
    )


class BadRate(Refusal):
    code = "bad_rate"
    sentence = "`sample_rate` must be a whole number from 8000 to 48000. Name the one of your audio."


class TakenOver(WrongState):
    code = "taken_over"
    sentence = "Another connection sends this recording now. Close that one to go on here."


class TooFast(Refusal):
    status = 413
    code = "too_fast"
    sentence = (
        "This audio comes faster than it can have been spoken. All before was kept; connect again in a while."
    )


class TooManySockets(Refusal):
    status = 429
    code = "too_many"
    sentence = "Too many live connections are open. Close others of this account, or try again later."


class Idle(Refusal):
    status = 408
    code = "idle"
    sentence = "Nothing has come for too long. All before was kept; connect again to go on."


class LoggedOut(NotAuthenticated):
    status = 403
    sentence = "You were logged out, or your token was revoked. Log in and connect again."


class NotRead(Refusal):
    status = TRY_AGAIN_STATUS
    code = "not_read"
    sentence = "You do not read what is sent to you. Connect again."


class Unexpected(Refusal):
    status = 500
    code = "internal_error"
    sentence = "Something went wrong inside the server. All that was said to be saved is kept; connect again."


def close_code(refusal: Refusal) -> int:
    return CLOSE_TRY_AGAIN if refusal.status == TRY_AGAIN_STATUS else APPLICATION_CODES + refusal.status


def error(refusal: Refusal) -> dict[str, object]:
    return {"type": "error", "code": refusal.code, "detail": str(refusal), **refusal.more}


@dataclass(frozen=True)
class Shown:
    """What a client shows already: the segments up to the number `seen`, or none if that is -1.

    They are of the job `job`; None if the client does not say.
    """

    seen: int
    job: uuid.UUID | None

    def of(self, job_id: uuid.UUID | None) -> int:
        """Return up to which number the client shows the segments of this job."""
        return self.seen if self.job in (None, job_id) else -1


@dataclass(frozen=True)
class Start:
    """Send audio."""

    sample_rate: int
    resume: bool
    shown: Shown


@dataclass(frozen=True)
class Watch:
    """See what is heard, without sending."""

    shown: Shown


@dataclass(frozen=True)
class Stop:
    """No more audio comes: the recording is finished."""


@dataclass(frozen=True)
class KeepAlive:
    """The client is there, and asks whether the server is. If it is the sender, it pauses: what has come is
    stored, because the sender may wait for that.
    """


def message_of(text: str) -> Start | Watch | Stop | KeepAlive:
    """Return the message in `text`.

    Raises:
        BadMessage, BadRate: it is none that is known here.
    """
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise BadMessage("This message is not JSON. Correct it and connect again.") from None
    if not isinstance(said, dict):
        raise BadMessage
    match said.get("type"):
        case "start":
            return _start(said)
        case "watch":
            return Watch(_shown(said))
        case "stop":
            return Stop()
        case "keep_alive":
            return KeepAlive()
    raise BadMessage("A message has a `type`: start, watch, stop or keep_alive.")


def _start(said: Mapping[str, Any]) -> Start:
    rate, resume = said.get("sample_rate"), said.get("resume", False)
    if type(rate) is not int or rate not in SAMPLE_RATES:
        raise BadRate
    if not isinstance(resume, bool):
        raise BadMessage("`resume` is true or false.")
    return Start(rate, resume, _shown(said))


def _shown(said: Mapping[str, Any]) -> Shown:
    have, job = said.get("have"), said.get("job")
    seen = -1
    if have is not None:
        if not isinstance(have, str) or not (found := _HAVE.fullmatch(have)):
            raise BadMessage("`have` is the id of the last final segment that you show, like u6.")
        seen = int(found[1])
    try:
        return Shown(seen, None if job is None else uuid.UUID(job))
    except (ValueError, AttributeError, TypeError):
        raise BadMessage("`job` is the id of the job whose segments you show, as it was told.") from None
