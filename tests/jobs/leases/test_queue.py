"""The door to the queue when the queue is away."""

from __future__ import annotations

import time

import pytest
from django_q.brokers import redis_broker
from django_q.conf import Conf

from jobs_app.leases import queue


@pytest.mark.django_db
def test_nobody_who_sends_a_recording_waits_for_a_redis_that_is_away(settings, monkeypatch):
    settings.QUEUE = "redis"
    monkeypatch.setattr(Conf, "REDIS", {"host": "127.0.0.1", "port": 1})
    monkeypatch.setattr(queue, "get_broker", redis_broker.Redis)
    began = time.monotonic()
    assert queue.wake() == 0
    # By itself the client tries ten times, with pauses that grow.
    assert time.monotonic() - began < 1
