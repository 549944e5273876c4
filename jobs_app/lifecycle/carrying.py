"""What people said of the speakers, and how it gets to another run: a name goes with its voice."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence

from jobs_app.lifecycle.suggesting import carry_rejections
from jobs_app.models import JobKind, JobStatus, Speaker, SpeakerTurns, TranscriptionJob
from jobs_app.models.speakers import LONGEST_NAME, StoredTurn
from speech.text.phrases import can_be_seen

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""Characters that turn round what follows them, also what is no part of the name."""


def tidy_name(name: str) -> str:
    """Return a name in one line, at most `LONGEST_NAME` long; empty if nothing of it would be seen."""
    tidy = " ".join(_DIRECTIONS.sub("", _CONTROLS.sub(" ", name)).split())[:LONGEST_NAME].rstrip()
    return tidy if can_be_seen(tidy) else ""


def names_for(job: TranscriptionJob, turns: Sequence[StoredTurn], labels: Sequence[str]) -> Mapping[str, str]:
    """Return the names of the speakers of `turns`: those of before for the same voices, or those asked for.

    The caller holds the lock on `job`, and reads no name before that: people give names at any time.
    """
    before = _named_before(job)
    if before is None:
        asked = map(tidy_name, job.short_options.speaker_names.split(","))
        return dict(zip(labels, asked, strict=False))
    names, stored = before
    shared = shared_ms(stored, turns)
    given: dict[str, str] = {}
    for old, new in sorted(shared, key=lambda pair: (-shared[pair], pair)):
        if names.get(old) and new not in given and names[old] not in given.values():
            given[new] = names[old]
    return given


def carry_names(job: TranscriptionJob) -> None:
    """Give the speakers of a refinement the names that the transcript has now whose place it takes, and keep
    what people rejected there.

    Its work may wait for hours after its speakers are told apart. The caller holds the lock on `job`.
    """
    if job.kind != JobKind.REFINE or not job.short_options.diarize:
        return
    found = SpeakerTurns.objects.filter(job=job).first()
    if found is None:
        return
    speakers = list(job.speakers.all())
    names = names_for(job, found.turns, [one.label for one in speakers])
    for one in speakers:
        one.name = names.get(one.label, "")
    Speaker.objects.bulk_update(speakers, ["name"])
    carry_rejections(job, job_before(job))


def job_before(job: TranscriptionJob) -> TranscriptionJob:
    """Return the job of which people have said who speaks: `job` itself, in an earlier run.

    Until it completes, a second hearing of a recording goes on with what they said of the first.
    """
    if job.kind != JobKind.REFINE or job.status == JobStatus.COMPLETED:
        return job
    first = job.session.jobs.runs().filter(status=JobStatus.COMPLETED, created_at__lt=job.created_at)
    return first.order_by("-created_at").first() or job


def _named_before(job: TranscriptionJob) -> tuple[dict[str, str], list[StoredTurn]] | None:
    """Return the names by labels, and the turns, of the run before this one; None if there was none."""
    source = job_before(job)
    found = SpeakerTurns.objects.filter(job=source).first()
    if found is None:
        return None
    rows = source.speakers.select_related("merged_into")
    return {one.label: (one.merged_into or one).name for one in rows}, found.turns


def shared_ms(before: Sequence[StoredTurn], after: Sequence[StoredTurn]) -> dict[tuple[str, str], int]:
    """Return how long each label of `before` speaks at the same time as each of `after`.

    Both are in order of time.
    """
    shared: Counter[tuple[str, str]] = Counter()
    starts = [start_ms for start_ms, _, _ in before]
    longest = max((end_ms - start_ms for start_ms, end_ms, _ in before), default=0)
    for start_ms, end_ms, label in after:
        first = bisect_right(starts, start_ms - longest - 1)
        for at in range(first, bisect_right(starts, end_ms)):
            old_start, old_end, old = before[at]
            both = min(end_ms, old_end) - max(start_ms, old_start)
            if both > 0:
                shared[old, label] += both
    return dict(shared)
