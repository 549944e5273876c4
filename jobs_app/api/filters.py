"""The filters and the order of lists of jobs. A value that cannot be used is answered with 400."""

from __future__ import annotations

from typing import cast

from django import forms
from django.db.models import CharField, Q
from django_filters import rest_framework as filters

from jobs_app.models import LONGEST_SEARCH, JobKind, JobStatus, TranscriptionJob, TranscriptionJobQuerySet
from rest.moments import MomentFilter
from rest.ordering import Ordering
from speech.errors import UnknownLanguage
from speech.text.language_tags import read_language


def _sources() -> list[tuple[str, str]]:
    session = TranscriptionJob._meta.get_field("session").related_model
    # The field is found by its name, because this app does not know the model of recordings.
    field = cast("CharField[str, str]", session._meta.get_field("source"))
    return field.flatchoices


class WordsFilter(filters.CharFilter):
    """A filter for a word or phrase.

    Its length is limited, because a long one would be an error of the database.
    """

    def __init__(self, **options: object) -> None:
        super().__init__(
            method="with_words",
            max_length=LONGEST_SEARCH,
            help_text="In titles, file names and transcripts.",
            **options,
        )


class _LanguageField(forms.CharField):
    def clean(self, value: object) -> str:
        wish = super().clean(value)
        try:
            return read_language(wish).code
        except UnknownLanguage as error:
            # The code that shows this message formats it, and the given text may contain a `%`.
            message = str(error).replace("%", "%%")
            raise forms.ValidationError(message, code=error.code) from error


class LanguageFilter(filters.CharFilter):
    """A filter for a language as people write it: `de`, `de-AT`, `German`."""

    field_class = _LanguageField


class JobFilter(filters.FilterSet):
    status = filters.ChoiceFilter(choices=JobStatus.choices)
    kind = filters.ChoiceFilter(choices=JobKind.choices, help_text="As a job tells it.")
    engine = filters.CharFilter()
    language = LanguageFilter(method="in_language", help_text="As a job takes it; asked for or found out.")
    source = filters.ChoiceFilter(
        field_name="session__source", choices=_sources, help_text="How the recording came here."
    )
    created_after = MomentFilter(field_name="created_at", lookup_expr="gte", help_text="From this moment on.")
    created_before = MomentFilter(field_name="created_at", lookup_expr="lt", help_text="Before this moment.")
    search = WordsFilter()
    ordering = Ordering(
        fields={
            "created_at": "created_at",
            "started_at": "started_at",
            "ended_at": "completed_at",
            "sound__duration_ms": "duration_ms",
            "progress": "progress",
            "status": "status",
            "session__title": "title",
        }
    )

    class Meta:
        model = TranscriptionJob
        fields: list[str] = []

    def in_language(self, jobs: TranscriptionJobQuerySet, name: str, value: str) -> TranscriptionJobQuerySet:
        return jobs.filter(Q(language=value) | Q(transcript__detected_language=value))

    def with_words(self, jobs: TranscriptionJobQuerySet, name: str, value: str) -> TranscriptionJobQuerySet:
        return jobs.search(value)
