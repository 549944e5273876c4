"""Write values as pages show them."""

from __future__ import annotations

from django import template
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe

from jobs_app.engines.language_names import language_name
from jobs_app.models import JOB_ACTIVE, JobStage, JobStatus, TranscriptionJob
from speech.transcript_warnings import heard_tracks as tracks_sentence

register = template.Library()

# Each status has a badge with a word and an icon, because many people cannot tell colours apart.
BADGES = {
    JobStatus.PENDING: ("Waiting", "clock"),
    JobStatus.PROCESSING: ("In progress", "spinner"),
    JobStatus.COMPLETED: ("Done", "check"),
    JobStatus.FAILED: ("Failed", "alert"),
    JobStatus.CANCELLED: ("Cancelled", "slash"),
}

STAGES = {
    JobStage.WAITING: "Waiting for a worker",
    JobStage.PREPARING: "Reading the audio",
    JobStage.TRANSCRIBING: "Transcribing",
    JobStage.TRANSLATING: "Translating",
    JobStage.FINISHING: "Putting the transcript together",
    JobStage.ENDED: "Ended",
}

SOURCES = {"upload": "Upload", "recorder": "Recording", "live": "Live", "api": "API"}

register.filter("language", language_name)


@register.filter
def stage(value: str) -> str:
    return STAGES.get(JobStage(value), value)


@register.filter
def source(value: str) -> str:
    return SOURCES.get(value, value)


@register.filter
def clock(ms: int | None) -> str:
    """Write a place in a recording: 0:07, 12:05, 1:02:03."""
    minutes, seconds = divmod((ms or 0) // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


@register.filter
def seconds(ms: int) -> str:
    return f"{ms / 1000:.3f}"


@register.filter
def length_of(ms: int | None) -> str:
    """Write a length of time: 0.4 s, 12 s, 3 min 5 s, 1 h 2 min."""
    ms = ms or 0
    if ms < 10_000:
        return f"{ms / 1000:.1f} s"
    minutes, seconds = divmod(ms // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    if minutes:
        return f"{minutes} min {seconds} s" if seconds else f"{minutes} min"
    return f"{seconds} s"


@register.filter
def time_left(seconds: int | None) -> str:
    """Write an estimate in round numbers, so that it does not change each time the page asks."""
    if seconds is None:
        return ""
    if seconds < 10:
        return "a few seconds left"
    if seconds < 55:
        return f"about {round(seconds, -1)} seconds left"
    if seconds < 90:
        return "about a minute left"
    if seconds < 90 * 60:
        return f"about {round(seconds / 60)} minutes left"
    return f"about {round(seconds / 3600)} hours left"


@register.filter
def percent(part: float | None) -> str:
    return "" if part is None else f"{part:.0%}".replace("%", " %")


@register.filter
def heard_tracks(job: TranscriptionJob) -> str:
    return tracks_sentence(job.sound.report)


@register.filter
def mark(text: str, words: str) -> SafeString:
    """Mark each place in the text where `words` stand, in capitals or small letters."""
    if not words:
        return conditional_escape(text)
    parts, at, low = [], 0, text.lower()
    # Some letters have another length as small letters. Then places in `low` are not the places in `text`,
    # and nothing is marked.
    while len(low) == len(text) and (found := low.find(words.lower(), at)) >= 0:
        end = found + len(words)
        parts.append(format_html("{}<mark>{}</mark>", text[at:found], text[found:end]))
        at = end
    return mark_safe("".join([*parts, conditional_escape(text[at:])]))  # noqa: S308  each part is escaped


@register.inclusion_tag("parts/icon.html")
def icon(name: str) -> dict[str, str]:
    """Show a picture from static/icons.svg. It needs a word beside it, because screen readers skip it."""
    return {"name": name}


@register.inclusion_tag("parts/badge.html")
def badge(job: TranscriptionJob) -> dict[str, object]:
    word, picture = BADGES[JobStatus(job.status)]
    # At first nothing is known: a recording that has just ended is nearly done.
    progress = (job.progress or None) if job.status == JobStatus.PROCESSING else None
    if job.status in JOB_ACTIVE and job.session.finished_at is None:
        word, picture, progress = "Recording", "mic", None
    return {"word": word, "icon_name": picture, "status": job.status, "progress": progress}
