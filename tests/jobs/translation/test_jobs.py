"""Jobs that a scripted chat model translates, done as the workers do them."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest
from django.db import transaction

from jobs_app.lifecycle.choices import cancel_job
from jobs_app.lifecycle.untranslated import begin_translation
from jobs_app.models import JobStage, JobStatus, JobStep, ProviderState, StepKind, TargetList, WorkStatus
from jobs_app.models.work import ChunkTranscription
from jobs_app.work import guard, translation, unit
from jobs_app.work.progress import percents
from jobs_app.workers import lost_work
from speech.errors import NotSupported
from speech.text.words import count_total_words
from tests.jobs.conftest import expire, take
from tests.speech.scripted_provider import ScriptedProvider, hang, status
from tests.speech.translation.scripted_chat import asked, provider, says, task, texts, translating

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("fast")]


@pytest.fixture
def fast(monkeypatch, settings):
    monkeypatch.setattr(guard, "TICK_S", 0.02)
    settings.RETRY_BACKOFF_S = 0


@pytest.fixture
def chat(settings):
    with ScriptedProvider(respond=translating) as server:
        settings.TRANSLATOR = provider(server)
        yield server


@pytest.fixture
def heard_job(new_job, chat):
    """A job whose windows are done, and that has its step TRANSLATE."""

    def make(owner, *, seconds: int = 9, **options):
        job = new_job(owner, seconds=seconds, **{"translate_to": "fr", "language": "en", **options})
        while not job.steps.filter(kind=StepKind.TRANSLATE).exists():
            assert unit.do_next()
        return job

    return make


def step_of(job) -> JobStep:
    return job.steps.get(kind=StepKind.TRANSLATE)


def run(job) -> None:
    unit.do_unit(take(step_of(job)))


def finish(job) -> None:
    """Do the rest of a job."""
    for _ in range(100):
        open_steps = job.steps.filter(status=WorkStatus.WAITING)
        if not open_steps:
            break
        unit.do_unit(take(open_steps.first()))
    job.refresh_from_db()


def said(job) -> list[str]:
    return [row.text for row in job.segments.order_by("start_ms", "number")]


def translated(job) -> list[str | None]:
    return [row.translated_text for row in job.segments.order_by("start_ms", "number")]


def test_a_job_is_translated_behind_its_last_window_by_the_worker_that_hosts_providers(
    alice, new_job, chat, work_until
):
    job = new_job(alice, seconds=9, translate_to="fr", language="en")
    assert job.options.translator == "small"

    def completed():
        job.refresh_from_db()
        return job.status == JobStatus.COMPLETED

    work_until(completed)
    assert translated(job) == [f"fr:{text}" for text in said(job)]
    assert len(said(job)) > 1
    transcript = job.transcript
    assert (transcript.translation_state, transcript.n_untranslated, transcript.language) == ("done", 0, "fr")
    assert transcript.texts.text == " ".join(f"fr:{text}" for text in said(job))
    assert transcript.texts.original == " ".join(said(job))
    assert transcript.total_words == count_total_words(transcript.texts.text)
    assert job.progress == 100


def test_workers_leave_the_step_to_the_host_and_it_takes_a_slot_of_the_translator(alice, heard_job, settings):
    from jobs_app.engines import providers
    from jobs_app.leases import claims

    job = heard_job(alice)
    other = heard_job(alice)
    assert claims.claim() is None
    settings.TRANSLATOR = provider_with_one_slot(settings)
    first = claims.claim(remote=True)
    assert first.kind == StepKind.TRANSLATE
    assert first.job_id in (job.pk, other.pk)
    assert providers.running_at(["translator"]) == {"translator": 1}
    assert claims.claim(remote=True) is None


def provider_with_one_slot(settings):
    from dataclasses import replace

    return replace(settings.TRANSLATOR, concurrency=1)


def test_segments_go_in_batches_with_those_before_and_the_glossary(alice, heard_job, chat, settings):
    TargetList.objects.create(owner=alice, name="Terms", words=["Okafor"])
    settings.TRANSLATOR_MAX_SEGMENTS = 2
    job = heard_job(alice, seconds=60)
    run(job)
    step = step_of(job)
    assert (step.status, step.attempt) == (WorkStatus.WAITING, 0)
    assert [text is None for text in translated(job)][:3] == [False, False, True]
    run(job)
    assert [texts(request) for request in chat.requests] == [said(job)[:2], said(job)[2:4]]
    assert asked(chat.requests[1])["before"] == [
        {"text": text, "translation": f"fr:{text}"} for text in said(job)[:2]
    ]
    assert "Okafor" in task(chat.requests[0])
    job.refresh_from_db()
    assert (job.status, job.stage) == (JobStatus.PROCESSING, JobStage.TRANSLATING)
    assert 75 < percents([job.pk])[job.pk] < 98


def test_what_a_killed_worker_has_stored_is_not_asked_for_again(alice, heard_job, chat, settings):
    settings.TRANSLATOR_MAX_SEGMENTS = 1
    job = heard_job(alice, seconds=40)
    run(job)
    taken = take(step_of(job))
    expire(taken)
    lost_work.recover()
    assert step_of(job).status == WorkStatus.WAITING
    finish(job)
    assert job.status == JobStatus.COMPLETED
    assert [texts(request) for request in chat.requests] == [[text] for text in said(job)]


def test_a_segment_that_is_never_translated_is_left_and_said(alice, heard_job, chat):
    job = heard_job(alice, seconds=40)
    bad = said(job)[1]
    chat.respond = lambda request: says("no") if bad in texts(request) else translating(request)
    finish(job)
    assert translated(job)[1] == ""
    assert all(translated(job)[:1] + translated(job)[2:])
    assert (job.status, job.transcript.translation_state, job.transcript.n_untranslated) == (
        JobStatus.COMPLETED,
        "partly",
        1,
    )
    assert bad in job.transcript.texts.text


@pytest.mark.parametrize("wrong", [status(401), status(404)], ids=["wrong key", "no model"])
def test_a_translator_that_refuses_costs_a_job_its_translation_and_not_its_text(
    alice, heard_job, chat, wrong
):
    job = heard_job(alice)
    chat.answer_with(wrong)
    finish(job)
    assert (job.status, job.transcript.translation_state) == (JobStatus.COMPLETED, "failed")
    assert job.transcript.texts.text == " ".join(said(job))
    assert job.transcript.language == "en"
    step = step_of(job)
    assert (step.status, step.error_code) == (WorkStatus.FAILED, "provider_refused")
    assert len(chat.requests) == 1


def test_a_translator_that_answers_nonsense_is_given_up_after_some_segments(
    alice, heard_job, chat, monkeypatch
):
    monkeypatch.setattr(translation, "MOST_UNTRANSLATED", 2)
    job = heard_job(alice, seconds=60)
    chat.respond = lambda request: says("Sure! Here you are.")
    finish(job)
    assert (job.status, job.transcript.translation_state) == (JobStatus.COMPLETED, "failed")
    assert job.transcript.n_untranslated == len(said(job))
    assert len(chat.requests) < len(said(job))


def test_a_busy_translator_is_waited_for_without_using_up_attempts(alice, heard_job, chat, settings):
    settings.MAX_ATTEMPTS = 1
    job = heard_job(alice)
    chat.answer_with(status(429, headers={"Retry-After": "30"}))
    run(job)
    step = step_of(job)
    assert (step.status, step.attempt, step.error_code) == (WorkStatus.WAITING, 0, "provider_busy")
    assert step.not_before > step.outage_since
    assert ProviderState.objects.get(name="translator").paused_until is not None
    JobStep.objects.filter(pk=step.pk).update(not_before=step.outage_since)
    finish(job)
    assert job.transcript.translation_state == "done"
    assert (job.provider_requests, step_of(job).outage_since) == (2, None)


def test_a_translator_that_stays_away_costs_only_the_translation(alice, heard_job, chat, settings):
    settings.PROVIDER_PATIENCE_S, settings.MAX_ATTEMPTS = 0, 2
    job = heard_job(alice, seconds=30)
    chat.respond = lambda request: status(503)
    for _ in range(settings.MAX_ATTEMPTS):
        run(job)
    assert step_of(job).status == WorkStatus.FAILED
    # The second attempt asks for less at once.
    assert len(texts(chat.requests[1])) < len(texts(chat.requests[0]))
    finish(job)
    assert (job.status, job.transcript.translation_state) == (JobStatus.COMPLETED, "failed")


def test_a_cancelled_job_gives_up_its_request(alice, heard_job, chat, monkeypatch):
    job = heard_job(alice)
    chat.answer_with(hang())
    taken = take(step_of(job))

    def cancel_when_asked(self, done_ms):
        if chat.requests:
            cancel_job(job.pk)
            self.lost_at = time.monotonic()
        original(self, done_ms)

    original = unit.Run.advance
    monkeypatch.setattr(unit.Run, "advance", cancel_when_asked)
    unit.do_unit(taken)
    chat.wait_for(lambda server: server.requests[0].gone)
    job.refresh_from_db()
    assert (job.status, job.provider_requests) == (JobStatus.CANCELLED, 1)
    assert step_of(job).status == WorkStatus.CANCELLED
    assert translated(job) == [None] * len(said(job))


def test_what_is_spoken_in_the_wanted_language_is_not_sent(alice, new_job, chat):
    job = new_job(alice, seconds=9, translate_to="en", language="en")
    while unit.do_next():
        pass
    job.refresh_from_db()
    assert job.status == JobStatus.COMPLETED
    assert (job.transcript.translation_state, job.transcript.language) == ("same", "en")
    assert (chat.requests, job.provider_requests) == ([], 0)
    assert job.transcript.texts.text == " ".join(said(job))


def test_only_segments_in_other_languages_are_sent(alice, heard_job, chat):
    job = heard_job(alice, seconds=40)
    first = job.segments.order_by("start_ms").first()
    job.segments.exclude(pk=first.pk).update(language="fr")
    finish(job)
    assert [texts(request) for request in chat.requests] == [[first.text]]
    assert translated(job) == [f"fr:{first.text}"] + [None] * (len(said(job)) - 1)
    assert job.transcript.translation_state == "done"
    assert job.transcript.texts.text == " ".join([f"fr:{first.text}", *said(job)[1:]])


def test_a_silent_recording_is_not_translated(alice, new_job, chat):
    job = new_job(alice, translate_to="fr")
    ChunkTranscription.objects.filter(job=job).delete()
    assert not begin_translation(job, owner_id=alice.pk)
    assert job.transcript.translation_state == ""


def test_requests_tokens_and_cost_are_counted_with_the_job(alice, heard_job, chat, settings):
    from dataclasses import replace

    settings.TRANSLATOR = replace(settings.TRANSLATOR, input_price=Decimal(2), output_price=Decimal(10))
    job = heard_job(alice)
    chat.answer_with(says("no"))
    finish(job)
    assert job.provider_requests == len(chat.requests)
    assert job.translator_tokens == 110 * len(chat.requests)
    assert job.provider_cost == len(chat.requests) * (100 * Decimal(2) + 10 * Decimal(10)) / 1_000_000


def test_a_translator_that_was_removed_costs_only_the_translation(alice, heard_job, settings):
    job = heard_job(alice)
    settings.TRANSLATOR = None
    while unit.do_next():
        pass
    job.refresh_from_db()
    assert (job.status, job.transcript.translation_state) == (JobStatus.COMPLETED, "failed")


def test_segments_that_are_cut_after_the_end_are_translated_anew(alice, heard_job, chat):
    job = heard_job(alice, seconds=40)
    finish(job)
    first = job.segments.order_by("start_ms").first()
    job.segments.filter(pk=first.pk).update(raw_text="cut anew", translated_text=None)
    with transaction.atomic():
        assert begin_translation(job, owner_id=alice.pk)
    finish(job)
    assert (job.status, job.transcript.translation_state) == (JobStatus.COMPLETED, "done")
    assert texts(chat.requests[-1]) == ["cut anew"]
    assert job.transcript.texts.text.startswith("fr:cut anew")


def test_without_a_translator_the_refusal_says_what_would_make_it_possible(alice, new_job):
    with pytest.raises(NotSupported, match="TRANSLATOR_MODEL") as refusal:
        new_job(alice, translate_to="fr")
    assert refusal.value.option == "translate_to"
