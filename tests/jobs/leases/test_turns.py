"""Who is served next: counted in claims, so that no clock of this machine decides."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from jobs_app.engines.resolving import resolve_options
from jobs_app.leases import claims, next_work, ranks
from jobs_app.lifecycle import planning
from jobs_app.lifecycle.choices import change_priority
from jobs_app.lifecycle.finishing import finish_job, finish_window
from jobs_app.lifecycle.starting import audio_arrived, start_job, work_columns
from jobs_app.models import ChunkTranscription, StepKind, Turn
from jobs_app.work.preparation import Preparation
from sessions_app.models import RecordingSession
from speech.engines.providers import Provider
from speech.types import DecodeReport, Transcription
from speech.windows.cuts import Window
from tests.jobs.conftest import on_postgres, prepare, take, windows_of

MINUTE = 60_000


def finish(work, *, windows: int = 1) -> None:
    """End a claimed unit as its worker would."""
    if isinstance(work, ChunkTranscription):
        assert finish_window(work, Transcription())
    elif work.kind == StepKind.PREPARE:
        assert prepare(work, windows_of(windows))
    else:
        assert finish_job(work)


def serve(*, most: int, until=lambda work: False, remote: bool = False, windows: int = 1) -> list:
    """One worker takes and ends units, one after the other; which."""
    done = []
    while len(done) < most and (work := claims.claim(remote=remote)):
        done.append(work)
        if until(work):
            break
        finish(work, windows=windows)
    return done


def first_window_of(owner):
    return lambda work: isinstance(work, ChunkTranscription) and work.owner_id == owner.pk


def windows_before(done, owner) -> int:
    """How many windows of others were taken before the first one of `owner`."""
    assert first_window_of(owner)(done[-1]), f"{len(done)} units, and none of theirs"
    return sum(isinstance(work, ChunkTranscription) for work in done[:-1])


@pytest.fixture
def far(settings):
    settings.PROVIDERS = {
        "far": Provider(name="far", base_url="http://127.0.0.1:9/v1", models=("whisper-1",), concurrency=1)
    }


# --- Between people ------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [{}, {"priority": "high"}])
def test_with_one_worker_three_hundred_uploads_delay_another_by_one_window(alice, bob, new_job, more):
    for _ in range(60):
        new_job(alice, **more)
    serve(most=20)
    running = claims.claim()
    assert running.owner == alice
    new_job(bob)
    finish(running)
    assert windows_before(serve(most=50, until=first_window_of(bob)), bob) <= 1


def test_two_people_take_turns(alice, bob, planned_job):
    planned_job(alice, 6)
    planned_job(bob, 3)
    owners = [work.owner for work in serve(most=6)]
    assert owners in ([alice, bob] * 3, [bob, alice] * 3)


def test_each_of_many_people_has_a_turn_before_anybody_has_two(django_user_model, planned_job):
    people = [django_user_model.objects.create_user(f"person{n}") for n in range(5)]
    for person in people:
        planned_job(person, 3)
    owners = [work.owner_id for work in serve(most=15)]
    for round_ in (owners[:5], owners[5:10], owners[10:]):
        assert sorted(round_) == [person.pk for person in people]


def test_a_provider_with_one_slot_is_shared(alice, bob, planned_job, far):
    planned_job(alice, 25, engine="far")
    serve(most=3, remote=True)
    planned_job(bob, 2, engine="far")
    owners = [work.owner for work in serve(most=4, remote=True)]
    assert owners == [bob, alice, bob, alice]


def test_turns_at_a_provider_are_not_those_at_the_workers(alice, bob, planned_job, far):
    planned_job(alice, 3, engine="far")
    serve(most=3, remote=True)
    planned_job(alice, 2)
    planned_job(bob, 2)
    serve(most=6)
    assert {(turn.owner.username, turn.engine) for turn in Turn.objects.filter(served_at__isnull=False)} >= {
        ("alice", "far"),
        ("alice", ""),
        ("bob", ""),
    }


def test_windows_of_a_provider_that_was_removed_are_given_to_workers(alice, planned_job, far, settings):
    planned_job(alice, 1, engine="far")
    assert claims.claim() is None
    settings.PROVIDERS = {}
    assert claims.claim().engine == "far"


def test_what_waits_for_another_try_holds_up_nobody(alice, bob, planned_job):
    planned_job(alice, 2)
    ChunkTranscription.objects.update(not_before=F("not_before") + timedelta(hours=1))
    other = planned_job(bob, 1)
    assert claims.claim().job == other
    assert claims.claim() is None
    assert not claims.anything_claimable()


def test_silent_uploads_do_not_go_before_everybody_elses(alice, bob, new_job):
    for _ in range(10):
        new_job(alice)
    serve(most=2, windows=0)
    new_job(bob)
    done = serve(most=10, until=first_window_of(bob), windows=0)
    # A person whose files have no windows takes turns with steps alone.
    assert [work.owner for work in done[:3]].count(bob) >= 1


def test_a_wish_for_high_priority_orders_only_ones_own_work(alice, bob, planned_job):
    for _ in range(3):
        planned_job(alice, 1, priority="high")
    planned_job(alice, 1, priority="normal")
    planned_job(bob, 2, priority="low")
    done = [work for work in serve(most=6) if isinstance(work, ChunkTranscription)]
    owners = [work.owner for work in done][:4]
    assert owners in ([alice, bob] * 2, [bob, alice] * 2)
    assert [work.job.priority for work in done if work.owner == alice][:2] == ["high"] * 2


def test_with_the_permission_a_priority_counts_among_all(alice, bob, planned_job, django_user_model):
    alice.user_permissions.add(Permission.objects.get(codename="prioritise_over_others"))
    alice = django_user_model.objects.get(pk=alice.pk)
    planned_job(bob, 3)
    planned_job(alice, 3, priority="high")
    later = planned_job(alice, 1, priority="low")
    done = serve(most=9, until=lambda work: work.job == later)
    windows = [work.owner for work in done if isinstance(work, ChunkTranscription)]
    assert windows == [alice] * 3 + [bob] * 3 + [alice]


def test_staff_may_put_somebodys_job_before_all_others(alice, bob, staff, planned_job):
    planned_job(alice, 1)
    urgent = planned_job(bob, 3)
    assert change_priority(urgent.pk, "high", by=bob)
    assert set(urgent.windows.values_list("rank", flat=True)) == {3}
    assert change_priority(urgent.pk, "high", by=staff)
    assert [work.owner for work in serve(most=3)] == [bob] * 3


# --- Interactive work ----------------------------------------------------------------------------


def start_short(session, *, seconds: int):
    return start_job(session, resolve_options(engine="fake"), duration_ms=seconds * 1000, interactive=True)


def test_many_short_files_that_are_waited_for_do_not_hold_up_an_upload(
    alice, bob, new_session, new_job, settings
):
    settings.INTERACTIVE_SPEED = 0.001  # as if no time passed
    for _ in range(40):
        start_short(new_session(alice), seconds=11)
    serve(most=7)
    new_job(bob)
    assert windows_before(serve(most=60, until=first_window_of(bob)), bob) <= 3


def test_one_short_file_that_is_waited_for_comes_before_uploads(alice, bob, new_session, planned_job):
    planned_job(bob, 5)
    serve(most=1)
    job = start_short(new_session(alice), seconds=11)
    assert [work.job for work in serve(most=3)] == [job] * 3


def publish(job, length_ms: int) -> None:
    step = take(job.steps.get(kind=StepKind.PREPARE))
    at = [*range(0, length_ms, MINUTE), length_ms]
    windows = [Window(a, b, speech_ms=b - a) for a, b in itertools.pairwise(at)]
    assert planning.publish_windows(step, windows, {})


@pytest.mark.parametrize(("minutes", "rank"), [(1, 1), (2, 4), (11 * 60, 4)])
def test_a_header_that_lies_does_not_buy_the_first_place(alice, new_session, wakes, minutes, rank):
    job = start_short(new_session(alice), seconds=1)
    assert job.steps.get().rank == 1
    publish(job, minutes * MINUTE)
    assert set(job.windows.values_list("rank", flat=True)) == {rank}
    assert job.steps.get().rank == rank


def record(owner, *, minutes: int, begun_minutes_ago: int):
    session = RecordingSession.objects.create(owner=owner, source="recorder")
    session.started_at -= timedelta(minutes=begun_minutes_ago)
    RecordingSession.objects.filter(pk=session.pk).update(started_at=session.started_at)
    job = start_job(session, resolve_options(engine="fake"))
    audio_arrived(session)
    heard(job, minutes=minutes)
    return job


def heard(job, *, minutes: int) -> None:
    planned = job.windows.count()
    found = Preparation(
        windows=[Window(n * MINUTE, (n + 1) * MINUTE, speech_ms=MINUTE) for n in range(planned, minutes)],
        places={},
        report=DecodeReport().as_json(),
        duration_ms=minutes * MINUTE,
        planned_ms=minutes * MINUTE,
        complete=False,
        chunks_seen=0,
        finished_seen=False,
    )
    assert planning.finish_preparation(take(job.steps.get()), found)


@pytest.mark.parametrize(("begun_minutes_ago", "rank"), [(0, 4), (2, 4), (5, 1), (30, 1)])
def test_a_recording_that_comes_faster_than_anybody_speaks_is_no_longer_first(
    alice, wakes, db, begun_minutes_ago, rank
):
    job = record(alice, minutes=10, begun_minutes_ago=begun_minutes_ago)
    assert set(job.windows.values_list("rank", flat=True)) == {rank}


def test_a_recording_that_time_has_caught_up_with_is_first_again(alice, wakes, db):
    job = record(alice, minutes=10, begun_minutes_ago=1)
    job.refresh_from_db()
    assert job.yields
    RecordingSession.objects.update(started_at=F("started_at") - timedelta(minutes=9))
    audio_arrived(job.session)
    heard(job, minutes=11)
    job.refresh_from_db()
    assert not job.yields
    assert set(job.windows.values_list("rank", flat=True)) == {1}


def test_every_rank_that_is_given_is_looked_for():
    given = {
        ranks.rank(interactive=interactive, priority=priority, among_all=among_all)
        for interactive in (True, False)
        for among_all in (True, False)
        for priority in ("high", "normal", "low")
    }
    assert given <= set(ranks.RANKS)


# --- Among one person's jobs ---------------------------------------------------------------------


def start_clip(session):
    return start_job(session, resolve_options(engine="fake"), duration_ms=1000)


def test_a_short_job_waits_for_one_window_of_the_same_persons_long_one(alice, planned_job, new_session):
    long = planned_job(alice, 40)
    serve(most=10)
    running = claims.claim()
    assert running.job == long
    clip = start_clip(new_session(alice))
    finish(running)
    done = serve(most=3)
    assert [work.job for work in done] == [clip] * 3


def test_many_short_jobs_do_not_stop_a_long_one(alice, planned_job, new_session):
    long = planned_job(alice, 20)
    for _ in range(12):
        start_clip(new_session(alice))
    done = serve(most=24)
    of_long = [work.job == long for work in done]
    # A clip has three units, and then it is the turn of the long one.
    assert of_long == [False, False, False, True] * 6


def test_the_job_with_the_least_left_is_first_and_the_older_of_two_equal_ones(alice, planned_job):
    four, two, other_two = planned_job(alice, 4), planned_job(alice, 2), planned_job(alice, 2)
    jobs = [work.job for work in serve(most=99) if isinstance(work, ChunkTranscription)]
    assert jobs[:2] == [two, two]
    assert jobs.index(other_two) > 1
    assert len(jobs) == 8
    assert four in jobs


def test_a_long_job_that_is_nearly_done_comes_before_a_middling_one(alice, planned_job, new_job):
    long = planned_job(alice, 16)
    serve(most=14)
    planned_job(alice, 5)
    left = [work for work in serve(most=3) if isinstance(work, ChunkTranscription)]
    assert [work.job for work in left[:2]] == [long, long]


def test_what_is_left_is_noted_now_and_then_not_after_each_window(alice, planned_job):
    job = planned_job(alice, 16)
    noted = set()
    while work := claims.claim():
        if not isinstance(work, ChunkTranscription):
            break
        noted.add(work.left_ms)
        finish(work)
    assert len(noted) <= 6
    assert max(noted) == 16_000
    assert min(noted) <= 2_000
    assert job.windows.count() == 16


# --- What it costs -------------------------------------------------------------------------------


def fill(owner, job, n: int) -> None:
    last = job.windows.count()
    columns = work_columns(job, owner.pk)
    ChunkTranscription.objects.bulk_create(
        ChunkTranscription(
            number=last + k,
            start_ms=(last + k) * 1000,
            end_ms=(last + k + 1) * 1000,
            speech_ms=1000,
            engine="fake",
            left_ms=10**6,
            **columns,
        )
        for k in range(n)
    )


def test_a_claim_takes_few_statements(alice, bob, planned_job):
    planned_job(alice, 3)
    planned_job(bob, 3)
    serve(most=2)
    with CaptureQueriesContext(connection) as asked:
        assert claims.claim()
    assert len(asked) <= 10, [query["sql"][:80] for query in asked]


@on_postgres
def test_a_claim_is_not_compiled(db):
    """That would take a hundred times as long as it takes."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW jit")
        assert cursor.fetchone() == ("off",)


@on_postgres
def test_a_claim_does_not_read_what_waits(alice, bob, planned_job):
    """In blocks of the database: ten times as much waits, and it reads about as many."""
    jobs = [planned_job(alice, 2), planned_job(bob, 2)]

    def blocks() -> int:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE jobs_app_chunktranscription")
            read = 0
            with CaptureQueriesContext(connection) as asked:
                lines = next_work.lines_of(remote=False)
                next_work.candidates(lines)
            for query in asked:
                if not query["sql"].lstrip().upper().startswith(("SELECT", "WITH")):
                    continue
                cursor.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + query["sql"])
                plan = cursor.fetchone()[0][0]["Plan"]
                read += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        return read

    for owner, job in zip((alice, bob), jobs, strict=True):
        fill(owner, job, 300)
    few = blocks()
    for owner, job in zip((alice, bob), jobs, strict=True):
        fill(owner, job, 3000)
    assert blocks() <= max(2 * few, 300)


# --- At the same moment --------------------------------------------------------------------------


def test_workers_that_race_share_no_unit_and_note_each_turn(alice, bob, planned_job, threads):
    for owner in (alice, bob):
        planned_job(owner, 20)

    def take_eight():
        return [claims.claim() for _ in range(8)]

    taken = [work for some in threads(*[take_eight] * 4) for work in some if work is not None]
    assert len({work.pk for work in taken}) == len(taken) >= 24
    turns = Turn.objects.filter(interactive=False, engine="")
    assert sorted(turn.owner.username for turn in turns) == ["alice", "bob"]
    for turn in turns:
        last = max(work.started_at for work in taken if work.owner_id == turn.owner_id)
        assert abs(turn.served_at - last) < timedelta(seconds=5)
    owners = [work.owner_id for work in taken]
    assert abs(owners.count(alice.pk) - owners.count(bob.pk)) <= 8


def test_workers_that_race_while_others_finish_do_not_lock_each_other_out(alice, bob, planned_job, threads):
    for owner in (alice, bob):
        planned_job(owner, 12)

    def work_on():
        n = 0
        while (work := claims.claim()) is not None:
            finish(work)
            n += 1
        return n

    assert sum(threads(*[work_on] * 4)) >= 26
    assert not ChunkTranscription.objects.exclude(status="done").exists()
