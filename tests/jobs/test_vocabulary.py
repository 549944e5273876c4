"""A person's corrections and target words, applied to what the engine said."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs_app.models import ChunkTranscription, JobStatus, Segment, TranscriptionJob
from jobs_app.vocabulary import apply_again, vocabulary_of
from jobs_app.vocabulary_models import Correction, TargetList
from speech.types import SpeechSegment, Word
from tests.site.samples import completed_job, make_job

pytestmark = pytest.mark.django_db


def correct(owner, from_text: str, to_text: str) -> Correction:
    return Correction.objects.create(owner=owner, from_text=from_text, to_text=to_text)


def count(owner, *words: str, name: str = "Words") -> TargetList:
    return TargetList.objects.create(owner=owner, name=name, words=list(words))


def stored(job: TranscriptionJob) -> list:
    """All that correcting may change."""
    return [
        *TranscriptionJob.objects.filter(pk=job.pk).values(),
        *ChunkTranscription.objects.filter(job=job).values(),
        *Segment.objects.filter(job=job).order_by("number").values(),
    ]


# --- Loading and applying ------------------------------------------------------------------------


def test_the_lists_of_one_person_are_loaded_in_two_queries(alice, bob, django_assert_num_queries):
    correct(alice, "open ai", "OpenAI")
    correct(bob, "radio", "wireless")
    count(alice, "Radio", "OpenAI", name="A")
    count(alice, "OpenAI", "tea", name="B")
    count(bob, "Bob's", name="A")
    with django_assert_num_queries(2):
        mine = vocabulary_of(alice.pk)
    assert mine.targets == ("Radio", "OpenAI", "tea")
    assert mine.correct(SpeechSegment(0, 1, "An open AI radio")).text == "An OpenAI radio"
    assert mine.count("An OpenAI radio") == {"Radio": 1, "OpenAI": 1, "tea": 0}


def test_without_target_words_every_word_is_counted(alice):
    count(alice, name="Empty")
    assert vocabulary_of(alice.pk).count("Tea or tea") == {"tea": 2, "or": 1}


def test_the_columns_of_a_segment_keep_what_the_engine_said(alice):
    correct(alice, "open ai", "OpenAI")
    said = SpeechSegment(0, 300, "Open AI", 0.5, (Word(0, 100, "Open", 0.5), Word(100, 300, "AI", 0.7)))
    raw_words = [
        {"start_ms": 0, "end_ms": 100, "word": "Open", "confidence": 0.5},
        {"start_ms": 100, "end_ms": 300, "word": "AI", "confidence": 0.7},
    ]
    mine = vocabulary_of(alice.pk)
    assert mine.segment_columns(said) == {
        "raw_text": "Open AI",
        "text": "OpenAI",
        "raw_words": raw_words,
        "words": [{"start_ms": 0, "end_ms": 300, "word": "OpenAI", "confidence": 0.5}],
    }
    Correction.objects.all().delete()
    assert vocabulary_of(alice.pk).segment_columns(said) == {
        "raw_text": "Open AI",
        "text": "Open AI",
        "raw_words": [],
        "words": raw_words,
    }


# --- Again, on an old transcript -----------------------------------------------------------------


def test_an_old_transcript_is_corrected_and_counted(alice):
    # As rows are from before there were corrections: without raw text.
    job = completed_job(alice, sentences=("An open ai radio.", "The radio hums."))
    correct(alice, "open ai", "OpenAI")
    count(alice, "radio", "openai", "hums an")

    assert apply_again(job.pk)

    job.refresh_from_db()
    window = job.chunktranscriptions.get()
    first, second = job.segments.order_by("number")
    assert job.transcript == window.corrected_text == "An OpenAI radio. The radio hums."
    assert job.raw_text == window.raw_text == "An open ai radio. The radio hums."
    assert job.word_counts == window.word_counts == {"radio": 2, "openai": 1, "hums an": 0}
    assert (job.total_words, job.total_segments) == (6, 2)
    assert (first.raw_text, first.text) == ("An open ai radio.", "An OpenAI radio.")
    assert [word["word"] for word in first.words] == ["An", "OpenAI", "radio."]
    assert [word["word"] for word in first.raw_words] == ["An", "open", "ai", "radio."]
    assert (first.words[0], first.words[-1]) == (first.raw_words[0], first.raw_words[-1])
    assert (second.raw_text, second.text, second.raw_words) == ("The radio hums.", "The radio hums.", [])


def test_applying_twice_changes_nothing(alice):
    job = completed_job(alice)
    correct(alice, "radio", "radio radio")
    correct(alice, "old", "")
    assert apply_again(job.pk)
    once = stored(job)
    assert apply_again(job.pk)
    assert stored(job) == once


def test_without_the_corrections_the_raw_text_and_words_come_back(alice):
    job = completed_job(alice)
    assert apply_again(job.pk)
    before = stored(job)
    for sentence in ("Today we repair an old radio.", "Good morning", "the capacitors"):
        correct(alice, sentence, "")
    assert apply_again(job.pk)
    job.refresh_from_db()
    assert job.transcript == "And welcome to the workshop. Are the first thing to look at."
    assert job.segments.filter(text="").count() == 1
    Correction.objects.all().delete()
    assert apply_again(job.pk)
    assert stored(job) == before


def test_a_phrase_over_a_seam_counts_in_the_job(alice):
    job = completed_job(alice, sentences=("We flew to New",))
    window = job.chunktranscriptions.get()
    late = ChunkTranscription.objects.get(pk=window.pk)
    late.pk, late.number, late.raw_text = None, 1, "York today"
    late.start_ms, late.end_ms = window.end_ms, window.end_ms + 1000
    late.save()
    Segment.objects.create(
        job=job, window=late, number=0, start_ms=late.start_ms, end_ms=late.end_ms, text="York today"
    )
    count(alice, "New York")
    assert apply_again(job.pk)
    job.refresh_from_db()
    assert job.word_counts == {"New York": 1}
    assert [w.word_counts for w in job.chunktranscriptions.order_by("number")] == [{"New York": 0}] * 2
    assert job.transcript == "We flew to New York today"


def test_only_the_owners_lists_are_applied(alice, bob):
    job = completed_job(alice)
    correct(bob, "radio", "television")
    apply_again(job.pk)
    job.refresh_from_db()
    assert "radio" in job.transcript


@pytest.mark.parametrize("status", [s for s in JobStatus if s != JobStatus.COMPLETED])
def test_a_job_without_a_transcript_is_left_alone(alice, status):
    job = make_job(alice, status=status, transcript="radio")
    correct(alice, "radio", "television")
    before = stored(job)
    assert not apply_again(job.pk)
    assert stored(job) == before


def test_segments_are_stored_many_at_once(alice):
    def queries(n: int) -> int:
        job = completed_job(alice, sentences=("An old radio.",) * n)
        with CaptureQueriesContext(connection) as seen:
            apply_again(job.pk)
        return len(seen)

    correct(alice, "radio", "wireless")
    assert queries(400) < queries(4) + 10
