"""Jobs as rows, in any state and with what they have found, without anything that works on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobs_app.models import JobStatus, SoundTrack, TranscriptionJob
from jobs_app.models.options import JobOptions, all_options
from jobs_app.models.stored_words import encode_words
from jobs_app.models.transcripts import Segment, Transcript, TranscriptText, stored_correction
from speech.types import Word

OF_SOUND = ("duration_ms", "gaps", "report")
OF_TRANSCRIPT = {field.name for field in Transcript._meta.concrete_fields} - {"job"}


def create_job(**columns: Any) -> TranscriptionJob:
    """A job with these columns and options, each of which is put where it is kept.

    Columns of its transcript and of its sound are taken, too. `transcript` is what it reads; without
    `raw_text` nothing was corrected.
    """
    names = [row.name for row in all_options() if row.name in columns]
    options = JobOptions(**{name: columns.pop(name) for name in names})
    of_sound = {name: columns.pop(name) for name in OF_SOUND if name in columns}
    of_job, *found = _by_table(columns)
    session = of_job["session"]
    sound, _ = SoundTrack.objects.update_or_create(
        session=session, audio_track=options.audio_track, defaults=of_sound
    )
    job = TranscriptionJob.objects.create_with(options, owner=session.owner, sound=sound, **of_job)
    _change_transcript(job, *found)
    session.job_started(job)
    if job.status == JobStatus.COMPLETED:
        session.job_completed(job)
    # Without the transcript as it was at first.
    return TranscriptionJob.objects.get(pk=job.pk)


def change_job(job: TranscriptionJob, **columns: Any) -> None:
    """Set columns as `create_job` takes them, but no options, past whatever keeps them right."""
    if of_sound := {name: columns.pop(name) for name in OF_SOUND if name in columns}:
        SoundTrack.objects.filter(pk=job.sound_id).update(**of_sound)
    of_job, *found = _by_table(columns)
    if of_job:
        TranscriptionJob.objects.filter(pk=job.pk).update(**of_job)
    _change_transcript(job, *found)
    job.refresh_from_db()


def create_segment(
    job: TranscriptionJob, *, text: str, words: Sequence[Word] = (), **columns: Any
) -> Segment:
    """The next segment of a job, in which nothing was corrected."""
    number = job.next_segment
    job.next_segment += 1
    job.save(update_fields=["next_segment"])
    said = {"raw_text": text, "raw_words": encode_words(words, text)}
    return Segment.objects.create(job=job, number=number, **said, **columns)


def _by_table(columns: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Of the job, of its transcript, of the texts."""
    of_job, of_transcript, of_texts = {}, {}, {}
    for name, value in columns.items():
        if name in ("raw_text", "word_counts"):
            of_texts[name] = value
        elif name == "transcript":
            of_texts["raw_text"] = columns.get("raw_text", value)
            of_texts["corrected_text"] = stored_correction(value, of_texts["raw_text"])
        else:
            (of_transcript if name in OF_TRANSCRIPT else of_job)[name] = value
    return of_job, of_transcript, of_texts


def _change_transcript(
    job: TranscriptionJob, of_transcript: dict[str, Any], of_texts: dict[str, Any]
) -> None:
    if of_transcript:
        Transcript.objects.filter(job=job).update(**of_transcript)
    if of_texts:
        TranscriptText.objects.filter(transcript=job.pk).update(**of_texts)
