"""Web process and live host are killed while somebody speaks: each second is in the text once, in order.

Runs on the database of the test run (SQLite or PostgreSQL). The engine is the fake one, which reads numbered
seconds.
"""

from __future__ import annotations

import random
import time

import pytest

from jobs_app.models import JobStatus, TranscriptionJob
from tests.acceptance.conftest import kill, wait_for
from tests.acceptance.live.conftest import Site
from tests.acceptance.live.talk import Talk
from tests.jobs.speaking import words

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

SECONDS = 40
SENT_AGAIN_MS = 1_500


def kill_web(site: Site) -> None:
    site.web.kill()
    site.web.start()


def kill_host(site: Site) -> None:
    for host in site.runner.live_hosts():
        kill(host.pid)


def kill_both(site: Site) -> None:
    kill_host(site)
    kill_web(site)


def test_each_second_is_heard_once_whoever_is_killed_while_somebody_speaks(site):
    site.start()
    talk = Talk(site.api, site.api.begin(), SECONDS, speed=1.5).start()
    chance = random.Random(11)
    kills = [kill_web, kill_host, kill_both, kill_web]
    chance.shuffle(kills)
    for hurt in kills:
        said_ms = talk.received_ms
        # Each comes while audio arrives, and as fast as it is spoken.
        wait_for(
            lambda said_ms=said_ms: talk.received_ms > said_ms and not talk.behind,
            within_s=30,
            what="audio arrives",
        )
        time.sleep(chance.uniform(0.2, 1.2))
        assert not talk.has_ended
        hurt(site)
    talk.wait_for_end()
    assert talk.done is not None, talk.codes
    assert talk.done["status"] == JobStatus.COMPLETED
    assert set(talk.codes) <= {"live_unavailable"}
    # What was shown stays, and is all of it.
    assert talk.changed == []
    assert talk.text == words(0, SECONDS)
    assert talk.readies == 4
    # Of three drops. A machine that does other things as well is late once in a while.
    assert sorted(talk.again_ms)[1] <= SENT_AGAIN_MS, talk.again_ms
    job = TranscriptionJob.objects.get(session=talk.session_id)
    stored = dict(job.segments.values_list("number", "raw_text"))
    assert {f"u{number}": text for number, text in stored.items()} == talk.finals
    assert job.transcript.text == words(0, SECONDS)
    assert job.sound.gaps == []
