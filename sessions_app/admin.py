"""The admin pages of recordings, chunks and resumable uploads. A recording is deleted with its audio."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from jobs_app.admin.filters import audio_length
from people_app.staff.badges import NOTHING, admin_link, badge, length
from people_app.staff.read_only import ROWS_ON_DETAIL_PAGE, CountedDeletion, OfOwners, ReadOnlyAdmin
from sessions_app.arrival.intake import delete_session
from sessions_app.belongings import owned_by
from sessions_app.models import (
    AudioChunk,
    AudioChunkQuerySet,
    RecordingSession,
    RecordingSessionQuerySet,
    ResumableUpload,
    SessionState,
)
from sessions_app.tus.files import part_path
from sessions_app.tus.protocol import parse_metadata


class State(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return SessionState.choices

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[RecordingSession]
    ) -> QuerySet[RecordingSession]:
        state = self.value()
        if state not in SessionState.values:
            return queryset
        return cast(RecordingSessionQuerySet, queryset).in_state(str(state))


@admin.register(RecordingSession)
class RecordingSessionAdmin(OfOwners, CountedDeletion):
    deletable = True
    list_display = (
        "recording",
        "show_state",
        "owner_alone",
        "source",
        "audio",
        "chunks",
        "started_at",
        "finished_at",
    )
    list_filter = (State, "source", "started_at")
    search_fields = ("id", "title", "owner__username", "chunks__filename")
    search_help_text = "Title, file name, owner or id"
    ordering = ("-started_at",)
    fields = (
        "id",
        "title",
        "owner_link",
        "source",
        "show_state",
        "audio",
        "sound_links",
        "chunks",
        "started_at",
        "finished_at",
    )
    change_form_template = "admin/sessions_app/recordingsession/change_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[RecordingSession]:
        rows = cast(RecordingSessionQuerySet, super().get_queryset(request))
        return rows.with_summary().select_related("owner")

    @admin.display(ordering="title")
    def recording(self, session: RecordingSession) -> str:
        return str(session)

    @admin.display(description="state")
    def show_state(self, session: RecordingSession) -> SafeString:
        return badge(session.state)

    @admin.display(ordering="total_ms")
    def audio(self, session: RecordingSession) -> str:
        return length(session.total_ms)

    @admin.display(ordering="n_chunks")
    def chunks(self, session: RecordingSession) -> int:
        return session.n_chunks or 0

    @admin.display(description="owner")
    def owner_link(self, session: RecordingSession) -> SafeString:
        return admin_link(session.owner, session.owner.get_username())

    @admin.display(description="sound")
    def sound_links(self, session: RecordingSession) -> SafeString | str:
        """Return links to the sound tracks. There are several if jobs transcribe different audio tracks."""
        links = [
            (admin_link(sound, f"audio track {sound.audio_track}"),)
            for sound in session.sound_tracks.order_by("pk")
        ]
        return format_html_join(", ", "{}", links) or NOTHING

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        session = context["original"]
        jobs = session.jobs.all()
        context |= {
            "jobs": [
                (admin_link(job, f"{job.engine} · {job.model}"), badge(job.status), job) for job in jobs
            ],
            "chunks": [_as_row(chunk) for chunk in session.chunks.with_length()[:ROWS_ON_DETAIL_PAGE]],
            "rows_shown": ROWS_ON_DETAIL_PAGE,
        }
        return super().render_change_form(request, context, *args, **kwargs)

    def goes_too(self, objs: Iterable[Model]) -> dict[str, int]:
        return owned_by(RecordingSession.objects.filter(pk__in=[session.pk for session in objs]))

    def delete_model(self, request: HttpRequest, obj: RecordingSession) -> None:
        delete_session(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[RecordingSession]) -> None:
        for session in list(queryset):
            delete_session(session)


def _as_row(chunk: AudioChunk) -> dict[str, object]:
    """Return what the page of a recording shows about one chunk."""
    return {
        "link": admin_link(chunk, f"chunk {chunk.number}"),
        "filename": chunk.filename,
        "format": f"{chunk.container} · {chunk.codec}" if chunk.codec else chunk.container,
        "audio": length(chunk.length_ms),
        "size": filesizeformat(chunk.size_bytes),
        "received_at": chunk.received_at,
    }


@admin.register(AudioChunk)
class AudioChunkAdmin(ReadOnlyAdmin):
    list_display = ("number", "recording", "filename", "container", "codec", "audio", "size", "received_at")
    list_filter = ("container", audio_length("length_ms"), "received_at")
    search_fields = ("session__id", "session__title", "filename", "sha256")
    search_help_text = "Recording, file name, sha256 or the recording's id"
    ordering = ("-received_at",)
    # Audio has no public address, so the field itself would show a dead link. `stored_as` shows the path.
    fields = (
        "recording",
        "number",
        "filename",
        "stored_as",
        "container",
        "codec",
        "audio",
        "size",
        "sha256",
        "received_at",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[AudioChunk]:
        rows = cast(AudioChunkQuerySet, super().get_queryset(request))
        return rows.with_length().select_related("session")

    @admin.display()
    def recording(self, chunk: AudioChunk) -> SafeString:
        return admin_link(chunk.session, str(chunk.session))

    @admin.display()
    def stored_as(self, chunk: AudioChunk) -> str:
        return str(chunk.file)

    @admin.display(ordering="length_ms")
    def audio(self, chunk: AudioChunk) -> str:
        return length(chunk.length_ms)

    @admin.display(ordering="size_bytes")
    def size(self, chunk: AudioChunk) -> str:
        return filesizeformat(chunk.size_bytes)


@admin.register(ResumableUpload)
class ResumableUploadAdmin(ReadOnlyAdmin):
    list_display = ("filename", "owner", "size", "received", "created_at", "last_part_at", "recording")
    list_filter = (("session", admin.EmptyFieldListFilter), "created_at")
    search_fields = ("id", "owner__username")
    search_help_text = "Owner or id"
    ordering = ("-created_at",)
    fields = ("id", *list_display)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ResumableUpload]:
        return super().get_queryset(request).select_related("owner", "session")

    @admin.display(description="file name")
    def filename(self, upload: ResumableUpload) -> str:
        return parse_metadata(upload.metadata).get("filename") or str(upload.pk)

    @admin.display(ordering="length")
    def size(self, upload: ResumableUpload) -> str:
        return filesizeformat(upload.length)

    @admin.display()
    def received(self, upload: ResumableUpload) -> str:
        if upload.is_done:
            return filesizeformat(upload.length)
        part = part_path(upload.pk)
        return filesizeformat(part.stat().st_size) if part.exists() else NOTHING

    @admin.display()
    def recording(self, upload: ResumableUpload) -> str:
        return admin_link(upload.session, str(upload.session)) if upload.session else NOTHING
