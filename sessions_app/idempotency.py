"""A creating request that is repeated with the same Idempotency-Key is answered, not done again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction

from jobs_app.lifecycle import AlreadyTranscribing
from jobs_app.models import TranscriptionJob
from sessions_app.models import IdempotencyKey

if TYPE_CHECKING:
    from django.contrib.auth.models import User

LONGEST_KEY = 200


class IdempotencyMismatch(Exception):
    """The key was used before, for something else."""


def fingerprint(*asked: Any) -> str:
    """sha256 of what was asked, which must be JSON."""
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def earlier_job(owner: User, key: str, asked: str) -> TranscriptionJob | None:
    """The job that a request of `owner` with this key created, if there was one.

    Raises:
        IdempotencyMismatch: it asked for something with another fingerprint than `asked`.
    """
    if not key:
        return None
    row = IdempotencyKey.objects.select_related("job__session").filter(owner=owner, key=key).first()
    if row is None:
        return None
    if row.fingerprint != asked:
        raise IdempotencyMismatch
    return row.job


def once(owner: User, key: str, asked: str, create: Callable[[], TranscriptionJob]) -> TranscriptionJob:
    """`create()` in a transaction, or the job that another request with this key has created meanwhile.

    Without a key `create` is simply called. Raises what it raises, and IdempotencyMismatch.
    """
    try:
        with transaction.atomic():
            job = create()
            if key:
                IdempotencyKey.objects.create(owner=owner, key=key, fingerprint=asked, job=job)
            return job
    except (IntegrityError, AlreadyTranscribing):
        # Of two requests at the same moment the constraint lets one through; this is the other one.
        if job := earlier_job(owner, key, asked):
            return job
        raise
