"""Jobs that the engine itself translates, with what was said kept."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobs_app.lifecycle.finishing import finish_window
from jobs_app.lifecycle.laying import lay_translations
from jobs_app.models import JobStatus, Segment, StepKind
from jobs_app.work import guard, unit
from speech import engines
from speech.engines.fake import FakeEngine
from speech.errors import EngineFailed
from speech.types import SpeechSegment, Transcription
from tests.jobs.conftest import take

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def translates(monkeypatch):
    """A fake engine that hears German, and translates each segment of five words into two."""
    monkeypatch.setattr(guard, "TICK_S", 0.02)
    monkeypatch.setattr(engines, "_FAKE", replace(engines._FAKE, translates_to=frozenset({"en"}), live=False))
    asked = []
    transcribe = FakeEngine.transcribe

    def hear(self, samples, options, on_segment=None, on_wait=None):
        asked.append((options.language, options.translate_to))
        heard = transcribe(self, samples, options, on_segment, on_wait)
        if options.translate_to:
            short = [
                SpeechSegment(one.start_ms, one.end_ms, f"a{n} b{n}") for n, one in enumerate(heard.segments)
            ]
            return Transcription(tuple(short), "", None, timing="segments")
        return replace(heard, language=options.language or "de")

    monkeypatch.setattr(FakeEngine, "transcribe", hear)
    return asked


def done(job):
    while unit.do_next():
        pass
    job.refresh_from_db()
    assert job.status == JobStatus.COMPLETED
    return job


def rows(job):
    return list(job.segments.order_by("start_ms", "number"))


def test_what_was_said_is_kept_beside_the_translation_of_a_second_run(alice, new_job, translates):
    job = done(new_job(alice, seconds=9, translate_to="en"))
    assert translates == [("", ""), ("de", "en")]
    assert [row.text for row in rows(job)] == ["w0000 w0001 w0002 w0003 w0004", "w0005 w0006 w0007 w0008"]
    assert [row.translated_text for row in rows(job)] == ["a0 b0", "a1 b1"]
    transcript = job.transcript
    assert (transcript.translation_state, transcript.language) == ("done", "en")
    assert transcript.detected_language == "de"
    assert transcript.texts.text == "a0 b0 a1 b1"
    assert transcript.texts.original.startswith("w0000 w0001")


def test_without_the_original_the_engine_hears_it_once(alice, new_job, translates):
    job = done(new_job(alice, seconds=9, translate_to="en", keep_original=False))
    assert translates == [("", "en")]
    assert [row.text for row in rows(job)] == ["a0 b0", "a1 b1"]
    assert (job.transcript.translation_state, job.transcript.language) == ("", "en")


def test_what_is_said_in_the_wanted_language_is_heard_once(alice, new_job, translates):
    job = done(new_job(alice, seconds=9, translate_to="en", language="en"))
    assert translates == [("en", "")]
    assert (job.transcript.translation_state, job.transcript.language) == ("same", "en")


def test_a_window_is_done_again_as_a_whole_if_its_translation_fails(alice, new_job, monkeypatch, settings):
    settings.RETRY_BACKOFF_S = 0
    hear, failed = FakeEngine.transcribe, []

    def fail_once(self, samples, options, *more, **named):
        if options.translate_to and not failed:
            failed.append(True)
            raise EngineFailed
        return hear(self, samples, options, *more, **named)

    monkeypatch.setattr(FakeEngine, "transcribe", fail_once)
    job = done(new_job(alice, seconds=9, translate_to="en"))
    assert job.windows.get().attempt == 2
    assert job.transcript.texts.text == "a0 b0 a1 b1"


def test_segments_that_are_cut_anew_get_their_own_words(alice, planned_job):
    job = planned_job(alice, n=1, translate_to="en")
    heard = Transcription((SpeechSegment(0, 1000, "Ja. Gut."),), "de", 0.9)
    heard = replace(heard, translation=(SpeechSegment(0, 1000, "Yes. Good."),))
    assert finish_window(take(job.windows.get()), heard)
    first = job.segments.get()
    job.segments.update(end_ms=400, raw_text="Ja.", translated_text=None)
    Segment.objects.create(
        job=job, window=first.window, number=1, start_ms=600, end_ms=1000, raw_text="Gut.", part_of=0
    )
    lay_translations(job.windows.all())
    assert [row.translated_text for row in rows(job)] == ["Yes.", "Good."]


def test_a_segment_whose_words_stand_with_its_neighbours_is_not_read_as_untranslated(alice, planned_job):
    job = planned_job(alice, n=1, translate_to="en")
    said = (SpeechSegment(0, 600, "Ja."), SpeechSegment(600, 1000, "Gut."))
    heard = Transcription(said, "de", 0.9, translation=(SpeechSegment(0, 500, "Yes, good."),))
    assert finish_window(take(job.windows.get()), heard)
    unit.do_unit(take(job.steps.get(kind=StepKind.FINISH)))
    job.refresh_from_db()
    assert [row.translated_text for row in rows(job)] == ["Yes, good.", " "]
    assert job.transcript.texts.text == "Yes, good."
