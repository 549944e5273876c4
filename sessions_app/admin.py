"""Staff see recordings and their owners here. Deleting one takes its audio with it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import rest_framework.authtoken.admin  # noqa: F401  it registers what is taken out below
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.db.models import F, Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.utils.safestring import SafeString
from rest_framework.authtoken.models import Token, TokenProxy

from jobs_app.admin_filters import AudioLength
from jobs_app.models import TranscriptionJob
from jobs_app.read_only import (
    NOTHING,
    ROWS_ON_DETAIL_PAGE,
    CountedDeletion,
    ReadOnlyAdmin,
    SturdyAdmin,
    admin_link,
    badge,
    count,
    length,
)
from sessions_app import tus
from sessions_app.intake import delete_session
from sessions_app.models import AudioChunk, RecordingSession, ResumableUpload, SessionState
from sessions_app.tus_files import part_path
from sessions_app.tus_protocol import parse_metadata

User = get_user_model()


class State(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return SessionState.choices

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.in_state(self.value()) if self.value() in SessionState.values else queryset


def owned_by(sessions: QuerySet) -> dict[str, int]:
    """How many rows go with `sessions`, for the page that asks whether to delete them."""
    return {
        "audio chunks, with their files": AudioChunk.objects.filter(session__in=sessions).count(),
        "jobs, with their transcripts": TranscriptionJob.objects.filter(session__in=sessions).count(),
    }


@admin.register(RecordingSession)
class RecordingSessionAdmin(CountedDeletion, ReadOnlyAdmin):
    deletable = True
    list_display = (
        "recording",
        "show_state",
        "owner",
        "source",
        "audio",
        "chunks",
        "started_at",
        "finished_at",
    )
    list_filter = (State, "source", ("owner", admin.RelatedOnlyFieldListFilter), "started_at")
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
        "chunks",
        "started_at",
        "finished_at",
    )
    change_form_template = "admin/sessions_app/recordingsession/change_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).with_summary().select_related("owner")

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

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        session = context["original"]
        jobs = session.jobs.defer("raw_text", "transcript", "word_counts", "decode_report")
        context |= {
            "jobs": [
                (admin_link(job, f"{job.engine} · {job.model}"), badge(job.status), job) for job in jobs
            ],
            "chunks": [_as_row(chunk) for chunk in session.chunks.all()[:ROWS_ON_DETAIL_PAGE]],
            "rows_shown": ROWS_ON_DETAIL_PAGE,
        }
        return super().render_change_form(request, context, *args, **kwargs)

    def goes_too(self, objs: Iterable[Model]) -> dict[str, int]:
        return owned_by(RecordingSession.objects.filter(pk__in=[session.pk for session in objs]))

    def delete_model(self, request: HttpRequest, obj: RecordingSession) -> None:
        delete_session(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet) -> None:
        for session in list(queryset):
            delete_session(session)


def _as_row(chunk: AudioChunk) -> dict[str, Any]:
    """What the page of a recording says of one chunk."""
    return {
        "link": admin_link(chunk, f"chunk {chunk.number}"),
        "filename": chunk.filename,
        "format": f"{chunk.container} · {chunk.codec}" if chunk.codec else chunk.container,
        "audio": length(chunk.duration_ms),
        "size": filesizeformat(chunk.size_bytes),
        "received_at": chunk.received_at,
    }


@admin.register(AudioChunk)
class AudioChunkAdmin(ReadOnlyAdmin):
    list_display = ("number", "recording", "filename", "container", "codec", "audio", "size", "received_at")
    list_filter = ("container", AudioLength, "received_at")
    search_fields = ("session__id", "session__title", "filename", "sha256")
    search_help_text = "Recording, file name, sha256 or the recording's id"
    ordering = ("-received_at",)
    # `stored_as`: audio has no public address, so the field itself would show a dead link.
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

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).select_related("session")

    @admin.display()
    def recording(self, chunk: AudioChunk) -> SafeString:
        return admin_link(chunk.session, str(chunk.session))

    @admin.display()
    def stored_as(self, chunk: AudioChunk) -> str:
        return chunk.file.name

    @admin.display(ordering="duration_ms")
    def audio(self, chunk: AudioChunk) -> str:
        return length(chunk.duration_ms)

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

    def get_queryset(self, request: HttpRequest) -> QuerySet:
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


# --- People ------------------------------------------------------------------------------------------

admin.site.unregister([User, Group])
# Its pages would show every token, which is as good as a password.
admin.site.unregister(TokenProxy)


@admin.register(Group)
class TeamAdmin(SturdyAdmin, GroupAdmin):
    """Django's own."""


@admin.register(User)
class OwnerAdmin(CountedDeletion, SturdyAdmin, UserAdmin):
    """Deleting a person deletes what they recorded, so only superusers may."""

    list_display = (*UserAdmin.list_display, "is_active", "last_login", "api_token_since")
    actions = ("revoke_api_tokens",)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).annotate(token_created_at=F("auth_token__created"))

    @admin.display(description="API token since", ordering="token_created_at")
    def api_token_since(self, user: Model) -> datetime | None:
        return user.token_created_at

    @admin.action(description="Revoke the API tokens of the selected users", permissions=["change"])
    def revoke_api_tokens(self, request: HttpRequest, queryset: QuerySet) -> None:
        with_token = list(queryset.filter(auth_token__isnull=False))
        Token.objects.filter(user__in=with_token).delete()
        for user in with_token:
            self.log_change(request, user, "API token revoked")
        revoked = count(len(with_token), "API token")
        self.message_user(request, f"{revoked} revoked.", messages.SUCCESS)
        if without := queryset.count() - len(with_token):
            self.message_user(request, f"{without} skipped: there was no token.", messages.WARNING)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.is_superuser

    def goes_too(self, objs: Iterable[Model]) -> dict[str, int]:
        sessions = RecordingSession.objects.filter(owner__in=[user.pk for user in objs])
        return {"recordings": sessions.count()} | owned_by(sessions)

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        for session in obj.recording_sessions.all():
            delete_session(session)
        for upload in obj.resumable_uploads.all():
            tus.remove(upload)
        obj.delete()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet) -> None:
        for user in list(queryset):
            self.delete_model(request, user)
