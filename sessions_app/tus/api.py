"""REST: uploads that can go on after a break, by the protocol tus 1.0.0."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, UnreadablePostError
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.generics import get_object_or_404
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from people_app.tokens import person
from rest.outputs import ErrorOutput
from rest.refusals import Refusal, Unsupported
from rest.throttling import ChunkThrottle
from sessions_app.models import ResumableUpload
from sessions_app.recordings.api import UploadView
from sessions_app.tus import uploads as tus
from sessions_app.tus.protocol import (
    CHECKSUM_ALGORITHMS,
    EXTENSIONS,
    PART_TYPE,
    TUS_VERSION,
    Checksum,
    Wanted,
    expires,
    number,
)

METHODS = ("OPTIONS", "POST", "HEAD", "PATCH", "DELETE")

STATUSES = {"checksum_mismatch": 460}
"""The protocol has its own statuses for these codes of refusals."""


class UnsupportedVersion(Refusal):
    status = 412
    code = "unsupported_tus_version"
    sentence = f"Send the header Tus-Resumable: {TUS_VERSION}, the version of tus that is spoken here."


class NotAPart(Refusal):
    status = 415
    code = "unsupported_media_type"
    sentence = f"Send parts with the Content-Type {PART_TYPE}."


class IncompleteBody(Refusal):
    code = "incomplete_body"
    sentence = "The request broke off. Begin the upload again."


def header(name: str, *, required: bool = False, description: str = "") -> OpenApiParameter:
    return OpenApiParameter(name, str, OpenApiParameter.HEADER, required=required, description=description)


TUS_RESUMABLE = header("Tus-Resumable", required=True, description=TUS_VERSION)
CHECKSUM = header(
    "Upload-Checksum", description=f"Of this part: {', '.join(CHECKSUM_ALGORITHMS)}, a space, and base64."
)


def can_do() -> HttpResponse:
    """Answer OPTIONS. Everybody may ask this."""
    return HttpResponse(
        status=204,
        headers={
            "Tus-Resumable": TUS_VERSION,
            "Tus-Version": TUS_VERSION,
            "Tus-Extension": EXTENSIONS,
            "Tus-Max-Size": str(settings.MAX_UPLOAD_BYTES),
            "Tus-Checksum-Algorithm": ",".join(CHECKSUM_ALGORITHMS),
        },
    )


class Unread(BaseParser):
    """A parser that reads no body of any type, because the views read the bodies themselves.

    It must stand in for DRF's parsers: Django looks for its CSRF token in the body of every POST before it
    looks into the header.
    """

    media_type = "*/*"

    def parse(self, *args: object, **kwargs: object) -> dict[str, str]:
        return {}


class TusView(APIView):
    """The base class of the views. It has the rules for all requests of the protocol."""

    send_may = ("get", "post", "patch", "delete")
    parser_classes = [Unread]
    # The throttle of chunks applies, because a client that goes on after every break is no abuse.
    throttle_classes = [ChunkThrottle]

    def dispatch(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        # Some clients, and some proxies between, know neither PATCH nor DELETE.
        instead = request.headers.get("X-HTTP-Method-Override", "").upper()
        if instead in METHODS:
            request.method = instead
        if request.method == "OPTIONS":
            return can_do()
        return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        super().initial(request, *args, **kwargs)
        if request.headers.get("Tus-Resumable") != TUS_VERSION:
            raise UnsupportedVersion

    def handle_exception(self, exc: Exception) -> Response:
        response = super().handle_exception(exc)
        response.status_code = STATUSES.get(response.data["code"], response.status_code)
        return response

    def finalize_response(
        self, request: Request, response: Response, *args: object, **kwargs: object
    ) -> Response:
        response["Tus-Resumable"] = TUS_VERSION
        response["Cache-Control"] = "no-store"
        if response.status_code == 412:
            response["Tus-Version"] = TUS_VERSION
        return super().finalize_response(request, response, *args, **kwargs)


def receive(request: Request, upload: ResumableUpload, at: int) -> int:
    """Add the body of `request` to `upload`, and return the new offset."""
    upload.accept_language = request.headers.get("Accept-Language", "")
    given = request.headers.get("Upload-Checksum")
    checksum = Checksum(given) if given is not None else None
    return tus.receive(upload, at, blocks_of(request), announced=body_length(request), checksum=checksum)


def body_length(request: Request) -> int:
    """Return the length of the body that the request announces; 0 if it announces none, or has no body."""
    length = request.META.get("CONTENT_LENGTH") or ""
    return int(length) if length.isdecimal() else 0


def blocks_of(request: Request) -> Iterator[bytes]:
    """Return the blocks of the body as they come. If the body breaks off, the blocks that have come count."""
    while True:
        try:
            block = request._request.read(tus.BLOCK_BYTES)
        except UnreadablePostError:
            return
        if not block:
            return
        yield block


def has_part(request: Request) -> bool:
    return request.content_type.partition(";")[0].strip().lower() == PART_TYPE


def headers_of(upload: ResumableUpload, offset: int) -> dict[str, str]:
    """Return the headers that every answer about an upload has."""
    found = {"Upload-Offset": str(offset), "Upload-Expires": expires(upload.expires_at)}
    if upload.session_id is not None:
        found["Upload-Session"] = str(upload.session_id)
    if upload.job_id is not None:
        found["Upload-Job"] = str(upload.job_id)
    return found


class TusUploadsView(TusView):
    def get_throttles(self) -> list[BaseThrottle]:
        if self.request.method == "POST":
            return [throttle() for throttle in UploadView.throttle_classes]
        return super().get_throttles()

    @extend_schema(
        operation_id="uploads_tus_create",
        summary="Begin a resumable upload",
        description=(
            "Announces a file; its bytes follow with PATCH to the address in `Location`, or the first of "
            "them in this request. `Upload-Metadata` takes the same options as `POST /api/uploads/`, and "
            "`filename`; they are checked at once. See https://tus.io/protocols/resumable-upload."
        ),
        parameters=[
            TUS_RESUMABLE,
            header("Upload-Length", required=True, description="Of the whole file, in bytes."),
            header("Upload-Metadata", description="`name BASE64,name BASE64`"),
            CHECKSUM,
        ],
        request={PART_TYPE: OpenApiTypes.BINARY},
        responses={201: OpenApiResponse(description="Location, Upload-Offset, Upload-Expires")}
        | dict.fromkeys((400, 412, 413, 415, 422, 429, 507), ErrorOutput),
    )
    def post(self, request: Request) -> Response:
        for name in ("Upload-Defer-Length", "Upload-Concat"):
            if name in request.headers:
                raise Unsupported(f"{name} cannot be used here. Send a whole file of known length.")
        if body_length(request) and not has_part(request):
            raise NotAPart
        length = number(request.headers, "Upload-Length")
        metadata = request.headers.get("Upload-Metadata", "")
        owner = person(request)
        Wanted(metadata, owner)
        upload = tus.create(owner, length=length, metadata=metadata)
        offset = 0
        if has_part(request) or not length:
            try:
                offset = receive(request, upload, 0)
                if offset < body_length(request):
                    raise IncompleteBody
            except BaseException:
                # The client does not get the answer with the address of the upload, so it cannot go on.
                tus.remove(upload)
                raise
        return Response(
            status=201,
            headers={"Location": reverse("tus-upload", args=[upload.pk]), **headers_of(upload, offset)},
        )


class TusUploadView(TusView):
    def upload(self, pk: str) -> ResumableUpload:
        return get_object_or_404(person(self.request).resumable_uploads.select_related("owner"), pk=pk)

    def head(self, request: Request, pk: str) -> Response:
        """Where the upload goes on. A request that is adding to it at the moment is stopped."""
        upload = self.upload(pk)
        offset = upload.length if upload.is_done else tus.offset(upload)
        found = headers_of(upload, offset) | {"Upload-Length": str(upload.length)}
        if upload.metadata:
            found["Upload-Metadata"] = upload.metadata
        return Response(headers=found)

    @extend_schema(
        operation_id="uploads_tus_append",
        summary="Send the next part of a resumable upload",
        description=(
            "Of any length, best all that is left. What has come of a request that breaks off is kept, "
            "unless it has an Upload-Checksum; HEAD answers with the Upload-Offset to go on from. The answer "
            "to the last part names the session and the job, and so does HEAD from then on."
        ),
        parameters=[
            TUS_RESUMABLE,
            header("Upload-Offset", required=True, description="Where it goes on, in bytes."),
            CHECKSUM,
        ],
        request={PART_TYPE: OpenApiTypes.BINARY},
        responses={
            204: OpenApiResponse(
                description="Upload-Offset, Upload-Expires; Upload-Session and Upload-Job at the end."
            )
        }
        | dict.fromkeys((400, 404, 409, 412, 413, 415, 422, 429, 460, 507), ErrorOutput),
    )
    def patch(self, request: Request, pk: str) -> Response:
        upload = self.upload(pk)
        if not has_part(request):
            raise NotAPart
        at = number(request.headers, "Upload-Offset")
        if not upload.is_done:
            offset = receive(request, upload, at)
        elif at == upload.length:
            offset = at
        else:
            raise tus.OffsetConflict
        return Response(status=204, headers=headers_of(upload, offset))

    @extend_schema(
        operation_id="uploads_tus_destroy",
        summary="Give a resumable upload up",
        description="What has come of it is removed. The recording of one that is done stays.",
        parameters=[TUS_RESUMABLE],
        responses={204: None, 404: ErrorOutput, 412: ErrorOutput},
    )
    def delete(self, request: Request, pk: str) -> Response:
        tus.remove(self.upload(pk))
        return Response(status=204)
