"""Read and write the headers of tus 1.0.0 (https://tus.io/protocols/resumable-upload)."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from datetime import datetime

from django.http import QueryDict
from django.utils.http import http_date
from rest_framework import serializers

from jobs_app.models.options import JobOptions
from people_app.models import User
from rest.refusals import Refusal
from sessions_app.options.serializers import OptionsInput

TUS_PATH = "/api/uploads/tus/"
TUS_VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,expiration,checksum,termination"
PART_TYPE = "application/offset+octet-stream"
CHECKSUM_ALGORITHMS = ("sha256", "sha1", "md5")

# The length of the metadata needs no limit here, because no server reads very long headers.
_KEY = re.compile(r"[!-+\--~]+")  # printable ASCII without space and comma
_NUMBER = re.compile(r"[0-9]{1,18}")


class InvalidMetadata(Refusal):
    code = "invalid_metadata"
    sentence = (
        "The header Upload-Metadata takes pairs of a name and the base64 of a UTF-8 text, a space between "
        "them and a comma after each pair but the last. No name may come twice."
    )


class InvalidHeader(Refusal):
    code = "invalid_header"


class InvalidChecksum(Refusal):
    code = "invalid_checksum"
    sentence = f"Upload-Checksum takes one of {', '.join(CHECKSUM_ALGORITHMS)}, a space, and the digest."


class TusInput(OptionsInput):
    """The metadata of an upload: the options of `POST /api/uploads/`, and the names that browsers send."""

    title = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)
    filename = serializers.CharField(required=False, default="", allow_blank=True)


class Wanted:
    """The options, the title and the file name for an upload, read from its metadata.

    `accept_language` is the header of the request.

    Raises:
        ValidationError: DRF refuses a value.
        NotSupported: the engine cannot do what the options ask for.
        InvalidMetadata: the header cannot be read.
    """

    def __init__(self, metadata: str, user: User, accept_language: str = "") -> None:
        given = QueryDict(mutable=True)  # DRF then reads the values like those of a form
        given.update(parse_metadata(metadata))
        valid = TusInput(data=given)
        valid.is_valid(raise_exception=True)
        self.options: JobOptions = valid.job_options(user, accept_language)
        self.title: str = valid.validated_data["title"]
        self.filename: str = valid.validated_data["filename"]


def parse_metadata(header: str) -> dict[str, str]:
    """Read the header Upload-Metadata: `name BASE64,name BASE64`, where a value may be left out.

    Raises:
        InvalidMetadata: the header cannot be read.
    """
    pairs: dict[str, str] = {}
    # Only spaces and tabs are removed, and not all that Python takes for space: the text is sent again in a
    # header.
    for pair in filter(None, (pair.strip(" \t") for pair in header.split(","))):
        name, _, value = pair.partition(" ")
        if not _KEY.fullmatch(name) or name in pairs:
            raise InvalidMetadata
        try:
            pairs[name] = base64.b64decode(value, validate=True).decode()
        except ValueError as error:  # base64 and UTF-8 both raise it
            raise InvalidMetadata from error
    return pairs


def number(headers: Mapping[str, str], name: str) -> int:
    """Read a header that must be a whole number of bytes.

    Raises:
        InvalidHeader: the header is missing or is no such number.
    """
    value = headers.get(name, "")
    if not _NUMBER.fullmatch(value):
        raise InvalidHeader(f"Send the header {name}: a whole number of bytes.")
    return int(value)


class Checksum:
    """The header Upload-Checksum, such as `sha1 BASE64`.

    Raises:
        InvalidChecksum: the header cannot be read.
    """

    def __init__(self, header: str) -> None:
        algorithm, _, digest = header.partition(" ")
        if algorithm not in CHECKSUM_ALGORITHMS:
            raise InvalidChecksum
        self._hash = hashlib.new(algorithm, usedforsecurity=False)
        try:
            self._expected = base64.b64decode(digest, validate=True)
        except ValueError as error:  # wrong base64 and characters beyond ASCII both raise it
            raise InvalidChecksum("The digest in Upload-Checksum must be base64, not hex.") from error

    def update(self, block: bytes) -> None:
        self._hash.update(block)

    def matches(self) -> bool:
        return self._hash.digest() == self._expected


def expires(moment: datetime) -> str:
    return http_date(moment.timestamp())
