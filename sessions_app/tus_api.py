"""REST: uploads that go on after a break, by the protocol tus 1.0.0."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

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

from jobs_app.api_errors import Problem
from jobs_app.serializers import ErrorOutput
from sessions_app import tus
from sessions_app.api import UploadView
from sessions_app.chunk_api import ChunkThrottle
from sessions_app.models import ResumableUpload
from sessions_app.tus_protocol import (
    CHECKSUM_ALGORITHMS,
    EXTENSIONS,
    PART_TYPE,
    TUS_VERSION,
    Checksum,
    Wanted,
    expires,
    number,
)
from sessions_app.upload_handler import UploadRefused

METHODS = ("OPTIONS", "POST", "HEAD", "PATCH", "DELETE")


def header(name: str, *, required: bool = False, description: str = "") -> OpenApiParameter:
    return OpenApiParameter(
        name, str, OpenApiParameter.HEADER, required=required, description=description or None
    )


TUS_RESUMABLE = header("Tus-Resumable", required=True, description=TUS_VERSION)
CHECKSUM = header(
    "Upload-Checksum", description=f"Of this part: {', '.join(CHECKSUM_ALGORITHMS)}, a space, and base64."
)


def can_do() -> HttpResponse:
    """The answer to OPTIONS, for everybody."""
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
    """Of no body, whatever its type: the views read it themselves.

    Django looks for its CSRF token in the body of every POST before it looks into the header.
    """

    media_type = "*/*"

    def parse(self, *args: Any, **kwargs: Any) -> dict[str, str]:
        return {}


class TusView(APIView):
    """What holds for all requests of the protocol."""

    parser_classes = [Unread]
    # The throttle of chunks: a client that goes on after every break is not too many requests.
    throttle_classes = [ChunkThrottle]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        # For clients, or proxies between, that know neither PATCH nor DELETE.
        instead = request.headers.get("X-HTTP-Method-Override", "").upper()
        if instead in METHODS:
            request.method = instead
        if request.method == "OPTIONS":
            return can_do()
        return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.headers.get("Tus-Resumable") != TUS_VERSION:
            raise Problem(
                412,
                "unsupported_tus_version",
                f"Send the header Tus-Resumable: {TUS_VERSION}, the version of tus that is spoken here.",
            )

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, UploadRefused):
            exc = Problem(exc.status, exc.code, str(exc))
        return super().handle_exception(exc)

    def finalize_response(
        self, request: Request, response: HttpResponseBase, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        response["Tus-Resumable"] = TUS_VERSION
        response["Cache-Control"] = "no-store"
        if response.status_code == 412:
            response["Tus-Version"] = TUS_VERSION
        return super().finalize_response(request, response, *args, **kwargs)


def receive(request: Request, upload: ResumableUpload, at: int) -> int:
    """Add the body of `request` to `upload`; the new offset."""
    given = request.headers.get("Upload-Checksum")
    checksum = Checksum(given) if given is not None else None
    return tus.receive(upload, at, blocks_of(request), announced=body_length(request), checksum=checksum)


def body_length(request: Request) -> int:
    """As announced; 0: not announced, or there is no body."""
    length = request.META.get("CONTENT_LENGTH") or ""
    return int(length) if length.isdecimal() else 0


def blocks_of(request: Request) -> Iterator[bytes]:
    """The body as it comes. One that breaks off just ends: what has come of it counts."""
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


def not_a_part() -> Problem:
    return Problem(415, "unsupported_media_type", f"Send parts with the Content-Type {PART_TYPE}.")


def headers_of(upload: ResumableUpload, offset: int) -> dict[str, str]:
    """What every answer says of an upload."""
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
                raise Problem(
                    400, "not_supported", f"{name} cannot be used here. Send a whole file of known length."
                )
        if body_length(request) and not has_part(request):
            raise not_a_part()
        length = number(request.headers, "Upload-Length")
        metadata = request.headers.get("Upload-Metadata", "")
        Wanted(metadata)
        upload = tus.create(request.user, length=length, metadata=metadata)
        offset = 0
        if has_part(request) or not length:
            try:
                offset = receive(request, upload, 0)
                if offset < body_length(request):
                    raise Problem(400, "incomplete_body", "The request broke off. Begin the upload again.")
            except BaseException:
                # Its address is in an answer that the client does not get.
                tus.remove(upload)
                raise
        return Response(
            status=201,
            headers={"Location": reverse("tus-upload", args=[upload.pk]), **headers_of(upload, offset)},
        )


class TusUploadView(TusView):
    def upload(self, pk: str) -> ResumableUpload:
        return get_object_or_404(self.request.user.resumable_uploads.select_related("owner"), pk=pk)

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
            raise not_a_part()
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
