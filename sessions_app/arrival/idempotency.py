"""Answer a repeated request with the same Idempotency-Key from its first time, and do not repeat its work."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction

from jobs_app.lifecycle.starting import AlreadyTranscribing
from jobs_app.models import TranscriptionJob
from jobs_app.models.options import JobOptions
from rest.refusals import Refusal
from sessions_app.models import IdempotencyKey

if TYPE_CHECKING:
    from people_app.models import User

LONGEST_KEY = 200


class InvalidKey(Refusal):
    code = "invalid_idempotency_key"
    sentence = f"The header Idempotency-Key takes up to {LONGEST_KEY} printable characters."


class IdempotencyMismatch(Refusal):
    status = 422
    code = "idempotency_mismatch"
    sentence = "This Idempotency-Key was used before with other content. Use a new key for a new request."


def fingerprint(kind: str, asked: object, options: JobOptions) -> str:
    """Return the SHA-256 of a request: its kind, what it asks for, which must be JSON, and its options."""
    chosen = asdict(options)
    # Nobody asks for these. They follow from the person's last recordings, which change meanwhile.
    del chosen["likely_languages"]
    return hashlib.sha256(json.dumps([kind, asked, chosen], sort_keys=True).encode()).hexdigest()


def earlier_job(owner: User, key: str, asked: str) -> TranscriptionJob | None:
    """Return the job that an earlier request of `owner` with this key created, if there was one.

    Raises:
        IdempotencyMismatch: the fingerprint of the earlier request is not `asked`.
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
    """Return the job of another request with this key, earlier or at the same moment, or else of `create()`.

    `create` is called in a transaction.

    Raises:
        IdempotencyMismatch: the fingerprint of the other request is not `asked`.
        Exception: everything that `create` raises.
    """
    if earlier := earlier_job(owner, key, asked):
        return earlier
    try:
        with transaction.atomic():
            job = create()
            if key:
                IdempotencyKey.objects.create(owner=owner, key=key, fingerprint=asked, job=job)
            return job
    except (IntegrityError, AlreadyTranscribing):
        # If two requests come at the same moment, the constraint accepts one of them. This is the other one.
        if earlier := earlier_job(owner, key, asked):
            return earlier
        raise
