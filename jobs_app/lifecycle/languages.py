"""The languages of a job's windows: what they say to each other, and which of them are heard again.

A window is transcribed as soon as there is a worker for it, so the first ones are decided when little is
known. Later ones know what the others have shown. A window whose language is doubtful, and would be another
one by now, is transcribed once more. One that clearly speaks another language keeps it.
"""

from __future__ import annotations

import logging
import uuid

from django.db.models.functions import Now

from jobs_app.engines.resolving import language_prior
from jobs_app.leases import queue
from jobs_app.models import ChunkTranscription, TranscriptionJob, WorkStatus
from speech.languages.prior import LanguagePrior
from speech.languages.vote import Vote, outvoted, vote_odds

logger = logging.getLogger(__name__)

MOST_VOTES = 50
"""A window hears so many others, the last ones: in a long recording, these are enough."""
CERTAIN = 0.97
"""A window of a higher confidence is never outvoted, so it need not be asked."""


def votes_of(job_id: uuid.UUID) -> dict[int, Vote]:
    """Return what the job's last windows say of its language, by their primary keys. It takes one query."""
    windows = ChunkTranscription.objects.filter(job=job_id, status=WorkStatus.DONE)
    rows = windows.exclude(language_probabilities={}).order_by("-number")
    found = rows.values_list("pk", "speech_ms", "language_probabilities")[:MOST_VOTES]
    return {pk: Vote(speech_ms, probabilities) for pk, speech_ms, probabilities in found}


def prior_beside(window: ChunkTranscription) -> LanguagePrior:
    """Return what is known of the language of a window before it is heard, from its job and its windows."""
    prior = language_prior(window.job.short_options)
    others = [vote for pk, vote in votes_of(window.job_id).items() if pk != window.pk]
    return prior.times(vote_odds(others))


def hear_outvoted_again(job: TranscriptionJob) -> int:
    """Have the windows transcribed again whose doubtful language would be another one by now.

    Each window is heard again once at the most. Return how many there are. The caller holds the lock on
    `job`.
    """
    if job.language:
        return 0
    doubtful = job.windows.filter(
        status=WorkStatus.DONE,
        language_revised=False,
        # What was heard live was read while it was spoken, and stays. No worker has begun such a window.
        started_at__isnull=False,
        language_confidence__lt=CERTAIN,
    ).exclude(language_probabilities={})
    asked = list(
        doubtful.order_by().values_list("pk", "speech_ms", "language_probabilities", "detected_language")
    )
    if not asked:
        return 0
    votes, prior = votes_of(job.pk), language_prior(job.short_options)
    again = [
        pk
        for pk, speech_ms, probabilities, language in asked
        if outvoted(
            Vote(speech_ms, probabilities),
            language,
            prior,
            [vote for other, vote in votes.items() if other != pk],
        )
    ]
    if again:
        logger.info("%s: %s windows are heard again in another language", job, len(again))
        job.windows.filter(pk__in=again).update(
            status=WorkStatus.WAITING,
            language_revised=True,
            attempt=0,
            progress_ms=0,
            not_before=Now(),
            finished_at=None,
        )
        queue.wake_on_commit(len(again))
    return len(again)
