"""Tags with which templates show a person's vocabulary."""

from __future__ import annotations

from django import template

from jobs_app.models import TranscriptionJob
from jobs_app.vocabulary.vocabulary import targets_of

register = template.Library()


@register.simple_tag
def target_counts(job: TranscriptionJob) -> list[tuple[str, int]]:
    """Return the owner's target words that were counted in the job, and their counts, most frequent first."""
    counts = job.transcript.texts.word_counts
    targets = [(word, counts[word]) for word in targets_of(job.session.owner_id) if word in counts]
    return sorted(targets, key=lambda counted: -counted[1])
