"""The admin pages of sound tracks, with what workers found out about them."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from jobs_app.models import SoundTrack
from people_app.staff.badges import NOTHING, admin_link, length
from people_app.staff.read_only import ReadOnlyAdmin


def what_decoding_met(sound: SoundTrack) -> SafeString | str:
    """Return the report about decoding in lines, without what did not happen."""
    facts = [
        (name.replace("_ms", "").replace("_", " "), length(value) if name.endswith("_ms") else value)
        for name, value in sound.report.items()
        if value and name != "notes"
    ]
    facts += [("note", note) for note in sound.report.get("notes", ())]
    return format_html_join("", "<div>{}: {}</div>", facts) or NOTHING


@admin.register(SoundTrack)
class SoundTrackAdmin(ReadOnlyAdmin):
    list_display = ("recording", "audio_track", "language", "audio", "gap_count", "joined_size")
    # The newest rows come first, as in the index of the primary key.
    ordering = ("-id",)
    search_fields = ("session__id", "session__title")
    search_help_text = "Recording or its id"
    fields = (
        "recording",
        "audio_track",
        "language",
        "audio",
        "gaps_found",
        "decoding",
        "joined_as",
        "joined_size",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).select_related("session")

    @admin.display()
    def recording(self, sound: SoundTrack) -> SafeString:
        return admin_link(sound.session, str(sound.session))

    @admin.display(ordering="duration_ms")
    def audio(self, sound: SoundTrack) -> str:
        return length(sound.duration_ms)

    @admin.display(description="gaps")
    def gap_count(self, sound: SoundTrack) -> int:
        return len(sound.gaps)

    @admin.display(description="gaps")
    def gaps_found(self, sound: SoundTrack) -> SafeString | str:
        gaps = [
            (length(gap["start_ms"]), length(gap["end_ms"]), gap["chunk"], gap["reason"])
            for gap in sound.gaps
        ]
        return format_html_join("", "<div>{} to {}: chunk {} is {}</div>", gaps) or NOTHING

    @admin.display(description="what decoding met")
    def decoding(self, sound: SoundTrack) -> SafeString | str:
        return what_decoding_met(sound)

    @admin.display(description="joined file")
    def joined_as(self, sound: SoundTrack) -> str:
        return sound.joined.name or NOTHING

    @admin.display(description="its size", ordering="joined_bytes")
    def joined_size(self, sound: SoundTrack) -> str:
        return NOTHING if sound.joined_bytes is None else filesizeformat(sound.joined_bytes)
