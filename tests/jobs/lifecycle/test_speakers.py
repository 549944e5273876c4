"""Who speaks: voices are heard with the text or after it, and segments are cut where another one begins."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs_app.lifecycle.carrying import shared_ms
from jobs_app.lifecycle.choices import cancel_job, delete_job
from jobs_app.lifecycle.naming import (
    NoSuchSpeaker,
    ask_for_speakers,
    merge_speakers,
    rename_speaker,
    speakers_step_of,
)
from jobs_app.lifecycle.speakers import measured
from jobs_app.models import (
    JobStatus,
    JobStep,
    Speaker,
    SpeakerTurns,
    StepKind,
    TranscriptionJob,
    WindowVoices,
)
from jobs_app.models.speakers import SpeakerCount
from jobs_app.models.transcripts import Segment
from jobs_app.models.vocabulary import Correction
from jobs_app.work import unit
from jobs_app.work.correcting import apply_again
from rest.refusals import NotReady, WrongState
from sessions_app.models import Edit
from speech.errors import NotSupported
from speech.speakers import Count, Speakers, Turn, Voice
from tests.jobs.voices import IN_TURN, do_all_work, names, said

pytestmark = pytest.mark.django_db


def test_segments_are_cut_where_another_one_speaks(alice, told, voices):
    job = told(alice)
    assert said(job) == IN_TURN
    numbers = list(job.segments.order_by("start_ms").values_list("number", "part_of"))
    assert [number for number, of in numbers if of is None] == [0, 1]
    assert len({number for number, _ in numbers}) == 4
    assert job.segments.get(part_of=0).words[0].start_ms == 3000
    assert [(s.label, s.speaking_ms, s.n_turns) for s in job.speakers.all()] == [
        ("S1", 5000, 2),
        ("S2", 3000, 1),
    ]
    transcript = job.transcript
    assert (transcript.speakers_state, transcript.n_speakers, transcript.total_segments) == ("told", 2, 4)
    assert transcript.text == " ".join(f"w{n:04}" for n in range(8))
    # They were heard with the text, once.
    assert voices.heard == [8000]


def test_people_on_channels_speak_where_their_channel_does(alice, told, voices, monkeypatch):
    by_channel = Speakers((Turn(0, 5000, 0), Turn(5000, 8000, 1)), (), (Voice(), Voice()))
    monkeypatch.setattr("jobs_app.work.timeline.people_on_channels", lambda *args, **kwargs: by_channel)
    monkeypatch.setattr("speech.speakers.with_voices", lambda who, windows: who)
    job = told(alice)
    assert [(one.label, one.speaking_ms) for one in job.speakers.all()] == [("S1", 5000), ("S2", 3000)]
    assert voices.asked == []
    # Somebody knows better: two share a channel.
    told(alice, num_speakers=3)
    assert voices.asked == [Count(exactly=3)]


def test_channels_that_cannot_be_looked_at_cost_nothing(alice, told, monkeypatch):
    def gone(*args, **kwargs):
        raise FileNotFoundError

    monkeypatch.setattr("jobs_app.work.timeline.people_on_channels", gone)
    assert said(told(alice)) == IN_TURN


def test_without_the_option_nothing_is_heard_and_asked(alice, new_job, voices):
    job = new_job(alice, seconds=8)
    with CaptureQueriesContext(connection) as asked:
        do_all_work()
    assert TranscriptionJob.objects.get(pk=job.pk).status == JobStatus.COMPLETED
    assert voices.heard == voices.asked == []
    tables = [model._meta.db_table for model in (WindowVoices, Speaker, SpeakerTurns)]
    # Deleting and joining look for what hangs on a row, which a job without speakers does not do.
    assert not [query["sql"] for query in asked if any(f'"{table}"' in query["sql"] for table in tables)]
    assert not JobStep.objects.filter(kind=StepKind.SPEAKERS).exists()


@pytest.mark.parametrize("where", ["with the text", "afterwards", "for ever"])
def test_a_failure_never_costs_the_text(alice, new_job, voices, monkeypatch, where):
    voices.error = ModuleNotFoundError("no network here")
    job = new_job(alice, seconds=8, diarize=True)
    if where == "with the text":
        # The step tries it again.
        monkeypatch.setattr("jobs_app.work.speakers.hear", lambda *_: None)
        voices.error = None
    elif where == "for ever":
        monkeypatch.setattr("speech.speakers.load_hearing", lambda: 1 / 0)
    do_all_work()
    job.refresh_from_db()
    assert job.status == JobStatus.COMPLETED
    expected = "told" if where == "with the text" else "failed"
    assert job.transcript.speakers_state == expected
    if expected == "failed":
        assert said(job) == [("", "w0000 w0001 w0002 w0003 w0004"), ("", "w0005 w0006 w0007")]
        assert job.steps.get(kind=StepKind.SPEAKERS).error_code == "speakers_failed"


def test_voices_of_another_version_are_heard_anew(alice, told, voices):
    job = told(alice)
    WindowVoices.objects.update(packed=b"of old")
    ask_for_speakers(job.pk, SpeakerCount())
    do_all_work()
    assert voices.heard == [8000, 8000]
    assert said(job) == IN_TURN
    assert speakers_step_of(job) == ""


def test_another_number_of_speakers_joins_and_cuts_anew_and_keeps_names(alice, told, voices):
    job = told(alice)
    rename_speaker(job.pk, "S1", "  Anna  Okafor ")
    numbers = set(job.segments.values_list("number", flat=True))
    voices.every_ms = 4000
    ask_for_speakers(job.pk, SpeakerCount(exactly=2))
    assert speakers_step_of(TranscriptionJob.objects.get(pk=job.pk)) == "waiting"
    do_all_work()
    job.refresh_from_db()
    assert said(job) == [("S1", "w0000 w0001 w0002 w0003"), ("S2", "w0004"), ("S2", "w0005 w0006 w0007")]
    assert names(job) == [("S1", "Anna Okafor"), ("S2", "")]
    assert voices.asked[-1] == Count(exactly=2)
    # The first parts keep their numbers, and no number is used again.
    now = set(job.segments.values_list("number", flat=True))
    assert now & numbers == {0, 1}
    assert job.transcript.total_segments == 3
    assert job.next_segment > max(numbers | now)
    # Heard before, so not again.
    assert voices.heard == [8000]


def test_what_people_edited_is_neither_joined_nor_cut(alice, told, voices):
    job = told(alice)
    part = job.segments.get(part_of=0)
    Edit.objects.create(
        job=job, segment_number=part.number, kind="text", value="Three and four", made_by=alice
    )
    voices.every_ms = 8000
    ask_for_speakers(job.pk, SpeakerCount())
    do_all_work()
    assert said(job) == [("S1", "w0000 w0001 w0002"), ("S1", "w0003 w0004"), ("S1", "w0005 w0006 w0007")]
    assert job.segments.filter(number=part.number).exists()


def test_a_transcript_gets_speakers_afterwards(alice, new_job, voices):
    job = new_job(alice, seconds=8)
    do_all_work()
    ask_for_speakers(job.pk, SpeakerCount(at_most=4))
    do_all_work()
    job.refresh_from_db()
    assert said(job) == IN_TURN
    assert (job.status, job.options.diarize, job.options.max_speakers) == (JobStatus.COMPLETED, True, 4)
    assert voices.asked == [Count(None, None, 4)]


def test_the_number_may_change_while_it_is_worked_on(alice, told, voices, monkeypatch):
    job = told(alice)
    ask_for_speakers(job.pk, SpeakerCount(exactly=2))
    tell_apart = voices.tell_apart

    def meanwhile(windows, count):
        if count.exactly == 2:
            ask_for_speakers(job.pk, SpeakerCount(exactly=1))
        return tell_apart(windows, count)

    monkeypatch.setattr("speech.speakers.tell_apart", meanwhile)
    do_all_work()
    assert [count.exactly for count in voices.asked] == [None, 2, 1]
    assert names(job) == [("S1", "")]


def test_corrections_hold_in_the_parts(alice, told, voices):
    Correction.objects.create(owner=alice, from_text="w0003", to_text="three")
    job = told(alice)
    assert said(job)[1] == ("S2", "three w0004")
    assert job.transcript.text.split()[3] == "three"
    Correction.objects.create(owner=alice, from_text="w0006", to_text="six")
    apply_again(job.pk)
    ask_for_speakers(job.pk, SpeakerCount(exactly=1))
    do_all_work()
    assert said(job) == [("S1", "w0000 w0001 w0002 three w0004"), ("S1", "w0005 six w0007")]


def test_speakers_are_merged_and_taken_apart_again(alice, told):
    job = told(alice)
    rename_speaker(job.pk, "S2", "Ben")
    merge_speakers(job.pk, "S1", into="S2")
    one = job.speakers.get(label="S2")
    assert (one.speaking_ms, one.n_turns, one.name) == (8000, 1, "Ben")
    assert job.speakers.get(label="S1").merged_into == one
    assert TranscriptionJob.objects.get(pk=job.pk).transcript.n_speakers == 1
    # The segments stay, so that this can be taken back.
    assert said(job) == IN_TURN
    merge_speakers(job.pk, "S2", into="S1")
    merge_speakers(job.pk, "S1", into=None)
    assert [s.speaking_ms for s in job.speakers.all()] == [5000, 3000]


def test_what_cannot_be_said_of_speakers(alice, told, new_job):
    job = told(alice)
    with pytest.raises(NoSuchSpeaker):
        rename_speaker(job.pk, "S9", "Nobody")
    with pytest.raises(NoSuchSpeaker):
        merge_speakers(job.pk, "S1", into="S9")
    with pytest.raises(NotSupported):
        ask_for_speakers(job.pk, SpeakerCount(at_least=3, at_most=2))
    other = new_job(alice, seconds=1)
    with pytest.raises(NotReady):
        rename_speaker(other.pk, "S1", "Anna")
    with pytest.raises(WrongState):
        ask_for_speakers(other.pk, SpeakerCount())


def test_names_that_were_asked_for_go_by_who_speaks_first(alice, told):
    assert names(told(alice, speaker_names="Anna, Ben, Cleo")) == [("S1", "Anna"), ("S2", "Ben")]


def test_hard_voices_are_said_to_be_so(alice, told, voices):
    voices.hard = True
    assert told(alice).transcript.speakers_state == "unsure"


@pytest.mark.parametrize("how", ["job", "session", "person"])
def test_voices_go_with_what_they_are_of(alice, told, how):
    from people_app.deletion import delete
    from sessions_app.arrival.intake import delete_session

    job = told(alice)
    assert WindowVoices.objects.count() == 1
    {
        "job": lambda: delete_job(job.pk),
        "session": lambda: delete_session(job.session),
        "person": lambda: delete(alice),
    }[how]()
    for model in (WindowVoices, Speaker, SpeakerTurns, Segment):
        assert not model.objects.exists()


def test_a_cancelled_job_hears_no_more(alice, new_job, voices):
    job = new_job(alice, seconds=8, diarize=True)
    assert unit.do_next()
    cancel_job(job.pk)
    do_all_work()
    assert voices.heard == []
    assert TranscriptionJob.objects.get(pk=job.pk).status == JobStatus.CANCELLED


def test_what_is_heard_live_gets_its_voices_while_it_is_spoken(alice, new_speaker, host, voices, settings):
    settings.LIVE_BATCH_S, settings.LIVE_BATCH_FINALS, settings.LIVE_REFINE = 5, 1, False
    speaker = new_speaker(alice, diarize=True).open()
    for _ in range(3):
        speaker.say(20)
        host.run(6)
        speaker.cut_chunk()
        do_all_work()
    spoken = speaker.now()
    assert (spoken.status, spoken.stage) == (JobStatus.PROCESSING, "transcribing")
    heard_before = sum(voices.heard)
    assert heard_before >= 30_000
    assert voices.asked == []
    speaker.stop()
    host.run(6)
    do_all_work()
    job = speaker.now()
    assert (job.status, job.transcript.speakers_state) == (JobStatus.COMPLETED, "told")
    assert sum(voices.heard) <= 60_000
    assert len(voices.asked) == 1


def test_turns_are_measured_without_counting_anything_twice():
    turns = [(0, 10, "S1"), (5, 20, "S2"), (20, 30, "S1"), (30, 40, "S1")]
    assert measured(turns, {"S1": "S1", "S2": "S2"}) == ({"S1": 30, "S2": 15}, {"S1": 2, "S2": 1})
    assert measured(turns, {"S1": "S1", "S2": "S1"}) == ({"S1": 40}, {"S1": 1})


def test_shared_time():
    before = [(0, 100, "S1"), (10, 20, "S2"), (200, 300, "S1")]
    assert shared_ms(before, [(15, 250, "S2")]) == {("S1", "S2"): 135, ("S2", "S2"): 5}
