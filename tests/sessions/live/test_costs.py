"""How often live sockets ask the database. Their processor time is measured by benchmarks/live_sockets.py."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs_app.models import LiveText
from sessions_app.live import hub, looking, storing, threads
from sessions_app.models import LivePiece, LiveSender, RecordingSession
from sessions_app.models.prepared import Insert
from tests.sessions.live.client import noise
from tests.sessions.live.test_telling import says

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("n", [1, 7])
def test_however_many_pieces_come_at_once_they_are_stored_by_three_statements(alice, n):
    pieces = []
    for _ in range(n):
        session = RecordingSession.objects.create(owner=alice, source="recorder")
        sender = LiveSender.objects.create(session=session, sender=uuid.uuid4()).sender
        pieces.append(storing.Piece(session.pk, sender, 0, bytes(16_000), 0, is_sign_of_life=False))
    with CaptureQueriesContext(connection) as asked:
        assert storing.store(pieces) == [storing.Outcome.STORED] * n
    statements = [sql["sql"] for sql in asked if sql["sql"] not in ("BEGIN", "BEGIN IMMEDIATE", "COMMIT")]
    assert [sql.split()[0] for sql in statements] == ["SELECT", "SELECT", "INSERT"]
    assert LivePiece.objects.count() == n


def test_however_many_pieces_a_chunk_is_made_of_it_takes_the_same_statements(alice, storage, settings):
    settings.RECORDER_CUTS_S = (1,)
    counts = []
    for piece in (8_000, 1_000):
        session = RecordingSession.objects.create(owner=alice, source="recorder")
        Insert(LivePiece, "session", "first_sample", "pcm")(
            (session.pk, first, noise(piece / 16_000).tobytes()) for first in range(0, 24_000, piece)
        )
        with CaptureQueriesContext(connection) as asked:
            reach = storing.filled(session.pk)
        assert (reach.saved, reach.end) == (16_000, 24_000)
        assert (
            session.live_pieces.order_by("first_sample").values_list("first_sample", flat=True)[0] == 16_000
        )
        counts.append(len(asked))
    assert counts[0] == counts[1]


@pytest.fixture
def looked(live_loop) -> Iterator[list[str]]:
    """The statements of the hub."""
    statements: list[str] = []

    def note(execute, sql, *rest):
        statements.append(sql)
        return execute(sql, *rest)

    def wrappers() -> list:
        return connection.execute_wrappers

    threads.looking.submit(lambda: wrappers().append(note)).result()
    yield statements
    threads.looking.submit(lambda: wrappers().remove(note)).result()


def test_while_nobody_speaks_the_hub_asks_little(connect, job, looked):
    says(job, received_ms=5000, heard_ms=5000)
    socket = connect()
    socket.say(type="watch")
    socket.hear_until("progress")
    looked.clear()
    began = time.monotonic()
    while time.monotonic() - began < 2.2:
        time.sleep(0.1)
    lasted_s = time.monotonic() - began
    statements, versions = looked[:], [sql for sql in looked if 'FROM "jobs_app_livetext"' in sql]
    assert 3 <= len(versions) <= lasted_s / hub.LOOK_LIVE_S + 1
    assert len(statements) - len(versions) <= lasted_s / hub.LOOK_S + 1
    # What is asked so often reads no texts.
    assert not [sql for sql in versions if "finals" in sql]
    says(job, interim={"start_ms": 20, "end_ms": 1900, "text": "And so my", "firm": 6})
    assert socket.hear_until("segment")[-1]["text"] == "And so my"


def test_what_the_hub_asks_is_what_the_tables_have(job):
    assert looking.versions([job.pk]) == {}
    assert looking.jobs_now([job.pk, uuid.uuid4()])[job.pk].live is None
    says(job, finals=[{"number": 0}], interim=None, received_ms=900, heard_ms=500, interims=False)
    assert looking.versions([job.pk]) == {job.pk: 1}
    assert looking.jobs_now([job.pk]) == {
        job.pk: looking.JobNow(
            job.pk, "pending", "waiting", 0, 0, True, looking.LiveNow(1, [{"number": 0}], None, 400, False)
        )
    }
    LiveText.objects.all().delete()
    assert looking.versions([job.pk]) == {}
    assert looking.jobs_now([]) == {}
