"""A transcript that the translator has translated, but for one segment."""

from __future__ import annotations

from jobs_app.models.transcripts import Segment, TranscriptText

GERMAN = ["Guten Morgen.", "Wie geht es?", "Tschüss."]
ENGLISH = ["Good morning.", "How are you?", ""]
READ = "Good morning. How are you? Tschüss."


def translated_job(alice, new_job, add_segments):
    """A job of three segments, of which the last could not be translated."""
    job = new_job(
        alice,
        duration_ms=9000,
        detected_language="de",
        timing="words",
        translate_to="en",
        translator="small",
        translation_state="partly",
        n_untranslated=1,
        total_segments=3,
        transcript=" ".join(GERMAN),
    )
    add_segments(job, *((at * 2000, text, "A") for at, text in enumerate(GERMAN)))
    for german, english in zip(GERMAN, ENGLISH, strict=True):
        Segment.objects.filter(raw_text=german).update(translated_text=english)
    TranscriptText.objects.filter(transcript=job.pk).update(translated_text=READ)
    return job
