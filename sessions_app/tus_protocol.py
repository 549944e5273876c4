"""The words of tus 1.0.0 (https://tus.io/protocols/resumable-upload), read and written."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import datetime
from typing import Any

from django.http import QueryDict
from django.utils.http import http_date
from rest_framework import serializers

from jobs_app.api_errors import Problem
from jobs_app.options import JobOptions
from sessions_app.serializers import OptionsInput

TUS_PATH = "/api/uploads/tus/"
TUS_VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,expiration,checksum,termination"
PART_TYPE = "application/offset+octet-stream"
CHECKSUM_ALGORITHMS = ("sha256", "sha1", "md5")

# No server reads headers that are much longer, so the metadata is short, too.
_KEY = re.compile(r"[!-+\--~]+")  # printable ASCII without space and comma
_NUMBER = re.compile(r"[0-9]{1,18}")


class TusInput(OptionsInput):
    """The metadata of an upload: the options of `POST /api/uploads/`, and what browsers say of a file."""

    title = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)
    filename = serializers.CharField(required=False, default="", allow_blank=True)


class Wanted:
    """What is to become of an upload, from its metadata.

    Raises DRF's ValidationError, NotSupported, and Problem `invalid_metadata`.
    """

    def __init__(self, metadata: str) -> None:
        given = QueryDict(mutable=True)  # so that values are read as those of a form
        given.update(parse_metadata(metadata))
        valid = TusInput(data=given)
        valid.is_valid(raise_exception=True)
        self.options: JobOptions = valid.job_options()
        self.title: str = valid.validated_data["title"]
        self.filename: str = valid.validated_data["filename"]


def parse_metadata(header: str) -> dict[str, str]:
    """The header Upload-Metadata: `name BASE64,name BASE64`, where the value may be left out.

    Raises Problem `invalid_metadata`.
    """
    pairs: dict[str, str] = {}
    # Not all that Python takes for space: what is kept is told again in a header.
    for pair in filter(None, (pair.strip(" \t") for pair in header.split(","))):
        name, _, value = pair.partition(" ")
        if not _KEY.fullmatch(name) or name in pairs:
            raise _bad_metadata()
        try:
            pairs[name] = base64.b64decode(value, validate=True).decode()
        except ValueError as error:  # of both, base64 and UTF-8
            raise _bad_metadata() from error
    return pairs


def _bad_metadata() -> Problem:
    return Problem(
        400,
        "invalid_metadata",
        "The header Upload-Metadata takes pairs of a name and the base64 of a UTF-8 text, a space between "
        "them and a comma after each pair but the last. No name may come twice.",
    )


def number(headers: Any, name: str) -> int:
    """A header that must be a whole number of bytes. Raises Problem `invalid_header`."""
    value = headers.get(name, "")
    if not _NUMBER.fullmatch(value):
        raise Problem(400, "invalid_header", f"Send the header {name}: a whole number of bytes.")
    return int(value)


class Checksum:
    """The header Upload-Checksum: `sha1 BASE64`. Raises Problem `invalid_checksum`."""

    def __init__(self, header: str) -> None:
        algorithm, _, digest = header.partition(" ")
        if algorithm not in CHECKSUM_ALGORITHMS:
            raise Problem(
                400,
                "invalid_checksum",
                f"Upload-Checksum takes one of {', '.join(CHECKSUM_ALGORITHMS)}, a space, and the digest.",
            )
        self._hash = hashlib.new(algorithm, usedforsecurity=False)
        try:
            self._expected = base64.b64decode(digest, validate=True)
        except ValueError as error:  # of both, base64 and what is not ASCII
            raise Problem(
                400, "invalid_checksum", "The digest in Upload-Checksum must be base64, not hex."
            ) from error

    def update(self, block: bytes) -> None:
        self._hash.update(block)

    def matches(self) -> bool:
        return self._hash.digest() == self._expected


def expires(moment: datetime) -> str:
    return http_date(moment.timestamp())
